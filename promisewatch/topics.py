"""`promisewatch topics`: create the topics a book needs, or check them."""

import asyncio
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, stderr, stdout
from promisewatch.settings import TopicsSettings
from promisewatch.topic_admin import Checked, compare, topic_admin, wanted
from schemas.book import load_book
from schemas.errors import TopicsError
from schemas.exits import ExitCode
from schemas.topics import TopicSpec


class Action(StrEnum):
    """What to do about the topics."""

    CREATE = "create"
    CHECK = "check"


@configured(TopicsSettings)
def topics(
    settings: TopicsSettings,
    action: Annotated[Action, typer.Argument(help="Create what is missing, or only look.")] = Action.CHECK,
) -> None:
    """Create the topics of a book on Kafka, or check them.

    Every topic has as many partitions as the source topic. An existing topic is never changed: where it differs from
    what is required, that is shown. From three replicas on, all but one must be in sync for a write to count.

    Exit codes: 0 in order; 1 something is missing or differs; 65, 66 the book is wrong or absent; 69 no broker; 78 a
    setting is wrong, or Kafka refuses the login or a permission.
    """
    sources = sorted({source.topic for source in load_book(settings.book).sources.values()})
    checked, notes = asyncio.run(settle(action, settings, sources))
    in_order = all(topic.in_order for topic in checked)
    if settings.output is OutputFormat.JSON:
        print_json({"ok": in_order, "notes": notes, "topics": [as_json(topic) for topic in checked]})
    else:
        show(checked)
        for note in notes:
            stderr.print(note)
    raise typer.Exit(ExitCode.OK if in_order else ExitCode.DIFFERENT)


async def settle(action: Action, settings: TopicsSettings, sources: list[str]) -> tuple[list[Checked], list[str]]:
    """Check every topic, creating the missing ones first if asked to. Returns what was found, and notes on it."""
    address, replicas = settings.bootstrap_server, settings.replication_factor
    partitions = settings.partitions
    async with topic_admin(address, settings.security) as admin:
        present = await admin.find(sources)
        if partitions is None:
            absent = [topic for topic in sources if topic not in present]
            if absent:
                raise TopicsError(
                    f"there is no source topic {', '.join(absent)} on {address}, whose partitions all others follow; "
                    "--partitions N says how many it is to have",
                    ExitCode.DIFFERENT,
                )
            partitions = max(found.partitions for found in present.values())
        specs = wanted(sources, settings.app_id, partitions, replicas)
        found = await admin.find([spec.name for spec in specs])
        silent = any(topic.configs is None for topic in found.values())
        missing = [spec for spec in specs if spec.name not in found]
        notes = []
        if silent:
            notes.append(
                "This broker tells no settings and creates no topics: only existence and partitions were checked."
            )
        elif missing and action is Action.CREATE:
            await admin.create(missing, replicas or 1)
            found = await admin.find([spec.name for spec in specs])
    results = [compare(spec, found.get(spec.name), replicas) for spec in specs]
    return [as_created(result, missing) if action is Action.CREATE else result for result in results], notes


def as_created(result: Checked, missing: list[TopicSpec]) -> Checked:
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
    }


def show(checked: list[Checked]) -> None:
    """A table for people: one row a topic."""
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", no_wrap=True, min_width=max(len(topic.spec.name) for topic in checked))
    for heading in ("status", "partitions", "replicas"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what differs", overflow="fold")
    colours = {"ok": "green", "created": "cyan", "missing": "red", "differs": "red"}
    for topic in checked:
        found = topic.found
        numbers = ("", "") if found is None else (str(found.partitions), str(found.replicas))
        table.add_row(topic.spec.name, topic.status, *numbers, "\n".join(topic.problems), style=colours[topic.status])
    stdout.print(table)
