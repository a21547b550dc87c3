"""A tiny interpreter of CEL: enough for the conditions that the worlds and the worked examples are made of.

As CEL has it, an error on one side of `&&` or `||` does not matter where the other side decides by itself.
"""

import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

TOKEN = re.compile(r'\s*(?:(\d+\.\d+|\d+)|("[^"]*"|\'[^\']*\')|(\w+)|(&&|\|\||==|!=|<=|>=|[-<>!+*/%().,\[\]]))')
LEVELS = [["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"]]
WORDS = {"true": True, "false": False, "null": None}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

Node = tuple[Any, ...]


class UnknowableError(Exception):
    """A key is missing, or values do not go together."""


def is_true(text: str, variables: Mapping[str, Any]) -> bool:
    """Whether a condition is true; one that meets a missing key is not."""
    try:
        return value_of(parse(text), variables) is True
    except UnknowableError:
        return False


@cache
def parse(text: str) -> Node:
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        assert found, f"cannot read {text[at:]!r}"
        tokens.append(found.group().strip())
        at = found.end()
    parser = Parser(tokens)
    node = parser.level(0)
    assert not parser.tokens, f"left over: {parser.tokens}"
    return node


class Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def take(self, *wanted: str) -> str | None:
        if self.tokens and (not wanted or self.tokens[0] in wanted):
            return self.tokens.pop(0)
        return None

    def level(self, number: int) -> Node:
        if number == len(LEVELS):
            return self.unary()
        node = self.level(number + 1)
        while word := self.take(*LEVELS[number]):
            node = (word, node, self.level(number + 1))
        return node

    def unary(self) -> Node:
        if word := self.take("!", "-"):
            return (f"unary{word}", self.unary())
        node = self.primary()
        while self.take("."):
            node = ("member", node, self.take())
        return node

    def primary(self) -> Node:
        word = self.take()
        assert word, "the condition ends too early"
        if word == "(":
            node = self.level(0)
            assert self.take(")")
            return node
        if word == "[":
            items = []
            while not self.take("]"):
                items.append(self.level(0))
                self.take(",")
            return ("list", items)
        if word in ("has", "size") and self.take("("):
            node = (word, self.level(0))
            assert self.take(")")
            return node
        if word[0] in "\"'":
            return ("literal", word[1:-1])
        if word[0].isdigit():
            return ("literal", float(word) if "." in word else int(word))
        return ("literal", WORDS[word]) if word in WORDS else ("variable", word)


def value_of(node: Node, variables: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - a case a kind
    kind = node[0]
    if kind == "literal":
        return node[1]
    if kind == "variable":
        return member(variables, node[1])
    if kind == "list":
        return [value_of(item, variables) for item in node[1]]
    if kind in ("member", "has"):
        _, holder, name = node if kind == "member" else node[1]
        found = mapping(value_of(holder, variables))
        return name in found if kind == "has" else member(found, name)
    if kind in ("&&", "||"):
        return both_sides(kind, node[1], node[2], variables)
    if kind in ("unary!", "unary-", "size"):
        return unary(kind, value_of(node[1], variables))
    return binary(kind, value_of(node[1], variables), value_of(node[2], variables))


def member(holder: Mapping[str, Any], name: str) -> Any:
    if name not in holder:
        raise UnknowableError(name)
    return holder[name]


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnknowableError(value)
    return value


def both_sides(word: str, left: Node, right: Node, variables: Mapping[str, Any]) -> bool:
    decisive = word == "||"
    found: list[Any] = []
    for side in (left, right):
        try:
            found.append(value_of(side, variables))
        except UnknowableError:
            found.append(None)
    if any(value is decisive for value in found):
        return decisive
    if all(value is (not decisive) for value in found):
        return not decisive
    raise UnknowableError(word)


def unary(kind: str, value: Any) -> Any:
    if kind == "unary!" and isinstance(value, bool):
        return not value
    if kind == "unary-" and number(value):
        return -value
    if kind == "size" and isinstance(value, (str, list, dict)):
        return len(value)
    raise UnknowableError(kind)


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    if number(left) and number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def binary(word: str, left: Any, right: Any) -> Any:
    if word in ("==", "!="):
        return equal(left, right) == (word == "==")
    if word == "in":
        return any(equal(left, item) for item in right)
    if word in COMPARE:
        if (number(left) and number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return COMPARE[word](left, right)
        raise UnknowableError(word)
    if word == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not (number(left) and number(right)) or type(left) is not type(right):
        raise UnknowableError(word)
    return arithmetic(word, left, right)


def arithmetic(word: str, left: Any, right: Any) -> Any:
    if word in "+-*":
        return {"+": left + right, "-": left - right, "*": left * right}[word]
    if right == 0:
        raise UnknowableError("division by zero")
    if isinstance(left, float):
        return left / right
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return quotient if word == "/" else left - quotient * right
