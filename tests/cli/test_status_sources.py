"""`promisewatch status` of several sources, without Kafka: what is worked out from what it tells, and how it looks."""

import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from promises.rules import ALWAYS
from promises.vector import Vector
from promisewatch import status as command
from promisewatch.status_documents import sources_json
from promisewatch.status_sources import (
    FactsPartitionStatus,
    SourcePartitionStatus,
    SourcesStatus,
    SourceStatus,
    Stored,
    facts_partition_status,
    group_statuses,
    source_partition_status,
)
from promisewatch.status_sources_tables import promises_text, rendered_sources
from promisewatch.statuses import DeadLetters, Hold, LastBreach, Log, Running
from schemas.book import parse_book
from schemas.groups import source_groups
from schemas.instants import parse_instant
from schemas.records import RECORD_FORMAT, Checkpoint
from schemas.sourcepositions import POSITION_FORMAT, SourcePosition
from schemas.vectors import KNOWN_FOR_EVER, VECTOR_FORMAT, SourceMark, VectorMarker
from schemas.vectors import Hold as Doubt
from streams.observing import Group, Member
from tests.cli.running import ROOT, promisewatch

NOW = parse_instant("2026-04-30T12:00:00Z", None)
MINUTE = 60_000
TEXT = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, settle: 2m, events: [placed]}
  mail: {topic: mail.events, format: json, id: id, type: type, time: at, settle: 1m, heartbeat: 30m, events: [sent]}
  wms: {topic: wms.scans, format: json, id: id, type: type, time: at, frontier: markers, events: [scanned]}
defaults: {timezone: UTC, key: order}
promises:
- {id: confirm, when: {event: placed}, due: {within: 1h}, expect: {event: sent}}
- {id: handover, when: {event: placed}, due: {within: 4h}, expect: {event: scanned}}
"""
TEXT_OF_ONE = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at}}
defaults: {timezone: UTC, key: order}
promises: [{id: confirm, when: {event: placed}, due: {within: 1h}, expect: {event: sent}}]
"""
BOOK = parse_book(TEXT)
GROUPS = source_groups(BOOK)
INGEST = Member("ingest-0-6f0c9e5a-6a39-5d0e-9d3c-0b1f5b8c7a11", "faust-0.11", "10.0.0.8", (0, 1))
WORKER = Member("detect-0-6f0c9e5a-6a39-5d0e-9d3c-0b1f5b8c7a12", "faust-0.11", "10.0.0.7", (0, 1))
ON_TIME = {"shop/0": NOW - 2 * MINUTE, "mail/0": NOW - MINUTE, "wms/0": NOW - 3 * MINUTE}


def vector(frontiers: Mapping[str, int | None] | None = None, holds: dict[str, Doubt] | None = None) -> Vector:
    """What vectors of this book have said; of all three sources, unless told otherwise."""
    told = ON_TIME if frontiers is None else frontiers
    marks = {name: SourceMark(at, NOW, KNOWN_FOR_EVER) for name, at in told.items()}
    found = Vector(BOOK.digest)
    found.take(VectorMarker(VECTOR_FORMAT, BOOK.digest, "ingest-0", {}, marks, holds or {}))
    return found


def position(book: str = BOOK.digest, frontier: int | None = None, **more: Any) -> SourcePosition:
    return SourcePosition(format=POSITION_FORMAT, book=book, at=0, frontier=frontier, **more)


def source(
    name: str = "shop",
    *,
    end: int = 10,
    at: int | None = 10,
    beginning: int = 0,
    readable: int | None = None,
    told: bool = True,
    members: tuple[Member, ...] = (INGEST,),
    kept: SourcePosition | None = None,
    said: Vector | None = None,
) -> SourcePartitionStatus:
    """Partition 0 of a source, of which everything is on the facts topic, unless said otherwise."""
    group = Group("Stable", members, {} if at is None else {0: at})
    log = Log(beginning, end if readable is None else readable, end)
    kept = position() if kept is None else kept
    of = BOOK.sources[name]
    return source_partition_status(
        of, 0, log, group if told else None, kept if at is not None else None, vector() if said is None else said, NOW
    )


def facts(
    *,
    end: int = 10,
    at: int | None = 10,
    beginning: int = 0,
    members: tuple[Member, ...] = (WORKER,),
    told: bool = True,
    heard: Vector | None = None,
    newest: Vector | None = None,
    sources: tuple[SourcePartitionStatus, ...] = (),
) -> FactsPartitionStatus:
    """Partition 0 of the facts topic, whose worker has heard of everything, unless said otherwise."""
    checkpoint = None if at is None else Checkpoint(
        format=RECORD_FORMAT, sources=("shop",), fire=0, subject=b"", next_offset=at, known_since=ALWAYS, live_since=0,
        vector={}, book=BOOK.digest,
    )  # fmt: skip
    group = Group("Stable", members, {}) if told else None
    named = {each.name: each for each in sources or (source("shop"), source("mail"), source("wms"))}
    stored = Stored(checkpoint, heard, GROUPS)
    return facts_partition_status(0, Log(beginning, end, end), stored, group, newest or vector(), named, NOW)


