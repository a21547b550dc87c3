"""`promisewatch explain`: how the due of one promise comes about, step by step, for one opening event."""

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.text import Text

from promises import borders
from promises.calendars import Calendars
from promises.dues import compute_due
from promises.rules import Rule, Rules
from promises.verdicts import verdict
from promises.wording import moment_text, subject_text
from promisewatch.console import OutputFormat, OutputOption, print_json, stdout
from schemas.book import load_book
from schemas.book_model import Book, Match, Source
from schemas.decoding import Decoder
from schemas.errors import EventError, InputError, PromisewatchError
from schemas.exits import ExitCode
from schemas.facts import Fact
from schemas.instants import format_duration, format_instant, parse_instant

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

    `reason` and `message` say why the event does not open the promise. `proved_from` is the first instant at which a
    breach can be known, None where markers and not a clock say how far the source is complete.
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
    release: dict[str, Any] | None = None
    frontier: str | None = None
    settle: str | None = None
    proved_from: str | None = None
    verdict: VerdictAt | None = None


def explain(
    book: Annotated[Path, typer.Argument(metavar="BOOK", help="Promise book (YAML).", show_default=False)],
    promise: Annotated[str, typer.Option("--promise", metavar="ID", help="Which promise.", show_default=False)],
    event: Annotated[
        str,
        typer.Option(
            "--event", metavar="FILE|JSON", help="The opening event, as its source sends it; - reads standard input.",
            show_default=False,
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="INSTANT", help="Also say how the promise stands then (RFC 3339).",
                     show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="The source that sends the event; needed if the book has several.",
                     show_default=False),
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:  # fmt: skip
    """Show step by step how the due of a promise comes about for one event, what it awaits and what ends it.

    Exit codes: 0 the event opens the promise, 1 it does not, 65 the book or the event cannot be used, 66 no such file.
    """
    loaded = load_book(book)
    at_ms = None if at is None else read_instant(at, loaded, "--at")
    found = explain_event(loaded, promise, read_event(event), at_ms, choose_source(loaded, source))
    if output is OutputFormat.JSON:
        print_json(asdict(found))
    else:
        show(found)
    raise typer.Exit(ExitCode.OK if found.opens else ExitCode.DIFFERENT)


def read_instant(text: str, book: Book, option: str) -> int:
    """An instant of the command line, UTC milliseconds; without an offset it is in the book's zone."""
    try:
        return parse_instant(text, ZoneInfo(book.timezone) if book.timezone else None)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint=option) from None


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
    rules = Rules(book)
    if promise_id not in rules.families:
        expected = ", ".join(rules.families)
        message = f"{book.path}: found no promise {promise_id!r}, expected one of {expected}"
        raise PromisewatchError(message, ExitCode.USAGE)
    decoded = Decoder(book).decode(source.name, value)
    if decoded.fact is None or decoded.subject is None:
        raise EventError("unknown_type", f"no promise of {book.path} names events of this type")
    fact, rule = decoded.fact, rules.families[promise_id].at(decoded.fact.time)
    event = {"source": fact.source, "id": fact.id, "type": fact.type, "time": format_instant(fact.time)}
    found = Explanation(promise_id, decoded.subject._asdict(), event)
    if rule is None:
        message = f"no version of {promise_id} is in force at {event['time']}"
        return replace(found, reason="not_effective", message=message)
    promise = rule.promise
    found = replace(
        found, version=promise.version, title=promise.title, severity=promise.severity, timezone=promise.timezone
    )
    if not rule.opens(fact):
        message = f"{promise_id} opens with {as_text(condition(promise.when))}"
        return replace(found, reason="not_an_opening", message=message)
    return explain_opening(found, rule, fact, at_ms, source, Calendars(book.calendars))


def explain_opening(
    found: Explanation, rule: Rule, fact: Fact, at_ms: int | None, source: Source, calendars: Calendars
) -> Explanation:
    """The due that an opening event sets, how it came about, and what may still become of the promise."""
    promise = rule.promise
    due, steps = compute_due(promise, calendars, fact, explain=True)
    found = replace(found, steps=tuple(steps))
    if due is None:
        return replace(found, reason="no_due", message="the event names no due")
    found = replace(found, due=format_instant(due), due_local=moment_text(rule.civil, due))
    if borders.born_overdue(due, fact.time) and not promise.early:
        message = "its due lies before the event itself, and the promise does not say `early: true`"
        return replace(found, reason="born_overdue", message=message)
    since = None if promise.early else format_instant(fact.time - promise.skew_ms)
    settle_ms = 0 if source.frontier == "markers" else source.settle_ms
    return replace(
        found,
        opens=True,
        awaited=condition(promise.expect) | {"from": since, "until": found.due},
        release=condition(promise.release) | {"until": found.due} if promise.release else None,
        frontier=source.frontier,
        settle=format_duration(settle_ms),
        # The frontier has to be past the due: not at it, so one millisecond more.
        proved_from=None if source.frontier == "markers" else format_instant(due + settle_ms + 1),
        verdict=None if at_ms is None else verdict_at(rule, fact, due, at_ms, settle_ms),
    )


def verdict_at(rule: Rule, fact: Fact, due: int, at_ms: int, settle_ms: int) -> VerdictAt:
    """How the promise stands at an instant with nothing but its opening known."""
    frontier = at_ms - settle_ms
    status = None
    if fact.time <= at_ms:
        status = verdict(rule, [fact], fact.time, due, passed=borders.overdue(due, frontier)).status
    return VerdictAt(format_instant(at_ms), format_instant(frontier), status)


def condition(match: Match) -> dict[str, Any]:
    return {"event": match.event, "where": dict(match.where)}


def as_text(part: dict[str, Any]) -> str:
    """`order.placed where speed = "next"`."""
    where = " and ".join(f"{path} = {msgspec.json.encode(value).decode()}" for path, value in part["where"].items())
    return f"{part['event']} where {where}" if where else str(part["event"])


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
    assert found.awaited is not None, "a promise that opens awaits something"
    since = f"from {found.awaited['from']}" if found.awaited["from"] else "however early"
    rows = [("due", f"{found.due_local} {found.timezone} = {found.due}")]
    rows.append(("kept by", f"{as_text(found.awaited)}, {since} until the due"))
    if found.release:
        rows.append(("released by", f"{as_text(found.release)} until the due"))
    if found.proved_from:
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


def verdict_text(found: VerdictAt) -> str:
    if found.status is None:
        return f"at {found.at}: not opened yet"
    return f"at {found.at}: {found.status}, if nothing else has come (everything before {found.frontier} is known then)"
