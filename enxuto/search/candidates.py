"""Which recipes are worth a try: from what the model is made of and what is asked, the most promising first.

What a technique cannot do on this model it says itself (NotApplicable), which becomes a row; only what could not be
better than another proposal is left out here. Unstructured pruning is not among them: zeros alone make no dense model
faster and no file smaller, so it can win under no goal. It is there for recipes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from enxuto.goal import Goal
from enxuto.recipe import Recipe, recipe_name
from enxuto.signature import ModelInspection
from enxuto.techniques import (
    DynamicInt8,
    GraphOptimization,
    HalfPrecision,
    HalfWeights,
    PaddingRemoval,
    SinglePrecision,
    SmoothQuant,
    StaticInt8,
    TransformerFusion,
    WeightOnly,
)

_PRODUCTS = ("MatMul", "Gemm", "com.microsoft::FusedMatMul")
_CONVOLUTIONS = ("Conv", "ConvTranspose", "com.microsoft::FusedConv")
_RECURRENT = ("LSTM", "GRU", "RNN")
_ATTENTION = ("Attention", "com.microsoft::Attention", "com.microsoft::MultiHeadAttention")
_FEWEST_PRODUCTS = 4
"""Of a transformer's layer: to queries, keys and values, and out of them."""


def propose(inspection: ModelInspection, goal: Goal, *, calibrated: bool, batch_size: int = 1) -> list[Recipe]:
    """Recipes to try, in order; ``calibrated`` says whether there is data to choose ranges by."""
    found = made_of(inspection)
    small = goal.objective in ("size", "memory") or goal.size_mb or goal.memory_mb
    proposed = _for_speed(found, calibrated, batch_size)
    if small:
        by_size = _for_size(calibrated)
        proposed = by_size if goal.objective in ("size", "memory") else chain(proposed, by_size)
    if inspection.precision == "float16":
        proposed = _lifted(proposed)
    if inspection.quantized:
        proposed = iter([*_fused(found), [GraphOptimization()]])  # numbers stay what they were quantized to
    return list({recipe_name(recipe): recipe for recipe in proposed}.values())


@dataclass(frozen=True)
class MadeOf:
    """How many operators of each family a model has."""

    products: int
    convolutions: int
    recurrent: int
    lstms: int
    """Of the recurrent layers: they alone have integer kernels."""
    attention: int
    gelus: int
    """Spelled out in five nodes, which are one operator as well."""

    @property
    def by_products(self) -> bool:
        """Whether matrix products matter: what is about their weights alone does nothing for convolutions."""
        return bool(self.recurrent) or (self.products > 0 and 2 * self.products >= self.convolutions)

    @property
    def is_transformer(self) -> bool:
        """Rather than a convolutional network with some attention in it."""
        enough = self.products >= max(_FEWEST_PRODUCTS, self.convolutions)
        return self.attention > 0 and (enough or not self.convolutions)


def made_of(inspection: ModelInspection) -> MadeOf:
    def together(kinds: tuple[str, ...]) -> int:
        return sum(inspection.operators.get(kind, 0) for kind in kinds)

    products, spelled_out = together(_PRODUCTS), inspection.operators.get("Softmax", 0)
    inner = spelled_out if products > _FEWEST_PRODUCTS * spelled_out else 0
    return MadeOf(
        products=products,
        convolutions=together(_CONVOLUTIONS),
        recurrent=together(_RECURRENT),
        lstms=together(("LSTM",)),
        attention=together(_ATTENTION) + inner,
        gelus=together(("Erf",)),
    )


def _for_speed(made_of: MadeOf, calibrated: bool, batch_size: int) -> Iterator[Recipe]:
    dynamic: list[Recipe] = [[DynamicInt8()]] if made_of.by_products else []
    if made_of.by_products:
        # One scale a tensor computes up to a fifth faster where batches are small.
        dynamic.append([DynamicInt8(per_channel=False)])
    if made_of.lstms and made_of.convolutions and calibrated:
        dynamic.append([StaticInt8(recurrent=True)])
    fused: list[Recipe] = [[TransformerFusion(), StaticInt8()]] if made_of.gelus else []
    if made_of.is_transformer:
        yield from _transformer(calibrated, batch_size)
    elif made_of.products + made_of.recurrent > made_of.convolutions:
        yield from dynamic
        yield from fused
        yield from _static(calibrated)
    else:
        yield from fused
        yield from _static(calibrated)
        yield from dynamic
    yield [GraphOptimization()]
    yield from _fused(made_of)
    if made_of.by_products:
        yield [WeightOnly(bits=4)]
        yield [WeightOnly(bits=8)]
        yield [HalfWeights()]
    yield [HalfPrecision()]


def _for_size(calibrated: bool) -> Iterator[Recipe]:
    """The fewest bytes first, one of each kind; then other ways to the same, which want time that a deadline may not
    leave: scales of larger blocks take less, and GPTQ loses least.
    """
    static = list(_static(calibrated))[:2]
    yield [WeightOnly(bits=4, method="gptq", block_size=128)] if calibrated else [WeightOnly(bits=4)]
    yield [DynamicInt8()]
    yield static[0]
    yield [WeightOnly(bits=8)]
    yield [HalfWeights()]
    if calibrated:
        yield [WeightOnly(bits=4, method="gptq")]
        yield [WeightOnly(bits=4, method="gptq", embeddings="int8")]
    yield [WeightOnly(bits=4)]
    yield [WeightOnly(bits=4, method="hqq")]
    yield [WeightOnly(bits=4, block_size=16)]
    yield from static[1:]
    yield [WeightOnly(bits=8, kernel="standard")]
    yield [HalfWeights(dtype="bfloat16")]
    yield [GraphOptimization()]


def _transformer(calibrated: bool, batch_size: int) -> Iterator[Recipe]:
    """Fused and dynamic first; ranges that are fixed suit OpenVINO, and want outliers smoothed away everywhere.

    Padding that is not computed pays where samples are padded: whole columns of it, or in a batch what each has.
    """
    smooth: Recipe = [SmoothQuant()] if calibrated else []
    yield [TransformerFusion(), DynamicInt8()]
    yield [*smooth, TransformerFusion(), PaddingRemoval(within_batch=False), DynamicInt8()]
    if batch_size > 1:
        yield [*smooth, TransformerFusion(), PaddingRemoval(), DynamicInt8()]
    yield [DynamicInt8()]
    if calibrated:
        yield [*smooth, TransformerFusion(), DynamicInt8()]
        yield [SmoothQuant(alpha=0.75, everywhere=True), StaticInt8()]
        yield [SmoothQuant(alpha=0.75, everywhere=True), TransformerFusion(), DynamicInt8()]
    yield [StaticInt8()]


def _fused(made_of: MadeOf) -> list[Recipe]:
    if made_of.attention:
        return [[TransformerFusion()], [TransformerFusion(), PaddingRemoval()]]
    return [[TransformerFusion()]] if made_of.gelus else []


def _static(calibrated: bool) -> Iterator[Recipe]:
    """Ways to choose ranges make files of one speed: which of them loses least is seen in a first look."""
    yield [StaticInt8()]
    if not calibrated:
        return  # on numbers drawn by chance the ways do not differ in anything worth a look
    yield [StaticInt8(calibration="percentile")]
    yield [StaticInt8(calibration="mse")]
    yield [StaticInt8(calibration="entropy")]


def _lifted(recipes: Iterable[Recipe]) -> Iterator[Recipe]:
    """Of a model that computes in FP16: few processors do, and what follows wants weights in FP32."""
    yield [SinglePrecision()]
    yield from ([SinglePrecision(), *recipe] for recipe in recipes)