SILENT = {"mail/0": Doubt("silent", NOW - 50 * MINUTE)}


@pytest.mark.parametrize(
    ("hold", "found"),
    [
        (Hold.CLOCK, source),
        (Hold.CLOCK, lambda: source(end=15)),
        (Hold.MARKER, lambda: source("wms")),
        (Hold.MARKER, lambda: source("wms", end=15, said=vector({"wms/0": NOW}))),
        (Hold.LAG, lambda: source("wms", end=15)),
        (Hold.LAG, lambda: source(end=15, said=vector({"shop/0": NOW - 9 * MINUTE}))),
        (Hold.TRANSACTION, lambda: source(end=15, readable=10)),
        (Hold.DOUBT, lambda: source("mail", said=vector(holds=SILENT))),
        (Hold.NO_OWNER, lambda: source("mail", said=vector(holds=SILENT), members=())),
        (Hold.NO_OWNER, lambda: source(members=())),
        (Hold.UNREAD, lambda: source(at=None, said=vector({}))),
        (Hold.UNREAD, lambda: source(told=False, at=None, said=vector({}))),
        (Hold.UNTOLD, lambda: source(told=False)),
        (Hold.OTHER_BOOK, lambda: source(kept=position("b" * 64))),
        (Hold.RECREATED, lambda: source(end=9)),
        (Hold.EXPIRED, lambda: source(end=20, beginning=11)),
    ],
)
def test_what_a_source_waits_for_has_one_name(hold: Hold, found: Callable[[], SourcePartitionStatus]) -> None:
    """A person's matter, then a missing ingest, then doubt, then what is only late; what is on time lags in nothing."""
    assert found().hold is hold


def test_how_far_a_source_is_is_said_by_vectors_or_kept_with_its_offset() -> None:
    """Whichever is further: vectors may have expired, offsets are kept every few seconds. Not by another book."""
    assert source(said=vector({"shop/0": NOW - 7}), kept=position(frontier=NOW - 9)).frontier == NOW - 7
    assert source(said=vector({}), kept=position(frontier=NOW - 9)).frontier == NOW - 9
    assert source(said=vector({}), kept=position("b" * 64, frontier=NOW - 9)).frontier is None
    found = source(end=15, said=vector({"shop/0": None}), kept=position(gap=(ALWAYS, NOW)))
    assert (found.frontier, found.behind_ms, found.lag, found.gap) == (None, None, 5, (ALWAYS, NOW))


@pytest.mark.parametrize(
    ("hold", "waits_for", "found"),
    [
        (Hold.MARKER, "wms/0", lambda: facts(heard=vector())),
        (Hold.CLOCK, "shop/0", lambda: facts(heard=vector(ON_TIME | {"wms/0": NOW}))),
        (Hold.DOUBT, "mail/0", lambda: facts(heard=vector(ON_TIME | {"mail/0": NOW - 50 * MINUTE}),
                                             newest=vector(ON_TIME | {"mail/0": NOW - 50 * MINUTE}),
                                             sources=(source("mail", said=vector(holds=SILENT)),))),
        (Hold.UNREAD, "mail/0", lambda: facts(heard=vector({"shop/0": NOW}), newest=vector({}),
                                              sources=(source("mail", at=None, said=vector({})),))),
        (Hold.UNREAD, None, lambda: facts(heard=vector({}), newest=vector({}), sources=(source(),))),
        (Hold.LAG, None, lambda: facts(heard=vector(ON_TIME | {"mail/0": NOW - 50 * MINUTE}))),
        (Hold.LAG, None, lambda: facts(heard=vector({}))),
        (Hold.OTHER_BOOK, None, lambda: facts(heard=None)),
        (Hold.NO_OWNER, None, lambda: facts(heard=vector(), members=())),
        (Hold.NO_CHECKPOINT, None, lambda: facts(at=None)),
        (Hold.RECREATED, None, lambda: facts(heard=vector(), end=9)),
        (Hold.EXPIRED, None, lambda: facts(heard=vector(), end=20, beginning=11)),
    ],
)  # fmt: skip
def test_a_facts_partition_waits_for_itself_or_for_a_source_partition_by_name(
    hold: Hold, waits_for: str | None, found: Callable[[], FactsPartitionStatus]
) -> None:
    """What is the matter with the worker comes first; then what is with the source that is furthest behind."""
    status = found()
    if waits_for is None and hold is Hold.UNREAD:  # a source of which not even the partitions are known
        waits_for = status.waits_for
        assert waits_for in {"shop/0", "mail/0", "wms/0"}
    assert (status.hold, status.waits_for) == (hold, waits_for)


