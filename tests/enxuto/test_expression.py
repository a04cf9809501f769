"""A user's expression is parsed, or refused with the place where it is wrong; it never reaches Python."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from enxuto.expression import ExpressionError, Name, names_in, parse
from enxuto.metric import Expression, Metric


@pytest.mark.parametrize(
    "text",
    [
        "argmax(output) == labels",
        "-2 ** -1 + 3 * (4 - 5) / 6e-3",
        "mean(abs(outputs.a - original['x:0']), axis=(1, -1), keepdims=true)",
        "outputs.logits[:, 0, 1:3][:, :-1]",
        "not (inputs.x < 0 and labels > 1) | ~(labels == 0) & 1",
        "where(max(output, axis=-1) > .5, 1, 0)",
        "(" * 40 + "1" + ")" * 40,
    ],
)
def test_what_the_language_has_is_read(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("text", "told", "at"),
    [
        ("mean(avg(output))", "no function 'avg'; there are abs", 5),
        ("output + x", "no name 'x'; there are inputs, labels", 9),
        ("outputs + 1", "write outputs.NAME or 'output'", 0),
        ("inputs", "write inputs.NAME", 0),
        ("output.x", "only outputs, inputs and original", 6),
        ("output[0]", "the first axis counts samples", 7),
        ("mean(output, axis=0)", "axis 0 counts samples", 18),
        ("mean(output, axis=1.5)", "a whole number", 18),
        ("output = labels", "'==' compares", 7),
        ("0 < output < 1", "do not chain", 11),
        ("mean(output, labels)", "takes 1 array, not 2", 0),
        ("abs(output, axis=1)", "abs has no option 'axis'", 12),
        ("max(output, 0, axis=1)", "takes no option", 0),
        ("mean(output", "',' was expected, not the end", 11),
        ("output labels", "an operator was expected", 7),
        ("'abc", "does not end", 0),
        ("output ; 1", "';' means nothing", 7),
        ("1e999", "too large", 0),
        ("", "not the end", 0),
        ("mean", "mean is a function", 0),
        ("__import__('os').system('true')", "no function '__import__'", 0),
        ("output.__class__", "only outputs", 6),
        ("(lambda: 1)()", "no name 'lambda'", 1),
        ("[x for x in output]", "a number, a name or '('", 0),
    ],
)
def test_what_it_does_not_have_is_refused_at_its_place(text: str, told: str, at: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert told in refused.value.problem
    assert refused.value.at == at
    shown, caret = str(refused.value).splitlines()[-2:]
    assert shown == f"  {text}"
    assert caret == f"  {' ' * at}^"


@pytest.mark.parametrize(
    "text",
    ["(" * 500 + "1" + ")" * 500, "-" * 1000 + "1", "not " * 400 + "1", "+".join("1" * 900), "2**" * 600 + "2",
     "1" + "[:]" * 600, "abs(" * 300 + "1" + ")" * 300],
)  # fmt: skip
def test_what_is_too_deep_is_refused_without_exhausting_the_stack(text: str) -> None:
    with pytest.raises(ExpressionError, match="more than 50 operations"):
        parse(text)


def test_a_long_expression_is_refused_and_shown_in_part() -> None:
    with pytest.raises(ExpressionError, match="at most 2,000 characters"):
        parse("1 + " * 501 + "1")
    with pytest.raises(ExpressionError) as refused:
        parse("output" + " " * 200 + "$" + " " * 200 + "1")
    shown, caret = str(refused.value).splitlines()[-2:]
    assert len(shown) < 90
    assert shown[len(caret) - 1] == "$"


def test_names_come_in_the_order_of_the_text() -> None:
    found = list(names_in(parse("mean(outputs.a * inputs['b 1'] - output[:, 0]) + labels + original + original.c")))
    assert [(name.space, name.name) for name in found] == [
        ("outputs", "a"), ("inputs", "b 1"), ("outputs", None), ("labels", None), ("original", None), ("original", "c"),
    ]  # fmt: skip
    assert all(isinstance(name, Name) for name in found)


def test_a_request_is_refused_with_the_place() -> None:
    adapter: TypeAdapter[Metric] = TypeAdapter(Metric)
    with pytest.raises(ValidationError, match=r"there is no name 'label'[\s\S]*\n  output - label\n {11}\^"):
        adapter.validate_python({"kind": "expression", "expression": "output - label"})


def test_a_metric_knows_whether_it_reads_labels() -> None:
    assert Expression(expression="mean(output == original)").needs_labels is False
    assert Expression(expression="mean(output - labels)").needs_labels is True


def test_an_expression_is_checked_without_numpy() -> None:
    code = "import sys, enxuto.metric as m; m.Expression(expression='mean(output)'); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
