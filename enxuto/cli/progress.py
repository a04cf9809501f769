"""What a person waiting sees: a bar on a terminal, a line for each thing begun otherwise; always on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from enxuto.search.plan import Progress


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("", total=1.0, phase="starting", message="")
            yield lambda seen: _move(bar, task, seen)
    else:
        yield _Lines(console)


def _move(bar: Bar, task: TaskID, seen: Progress) -> None:
    """A bar never goes back, though a job that learns of more work may seem to."""
    furthest = max(seen.fraction, bar.tasks[task].completed)
    bar.update(task, completed=furthest, phase=seen.phase, message=seen.message)


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
        self._furthest = 0.0

    def __call__(self, seen: Progress) -> None:
        if (seen.phase, seen.message) != self._last:
            self._last = (seen.phase, seen.message)
            told = f"{seen.phase}: {seen.message}" if seen.message else seen.phase
            self._furthest = max(self._furthest, seen.fraction)
            self._console.print(Text(f"[{self._furthest:4.0%}] {told}"), soft_wrap=True)
