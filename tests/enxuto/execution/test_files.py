"""Files under their digests, and models that lie with their weights."""

from __future__ import annotations

from pathlib import Path

from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner


def a_file(folder: Path, name: str) -> Path:
    (folder / name).write_text(name)
    return folder / name


def test_a_model_made_again_is_put_beside_its_weights_again(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    for _ in range(2):
        model, weights = files.add(a_file(tmp_path, "model")), files.add(a_file(tmp_path, "weights"))
        files.put_beside(model, [weights])
        assert files.beside(model) == [weights]
        assert files.path(model).parent == files.path(weights).parent
        assert files.path(weights).read_text() == "weights"
    assert sum(path.is_file() for path in (tmp_path / "files").rglob("*")) == 2, "no copy is left over"


def test_two_models_of_the_same_weights_have_them_both(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    weights = files.add(a_file(tmp_path, "weights"))
    for name in ("one", "other"):
        model = files.add(a_file(tmp_path, name))
        files.put_beside(model, [weights])
        assert (files.path(model).parent / weights).read_text() == "weights"


def test_a_step_may_read_the_weights_of_its_models_and_no_others(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    model, weights, other = (files.add(a_file(tmp_path, name)) for name in ("model", "weights", "other"))
    files.put_beside(model, [weights])
    readable = StepRunner(files, scratch=tmp_path / "scratch")._readable({model: files.path(model)})
    assert sorted(readable) == sorted(str(files.folder / name) for name in (model, weights))
    assert files.path(other).parent == files.path(model).parent