def test_the_frontier_of_a_facts_partition_is_that_of_the_group_furthest_behind() -> None:
    """As the worker has heard, not as others say; unknown while one of its sources is."""
    found = facts(heard=vector(ON_TIME | {"mail/0": NOW - 9 * MINUTE}), newest=vector(), end=15)
    assert (found.frontier, found.behind_ms, found.lag, found.stored) == (NOW - 9 * MINUTE, 9 * MINUTE, 5, 10)
    assert facts(heard=vector({"shop/0": NOW, "wms/0": NOW})).frontier is None


def test_a_group_is_as_far_as_its_slowest_facts_partition() -> None:
    """And names the source partition for which that waits; other groups do not wait for it."""
    slow = vector(ON_TIME | {"mail/0": NOW - 9 * MINUTE})
    fast, late = (Stored(None, one, GROUPS) for one in (vector(), slow))
    expected = {
        ("confirm",): (("shop", "mail"), NOW - 9 * MINUTE, "mail/0"),
        ("handover",): (("shop", "wms"), NOW - 3 * MINUTE, "wms/0"),
    }
    for order in ([fast, late], [late, fast]):
        found = {group.promises: (group.sources, group.frontier, group.waits_for) for group in group_statuses(order)}
        assert found == expected
    (first, _) = group_statuses([fast, Stored(None, None, GROUPS)])
    assert (first.frontier, first.waits_for) == (None, None)


def whole(**more: Any) -> SourcesStatus:
    """Mail has been silent for 50 minutes; shop and warehouse are on time."""
    held = ON_TIME | {"mail/0": NOW - 50 * MINUTE}
    heard = vector(held, SILENT)
    letters = DeadLetters(3, True, NOW - MINUTE, "bad_json")
    shop = replace(source(said=heard), dead_letters=letters)
    mail, wms = source("mail", said=heard), source("wms", said=heard)
    partition = facts(heard=heard, newest=heard, sources=(shop, mail, wms))
    breach = LastBreach("id-7", "handover", NOW - 3 * MINUTE, NOW - 2 * MINUTE)
    sources = {each.name: each for each in BOOK.sources.values()}
    ingest = Group("Stable", (replace(INGEST, partitions=(0,)),), {})
    found = SourcesStatus(
        at=NOW, app_id="promisewatch", ingest_app_id="promisewatch-ingest", book_path="sources.yaml",
        book_digest="0cc9a0c5b1de", facts="promisewatch.facts",
        sources=tuple(SourceStatus(sources[each.name.split("/")[0]], (each,)) for each in (shop, mail, wms)),
        groups=group_statuses([Stored(None, heard, GROUPS)]),
        partitions=(replace(partition, last_breach=breach, running=Running(4, {"confirm": 3, "handover": 2})),),
        group=Group("Stable", (replace(WORKER, partitions=(0,)),), {}),
        ingest={of.topic: ingest for of in sources.values()},
    )  # fmt: skip
    return replace(found, **more)


def printed(status: SourcesStatus) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=250, markup=False, highlight=False).print(rendered_sources(status))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_screen_names_the_source_in_doubt_and_the_promises_it_holds() -> None:
    """Since when, and in one line; promises that do not wait for it are not named."""
    lines = printed(whole())
    assert (
        "source mail is in doubt (silent) since 2026-04-30T11:10:00.000Z: nothing has come from it for longer than its "
        "heartbeat; it holds confirm"
    ) in lines
    (row,) = [line.split() for line in lines if line.startswith("mail/0")]
    assert " ".join(row) == (
        "mail/0 10 10 0 2026-04-30T11:10:00.000Z 50 min behind "
        "the end of doubt about the source: silent since 2026-04-30T11:10:00.000Z ingest-0 0"
    )
    rows = [" ".join(line.split()) for line in lines]
    assert "confirm shop, mail 2026-04-30T11:10:00.000Z 50 min behind mail/0" in rows
    assert "handover shop, wms 2026-04-30T11:57:00.000Z 3 min behind wms/0" in rows
    assert "ingest-0 faust-0.11 10.0.0.8 shop/0, mail/0, wms/0" in rows
    assert "detect-0 faust-0.11 10.0.0.7 facts/0" in rows
    assert "confirm 3" in rows
    assert "subjects with a timer 4" in rows


def test_the_handbook_shows_what_the_screen_of_several_sources_shows() -> None:
    """The example in docs/operations.md, line by line; the digest is the example's own."""
    status = whole()
    status = replace(status, partitions=tuple(replace(each, running=None) for each in status.partitions))
    page = (ROOT / "docs" / "operations.md").read_text()
    handbook = page.split("$ promisewatch status --book sources.yaml", 1)[1].split("```", 1)[0]
    assert printed(status) == handbook.splitlines()[1:]


