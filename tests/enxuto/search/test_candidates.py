"""From what a model is made of, and what is asked, to recipes in the order in which they promise most."""

from __future__ import annotations

from enxuto.goal import Goal
from enxuto.recipe import recipe_name
from enxuto.search.candidates import propose
from tests.support.simulated_world import a_model

RESNET = {"Conv": 19, "Relu": 19, "Add": 9, "Gemm": 1}
BERT = {"MatMul": 48, "Softmax": 6, "LayerNormalization": 13, "Add": 56}
FUSED_BERT = {"MatMul": 36, "com.microsoft::MultiHeadAttention": 6}
GRU = {"GRU": 2, "Gemm": 1, "LayerNormalization": 1}
MLP = {"Gemm": 3, "Relu": 2, "Softmax": 1}


def named(
    operators: dict[str, int],
    goal: Goal | None = None,
    *,
    calibrated: bool = True,
    batch_size: int = 1,
    **facts: object,
) -> list[str]:
    inspection = a_model(operators=operators, **facts).inspection
    proposed = propose(inspection, goal or Goal(), calibrated=calibrated, batch_size=batch_size)
    return [recipe_name(recipe) for recipe in proposed]


def test_convolutions_take_fixed_ranges_chosen_in_several_ways() -> None:
    found = named(RESNET)
    assert found[0] == "static_int8"
    assert {"static_int8(calibration=mse)", "static_int8(calibration=percentile)"} < set(found)
    assert not any("dynamic" in name or "weight_only" in name for name in found), "they do nothing for convolutions"


def test_transformers_are_fused_and_take_ranges_as_they_come() -> None:
    for operators in (BERT, FUSED_BERT):
        found = named(operators)
        assert found[0] == "transformer_fusion → dynamic_int8"
        assert "smooth_quant → transformer_fusion → dynamic_int8" in found
        assert found.index("dynamic_int8") < found.index("smooth_quant(alpha=0.75, everywhere=True) → static_int8")
        assert not any("smooth" in name for name in named(operators, calibrated=False))


def test_a_convolutional_network_with_some_attention_takes_fixed_ranges_first_and_is_fused_alone() -> None:
    found = named({"Conv": 13, "Gemm": 6, "MatMul": 2, "Softmax": 1})
    assert found[0] == "static_int8"
    assert "transformer_fusion" in found
    assert not any("smooth" in name for name in found)


def test_gelus_between_convolutions_are_fused_whether_or_not_there_is_attention() -> None:
    convnext = {"Conv": 8, "MatMul": 10, "Erf": 5, "LayerNormalization": 9}
    for operators in (convnext, {"Conv": 20, "Erf": 19, "Gemm": 1}):
        found = named(operators)
        assert {"transformer_fusion → static_int8", "static_int8", "transformer_fusion"} < set(found)
        assert "transformer_fusion → padding_removal" not in found
    assert not any("fusion" in name for name in named(RESNET))


def test_lstm_layers_behind_convolutions_are_quantized_with_them() -> None:
    found = named({"Conv": 6, "LSTM": 2, "MatMul": 1})
    assert found[0] == "static_int8"
    assert {"static_int8(recurrent=True)", "dynamic_int8", "dynamic_int8(per_channel=False)"} < set(found)
    assert "static_int8(recurrent=True)" not in named({"LSTM": 2, "MatMul": 1})
    assert "static_int8(recurrent=True)" not in named({"Conv": 6, "GRU": 2, "MatMul": 1})


def test_tokens_of_a_batch_are_packed_only_where_there_is_one() -> None:
    for batch_size, packed in ((1, 0), (8, 1)):
        assert sum("padding_removal →" in name for name in named(BERT, batch_size=batch_size)) == packed


def test_products_and_recurrent_layers_take_ranges_as_they_come_first() -> None:
    for operators in (GRU, MLP):
        found = named(operators)
        assert found[0] == "dynamic_int8"
        assert {"dynamic_int8(per_channel=False)", "static_int8", "weight_only", "weight_only(bits=4)"} < set(found)
        assert not any("transformer" in name for name in found)


def test_for_size_few_bits_come_first_and_each_kind_has_its_turn_before_another_way_to_the_same() -> None:
    small = Goal(minimize="size")
    assert named(RESNET, small)[:6] == [
        "weight_only(bits=4, block_size=128, method=gptq)",
        "dynamic_int8",
        "static_int8",
        "weight_only",
        "half_weights",
        "weight_only(bits=4, method=gptq)",
    ]
    assert not any("gptq" in name for name in named(RESNET, small, calibrated=False))
    assert "weight_only(bits=4)" in named(RESNET, Goal(size_mb=1.0)), "a limit on size asks for it too"


def test_without_data_one_way_to_choose_ranges_is_enough() -> None:
    assert [name for name in named(RESNET, calibrated=False) if "static" in name] == ["static_int8"]


def test_what_is_quantized_is_not_quantized_twice() -> None:
    assert named(RESNET, quantized=True) == ["graph_optimization"]
    assert named(BERT, quantized=True)[-1] == "graph_optimization"
    assert not any("int8" in name or "weight" in name for name in named(BERT, quantized=True))


def test_what_computes_in_half_precision_is_lifted_first() -> None:
    found = named(RESNET, precision="float16")
    assert found[0] == "single_precision"
    assert all(name.startswith("single_precision") for name in found)


def test_nothing_is_proposed_twice() -> None:
    for operators in (RESNET, BERT, GRU, MLP, {}):
        for goal in (Goal(), Goal(minimize="size"), Goal(size_mb=1.0), Goal(minimize="memory")):
            found = named(operators, goal)
            assert len(found) == len(set(found))
