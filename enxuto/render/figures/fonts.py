"""Keep matplotlib from reading every font of the machine when it is first imported.

It would take seconds where there are thousands, in each step anew, and texts would be measured by whatever is there.
The fonts that come with it do: a plot's text is set in the reader's font, these only say how much room it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib


@contextmanager
def bundled_fonts_only() -> Iterator[None]:
    """matplotlib looks for fonts by ``os.walk``: within, there is nothing to be found outside its own folder.

    Where another version looks otherwise this does nothing.
    """
    walk, own = os.walk, matplotlib.get_data_path()

    def own_only(top: Any, *rest: Any, **more: Any) -> Iterator[Any]:
        return walk(top, *rest, **more) if os.fspath(top).startswith(own) else iter(())

    os.walk = own_only
    try:
        yield
    finally:
        os.walk = walk
