"""From text to a tree, by recursive descent; the grammar is that of Python's expressions, cut down.

From the loosest to the tightest: ``or |``, ``and &``, ``not ~``, one comparison, ``+ -``, ``* /``, signs, ``**``, and
last ``f(x, axis=-1)``, ``x[:, 0]``, ``outputs.name``. Other than in Python, ``& | ~`` bind as the words do.
"""

from __future__ import annotations

from collections.abc import Callable

from enxuto.expression.cursor import Cursor
from enxuto.expression.nodes import Call, Name, Node, Number, Operation, Pick
from enxuto.expression.place import ExpressionError
from enxuto.expression.tokens import Token
from enxuto.expression.words import ARRAYS, FUNCTIONS, NAMES, SPACES, WORD_OPERATORS

MOST_CHARACTERS = 2000
MOST_DEPTH = 50
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_LEVELS: tuple[tuple[str, ...], ...] = (("or",), ("and",), ("not",), _COMPARISONS, ("+", "-"), ("*", "/"))
_NOT, _COMPARISON = 2, 3


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        ExpressionError: it is too long, too deep, or not written as the language wants it; says where.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MOST_CHARACTERS:,} characters", text, MOST_CHARACTERS)
    return _Parser(text).whole()


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nested = 0

    def whole(self) -> Node:
        node = self._level(0)
        if self.next.kind != "end":
            raise self.wrong(f"an operator was expected before {self.next.text!r}")
        return node

    def _level(self, level: int) -> Node:
        """Operators of this level and of all that bind more tightly."""
        if level == len(_LEVELS):
            return self._sign()
        if level == _NOT:
            return self._not()
        node = self._level(level + 1)
        compared = False
        while operator := self.operator(*_LEVELS[level]):
            if compared:
                raise self.wrong("comparisons do not chain: join two of them with 'and'")
            node = self._operation(self.take(), operator, node, self._level(level + 1))
            compared = level == _COMPARISON
        if level == _COMPARISON and self.operator("="):
            raise self.wrong("'==' compares; '=' stands only before an option, such as axis=-1")
        return node

    def _not(self) -> Node:
        if not self.operator("not"):
            return self._level(_NOT + 1)
        return self._operation(self.take(), "not", self._nest(lambda: self._level(_NOT)))

    def _sign(self) -> Node:
        operator = self.operator("-", "+")
        if operator is None:
            return self._power()
        token = self.take()
        node = self._nest(self._sign)
        return node if operator == "+" else self._operation(token, "-", node)

    def _power(self) -> Node:
        base = self._postfix()
        return self._operation(self.take(), "**", base, self._nest(self._sign)) if self.operator("**") else base

    def _postfix(self) -> Node:
        node = self._atom()
        while self.operator("["):
            at = self.next.at
            node = Pick(at, node, self.items(), depth=self._depth(at, node))
        if self.operator("."):
            raise self.wrong("only outputs, inputs and original have names after a dot")
        return node

    def _atom(self) -> Node:
        token = self.next
        if token.kind == "number":
            return self._number()
        if self.operator("("):
            self.take()
            node = self._nest(lambda: self._level(0))
            self.expect(")")
            return node
        if token.kind == "name" and token.text not in WORD_OPERATORS:
            return self._named()
        raise self.wrong(f"a number, a name or '(' was expected, not {self.shown()}")

    def _number(self) -> Number:
        token = self.take()
        value = float(token.text)
        if value == float("inf"):
            raise self.wrong("this number is too large", token.at)
        return Number(token.at, value)

    def _named(self) -> Node:
        token = self.take()
        if self.operator("("):
            return self._call(token)
        if token.text in FUNCTIONS:
            raise self.wrong(f"{token.text} is a function: write {token.text}(…)", token.at)
        if token.text not in NAMES:
            raise self.wrong(f"there is no name {token.text!r}; there are {', '.join(NAMES)}", token.at)
        quoted = self.operator("[") and self.after_next.kind == "quoted"
        if token.text in SPACES and (self.operator(".") or quoted):
            return Name(token.at, token.text, self._member())
        if token.text not in ARRAYS:
            single = " or 'output' for the one that is judged" if token.text == "outputs" else ""
            raise self.wrong(f"{token.text} holds arrays by name: write {token.text}.NAME{single}", token.at)
        return Name(token.at, "outputs" if token.text == "output" else token.text)

    def _member(self) -> str:
        dotted = self.take().text == "."
        token = self.take()
        if token.kind != ("name" if dotted else "quoted"):
            raise self.wrong('a name was expected; one with other characters is quoted: outputs["x:0"]', token.at)
        if not dotted:
            self.expect("]")
        return token.text

    def _call(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            raise self.wrong(f"there is no function {token.text!r}; there are {', '.join(FUNCTIONS)}", token.at)
        self.expect("(")
        arguments: list[Node] = []
        options: dict[str, tuple[int, ...]] = {}
        while not self.operator(")"):
            if arguments or options:
                self.expect(",")
            if self.next.kind == "name" and self.after_next.text == "=":
                self._option(token.text, options)
            elif options:
                raise self.wrong("options such as axis=-1 come last")
            else:
                arguments.append(self._nest(lambda: self._level(0)))
        self.expect(")")
        self._check_arguments(token, len(arguments), options)
        depth, keep = self._depth(token.at, *arguments), options.get("keepdims") == (1,)
        return Call(token.at, token.text, tuple(arguments), options.get("axis"), keep, depth=depth)

    def _check_arguments(self, token: Token, count: int, options: dict[str, tuple[int, ...]]) -> None:
        known = FUNCTIONS[token.text]
        if not known.least <= count <= known.most:
            wanted = f"{known.least}" if known.least == known.most else f"{known.least} or {known.most}"
            arrays = "array" if wanted == "1" else "arrays"
            raise self.wrong(f"{token.text} takes {wanted} {arrays}, not {count}", token.at)
        if count > known.least and options:
            raise self.wrong(f"{token.text} of two arrays goes element by element and takes no option", token.at)
        if token.text in ("argmax", "softmax") and len(options.get("axis", ())) > 1:
            raise self.wrong(f"{token.text} works along one axis", token.at)

    def _option(self, function: str, options: dict[str, tuple[int, ...]]) -> None:
        name = self.take()
        allowed = FUNCTIONS[function].options
        if name.text not in allowed:
            told = f"it has {' and '.join(sorted(allowed))}" if allowed else "it has none"
            raise self.wrong(f"{function} has no option {name.text!r}; {told}", name.at)
        if name.text in options:
            raise self.wrong(f"{name.text} is given twice", name.at)
        self.expect("=")
        options[name.text] = self.axes() if name.text == "axis" else (self.flag(name.text),)

    def _operation(self, token: Token, operator: str, *operands: Node) -> Node:
        return Operation(token.at, operator, operands, depth=self._depth(token.at, *operands))

    def _depth(self, at: int, *below: Node) -> int:
        depth = 1 + max((node.depth for node in below), default=0)
        self._bounded(depth, at)
        return depth

    def _nest(self, inner: Callable[[], Node]) -> Node:
        """Anything that leads back into itself passes here, so that no text exhausts the stack."""
        self._nested += 1
        self._bounded(self._nested, self.next.at)
        node = inner()
        self._nested -= 1
        return node

    def _bounded(self, depth: int, at: int) -> None:
        if depth > MOST_DEPTH:
            raise self.wrong(f"more than {MOST_DEPTH} operations lie within each other here", at)
