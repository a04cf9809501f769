"""Numbers in words. A no-break space stands between a number and its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from enxuto.steps import Drop, Estimate, LatencyProfile

SPACE = "\u00a0"


def unit(number: str, name: str) -> str:
    return f"{number}{SPACE}{name}"


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits, without an exponent where that is short: 0.0824, 12.3, 1,234."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -6:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else unit(significant(value), "ms")


def size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "–"
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if size_bytes >= 10**power:
            return unit(significant(size_bytes / 10**power), name)
    return unit(str(size_bytes), "B")


def factor(value: float) -> str:
    """A ratio: 1.86×."""
    return f"{value:.2f}×" if abs(value) < 100 else f"{value:,.0f}×"


def percent(share: float) -> str:
    return unit(f"{100 * share:.2f}".replace("-", "−"), "%")


def limit_percent(share: float) -> str:
    """A share that a person typed, without zeros that they did not: 1 %, 0.5 %."""
    return unit(f"{100 * share:.4g}", "%")


def shortfall(share: float) -> str:
    """How far beyond a limit something is, as a share of it."""
    return f"by {limit_percent(round(share, 3))}" if share < 1 else f"{1 + share:,.3g} times the limit"


def listed(names: Sequence[str]) -> str:
    """Conv, Gemm and MatMul."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def interval(estimate: Estimate) -> str:
    """A factor's interval: 1.81–1.92."""
    return f"{estimate.low:.2f}–{estimate.high:.2f}"


def share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def metric_value(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if 0 <= value <= 1 else f"{value:.4g}"


def difference(before: float | None, after: float | None) -> str:
    """Signed, in the metric's own unit."""
    if before is None or after is None:
        return "–"
    shown = f"{after - before:+.4f}" if abs(before) <= 1 else f"{after - before:+.4g}"
    return shown.replace("-", "−") if after != before else "±0"


def drop_size(value: float, relative: bool) -> str:
    """A loss of the metric: a share of the baseline's, or in the metric's own unit."""
    return percent(value) if relative else f"{value:.4f}".replace("-", "−")


def drop_bound(drop: Drop | None) -> str:
    return "–" if drop is None else f"≤{SPACE}{drop_size(drop.high, drop.relative)}"


def decibels(value: float | None) -> str:
    """SQNR; outputs that are the same to the bit have none."""
    return "exact" if value is None else unit(f"{value:.1f}".replace("-", "−"), "dB")


def seconds(value: float) -> str:
    if value < 60:
        return unit(significant(value, 2 if value < 10 else 3), "s")
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [unit(str(hours), "h")] if hours else []
    return " ".join([*parts, unit(str(minutes), "min"), unit(str(rest), "s")])


def percentiles_words(profile: LatencyProfile) -> str:
    names = (("p50", profile.p50_ms), ("p90", profile.p90_ms), ("p95", profile.p95_ms), ("p99", profile.p99_ms))
    return ", ".join(f"{name} {milliseconds(value)}" for name, value in names if value is not None)


def count(value: int | None) -> str:
    """A large number: 18.9 million."""
    if value is None:
        return "–"
    for power, name in ((12, "trillion"), (9, "billion"), (6, "million")):
        if value >= 10**power:
            return unit(significant(value / 10**power), name)
    return f"{value:,}"


def rate(value: float | None) -> str:
    """How many in a second."""
    if value is None:
        return "–"
    return f"{value:,.0f}/s" if value >= 100 else f"{significant(value)}/s"
