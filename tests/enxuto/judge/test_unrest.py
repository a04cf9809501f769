"""What was seen while models were timed is told in words, as far as it is known."""

from __future__ import annotations

import pytest

from enxuto.judge.unrest import clocks_agree, unrest
from enxuto.steps import Estimate, HostNoise


def noise(**seen: float | None) -> HostNoise:
    unknown = {"load_1m": None, "steal_share": None, "pressure_share": None, "disturbed_share": None}
    return HostNoise.model_validate(unknown | seen)


def estimate(low: float, high: float) -> Estimate:
    return Estimate(value=(low * high) ** 0.5, low=low, high=high, confidence=0.95)


def test_everything_that_is_known_is_told_of_all_loads() -> None:
    loads = [
        noise(load_1m=0.5, steal_share=0.0, pressure_share=0.1, disturbed_share=0.2),
        noise(load_1m=2.5, steal_share=0.02, pressure_share=0.3, disturbed_share=0.4),
    ]
    told = unrest([1.0, 1.1], loads).replace("\u00a0", " ")
    assert told == (
        "the ratio varied by 6.7 % (standard deviation) between 2 loads, "
        "30.0 % of the rounds were disturbed by somebody else on the same core, "
        "1.0 % of the time was stolen by the hypervisor, "
        "some task waited for a processor 20.0 % of the time, the machine's load was 2.5"
    )


def test_what_is_hidden_is_left_out() -> None:
    assert unrest([1.5], [noise(), noise(load_1m=1.0)]) == "the machine's load was 1.0"
    assert unrest([], []) == ""


@pytest.mark.parametrize(
    ("wall", "cpu", "agree"),
    [
        ((1.9, 2.1), (1.95, 2.05), True),
        ((1.00, 1.01), (1.05, 1.06), True),
        ((1.00, 1.01), (1.08, 1.10), False),
        ((1.9, 2.1), (0.9, 1.1), False),
        ((0.9, 1.1), (1.9, 2.1), False),
    ],
)
def test_clocks_agree_where_their_intervals_meet_within_the_margin(
    wall: tuple[float, float], cpu: tuple[float, float], agree: bool
) -> None:
    assert clocks_agree(estimate(*wall), estimate(*cpu), margin=0.03) is agree
    assert clocks_agree(estimate(*cpu), estimate(*wall), margin=0.03) is agree
