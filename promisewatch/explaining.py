"""How the due of a promise comes about for one opening event, what it awaits and what ends it."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from promises import borders
from promises.accepting import View
from promises.calendars import Calendars
from promises.dues import compute_due
from promises.judging import judge_family, standing
from promises.terms import ALWAYS, Clan, Terms
from promises.wording import moment_text, subject_text
from promisewatch.console import stdout
from promisewatch.matches import as_text, condition, counted, opening_text
from schemas.book_model import Book, Expect, Forbid, Leave, Source
from schemas.decoding import Decoder
from schemas.errors import EventError, InputError, PromisewatchError
from schemas.exits import ExitCode
from schemas.facts import Fact
from schemas.instants import format_duration, format_instant

EVENT_BYTES_MAX = 64 * 1024 * 1024
"""A longer file is no single event."""


@dataclass(frozen=True)
class VerdictAt:
    """How the promise stands at `at` if nothing but the opening event has come by then.

    `frontier` is the instant before which everything is known by then. `status` None: not opened yet.
    """

    at: str
    frontier: str
    status: str | None


@dataclass(frozen=True)
class Explanation:
    """Everything `explain` says, as it is printed with `--output json`. Instants are RFC 3339 in UTC.

    `reason` and `message` say why the event does not open the promise. A promise awaits something (`awaited`) or
    forbids it (`forbidden`); `warnings` are the instants at which it is at risk. `proved_from` is the first instant at
    which absence can be known, None where markers and not a clock say how far the source is complete.
    """

    promise: str
    subject: dict[str, str]
    event: dict[str, str]
    version: int | None = None
    title: str | None = None
    severity: str | None = None
    timezone: str | None = None
    opens: bool = False
    reason: str | None = None
    message: str | None = None
    steps: tuple[str, ...] = ()
    due: str | None = None
    due_local: str | None = None
    awaited: dict[str, Any] | None = None
    forbidden: dict[str, Any] | None = None
    release: dict[str, Any] | None = None
    pause: dict[str, Any] | None = None
    repromise: dict[str, Any] | None = None
    not_before: str | None = None
    warnings: tuple[dict[str, str], ...] = ()
    frontier: str | None = None
    settle: str | None = None
    proved_from: str | None = None
    verdict: VerdictAt | None = None


def choose_source(book: Book, name: str | None) -> Source:
    """The source that sends the event."""
    names = ", ".join(book.sources)
    if name is None and len(book.sources) == 1:
        return next(iter(book.sources.values()))
    if name is None or name not in book.sources:
        raise typer.BadParameter(f"found {name!r}, expected one of {names}", param_hint="--source")
    return book.sources[name]


def read_event(text: str) -> bytes:
    """The bytes of one event: JSON on the command line, a file, or `-` for standard input."""
    if text.lstrip().startswith("{"):
        return text.encode()
    if text == "-":
        return sys.stdin.buffer.read(EVENT_BYTES_MAX)
    try:
        with Path(text).open("rb") as file:
            return file.read(EVENT_BYTES_MAX)
    except OSError as error:
        raise InputError(f"{text}: cannot be opened ({error.strerror}); expected a file or a JSON object") from None


def explain_event(book: Book, promise_id: str, value: bytes, at_ms: int | None, source: Source) -> Explanation:
    """What the event means to the promise. Raises EventError if the event itself cannot be used."""
    versions = [promise for promise in book.promises if promise.id == promise_id]
    if not versions:
        expected = ", ".join(dict.fromkeys(promise.id for promise in book.promises))
        message = f"{book.path}: found no promise {promise_id!r}, expected one of {expected}"
        raise PromisewatchError(message, ExitCode.USAGE)
    decoded = Decoder(book).source(source.name, versions[0].key).decode(value)
    if decoded.fact is None or decoded.subject is None:
        raise EventError("unknown_type", f"no promise of {book.path} names events of this type")
    calendars = Calendars(book.calendars)
    clan, fact = Clan(promise_id, versions, calendars), decoded.fact
    terms = clan.at(fact.time)
    event = {"source": fact.source, "id": fact.id, "type": fact.type, "time": format_instant(fact.time)}
    found = Explanation(promise_id, decoded.subject._asdict(), event)
    if terms is None:
        message = f"no version of {promise_id} is in force at {event['time']}"
        return replace(found, reason="not_effective", message=message)
    promise = terms.promise
    found = replace(
        found, version=promise.version, title=promise.title, severity=promise.severity, timezone=promise.timezone
    )
    if not terms.opens(fact, {}):
        message = f"{promise_id} opens with {opening_text(promise.when)}"
        return replace(found, reason="not_an_opening", message=message)
    return explain_opening(found, clan, terms, fact, at_ms, source, calendars)


def explain_opening(
    found: Explanation,
    clan: Clan,
    terms: Terms,
    fact: Fact,
    at_ms: int | None,
    source: Source,
    calendars: Calendars,
) -> Explanation:
    """The due that an opening event sets, how it came about, and what may still become of the promise."""
    promise = terms.promise
    due, steps = compute_due(promise, calendars, fact, explain=True)
    found = replace(found, steps=tuple(steps))
    if due is None:
        return replace(found, reason="no_due", message="the event names no due")
    found = replace(found, due=format_instant(due), due_local=moment_text(terms.civil, due))
    if borders.born_overdue(due, fact.time) and not terms.early:
        message = "its due lies before the event itself, and the promise does not say `early: true`"
        return replace(found, reason="born_overdue", message=message)
    settle_ms = 0 if source.frontier == "markers" else source.settle_ms
    not_before = terms.not_before(fact)
    return replace(
        with_parts(found, terms, fact),
        opens=True,
        not_before=None if not_before is None else format_instant(not_before),
        warnings=tuple(
            {"warn": text, "at": format_instant(instant)} for text, instant in terms.warnings(fact.time, due)
        ),
        frontier=source.frontier,
        settle=format_duration(settle_ms),
        # The frontier has to be past the due: not at it, so one millisecond more.
        proved_from=None if source.frontier == "markers" else format_instant(due + settle_ms + 1),
        verdict=None if at_ms is None else verdict_at(clan, fact, due, at_ms, settle_ms),
    )


def with_parts(found: Explanation, terms: Terms, fact: Fact) -> Explanation:
    """What the promise awaits or forbids, and what ends, moves or pauses it."""
    promise, goal = terms.promise, terms.goal
    since = None if terms.early else format_instant(fact.time - terms.skew_ms)
    if isinstance(goal, Forbid):
        unless = {} if goal.until is None else {"unless": condition(goal.until)}
        found = replace(found, forbidden=condition(goal.match) | counted(goal) | unless | {"until": found.due})
    else:
        awaited: dict[str, Any]
        if isinstance(goal, Expect):
            awaited = condition(goal.match) | counted(goal)
        elif isinstance(goal, Leave):
            awaited = {"leave": goal.field}
        else:
            awaited = {"holds": goal.condition.text, "of": dict(goal.aliases)}
        found = replace(found, awaited=awaited | {"from": since, "until": found.due})
    if promise.release:
        found = replace(found, release=condition(promise.release) | {"until": found.due})
    if promise.pause:
        until = condition(promise.pause.until)
        limits = {"until": until, "max": format_duration(promise.pause.max_ms)}
        found = replace(found, pause=condition(promise.pause.start) | limits)
    if promise.repromise:
        moved = condition(promise.repromise.match)
        found = replace(found, repromise=moved | {"field": promise.repromise.field, "max": promise.repromise.max})
    return found


def verdict_at(clan: Clan, fact: Fact, due: int, at_ms: int, settle_ms: int) -> VerdictAt:
    """How the promise stands at an instant with nothing but its opening known."""
    frontier = at_ms - settle_ms
    status = None
    if fact.time <= at_ms:
        courses = judge_family(clan, [fact], View(ALWAYS, fact.time, {}))
        status = standing(courses[0], passed=borders.overdue(due, frontier)).status
    return VerdictAt(format_instant(at_ms), format_instant(frontier), status)


def show(found: Explanation) -> None:
    """For people: numbered steps in local time, then what is awaited and from when a breach is proved."""
    version = "" if found.version is None else f" (version {found.version})"
    stdout.print(f"{found.promise}{version}: {found.title or ''}".rstrip(": "), style="bold")
    stdout.print(f"for {subject_text(**found.subject)}")
    if found.steps:
        stdout.print(f"\nHow the due came about, in local time ({found.timezone}):", style="bold")
    for number, step in enumerate(found.steps, 1):
        stdout.print(f"  {number}. {step}")
    if not found.opens:
        stdout.print(f"\nThis event opens nothing: {found.message} [{found.reason}]", style="bold yellow")
        return
    rows = [("due", f"{found.due_local} {found.timezone} = {found.due}"), *rows_of(found)]
    if found.forbidden and found.proved_from:
        kept = f"that it is kept, {found.proved_from} at the earliest"
        rows.append(("proved", f"a breach, {found.settle} after the forbidden event; {kept}"))
    elif found.proved_from:
        rows.append(
            ("breach proved", f"{found.proved_from} at the earliest: after the due and {found.settle} to settle")
        )
    else:
        rows.append(("breach proved", "as soon as a marker later than the due has come"))
    if found.verdict:
        rows.append(("verdict", verdict_text(found.verdict)))
    stdout.print()
    for name, text in rows:
        line = Text(f"{name + ':':<15}", style="bold")
        stdout.print(line.append(text, style="not bold"))


def rows_of(found: Explanation) -> list[tuple[str, str]]:
    """What may become of the promise, a row each."""
    rows = []
    if found.awaited:
        since = f"from {found.not_before or found.awaited['from']}"
        since = since if found.not_before or found.awaited["from"] else "however early"
        rows.append(("kept by", f"{as_text(found.awaited)}, {since} until the due"))
    if found.forbidden:
        unless = (
            f", but for what comes after {as_text(found.forbidden['unless'])}" if "unless" in found.forbidden else ""
        )
        rows.append(("broken by", f"{as_text(found.forbidden)}, after the event until the due{unless}"))
    if found.release:
        rows.append(("released by", f"{as_text(found.release)} until the due"))
    if found.pause:
        until = as_text(found.pause["until"])
        rows.append(("paused by", f"{as_text(found.pause)} until {until}, for {found.pause['max']} at most"))
    if found.repromise:
        often = "once" if found.repromise["max"] == 1 else f"{found.repromise['max']} times"
        rows.append(("moved by", f"{as_text(found.repromise)} to its {found.repromise['field']}, {often} at most"))
    rows += [("at risk", f"{warning['at']} ({warning['warn']})") for warning in found.warnings]
    return rows


def verdict_text(found: VerdictAt) -> str:
    if found.status is None:
        return f"at {found.at}: not opened yet"
    return f"at {found.at}: {found.status}, if nothing else has come (everything before {found.frontier} is known then)"
