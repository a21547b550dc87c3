"""`promisewatch redrive`: sends dead letters back."""

import asyncio
from typing import Annotated, Any

import typer
from rich.table import Table

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, stdout
from promisewatch.redriving import Letter, Request, Result
from promisewatch.redriving import redrive as send_back
from promisewatch.settings.commands import RedriveSettings
from schemas.topics import NOTIFICATIONS, dlq
from streams.logs import configure_logging


@configured(RedriveSettings)
def redrive(
    settings: RedriveSettings,
    topic: Annotated[str, typer.Argument(help="The dead letter topic.")] = dlq(NOTIFICATIONS),
    reason: Annotated[
        list[str] | None, typer.Option("--reason", help="Only letters with this reason; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many letters.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent back; send nothing.")] = False,
) -> None:
    """Send dead letters back to the topic they came from: original bytes, key and headers.

    Each letter is sent back once, however often this is run, also when it is killed: what is done is remembered as the
    position of a consumer group, in the same transaction. A letter whose event fails again comes back as a new one.

    The letters of promisewatch.notifications.dlq are breach events that could not be delivered: they go back to
    promisewatch.breaches, where the notifier tries again (unless a later event of the same promise was delivered
    meanwhile, or the breach is older than its --max-age). Other readers know them by their ids.

    Exit codes: 0 done, also where there was nothing to do; 2 no dead letter topic; 69 no broker; 78 topics are missing,
    the position is not one of ours, a setting is wrong, or Kafka refuses the login or a permission.
    """
    configure_logging("console")
    request = Request(topic, settings.group_id, frozenset(reason or ()), limit, dry_run)
    result = asyncio.run(send_back(settings.bootstrap_server, request, settings.security))
    if settings.output is OutputFormat.JSON:
        print_json(as_json(request, result))
    else:
        show(request, result)


def as_json(request: Request, result: Result) -> dict[str, Any]:
    """Everything, for programs; `letters` in a dry run only. Bytes that are no text are shown with escapes."""
    found: dict[str, Any] = {
        "topic": request.topic,
        "to": request.original,
        "dry_run": request.dry_run,
        "redriven": result.redriven,
        "already_redriven": result.already,
        "left": result.left,
        "unusable": result.unusable,
        "reasons": dict(result.reasons),
    }
    if request.dry_run:
        found["letters"] = [letter_as_json(letter) for letter in result.letters]
    return found


def letter_as_json(letter: Letter) -> dict[str, Any]:
    """One letter, without its bytes."""
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "original_partition": letter.original_partition,
        "original_offset": letter.original_offset,
        "key": shown_key(letter),
        "reason": letter.reason,
        "message": letter.message,
        "bytes": 0 if letter.value is None else len(letter.value),
    }


def shown_key(letter: Letter) -> str | None:
    """The key as text."""
    return None if letter.key is None else letter.key.decode(errors="backslashreplace")


def show(request: Request, result: Result) -> None:
    """The same for people."""
    if request.dry_run:
        table = Table(box=None, pad_edge=False)
        for heading in ("letter", "original", "key", "reason", "message"):
            table.add_column(heading, overflow="fold")
        for letter in result.letters:
            place = f"{letter.partition}/{letter.offset}"
            original = f"{letter.original_partition}/{letter.original_offset}"
            table.add_row(place, original, shown_key(letter) or "", letter.reason, letter.message)
        stdout.print(table)
    done = "would be sent back" if request.dry_run else "sent back"
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(result.reasons.items()))
    stdout.print(f"{result.redriven} {done} to {request.original}" + (f": {why}" if why else ""))
    stdout.print(f"{result.already} sent back earlier, {result.left} left, {result.unusable} not readable as letters")
