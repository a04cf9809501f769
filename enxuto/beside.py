"""Where the files lie that a model keeps its weights in.

Links are followed as far as a user would expect: where a model's own path is a link, its weights lie beside the link or
beside the file that it leads to. Whatever a model or a link says, nothing is read from anywhere else: who unpacks
somebody's archive must not find a file of his own among the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from enxuto.errors import BadInput


def weights_beside(model: Path, names: Iterable[str]) -> dict[str, Path]:
    """The file of each name, which the model gives as a path below its own folder.

    Raises:
        BadInput: there is no such file (``file_not_found``), or it lies elsewhere (``external_data``).
    """
    folders = list(dict.fromkeys([model.parent.absolute(), model.resolve().parent]))
    return {name: _found(name, folders) for name in names}


def _found(name: str, folders: list[Path]) -> Path:
    path = next((folder / name for folder in folders if _is_file(folder / name)), None)
    if path is None:
        raise BadInput(
            f"The model keeps weights in '{name}', and there is no such file beside it.",
            code="file_not_found",
            hint="Put the model and the files of its weights into one folder.",
        )
    if not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise BadInput(
            f"The model keeps weights in '{name}', which is not below its own folder.",
            code="external_data",
            hint="Put the model and the files of its weights into one folder.",
        )
    return path


def _is_file(path: Path) -> bool:
    """A name that no file can have is that of none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
