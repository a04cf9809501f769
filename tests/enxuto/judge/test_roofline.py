"""Nodes under the roof: what bounds them, and how near it they are."""

from __future__ import annotations

import pytest

from enxuto.judge.roofline import bandwidth_gb_s, operator_types, place
from enxuto.report import Node
from enxuto.steps import Bandwidth, HostNoise, NodeProfile, Peaks

QUIET = HostNoise(load_1m=0.0, steal_share=0.0, pressure_share=0.0)
PEAKS = Peaks(
    threads=1,
    fp32_gflops=100.0,
    int8_gops=400.0,
    bandwidth_gb_s=10.0,
    cached=[Bandwidth(size_bytes=1 << 15, gb_s=200.0), Bandwidth(size_bytes=1 << 20, gb_s=50.0)],
    noise=QUIET,
)


def a_node(
    *,
    ms: float = 1.0,
    operations: int | None = 0,
    moved: int | None = 1000,
    weights: int = 0,
    precision: str | None = "float32",
    op_type: str = "MatMul",
) -> NodeProfile:
    return NodeProfile(
        name="node", op_type=op_type, origin=["node"], tensor="y", ms=ms, output_bytes=100, moved_bytes=moved,
        weight_bytes=weights, operations=operations, precision=precision,
    )  # fmt: skip


def placed(node: NodeProfile, peaks: Peaks | None = PEAKS) -> Node:
    return place([node], ["group"], peaks)[0]


def test_many_operations_a_byte_are_bound_by_the_processor() -> None:
    node = placed(a_node(operations=50_000_000, moved=1000))
    assert (node.bound, node.of_peak, node.gops) == ("compute", 0.5, 50.0)
    assert node.intensity == 50_000


def test_few_operations_a_byte_are_bound_by_the_memory() -> None:
    node = placed(a_node(operations=1000, moved=5_000_000))
    assert (node.bound, node.gb_s) == ("memory", 5.0)
    assert node.of_peak == pytest.approx(0.5)


def test_integers_have_a_roof_of_their_own() -> None:
    node = placed(a_node(operations=100_000_000, precision="int8"))
    assert (node.of_peak, node.integer) == (0.25, True)


def test_data_that_fits_a_cache_is_held_to_that_cache() -> None:
    assert [bandwidth_gb_s(PEAKS, size) for size in (1, 1 << 15, (1 << 15) + 1, 1 << 20, (1 << 20) + 1)] == [
        200.0, 200.0, 50.0, 50.0, 10.0,
    ]  # fmt: skip
    node = placed(a_node(ms=0.001, moved=20_000))  # 20 GB/s: twice what the memory gives
    assert node.gb_s == pytest.approx(20)
    assert node.of_peak == pytest.approx(0.1)


@pytest.mark.parametrize(
    "node",
    [a_node(operations=None), a_node(moved=None), a_node(moved=0), a_node(operations=10, precision="bfloat16")],
    ids=["uncounted", "unknown shapes", "moves nothing", "a type without a peak"],
)
def test_what_is_not_known_has_no_roof(node: NodeProfile) -> None:
    assert (placed(node).bound, placed(node).of_peak) == (None, None)


def test_weights_come_from_where_the_weights_of_all_nodes_fit() -> None:
    alone = a_node(moved=600_000, weights=600_000)
    assert placed(alone).of_peak == pytest.approx(600_000 / 50e6)
    first, _ = place([alone, alone], ["a", "b"], PEAKS)  # more than the largest cache together
    assert first.of_peak == pytest.approx(600_000 / 10e6)


def test_nodes_much_shorter_than_their_recording_have_no_speed() -> None:
    short, long = place([a_node(ms=0.0004), a_node(ms=0.0006)], ["a", "b"], PEAKS, recording_us=2.0)
    assert (short.gb_s, short.of_peak, short.bound) == (None, None, "memory")
    assert long.gb_s is not None
    assert long.of_peak is not None


def test_peaks_of_other_threads_say_nothing() -> None:
    node = placed(a_node(operations=1000), None)
    assert (node.bound, node.of_peak) == (None, None)
    assert node.gops is not None


def test_shares_add_up_and_operators_are_sorted_by_time() -> None:
    nodes = place(
        [
            a_node(ms=1.0, op_type="Add"),
            a_node(ms=3.0, operations=30_000_000),
            a_node(ms=1.0, operations=100_000_000),
        ],
        ["a", "b", "c"],
        PEAKS,
    )
    assert sum(node.share for node in nodes) == pytest.approx(1)
    products, sums = operator_types(nodes)
    assert (products.op_type, products.count, products.share) == ("MatMul", 2, 0.8)
    assert products.operations == 130_000_000
    assert products.of_peak == pytest.approx((3.0 * 0.1 + 1.0 * 1.0) / 4)
    assert sums.op_type == "Add"


def test_a_sum_over_what_is_partly_unknown_is_unknown() -> None:
    nodes = place([a_node(operations=5), a_node(operations=None)], ["a", "b"], PEAKS)
    assert operator_types(nodes)[0].operations is None
