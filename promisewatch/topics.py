"""`promisewatch topics`: create the topics a book needs, check them, or mend them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, stderr, stdout
from promisewatch.direct import reads_facts
from promisewatch.settings.commands import TopicsSettings
from promisewatch.topic_admin import (
    Checked,
    Found,
    TopicAdmin,
    compare,
    completed,
    event_bytes,
    topic_admin,
    wanted,
)
from promisewatch.topic_judging import Log, asked_about, judge, warnings
from promisewatch.topic_mending import Mender
from schemas.book import load_book
from schemas.book_model import Book
from schemas.errors import SettingsError, TopicsError
from schemas.exits import ExitCode
from schemas.topics import TopicSpec, required_with_facts
from streams.offsets import LogOffsets

SILENT = "This broker tells no settings, and creates and mends no topics: only existence and partitions were checked."


class Action(StrEnum):
    """What to do about the topics."""

    CREATE = "create"
    CHECK = "check"
    MEND = "mend"


@dataclass(frozen=True, slots=True)
class Settled:
    """How the topics are in the end, and what else to tell. `forbidden`: a permission was missing to mend one."""

    topics: Sequence[Checked]
    notes: Sequence[str]
    forbidden: bool = False

    @property
    def code(self) -> ExitCode:
        if self.forbidden:
            return ExitCode.CONFIG
        return ExitCode.OK if all(topic.in_order for topic in self.topics) else ExitCode.DIFFERENT


@configured(TopicsSettings)
def topics(
    settings: TopicsSettings,
    action: Annotated[
        Action, typer.Argument(help="Only look, create what is missing, or also change what differs.")
    ] = Action.CHECK,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be mended or created; change nothing.")
    ] = False,
) -> None:
    """Create the topics of a book on Kafka, check them, or mend them.

    Every topic has as many partitions as the source topic. Where a worker reads facts, which ingest makes of several
    sources, they follow the facts topic, and dead letters their source. From three replicas on, all but one must be in
    sync for a write to count. `check` and `create` leave an existing topic as it is and show where it differs from what
    is required; `mend` changes that: settings (those required, and no other), replicas (with --replication-factor) and
    partitions. What cannot be mended is shown with the reason: a source topic is its owner's, partitions are never
    taken away, and a topic that holds facts or state cannot follow subjects that would move.

    Exit codes: 0 in order, also by mending; 1 something is missing or differs; 65, 66 the book is wrong or absent; 69
    no broker; 78 a setting is wrong, or Kafka refuses the login or a permission.
    """
    book = load_book(settings.book)
    needed = needs(book, settings)
    settled = asyncio.run(settle(action, settings, needed, dry_run=dry_run))
    planned = dry_run and action is Action.MEND
    if settings.output is OutputFormat.JSON:
        found = {"ok": settled.code is ExitCode.OK, "notes": list(settled.notes), "dry_run": dry_run}
        print_json({**found, "topics": [as_json(topic) for topic in settled.topics]})
    else:
        show(settled.topics, planned=planned)
        for note in settled.notes:
            stderr.print(note)
    raise typer.Exit(settled.code)


@dataclass(frozen=True, slots=True)
class Needed:
    """What a book needs: its source topics, and whether the worker reads facts instead of one of these."""

    sources: list[str]
    from_facts: bool


def needs(book: Book, settings: TopicsSettings) -> Needed:
    """What a book needs with these settings. Raises SettingsError where they do not go together."""
    sources, from_facts = sorted({each.topic for each in book.sources.values()}), reads_facts(book, settings.input)
    if from_facts and settings.facts_topic in sources:
        found = f"found {settings.facts_topic}, which is a source topic of the book, expected another"
        raise SettingsError(f"--facts-topic: {found}")
    if not from_facts and settings.facts_partitions is not None:
        raise SettingsError("found --facts-partitions, expected none: a worker reads the source of this book itself")
    return Needed(sources, from_facts)


async def settle(action: Action, settings: TopicsSettings, needed: Needed, *, dry_run: bool = False) -> Settled:
    """Check every topic; if asked to, create the missing ones first, and mend those that differ."""
    replicas = settings.replication_factor
    async with topic_admin(settings.bootstrap_server, settings.security) as admin:
        specs = await specs_of(admin, action, settings, needed)
        found = await admin.find([spec.name for spec in specs])
        if any(topic.configs is None for topic in found.values()):
            results = [compare(spec, found.get(spec.name), replicas) for spec in specs]
            return Settled(results, [SILENT])
        missing = [] if dry_run or action is Action.CHECK else [spec for spec in specs if spec.name not in found]
        if missing:
            await admin.create(missing, replicas or 1)
            found = await admin.find([spec.name for spec in specs])
        results = [as_created(compare(spec, found.get(spec.name), replicas), missing) for spec in specs]
        if all(topic.in_order for topic in results):
            return Settled(results, [])
        racks, logs = await admin.racks(), await read_logs(settings, results)
        results = judge(results, logs, len(racks))
        notes = warnings(results, logs)
        if action is not Action.MEND or dry_run:
            return Settled(results, notes)
        mender = Mender(admin, settings.bootstrap_server, settings.security)
        return Settled(await mender.mend(results, replicas, logs, racks), notes, mender.forbidden)


async def specs_of(admin: TopicAdmin, action: Action, settings: TopicsSettings, needed: Needed) -> list[TopicSpec]:
    """Every topic as it must be, which depends on the partitions of those that are there. Raises TopicsError."""
    sources, facts, replicas = needed.sources, settings.facts_topic, settings.replication_factor
    if not needed.from_facts:
        present = await admin.find(sources)
        partitions = partitions_of(present, action, settings, sources)
        return wanted(sources, settings.app_id, partitions, replicas, settings.notifier_app_id, event_bytes(present))
    present = await admin.find([*sources, facts])
    counts = counts_of(present, settings, sources)
    partitions = settings.facts_partitions or (
        present[facts].partitions if facts in present else max(counts.values(), default=1)
    )
    limits = event_bytes(present)
    specs = required_with_facts(
        counts, settings.app_id, settings.ingest_app_id, settings.notifier_app_id, facts, limits
    )
    return completed(counts, specs, partitions, replicas)


def counts_of(present: dict[str, Found], settings: TopicsSettings, sources: list[str]) -> dict[str, int]:
    """Return each source topic's partitions: they need not be alike. Raises TopicsError where nobody says."""
    absent = [topic for topic in sources if topic not in present]
    if absent and settings.partitions is None:
        raise TopicsError(_nobody_says(absent, settings), ExitCode.DIFFERENT)
    return {topic: present[topic].partitions if topic in present else settings.partitions or 1 for topic in sources}


