"""Which metrics, labels and values an expression of PromQL names. Strict: what it does not know is an error, not passed over."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

AGGREGATIONS = frozenset({"sum", "min", "max", "avg", "count", "topk", "bottomk"})
FUNCTIONS = frozenset({"rate", "increase", "histogram_quantile", "time", "vector", "sort_desc", "label_values"})
GROUPINGS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
WORDS = frozenset({"and", "or", "unless", "bool", "offset"})
RANGES = frozenset({"$__range", "$__rate_interval", "$__interval"})

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<range>\[(?P<window>[^\]]+)\])
    | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=])
    | (?P<mark>[(){},])
    )""",
    re.VERBOSE,
)
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")


class BadExpression(ValueError):
    """Not PromQL as far as it is known here."""


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


@dataclass
class Named:
    """What an expression names.

    Attributes:
        selectors: metric, and its matchers as (label, operator, value).
        groupings: labels that results are grouped or joined by.
    """

    selectors: list[tuple[str, list[tuple[str, str, str]]]] = field(default_factory=list)
    groupings: set[str] = field(default_factory=set)


def named(expression: str) -> Named:
    """Reads an expression.

    Raises:
        BadExpression
    """
    found, tokens = Named(), list(_tokens(expression))
    _check_brackets(expression, tokens)
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if token.kind != "name" or token.text in WORDS:
            if token.text == "{":
                raise BadExpression(f"A selector without a metric in {expression!r}.")
            at += 1
        elif token.text in GROUPINGS:
            names, at = _group(expression, tokens, at + 1)
            found.groupings |= names
        elif following == "(" or following in GROUPINGS:
            if token.text not in AGGREGATIONS | FUNCTIONS:
                raise BadExpression(f"{token.text} is no known function in {expression!r}.")
            at += 1
        else:
            matchers, at = _matchers(expression, tokens, at + 1)
            found.selectors.append((token.text, matchers))
    return found


def _tokens(expression: str) -> Iterator[Token]:
    at, text = 0, expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"{text[at : at + 20]!r} can't be read in {expression!r}.")
        kind = match.lastgroup if match.lastgroup != "window" else "range"
        if kind == "range" and not (match["window"] in RANGES or _DURATION.fullmatch(match["window"])):
            raise BadExpression(f"[{match['window']}] is no range in {expression!r}.")
        yield Token(str(kind), match[str(kind)])
        at = match.end()


def _check_brackets(expression: str, tokens: list[Token]) -> None:
    open_ones: list[str] = []
    for token in tokens:
        if token.kind == "mark" and token.text in "({":
            open_ones.append(token.text)
        elif (
            token.kind == "mark"
            and token.text in ")}"
            and (not open_ones or open_ones.pop() != {")": "(", "}": "{"}[token.text])
        ):
            raise BadExpression(f"The brackets of {expression!r} don't match.")
    if open_ones:
        raise BadExpression(f"The brackets of {expression!r} don't match.")


def _group(expression: str, tokens: list[Token], at: int) -> tuple[set[str], int]:
    if at >= len(tokens) or tokens[at].text != "(":
        raise BadExpression(f"A grouping without its labels in {expression!r}.")
    names: set[str] = set()
    at += 1
    while tokens[at].text != ")":
        if tokens[at].kind == "name":
            names.add(tokens[at].text)
        elif tokens[at].text != ",":
            raise BadExpression(f"{tokens[at].text} is no label in {expression!r}.")
        at += 1
    return names, at + 1


def _matchers(expression: str, tokens: list[Token], at: int) -> tuple[list[tuple[str, str, str]], int]:
    found: list[tuple[str, str, str]] = []
    if at >= len(tokens) or tokens[at].text != "{":
        return found, at
    at += 1
    while tokens[at].text != "}":
        label, operator, value = tokens[at : at + 3]
        if label.kind != "name" or operator.text not in ("=", "!=", "=~", "!~") or value.kind != "string":
            raise BadExpression(f"A matcher of {expression!r} can't be read.")
        found.append((label.text, operator.text, value.text[1:-1]))
        at += 3
        if tokens[at].text == ",":
            at += 1
    return found, at + 1
