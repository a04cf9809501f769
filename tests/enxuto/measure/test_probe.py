"""A probe is a steady yardstick: slow only where the core is shared."""

from enxuto.measure.probe import CoreProbe, floor_of, is_slow


def test_a_probe_takes_microseconds_and_its_rounds_little_more() -> None:
    probe = CoreProbe()
    assert 100 < min(probe() for _ in range(20)) < 1e6


def test_the_floor_is_what_one_of_ten_beats() -> None:
    probes = [100.0] * 9 + [90.0] * 2 + [200.0] * 9
    assert 90 <= floor_of(probes) <= 100
    assert [is_slow(probe, 100.0) for probe in (95.0, 105.0, 107.0)] == [False, False, True]
