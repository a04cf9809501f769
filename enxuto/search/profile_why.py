"""Where the time of a call goes, in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from enxuto.judge.node_groups import family
from enxuto.judge.roofline import share_of_peak
from enxuto.report import Node, ProfiledModel
from enxuto.steps import HostNoise
from enxuto.words import SPACE, factor, milliseconds, noisy

_TOLD = 0.05
"""Share of the time from which on a kind of node is spoken of."""
_MOST_TOLD = 3
_ABOVE_THE_ROOF = 1.1
_PEAKS = {(True, "compute"): "the INT8 peak", (False, "compute"): "the FP32 peak"}

_BANDWIDTH = "the bandwidth at which their data can be had"


def told(model: ProfiledModel, against: ProfiledModel | None, noise: Sequence[HostNoise]) -> str:
    """Of the model; against the other one where there is one."""
    first, second = _names(model, against)
    sentences = [_where(first, model)]
    if against is not None:
        sentences.append(_where(second, against))
        sentences.append(f"{first} takes {factor(model.call_ms / against.call_ms)} the time of {second}.")
    names = [name for name, one in ((first, model), (second, against)) if one and _beyond(one.nodes)]
    if names:
        sentences.append(
            f"Nodes of {' and '.join(names)} were faster than the peaks: those were measured on a busier machine."
        )
    if any(noisy(each) for each in noise):
        sentences.append("Other work held up calls meanwhile: the nodes' times are more to be trusted than the calls'.")
    return " ".join(sentences)


def _names(model: ProfiledModel, against: ProfiledModel | None) -> tuple[str, str]:
    """The runtime is named where that is the difference."""
    if against is None:
        return model.model_name, ""
    runtimes = model.settings.runtime, against.settings.runtime
    if runtimes[0] != runtimes[1]:
        return f"{model.model_name} in {runtimes[0]}", f"{against.model_name} in {runtimes[1]}"
    if model.model_name == against.model_name:
        return f"{model.model_name} (1)", f"{against.model_name} (2)"
    return model.model_name, against.model_name


def _where(name: str, model: ProfiledModel) -> str:
    computing = [node for node in model.nodes if node.operations != 0]
    moving = [node for node in model.nodes if node.operations == 0]
    parts = [_kind(kind, nodes) for kind, nodes in _by_family(computing)[:_MOST_TOLD] if _share(nodes) >= _TOLD]
    if _share(moving) >= _TOLD:
        types = [kind for kind, _ in _by_family(moving)]
        listed = ", ".join(types[:_MOST_TOLD]) + (", …" if len(types) > _MOST_TOLD else "")
        verb = "computes" if len(moving) == 1 else "compute"
        parts.append(f"{_percent(_share(moving))} in {_count(moving)} that {verb} nothing ({listed})")
    nothing = "spread over many small nodes" if model.nodes else "none of it in nodes that are long enough to be timed"
    spent = "; ".join(parts) or nothing
    return f"{name}, {milliseconds(model.call_ms)} a call: {spent}."


def _kind(kind: str, nodes: Sequence[Node]) -> str:
    return f"{_percent(_share(nodes))} in {_count(nodes, kind)}{_reached(nodes)}"


def _count(nodes: Sequence[Node], kind: str = "") -> str:
    return " ".join(filter(None, [str(len(nodes)), kind, "node" if len(nodes) == 1 else "nodes"]))


def _reached(nodes: Sequence[Node]) -> str:
    """How near the roof that lies above most of their time they are."""
    slowest_first = sorted(nodes, key=lambda node: -node.ms)
    roofs = [(node.integer, node.bound) for node in slowest_first if node.bound]
    if not roofs:
        return ""
    roof = max(dict.fromkeys(roofs), key=lambda each: _under(nodes, each))
    share = share_of_peak([node for node in nodes if (node.integer, node.bound) == roof])
    if share is None or _under(nodes, roof) < sum(node.ms for node in nodes) / 2:
        return ""
    return f" at {_percent(share)} of {_PEAKS.get((roof[0], roof[1] or ''), _BANDWIDTH)}"


def _under(nodes: Iterable[Node], roof: tuple[bool, str | None]) -> float:
    return sum(node.ms for node in nodes if (node.integer, node.bound) == roof)


def _by_family(nodes: Sequence[Node]) -> list[tuple[str, list[Node]]]:
    def name(node: Node) -> str:
        return family(node.op_type)

    kinds = [(kind, list(members)) for kind, members in groupby(sorted(nodes, key=name), key=name)]
    return sorted(kinds, key=lambda kind: -_share(kind[1]))


def _share(nodes: Iterable[Node]) -> float:
    return sum(node.share for node in nodes)


def _beyond(nodes: Iterable[Node]) -> bool:
    return any(node.share >= _TOLD / 2 and (node.of_peak or 0.0) > _ABOVE_THE_ROOF for node in nodes)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}{SPACE}%"
