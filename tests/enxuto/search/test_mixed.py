"""What to keep in floating point is solved from stored scores, for whatever is asked."""

from __future__ import annotations

import math

import pytest

from enxuto.goal import Goal, MaxDrop
from enxuto.report import LayerScore
from enxuto.search.mixed import mixture, predicted_noise, predicted_sqnr_db, predicted_time_us, solve_mixed


def layer(
    name: str,
    *,
    own: float = 1e-6,
    reads: dict[str, float] | None = None,
    writes: tuple[str, float] | None = None,
    before: float = 30.0,
    after: float = 10.0,
    border: float = 2.0,
    saved: int = 100,
    follows: bool = False,
) -> LayerScore:
    tensors = {**(reads or {}), **(dict([writes]) if writes else {})}
    noise = own + sum(tensors.values())
    return LayerScore(
        name=name, operator="Add" if follows else "Conv", parameters=1, noise=noise, own_noise=0.0 if follows else own,
        tensor_noise=tensors, writes=writes[0] if writes else None, follows=follows, sqnr_db=-10 * math.log10(noise),
        bytes_saved=saved, before_us=before, after_us=after, border_us=border,
    )  # fmt: skip


def chain(*layers: LayerScore) -> list[LayerScore]:
    return list(layers)


NOISY = chain(
    layer("first", reads={"x": 1e-5}, writes=("a", 1e-5)),
    layer("loud", own=1e-2, reads={"a": 1e-5}, writes=("b", 1e-5)),
    layer("third", reads={"b": 1e-5}, writes=("c", 1e-5)),
    layer("last", reads={"c": 1e-5}),
)


def test_a_tensor_that_neighbours_share_adds_its_noise_once() -> None:
    whole = predicted_noise(NOISY)
    assert whole == pytest.approx(1e-2 + 3e-6 + 4e-5)


def test_a_layer_that_is_kept_leaves_its_tensors_quantized_where_neighbours_want_them() -> None:
    assert mixture(NOISY, ["loud"]).tensors == {"x", "a", "b", "c"}
    assert predicted_noise(NOISY, ["loud"]) == pytest.approx(3e-6 + 4e-5)
    assert mixture(NOISY, ["loud", "third"]).tensors == {"x", "a", "c"}


def test_a_sum_runs_in_integers_only_between_layers_that_do() -> None:
    layers = chain(
        layer("left", reads={"x": 1e-5}, writes=("a", 1e-5)),
        layer("sum", follows=True, reads={"a": 1e-5, "x": 1e-5}, writes=("s", 1e-5)),
        layer("right", reads={"s": 1e-5}),
    )
    assert mixture(layers, []).layers == {"left", "sum", "right"}
    assert mixture(layers, ["right"]).layers == {"left"}
    assert mixture(layers, ["left"]).layers == {"right"}
    assert mixture(layers, ["left"]).tensors == {"s"}


def test_nothing_left_to_quantize_makes_no_noise() -> None:
    assert predicted_sqnr_db(NOISY, [each.name for each in NOISY]) is None


def test_what_is_faster_in_floats_is_left_out_and_what_gains_less_than_its_borders_is_not() -> None:
    slow_stem = [layer("stem", before=10, after=40, reads={"x": 1e-6}, writes=("a", 1e-6)), *NOISY[1:]]
    (fastest, *_) = solve_mixed(slow_stem, Goal(max_drop=None))
    assert fastest == ["stem"]
    middle = [NOISY[0], layer("loud", before=10, after=12, reads={"a": 1e-5}, writes=("b", 1e-5)), *NOISY[2:]]
    assert all("loud" not in each for each in solve_mixed(middle, Goal(max_drop=None))[:1])


def test_the_noisiest_layer_is_bought_back_first() -> None:
    assert solve_mixed(NOISY, Goal()) == [["loud"]]


def test_every_proposal_is_less_noisy_than_everything_quantized_or_faster() -> None:
    layers = [
        layer(f"l{i}", own=10.0 ** -(3 + i % 4), before=20 + i, after=8 + 3 * (i % 5), reads={f"t{i}": 1e-6},
              writes=(f"t{i + 1}", 1e-6))
        for i in range(24)
    ]  # fmt: skip
    noise, time = predicted_noise(layers), predicted_time_us(layers)
    proposals = solve_mixed(layers, Goal())
    assert 1 <= len(proposals) <= 4
    for names in proposals:
        assert predicted_noise(layers, names) < noise / 1.9 or predicted_time_us(layers, names) < time
    assert proposals == solve_mixed(layers, Goal()), "the same scores give the same answer"


def test_a_measured_drop_aims_at_the_limit() -> None:
    layers = [layer(f"l{i}", own=1e-4 * 1.3**i, reads={f"t{i}": 1e-9}, writes=(f"t{i + 1}", 1e-9)) for i in range(12)]
    everything = predicted_noise(layers)
    proposals = solve_mixed(layers, Goal(max_drop=MaxDrop(value=0.01)), drop=0.08)
    assert min(predicted_noise(layers, names) for names in proposals) <= everything / 16
    assert solve_mixed(layers, Goal(max_drop=MaxDrop(value=0.01)), drop=0.001) == solve_mixed(
        layers, Goal(max_drop=MaxDrop(value=0.01)), drop=0.002
    ), "within the limit already: only a little accuracy is bought"


def test_where_bytes_are_asked_for_small_layers_are_kept_and_times_do_not_count() -> None:
    layers = chain(
        layer("big", own=1e-3, saved=10_000, before=1, after=50, reads={"x": 0.0}, writes=("a", 0.0)),
        layer("small", own=1e-3, saved=10, before=50, after=1, reads={"a": 0.0}, writes=("b", 0.0)),
        layer("rest", own=1e-6, saved=1000, reads={"b": 0.0}),
    )
    (first, *_) = solve_mixed(layers, Goal(minimize="size"))
    assert first == ["small"]


def test_scores_without_times_are_solved_by_noise_alone() -> None:
    untimed = [each.model_copy(update={"before_us": None, "after_us": None, "border_us": None}) for each in NOISY]
    assert solve_mixed(untimed, Goal())[0] == ["loud"]


def test_no_layers_no_proposals() -> None:
    assert solve_mixed([], Goal()) == []