def _nobody_says(absent: list[str], settings: TopicsSettings) -> str:
    many = len(absent) > 1
    return (
        f"there {'are no source topics' if many else 'is no source topic'} {', '.join(absent)} on "
        f"{settings.bootstrap_server}, whose partitions others follow; --partitions N says how many "
        f"{'each is' if many else 'it is'} to have"
    )


def partitions_of(present: dict[str, Found], action: Action, settings: TopicsSettings, sources: list[str]) -> int:
    """Return how many partitions every topic is to have.

    Raises TopicsError where nobody says, and where more than one does and nothing that cannot be undone may be done.
    """
    asked = settings.partitions
    if asked is None:
        absent = [topic for topic in sources if topic not in present]
        if absent:
            raise TopicsError(_nobody_says(absent, settings), ExitCode.DIFFERENT)
        return max(found.partitions for found in present.values())
    for topic, found in present.items():
        if action is Action.MEND and found.partitions != asked:
            raise TopicsError(
                f"{topic} has {found.partitions} partitions, expected {asked} by --partitions: a source topic is its "
                "owner's to change; without --partitions all others follow it. Nothing was changed",
                ExitCode.DIFFERENT,
            )
    return asked


async def read_logs(settings: TopicsSettings, checked: Sequence[Checked]) -> dict[str, Log]:
    """What the offsets of those topics tell that are in question."""
    asked = asked_about(checked)
    if not asked:
        return {}
    offsets = LogOffsets({"bootstrap_servers": settings.bootstrap_server, **settings.security.aiokafka()})
    await offsets.start()
    try:
        logs = {}
        for topic, partitions in asked:
            ends = await offsets.ends(topic, range(partitions))
            beginnings = await offsets.beginnings(topic, range(partitions))
            logs[topic] = Log(written=any(ends.values()), shortened=any(beginnings.values()))
        return logs
    finally:
        await offsets.stop()


def as_created(result: Checked, missing: Sequence[TopicSpec]) -> Checked:
    """The same result, said as what has just been done."""
    return replace(result, status="created") if result.status == "ok" and result.spec in missing else result


def as_json(topic: Checked) -> dict[str, Any]:
    return {
        "topic": topic.spec.name,
        "status": topic.status,
        "partitions": None if topic.found is None else topic.found.partitions,
        "replicas": None if topic.found is None else topic.found.replicas,
        "required": {"partitions": topic.spec.partitions, **topic.spec.configs},
        "problems": list(topic.problems),
        "mended": list(topic.mended),
        "mendable": [each.change for each in topic.mendable],
    }


def show(checked: Sequence[Checked], *, planned: bool = False) -> None:
    """A table for people: one row a topic. `planned`: what `mend` would change is said as that."""
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", no_wrap=True, min_width=max(len(topic.spec.name) for topic in checked))
    for heading in ("status", "partitions", "replicas"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what differs, or was mended", overflow="fold")
    colours = {"ok": "green", "created": "cyan", "mended": "cyan", "missing": "red", "differs": "red"}
    for topic in checked:
        found = topic.found
        numbers = ("", "") if found is None else (str(found.partitions), str(found.replicas))
        row = (topic.spec.name, topic.status, *numbers, "\n".join(lines(topic, planned=planned)))
        table.add_row(*row, style=colours[topic.status])
    stdout.print(table)


def lines(topic: Checked, *, planned: bool) -> list[str]:
    """What to say about one topic: what was done, what would be, and what is not in order."""
    would = [f"would mend {each.change}" for each in topic.mendable] if planned else []
    rest = [str(each) for each in topic.differences if each.left is not None] if planned else []
    if planned and topic.found is None:
        rest = ["would be created"]
    return [*(f"mended {each}" for each in topic.mended), *(would + rest if planned else topic.problems)]
