"""What can never happen: a promise that cannot open, cannot be kept or cannot be broken, a release without effect.

Such a promise is watched and says nothing, which is worse than an error. Only what can be told for certain is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.book_conditions import Conditions
from schemas.book_model import Scalar
from schemas.book_spelling import ExpectSpelling, MatchSpelling, PromiseSpelling, WhenSpelling
from schemas.book_text import BookText, Path
from schemas.book_values import shown

_NEVER = {
    "when": "can never open",
    "expect": "can never be kept",
    "forbid": "can never be broken",
}


@dataclass(frozen=True, slots=True)
class _Matched:
    """What a match demands, whichever kind of mapping it is spelled in."""

    events: frozenset[str]
    where: tuple[tuple[str, Scalar], ...]
    condition: str | None
    same: frozenset[str]

    def covers(self, other: "_Matched") -> bool:
        """Whether it matches everything that the other one matches."""
        return (
            other.events <= self.events
            and all(any(_same(mine, theirs) for theirs in other.where) for mine in self.where)
            and self.condition in (None, other.condition)
            and self.same <= other.same
        )


def check_reach(text: BookText, path: Path, promise: PromiseSpelling, conditions: Conditions, key: str | None) -> None:
    """Note what can never happen to one promise."""
    matches = dict(_matches(promise))
    for place, match in matches.items():
        _check_condition(text, path, place, match, conditions)
        _check_same(text, path, place, match, promise.when)
    _check_enter(text, path, promise.when)
    _check_distinct(text, path, promise, key)
    found = {place[-1] if place != ("pause", "until") else "": _matched(match) for place, match in matches.items()}
    _check_shadows(text, path, promise, found)


def _matches(promise: PromiseSpelling) -> Iterator[tuple[Path, WhenSpelling | ExpectSpelling | MatchSpelling]]:
    """Every match of a promise and where it stands in it."""
    if promise.when.event is not None:
        yield ("when",), promise.when
    if promise.expect is not None and promise.expect.event is not None:
        yield ("expect",), promise.expect
    if promise.pause is not None:
        yield ("pause",), promise.pause
        yield ("pause", "until"), promise.pause.until
    for key in ("forbid", "until", "release", "repromise"):
        match = getattr(promise, key)
        if match is not None:
            yield (key,), match


def _matched(match: WhenSpelling | ExpectSpelling | MatchSpelling) -> _Matched:
    same = frozenset() if isinstance(match, WhenSpelling) else frozenset(match.match)
    return _Matched(frozenset(match.event or ()), tuple(match.where.items()), match.condition, same)


def _check_condition(
    text: BookText,
    path: Path,
    place: Path,
    match: WhenSpelling | ExpectSpelling | MatchSpelling,
    conditions: Conditions,
) -> None:
    """`where: {sims: 1}` with `if: data.sims == 2`: the one says that the other is not true."""
    condition = conditions.get((*path, *place, "if"))
    if condition is None or set(condition.fields) - {"data"} or not condition.fields:
        return
    event = match.event[0] if match.event else ""
    if condition.looks_at("time") or (condition.looks_at("type") and len(match.event or ()) > 1):
        return
    if condition.fields["data"] <= match.where.keys() and not condition.holds({"data": match.where, "type": event}):
        text.problem((*path, *place, "if"), f"{_never(place)}: 'if' is not true of what 'where' demands")


def _check_same(
    text: BookText,
    path: Path,
    place: Path,
    match: WhenSpelling | ExpectSpelling | MatchSpelling,
    when: WhenSpelling,
) -> None:
    for index, field in enumerate(() if isinstance(match, WhenSpelling) else match.match):
        if field in match.where and field in when.where and not _same_value(match.where[field], when.where[field]):
            message = (
                f"{_never(place)}: {field!r} is {shown(when.where[field])} under when, {shown(match.where[field])} here"
            )
            text.problem((*path, *place, "match", index), message)


def _check_enter(text: BookText, path: Path, when: WhenSpelling) -> None:
    if when.field not in when.where:
        return
    demanded = when.where[when.field]
    for index, value in enumerate(when.enter or ()):
        if not _same_value(value, demanded):
            message = f"can never open with {shown(value)}: 'where' demands that {when.field!r} is {shown(demanded)}"
            text.problem((*path, "when", "enter", index), message)


def _check_distinct(text: BookText, path: Path, promise: PromiseSpelling, key: str | None) -> None:
    expect = promise.expect
    if expect is None or expect.distinct is None or expect.count < 2:
        return
    field = expect.distinct
    for fixed, why in (
        (field in expect.where, "'where' demands one value of it"),
        (field in expect.match, "'match' demands the value of the opening"),
        (field == key, "it is the key, the same in all events of a promise"),
    ):
        if fixed:
            text.problem((*path, "expect", "distinct"), f"can never be kept: {field!r} has no different values, {why}")


def _check_shadows(text: BookText, path: Path, promise: PromiseSpelling, found: dict[str | int, _Matched]) -> None:
    when, release, forbid, until = (found.get(key) for key in ("when", "release", "forbid", "until"))
    if forbid and until and until.covers(forbid):
        message = "can never be broken: every event that 'forbid' names is also an 'until', which comes first"
        text.problem((*path, "until"), message)
    if forbid and release and release.covers(forbid):
        message = "can never be broken: every event that 'forbid' names is also a 'release', which comes first"
        text.problem((*path, "release"), message)
    if when and release and release.covers(when):
        message = "can never be broken: every event that opens the promise releases it at once"
        text.problem((*path, "release"), message)
    for key in ("repromise", "pause"):
        if release and key in found and release.covers(found[key]):
            message = f"{key!r} has no effect: every event that it names releases the promise"
            text.problem((*path, key), message)
    if promise.expect is not None and "expect" in found:
        _check_expect_shadows(text, path, promise, promise.expect, found)


def _check_expect_shadows(
    text: BookText, path: Path, promise: PromiseSpelling, expect: ExpectSpelling, found: dict[str | int, _Matched]
) -> None:
    when, release, expected = found.get("when"), found.get("release"), found["expect"]
    if expect.count == 1 and promise.not_before is None:
        after = not expect.early or (promise.due.within or -1) >= 0
        if when and expected.covers(when) and after:
            message = "can never be broken: every event that opens the promise keeps it at once"
            text.problem((*path, "expect"), message)
        # Of several cycles a fulfilment keeps one; to the others it is what else it is.
        alone = expect.shared or not (promise.when.again or promise.when.breach_of is not None)
        for key in ("release", "repromise", "pause"):
            if alone and key in found and expected.covers(found[key]):
                message = f"{key!r} has no effect: every event that it names keeps the promise already"
                text.problem((*path, key), message)
    elif expect.count > 1 and not expect.early and release and release.covers(expected):
        message = "can never be kept: the first event that 'expect' counts releases the promise"
        text.problem((*path, "release"), message)


def _never(place: Path) -> str:
    return _NEVER.get(str(place[0]), f"{'.'.join(map(str, place))!r} has no effect")


def _same(one: tuple[str, Scalar], other: tuple[str, Scalar]) -> bool:
    return one[0] == other[0] and _same_value(one[1], other[1])


def _same_value(one: Scalar, other: Scalar) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
