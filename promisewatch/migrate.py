"""`promisewatch migrate`: moves running promises to another version of their text."""

import asyncio
from typing import Annotated, Any

import typer
from rich.table import Table

from promises.migrating import MOVED, REASONS
from promises.verdicts import OPEN
from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, stdout
from promisewatch.direct import direct_source
from promisewatch.feeding import Topic
from promisewatch.migrating import Example, Forecast, VersionForecast, asked_for, forecast_of
from promisewatch.settings.commands import MigrateSettings
from schemas.book import load_book
from schemas.editions import SHORT_DIGITS
from schemas.errors import StateError
from schemas.instants import format_instant
from schemas.migrations import migration_headers
from streams.logs import configure_logging


@configured(MigrateSettings)
def migrate(
    settings: MigrateSettings,
    promise: Annotated[str, typer.Option("--promise", metavar="ID", help="Which promise.", show_default=False)],
    to: Annotated[int, typer.Option("--to", min=1, metavar="VERSION", help="The version to move to.")],
    versions: Annotated[
        list[int] | None,
        typer.Option("--from", metavar="VERSION", help="Only what runs under this version; may be repeated."),
    ] = None,
    assume_known: Annotated[
        bool,
        typer.Option(
            "--assume-known",
            help="Also move where the new version looks at events that the old one did not: everything of them that "
            "came before is known, because another promise looks at the same.",
        ),
    ] = False,
    examples: Annotated[int, typer.Option("--examples", min=0, help="Show so many of each kind.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing, whatever else is said.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send the order, after the dry run.")] = False,
) -> None:
    """Move what runs of a promise to another version of the book: what it waits for, and a due counted anew.

    Always tells first what would become of what runs now, from the worker's changelog, by the function that the workers
    apply. Without --yes nothing is sent. With it, an order goes to every partition of the topic that the workers read
    (the source's, or the facts topic), and each worker acts on it where it stands in the log: once, however often it is
    restarted or the order is sent. A breach that has been published is not taken back, and none is published before
    everything until now has been read.

    Deploy the book first: as long as a worker lacks the version, nothing is sent (78). What cannot be moved truly stays
    under its version, and the reason is told.

    Exit codes: 0 told, or sent; 2 no such promise, version or changelog; 65, 66 the book cannot be used, is not there;
    69 no broker; 78 workers have another book, or read one source where the book has several, the state cannot be read,
    or Kafka refuses the login or a permission.
    """
    configure_logging("console", "warning")
    book = load_book(settings.book)
    migration = asked_for(book, promise, to, tuple(versions or ()), assume_known=assume_known)
    found = asyncio.run(
        forecast_of(settings.bootstrap_server, settings.security, settings.app_id, book, migration, examples)
    )
    sends = yes and not dry_run
    if sends and not found.unready:
        name = settings.facts_topic if found.reads_facts else direct_source(book).topic
        topic = Topic(settings.bootstrap_server, name, settings.security)
        topic.send_control(migration_headers(migration))
        topic.settle()
    sent = sends and not found.unready
    if settings.output is OutputFormat.JSON:
        print_json(as_json(found, sent=sent))
    else:
        show(found, sent=sent)
    if sends and not sent:
        raise StateError(f"nothing was sent: {unready_text(found)}; deploy the book {book.digest[:SHORT_DIGITS]} first")


def as_json(found: Forecast, *, sent: bool) -> dict[str, Any]:
    """Everything, for programs. Instants are RFC 3339 in UTC."""
    migration = found.migration
    return {
        "promise": migration.promise,
        "to": migration.to,
        "text": migration.text,
        "book": migration.book,
        "partitions": found.partitions,
        "unready": {str(partition): why for partition, why in found.unready.items()},
        "versions": [
            {
                "version": version,
                "running": one.running,
                "reasons": dict(one.reasons),
                "due": {"earlier": one.earlier, "later": one.later, "same": one.same},
                "settled": dict(one.verdicts),
                "overdue": one.overdue,
            }
            for version, one in sorted(found.versions.items())
        ],
        "examples": [example_as_json(example) for example in found.examples],
        "sent": sent,
    }


def example_as_json(example: Example) -> dict[str, Any]:
    """One running promise."""
    fate = example.fate
    return {
        "key": example.subject.key,
        "subject": example.subject.value,
        "cycle": fate.opening,
        "version": fate.version,
        "reason": fate.reason,
        "due_before": format_instant(fate.due_before),
        "due": format_instant(fate.due),
        "status": fate.status,
        "overdue": fate.overdue,
    }


def show(found: Forecast, *, sent: bool) -> None:
    """The same for people."""
    migration = found.migration
    for version, one in sorted(found.versions.items()):
        stdout.print(f"{migration.promise} version {version}: {one.running} running")
        for line in lines_of(one):
            stdout.print(f"  {line}")
    if not found.versions:
        stdout.print(f"nothing of {migration.promise} runs that is meant")
    if found.examples:
        stdout.print(table_of(found.examples))
    if found.unready:
        stdout.print(f"not ready: {unready_text(found)}")
    if sent:
        stdout.print(f"sent to {found.partitions} partitions; each worker acts on it where it stands in the log")
    else:
        stdout.print("nothing was sent" + ("" if found.unready else "; --yes sends it"))


def lines_of(one: VersionForecast) -> list[str]:
    """What becomes of what runs under one version, a line each."""
    lines = [f"{one.reasons[reason]} {text}" for reason, text in REASONS.items() if one.reasons[reason]]
    if one.reasons[MOVED]:
        lines.append(f"due: {one.earlier} earlier, {one.later} later, {one.same} the same")
        lines += [f"{count} would be {status} at once" for status, count in sorted(one.verdicts.items())]
        if one.overdue:
            lines.append(f"{one.overdue} would be overdue, and broken unless what is still on its way keeps them")
    return lines


def table_of(examples: list[Example]) -> Table:
    """The examples, one a line."""
    table = Table(box=None, pad_edge=False)
    for heading in ("subject", "version", "due", "new due", "what becomes of it"):
        table.add_column(heading, overflow="fold")
    for subject, fate in examples:
        state = "overdue" if fate.overdue else "" if fate.status == OPEN else fate.status
        due = format_instant(fate.due) if fate.reason == MOVED else ""
        table.add_row(
            subject.value,
            str(fate.version),
            format_instant(fate.due_before),
            due,
            ", ".join(filter(None, (REASONS[fate.reason], state))),
        )
    return table


def unready_text(found: Forecast) -> str:
    """Which partitions have no worker with the new text, and what they have."""
    return "; ".join(f"partition {partition}: {why}" for partition, why in sorted(found.unready.items()))
