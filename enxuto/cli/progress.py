"""What a person waiting sees: a bar on a terminal, a line for each thing begun otherwise; always on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from enxuto.search.plan import Progress


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("", total=1.0, phase="starting", message="")
            yield lambda seen: bar.update(task, completed=seen.fraction, phase=seen.phase, message=seen.message)
    else:
        yield _Lines(console)


def _bar(console: Console) -> Bar:
    return Bar(
        SpinnerColumn(),
        TextColumn("{task.fields[phase]}", style="bold", markup=False),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        console=console,
        transient=True,
    )


class _Lines:
    """Says nothing twice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ("", "")

    def __call__(self, seen: Progress) -> None:
        if (seen.phase, seen.message) != self._last:
            self._last = (seen.phase, seen.message)
            line = f"[{seen.fraction:4.0%}] {seen.phase}: {seen.message}"
            self._console.print(Text(line), soft_wrap=True)
