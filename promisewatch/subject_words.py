"""What `promisewatch subject` prints for people: what runs, what has ended, and the events behind it."""

import msgspec
from rich.text import Text

from promises.civil import Civil
from promises.wording import moment_text, span_text, subject_text
from promisewatch.console import stdout
from promisewatch.lint import counted
from schemas.facts import CONTROL
from schemas.instants import parse_instant
from schemas.subjects import SubjectEvent, SubjectFact, SubjectPromise, SubjectTold

STYLES = {"breached": "bold red", "fulfilled_late": "bold yellow", "kept": "bold green", "held": "bold yellow"}
ENDED_SHOWN_MAX = 20
"""Ended promises that are shown in full; a subject may have hundreds."""
FACTS_SHOWN_MAX = 100


def show_subject(told: SubjectTold, book_zone: str | None) -> None:
    """Everything; instants are on the clock of the promise's zone, those of events on the book's."""
    zone = Civil(book_zone or (told.promises[0].timezone if told.promises else "UTC"))
    running = [one for one in told.promises if one.status == "open"]
    ended = [one for one in told.promises if one.status != "open"]
    head = (
        f"{subject_text(told.key, told.id)}: {counted(len(told.facts), 'event')}, {counted(len(running), 'promise')} "
    )
    stdout.print(Text(f"{head}running, {len(ended)} ended", "bold"))
    stdout.print(f"as of {local(zone, told.told_at)} ({zone.name}), partition {told.partition} of {told.topic}")
    for promise in running:
        show_promise(promise)
    for promise in ended[:ENDED_SHOWN_MAX]:
        show_promise(promise)
    if len(ended) > ENDED_SHOWN_MAX:
        stdout.print(f"\n... and {len(ended) - ENDED_SHOWN_MAX} more that have ended (--output json has them all)")
    if told.not_judged_yet:
        stdout.print(f"\nnot judged yet, until their sources are known: {', '.join(told.not_judged_yet)}")
    show_facts(told.facts, zone)


def show_promise(promise: SubjectPromise) -> None:
    """The verdict, then what an employee may be asked about it."""
    title = "" if promise.title == promise.promise else f": {promise.title}"
    show(f"\n{promise.promise}{title}", "bold")
    version = "" if promise.version == 1 else f"version {promise.version}, "
    by = f"{promise.opened_by.type} {promise.opened_by.id}"
    opened = by if promise.breach_of is None else f"breach of {promise.breach_of}"
    show(f"  {version}{opened}: {promise.text}", STYLES.get(promise.status, "bold"))
    for name, text in rows_of(promise):
        show(f"    {name + ':':<11}{text}")


def rows_of(promise: SubjectPromise) -> list[tuple[str, str]]:
    """What is told of a promise besides its verdict, a row each."""
    zone = Civil(promise.timezone)
    rows = []
    if promise.awaits is not None:
        rows.append(("awaited", promise.awaits))
    if promise.due != promise.first_due:
        rows.append(("due", f"{local(zone, promise.due)}, first promised for {local(zone, promise.first_due)}"))
    if promise.paused_since is not None and promise.paused_until is not None:
        since, until = local(zone, promise.paused_since), local(zone, promise.paused_until)
        rows.append(("paused", f"since {since}, until {until} at most"))
    elif promise.paused_ms:
        rows.append(("paused", f"for {span_text(promise.paused_ms)} in all"))
    if promise.judged_at is not None:
        known = "nothing" if promise.known_until is None else f"all before {local(zone, promise.known_until)}"
        rows.append(("judged", f"once all until {local(zone, promise.judged_at)} is known; known so far: {known}"))
    for warning in promise.warnings:
        at = "" if warning.at is None else f" {local(zone, warning.at)}"
        rows.append(("at risk", f"{'warned' if warning.given else 'will be warned of'}{at} ({warning.warn})"))
    rows += [("published", published_text(event, promise.first_due, zone)) for event in promise.published]
    return rows


def published_text(event: SubjectEvent, first_due: str, zone: Civil) -> str:
    """`breached, event 5f3c...`: the id by which other systems have it."""
    what = event.status if event.kind == "outcome" else event.kind
    warn = "" if event.warn is None else f" ({event.warn})"
    due = "" if event.due == first_due else f", due {local(zone, event.due)}"
    return f"{what}{warn} on {event.topic}{due}, id {event.id}"


def show_facts(facts: list[SubjectFact], zone: Civil) -> None:
    """The newest events, in their order."""
    show("\nevents", "bold")
    if len(facts) > FACTS_SHOWN_MAX:
        stdout.print(f"  ... {len(facts) - FACTS_SHOWN_MAX} earlier ones (--output json has them all)")
    for fact in facts[-FACTS_SHOWN_MAX:]:
        data = " ".join(f"{path}={msgspec.json.encode(value).decode()}" for path, value in fact.data.items())
        gone = " (taken back)" if fact.taken_back else ""
        takes = "" if fact.withdraws is None else f" takes back {fact.withdraws}"
        show(f"  {local(zone, fact.time)}  {fact.type} {fact.id} of {fact.source}{takes}{gone}  {data}".rstrip())


def show(line: str, style: str = "") -> None:
    """One line. What events say may be anything, a terminal's commands too: those are not passed on."""
    start = "\n" if line.startswith("\n") else ""
    stdout.print(Text(start + CONTROL.sub("?", line.removeprefix("\n")), style))


def local(zone: Civil, instant: str) -> str:
    """An RFC 3339 instant on the clock of a zone."""
    return moment_text(zone, parse_instant(instant, None))
