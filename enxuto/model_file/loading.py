"""Loads a model in the runtime to find out whether it can be run, and says in a user's words why it cannot."""

from __future__ import annotations

import re
from pathlib import Path

from enxuto.errors import BadInput
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel

_OLDEST_OPSET = 7
_UNKNOWN_OPERATOR = (
    r"No Op registered for (?P<op>\S+) with domain_version of",
    r"Fatal error: (?P<op>\S+)\(-?\d+\) is not a registered function/op",
    r"Could not find an implementation for (?P<op>[\w.:]+)\(",
    r"In Node, \(\"[^\"]*\", (?P<op>\w+), \"(?P<domain>[^\"]*)\", -?\d+\).*No opset import for domain",
)


def load_for_inspection(path: Path, opsets: dict[str, int]) -> OnnxRuntimeModel:
    try:
        return OnnxRuntimeModel(path, threads=1)
    except BadInput as error:
        raise _explained(error, opsets) from error


def _explained(error: BadInput, opsets: dict[str, int]) -> BadInput:
    newest = re.search(r"Current official support for domain (\S+) is till opset (\d+)", error.detail)
    if newest:
        domain, supported = newest[1], newest[2]
        return BadInput(
            f"the model asks for opset {opsets.get(domain)} of {domain}; the newest that can be run is {supported}.",
            code="unsupported_opset",
            hint=f"Export it with opset {supported} or lower, or convert it with onnx.version_converter.",
        )
    if ir_version := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", error.detail):
        return BadInput(
            f"the file is of IR version {ir_version[1]}; the newest that can be read is {ir_version[2]}.",
            code="unsupported_ir_version",
            hint="Export it with an older onnx package, or set ir_version lower where the operators allow it.",
        )
    if opsets.get("ai.onnx", _OLDEST_OPSET) < _OLDEST_OPSET:
        return BadInput(
            f"the runtime cannot load this model of opset {opsets['ai.onnx']}; it knows {_OLDEST_OPSET} and up.",
            code="unsupported_opset",
            hint="Convert it: onnx.version_converter.convert_version(model, 17).",
        )
    for pattern in _UNKNOWN_OPERATOR:
        if found := re.search(pattern, error.detail):
            return _unknown_operator(found)
    return error


def _unknown_operator(found: re.Match[str]) -> BadInput:
    groups = found.groupdict()
    operator = "::".join(filter(None, (groups.get("domain"), groups["op"].replace(":", "::"))))
    return BadInput(
        f"no runtime here has the operator {operator}.",
        code="unsupported_operator",
        hint="Export the model with standard operators, or without the custom layer that this one stands for.",
    )
