"""The table of a case, and whether each of the bar's cells is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.ahead.bar import MOST_DROP, bar_of
from bench.ahead.make import MINE
from bench.ahead.measure import Row, is_disturbed, spread

_LIKE = 0.97
"""Ratios nearer to each other than the margin count as equal."""


@dataclass(frozen=True)
class Cell:
    """One of the bar's: what was asked, what was reached, and by whom."""

    column: str
    asked: str
    reached: str
    by: str
    held: bool | None
    """None where nothing was measured to hold it against."""

    def line(self) -> str:
        verdict = {True: "pass", False: "FAIL", None: "-"}[self.held]
        return f"  {verdict:5s} {self.column:26s} asked {self.asked:18s} reached {self.reached:20s} {self.by}"


def table(case: str, original: Row, rows: Sequence[Row], batches: Sequence[int]) -> str:
    head = f"{'model':34s} {'runtime':14s} {'MB':>8s} {'drop (bound) %':>16s} {'SQNR':>6s}"
    head += "".join(f" {f'batch {batch}':>12s}" for batch in batches) + f" {'CPU s':>7s} {'peak MB':>8s}"
    metric = original.evaluation.metric_value if original.evaluation else float("nan")
    timed = original.timed.get(batches[0])
    call = f", {timed.latency.p50_ms:.3f} ms a call at batch {batches[0]}" if timed else ""
    first = f"{case}: {original.size_bytes / 1e6:.3f} MB, metric {metric:.4f}{call}"
    return "\n".join([first, head, *(_line(row, batches) for row in rows)])


def _line(row: Row, batches: Sequence[int]) -> str:
    made = row.made
    cost = f" {made.cpu_s:7.1f} {made.peak_bytes / 1e6:8.0f}" if made else f" {'':7s} {'':8s}"
    begin = f"{row.name[:34]:34s} {row.runtime:14s}"
    if row.evaluation is None:
        return f"{begin} {row.reason[:110] or 'not evaluated'}"
    drop, fidelity = row.evaluation.drop, row.evaluation.fidelity
    lost = f"{drop.value * 100:.2f} ({drop.high * 100:.2f})" if drop else "-"
    sqnr = "same" if fidelity and fidelity.sqnr_db is None else f"{fidelity.sqnr_db:.1f}" if fidelity else "-"
    ratios = "".join(f" {_ratio(row, batch):>12s}" for batch in batches)
    note = f"  {row.reason or (made.note if made else '')}"
    return f"{begin} {row.size_bytes / 1e6:8.3f} {lost:>16s} {sqnr:>6s}{ratios}{cost}{note[:100]}".rstrip()


def _ratio(row: Row, batch: int) -> str:
    if batch not in row.timed:
        return "-"
    timed = row.timed[batch]
    return f"{row.ratio(batch):.2f} ±{spread(timed):.1%}{'!' if is_disturbed(timed) else ''}"


def cells(case: str, original: Row, rows: Sequence[Row]) -> list[Cell]:
    """Each column by the best of our models that surely holds its accuracy: one need not hold all of them. What one
    recipe costs is told whatever becomes of its accuracy."""
    mine = [row for row in rows if row.made and row.made.tool == MINE and row.timed and row.holds(MOST_DROP)]
    theirs = [row for row in rows if row.made and row.made.tool != MINE and row.timed and _is_sound(row)]
    bar = bar_of(case)
    if bar is None:
        return [*_beside_the_best(original, mine, theirs), _never_worse(mine)]
    limit = bar.bytes_allowed(original.size_bytes)
    lean = [row for row in mine if row.size_bytes <= limit or (row.ratio(1) or 0.0) >= bar.batch_1 * _LIKE]
    one = [
        row for row in rows if row.made and (row.made.tool, row.made.method) == (MINE, bar.recipe) and row.made.model
    ]
    return [
        _at_least("speed at batch 1", bar.batch_1, _best(mine, lambda row: row.ratio(1)), "×"),
        _at_least("best batched speed", bar.batched, _best(mine, Row.best_batched), "×"),
        _at_most("MB", limit / 1e6, _best(mine, lambda row: -row.size_bytes / 1e6)),
        _at_least("SQNR of a lean or fast one", bar.sqnr_db, _best(lean, _sqnr), " dB"),
        _at_most(
            f"CPU s of one {bar.recipe}", bar.cpu_s, _best(one, lambda row: -row.made.cpu_s if row.made else None)
        ),
    ]


def _beside_the_best(original: Row, mine: Sequence[Row], theirs: Sequence[Row]) -> list[Cell]:
    columns: list[tuple[str, Callable[[Row], float | None]]] = [
        ("speed at batch 1", lambda row: row.ratio(1)),
        ("best batched speed", Row.best_batched),
        ("original's bytes over its", lambda row: original.size_bytes / row.size_bytes),
    ]
    found = []
    for name, figure in columns:
        rival, ours = _best(theirs, figure), _best(mine, figure)
        asked = f"{rival[0]:.2f} of {rival[1].name}" if rival else "no sound peer"
        held = None if rival is None else ours is not None and ours[0] >= rival[0] * _LIKE
        found.append(Cell(name, asked, f"{ours[0]:.2f}" if ours else "nothing", ours[1].name if ours else "", held))
    return found


def _never_worse(mine: Sequence[Row]) -> Cell:
    """What a search for latency answers is at least as quick as the original."""
    answers = [row for row in mine if row.made and row.made.method == "latency"]
    ratio = answers[0].ratio(1) if answers else None
    held = ratio is not None and ratio >= _LIKE
    return Cell("never slower", "1.00", "nothing" if ratio is None else f"{ratio:.2f}", "", held)


def _at_least(column: str, asked: float, best: tuple[float, Row] | None, unit: str) -> Cell:
    reached = f"{best[0]:.2f}{unit}" if best else "nothing"
    return Cell(column, f">= {asked:g}{unit}", reached, _by(best), bool(best and best[0] >= asked))


def _at_most(column: str, asked: float, best: tuple[float, Row] | None) -> Cell:
    reached = f"{-best[0]:.3f}" if best else "nothing"
    return Cell(column, f"<= {asked:.3f}", reached, _by(best), bool(best and -best[0] <= asked))


def _by(best: tuple[float, Row] | None) -> str:
    return f"{best[1].name}, {best[1].runtime}" if best else ""


def _best(rows: Sequence[Row], figure: Callable[[Row], float | None]) -> tuple[float, Row] | None:
    figures = [(value, row) for row in rows if (value := figure(row)) is not None]
    return max(figures, default=None, key=lambda pair: pair[0])


def _sqnr(row: Row) -> float | None:
    return row.evaluation.fidelity.sqnr_db if row.evaluation and row.evaluation.fidelity else None


def _is_sound(row: Row) -> bool:
    """Peers prove nothing: what they lose by point estimate is what they are taken at."""
    return bool(row.evaluation and row.evaluation.drop and row.evaluation.drop.value <= MOST_DROP)