def test_the_screen_says_what_is_missing_and_who_is_not_there() -> None:
    """Also where nothing is known but the names, and where the broker tells of no group."""
    empty = SourcesStatus(
        at=NOW, app_id="app", ingest_app_id="in", book_path="b", book_digest="0" * 64, facts="promisewatch.facts",
        sources=(SourceStatus(BOOK.sources["mail"], ()),), missing=("promisewatch.facts",),
        ingest={"mail.events": Group("Empty", (), {})},
    )  # fmt: skip
    lines = printed(empty)
    assert "there is no topic promisewatch.facts; 'promisewatch topics create' makes it" in lines
    assert "consumer group in: Empty, no members: no ingest runs" in lines
    assert "workers' group: not told" in lines
    assert "source mail: topic mail.events, 0 partitions, frontier by clock, settle 1m, heartbeat 30m" in lines
    assert (empty.code, empty.lag, empty.frontier, empty.dead_letters) == (1, None, None, None)
    differing = printed(whole(differing=("promisewatch.breaches has 2",)))
    assert "promisewatch.breaches has 2, expected 1 as the facts topic" in differing
    assert whole(differing=("promisewatch.breaches has 2",)).code == 1
    assert whole(forbidden=True).code == 78


def test_of_many_promises_the_first_are_named() -> None:
    """A line stays one; the document for programs has all."""
    assert promises_text(("a", "b")) == "a, b"
    assert promises_text(tuple("abcdefgh")) == "a, b, c, d, e and 3 more"
    assert promises_text(()) == "no promise"


def test_the_document_is_whole() -> None:
    """Everything that the screen has, and instants as RFC 3339."""
    found = json.loads(json.dumps(sources_json(whole())))
    assert (found["ok"], found["lag"], found["frontier"]) == (True, 0, "2026-04-30T11:10:00.000Z")
    assert found["ingest"] == {
        "app_id": "promisewatch-ingest", "state": "Stable",
        "members": [{"name": "ingest-0", "partitions": ["shop/0", "mail/0", "wms/0"]}],
    }  # fmt: skip
    shop, mail, _ = found["sources"]
    assert shop["doubts"] == []
    assert shop["partitions"][0]["dead_letters"]["count"] == found["dead_letters"]["count"] == 3
    assert mail["doubts"] == [{"reason": "silent", "since": "2026-04-30T11:10:00.000Z", "promises": ["confirm"]}]
    assert mail["partitions"][0]["frontier"] == {
        "instant": "2026-04-30T11:10:00.000Z", "behind_ms": 50 * MINUTE, "waits_for": "doubt",
    }  # fmt: skip
    assert [group["source_partition"] for group in found["groups"]] == ["mail/0", "wms/0"]
    (partition,) = found["partitions"]
    assert partition["frontier"]["source_partition"] == "mail/0"
    assert partition["frontier"]["waits_for"] == "doubt"
    assert partition["worker"]["host"] == "10.0.0.7"
    assert partition["running"] == {"subjects": 4, "promises": {"confirm": 3, "handover": 2}}
    assert found["last_breach"]["promise"] == "handover"


def test_a_span_that_may_have_been_lost_is_told() -> None:
    """From always on where nobody knows since when."""
    gone = source(kept=position(gap=(ALWAYS, NOW)))
    status = whole(sources=(SourceStatus(BOOK.sources["shop"], (gone,)),))
    (shop,) = sources_json(status)["sources"]
    assert shop["partitions"][0]["gap"] == {"from": None, "until": "2026-04-30T12:00:00.000Z"}


def test_the_live_screen_of_several_sources_is_redrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The book decides who looks, with a single source too where facts are asked for; Ctrl-C ends it with 0."""
    looks: list[SourcesStatus | BaseException] = []

    class Scripted:
        def __init__(self, *_: Any) -> None: ...

        @asynccontextmanager
        async def connected(self) -> AsyncIterator["Scripted"]:
            yield self

        async def look(self) -> SourcesStatus:
            step = looks.pop(0)
            if isinstance(step, BaseException):
                raise step
            return step

    monkeypatch.setattr(command, "SourcesObserver", Scripted)
    monkeypatch.setattr(command, "REFRESH_S", 0.0)
    path = tmp_path / "book.yaml"
    for text, more in ((TEXT, []), (TEXT_OF_ONE, ["--input", "facts"])):
        path.write_text(text)
        looks += [whole(), whole(at=NOW + MINUTE), KeyboardInterrupt()]
        run = promisewatch("status", "--book", path, "--bootstrap-server", "x:1", "--watch", *more)
        assert (run.code, looks) == (0, [])
        assert run.out.index("at 2026-04-30T12:00:00.000Z") < run.out.index("at 2026-04-30T12:01:00.000Z")
