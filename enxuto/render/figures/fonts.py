"""Keep matplotlib from reading every font of the machine when it is first imported.

It would take seconds where there are thousands, in each step anew, and texts would be measured by whatever is there.
One font that comes with it does: a plot's text is set in the reader's font, this one only says how much room it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

FONT = "DejaVu Sans"


@contextmanager
def one_font_only() -> Iterator[None]:
    """matplotlib looks for fonts by ``os.walk``: within, there are only those of one family in its own folder.

    Where another version looks otherwise this does nothing.
    """
    walk, own = os.walk, matplotlib.get_data_path()

    def few(top: Any, *rest: Any, **more: Any) -> Iterator[Any]:
        if os.fspath(top).startswith(own):
            for folder, folders, files in walk(top, *rest, **more):
                yield folder, folders, [name for name in files if name.startswith(FONT.replace(" ", ""))]

    os.walk = few
    try:
        yield
    finally:
        os.walk = walk
