"""`promisewatch status` without Kafka: what is worked out from what it tells, and how that is shown."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from rich.console import Console

from promises.rules import ALWAYS
from promisewatch import status as command
from promisewatch.status_documents import status_json
from promisewatch.status_observing import other_books, read_breach, read_letters
from promisewatch.status_tables import rendered
from promisewatch.statuses import DeadLetters, Hold, LastBreach, Log, PartitionStatus, Running, Status, partition_status
from schemas.book import parse_book
from schemas.book_model import Source
from schemas.errors import BrokerUnavailable
from schemas.instants import parse_instant
from schemas.records import RECORD_FORMAT, Checkpoint
from schemas.vectors import Hold as Doubt
from streams.observing import Group, Member
from tests.cli.running import ROOT, promisewatch

NOW = parse_instant("2026-04-30T12:00:00Z", None)
MINUTE = 60_000
BOOK = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at, settle: 2m}}
defaults: {timezone: UTC, key: order}
promises:
- {id: answer, when: {event: asked}, due: {within: 1h}, expect: {event: answered}}
"""
SHOP = parse_book(BOOK).sources["shop"]
FILES = replace(SHOP, frontier="markers")
FIRST = Member("detect-0-6f0c9e5a-6a39-5d0e-9d3c-0b1f5b8c7a11", "faust-0.11", "10.0.0.7", (0, 1))
GROUP = Group("Stable", (FIRST,), {})


def checkpoint(next_offset: int, frontier: int = NOW - 30 * MINUTE) -> Checkpoint:
    return Checkpoint(
        format=RECORD_FORMAT, sources=("shop",), fire=frontier, subject=b"", next_offset=next_offset,
        known_since=ALWAYS, live_since=0, vector={"shop/0": frontier}, book="b" * 64,
    )  # fmt: skip


def stands(
    end: int = 10,
    stored: int | None = 10,
    *,
    source: Source = SHOP,
    group: Group | None = GROUP,
    beginning: int = 0,
    readable: int | None = None,
    frontier: int = NOW - 30 * MINUTE,
) -> PartitionStatus:
    """Partition 0, of which everything is processed and which a worker has, unless said otherwise."""
    log = Log(beginning, end if readable is None else readable, end)
    at = None if stored is None else checkpoint(stored, frontier)
    return partition_status(source, 0, log, at, group, NOW)


def test_an_idle_partition_follows_the_clock_although_nothing_is_written_down() -> None:
    """Its frontier is now less settle: an idle worker stores no checkpoint."""
    found = stands()
    assert (found.hold, found.lag, found.owner) == (Hold.CLOCK, 0, FIRST)
    assert (found.frontier, found.inferred, found.behind_ms) == (NOW - 2 * MINUTE, True, 2 * MINUTE)


def test_a_stored_frontier_is_never_taken_back() -> None:
    """The worker's clock may be ahead of ours; what it has written down holds."""
    found = stands(frontier=NOW - MINUTE)
    assert (found.frontier, found.inferred, found.behind_ms) == (NOW - MINUTE, False, MINUTE)


def test_what_is_not_processed_holds_the_frontier_where_it_was_stored() -> None:
    """Lag in offsets; how far the worker has come since is not known."""
    found = stands(end=15)
    assert (found.hold, found.lag) == (Hold.LAG, 5)
    assert (found.frontier, found.inferred, found.behind_ms) == (NOW - 30 * MINUTE, False, 30 * MINUTE)


def test_the_groups_position_counts_where_it_is_further_than_the_checkpoint() -> None:
    """A checkpoint is written when there is something to store: events that concern no promise do not lag."""
    group = replace(GROUP, positions={0: 15})
    found = stands(end=15, group=group)
    assert (found.processed, found.stored, found.lag, found.hold) == (15, 10, 0, Hold.CLOCK)
    assert stands(end=15, group=replace(GROUP, positions={0: 3})).processed == 10


@pytest.mark.parametrize(
    ("hold", "found"),
    [
        (Hold.NO_CHECKPOINT, lambda: stands(stored=None)),
        (Hold.NO_CHECKPOINT, lambda: stands(stored=None, group=None)),
        (Hold.NO_OWNER, lambda: stands(group=Group("Empty", (), {}))),
        (Hold.NO_OWNER, lambda: stands(end=15, group=Group("Empty", (), {}))),
        (Hold.TRANSACTION, lambda: stands(end=12, readable=10)),
        (Hold.LAG, lambda: stands(end=12, readable=11)),
        (Hold.MARKER, lambda: stands(source=FILES)),
        (Hold.LAG, lambda: stands(end=11, source=FILES)),
        (Hold.UNTOLD, lambda: stands(group=None)),
        (Hold.LAG, lambda: stands(end=11, group=None)),
        (Hold.RECREATED, lambda: stands(end=9)),
        (Hold.EXPIRED, lambda: stands(end=20, beginning=11)),
    ],
)
def test_what_a_frontier_waits_for_has_one_name(hold: Hold, found: Callable[[], PartitionStatus]) -> None:
    """The first that holds: a person's matter before a missing worker before what is only late."""
    assert found().hold is hold


def test_doubt_about_the_source_holds_a_frontier_that_would_go_on() -> None:
    """It does not follow the clock then; a missing worker, or a topic that was made again, comes first."""
    doubt = Doubt("silent", NOW - 40 * MINUTE)
    log, at = Log(0, 10, 10), checkpoint(10)
    found = partition_status(SHOP, 0, log, at, GROUP, NOW, doubt)
    assert (found.hold, found.doubt, found.inferred) == (Hold.DOUBT, doubt, False)
    assert found.frontier == NOW - 30 * MINUTE
    assert partition_status(SHOP, 0, log, at, Group("Empty", (), {}), NOW, doubt).hold is Hold.NO_OWNER
    assert partition_status(SHOP, 0, Log(0, 9, 9), at, GROUP, NOW, doubt).hold is Hold.RECREATED
    (line,) = [" ".join(line) for line in shown(whole(found)) if line[:1] == ["source"] and "doubt" in line]
    assert line == (
        "source shop is in doubt (silent) since 2026-04-30T11:20:00.000Z: nothing has come from it for longer than its "
        "heartbeat; it holds every promise"
    )
    (partition,) = status_json(whole(found))["partitions"]
    assert partition["doubt"] == {"reason": "silent", "since": "2026-04-30T11:20:00.000Z"}


def test_only_a_worker_moves_the_clock() -> None:
    """Where none has the partition, or the broker does not tell, what is stored is all that is known."""
    for group in (None, Group("Empty", (), {})):
        assert stands(group=group).frontier == NOW - 30 * MINUTE


def test_a_position_of_a_topic_that_was_there_before_says_nothing() -> None:
    """It lies beyond the end of the log there is now, and no log lags by less than nothing."""
    assert stands(end=12, group=replace(GROUP, positions={0: 99})).processed == 10
    assert stands(end=9).lag == 0


def test_before_the_first_mark_no_instant_is_known() -> None:
    """A checkpoint that only says where to read on has no frontier yet."""
    found = stands(source=FILES, frontier=ALWAYS)
    assert (found.frontier, found.behind_ms, found.hold) == (None, None, Hold.MARKER)


def whole(*partitions: PartitionStatus, **changed: Any) -> Status:
    known: dict[str, Any] = {
        "at": NOW,
        "app_id": "app",
        "book_path": "book.yaml",
        "book_digest": "b" * 64,
        "source": SHOP,
    }
    return Status(**known | {"partitions": partitions, "group": GROUP} | changed)


def test_the_whole_is_as_far_as_its_slowest_partition() -> None:
    """Lags add up, the frontier is the smallest, and unknown where one is."""
    slow, idle, new = stands(end=15), stands(), stands(stored=None)
    assert (whole(slow, idle).lag, whole(slow, idle).frontier) == (5, NOW - 30 * MINUTE)
    assert (whole(slow, new).lag, whole(slow, new).frontier) == (5, None)
    assert (whole(new).lag, whole().frontier) == (None, None)


def test_dead_letters_add_up_and_the_newest_is_named() -> None:
    """One that is only known at most makes the sum so."""
    first = replace(stands(), dead_letters=DeadLetters(3, True, NOW - 5, "bad_json"))
    second = replace(stands(), dead_letters=DeadLetters(500, False, NOW, "future"))
    assert whole(first, second, stands()).dead_letters == DeadLetters(503, False, NOW, "future")
    assert whole(stands()).dead_letters is None


def test_exit_codes_are_those_of_topics_check() -> None:
    """1 for topics, 78 for a permission, and lag is no error."""
    codes = [
        whole(stands(end=99)).code,
        whole(missing=("t",)).code,
        whole(differing=("t has 2",)).code,
        whole(missing=("t",), forbidden=True).code,
    ]
    assert codes == [0, 1, 1, 78]


def shown(status: Status) -> list[list[str]]:
    """The words of each line."""
    out = io.StringIO()
    Console(file=out, width=300, markup=False, highlight=False).print(rendered(status))
    return [line.split() for line in out.getvalue().splitlines()]


def test_the_screen_has_a_line_a_partition_and_a_line_a_worker() -> None:
    """What follows but is not written down is marked; everything is there in words."""
    breach = LastBreach("id-1", "answer", NOW - MINUTE, NOW - 1000)
    letters = DeadLetters(500, False, NOW, "future")
    running = Running(4, {"answer": 3, "thanks": 2})
    first = replace(stands(end=1234, readable=10), last_breach=breach, dead_letters=letters, running=running)
    second = replace(stands(), partition=1, source_partition="shop/1", running=Running(1, {"answer": 1}))
    lines = shown(whole(first, second))
    partition = next(line for line in lines if line[:1] == ["0"])
    assert " ".join(partition) == (
        "0 1,234 10 1,224 2026-04-30T11:30:00.000Z 30 min behind "
        "shop/0: an open transaction of the source, at offset 10 "
        "detect-0 answer at 2026-04-30T11:59:59.000Z <= 500"
    )
    assert "~2026-04-30T11:58:00.000Z" in next(line for line in lines if line[:1] == ["1"])
    assert ["detect-0", "faust-0.11", "10.0.0.7", "0,", "1"] in lines
    assert ["answer", "4"] in lines
    assert ["thanks", "2"] in lines
    assert ["subjects", "with", "a", "timer", "5"] in lines


def test_the_handbook_shows_what_the_screen_shows() -> None:
    """The example in docs/operations.md, line by line; the digest is the example's own."""
    member = replace(FIRST, partitions=(0, 1))
    breach = LastBreach("id", "next-day", 0, parse_instant("2026-04-30T11:29:58.120Z", None))
    letters = DeadLetters(1, True, parse_instant("2026-04-30T09:12:40.007Z", None), "bad_json")
    slow = replace(stands(end=15), last_breach=breach, dead_letters=letters)
    idle = replace(stands(), partition=1, source_partition="shop/1")
    status = whole(slow, idle, app_id="promisewatch", book_digest="0cc9a0c5b1de", group=Group("Stable", (member,), {}))
    out = io.StringIO()
    Console(file=out, width=250, markup=False, highlight=False).print(rendered(status))
    printed = [line.rstrip() for line in out.getvalue().splitlines()]
    handbook = (ROOT / "docs" / "operations.md").read_text().split("$ promisewatch status ", 1)[1].split("```", 1)[0]
    assert printed == handbook.splitlines()[1:]


def test_the_handbook_explains_everything_that_a_frontier_waits_for() -> None:
    """Each name of the JSON document has a row."""
    handbook = (ROOT / "docs" / "operations.md").read_text()
    assert [hold for hold in Hold if f"(`{hold.value}`) |" not in handbook] == []


def test_the_screen_says_what_is_missing_and_who_is_not_there() -> None:
    """Also where nothing is known but the names."""
    lines = [" ".join(line) for line in shown(whole(missing=("shop.events",), group=Group("Empty", (), {})))]
    assert "there is no topic shop.events; 'promisewatch topics create' makes it" in lines
    assert "consumer group app: Empty, no members: no worker runs" in lines
    assert "consumer group: not told" in [" ".join(line) for line in shown(whole(group=None))]
    differing = whole(stands(), differing=("promisewatch.breaches has 2",))
    assert "promisewatch.breaches has 2, expected 1 as the source topic" in [
        " ".join(line) for line in shown(differing)
    ]


def test_the_document_is_whole() -> None:
    """Every number that the screen has, and instants as RFC 3339."""
    found = json.loads(json.dumps(status_json(whole(stands(end=15)))))
    assert (found["ok"], found["lag"], found["frontier"]) == (True, 5, "2026-04-30T11:30:00.000Z")
    (partition,) = found["partitions"]
    assert partition["worker"]["host"] == "10.0.0.7"
    assert partition["frontier"] == {
        "instant": "2026-04-30T11:30:00.000Z", "inferred": False, "behind_ms": 30 * MINUTE,
        "source_partition": "shop/0", "waits_for": "lag",
    }  # fmt: skip


def test_of_the_breaches_topic_only_breaches_of_this_book_count() -> None:
    """Others publish there too; a warning, a tombstone and what is no event of ours are passed over."""
    event = {
        "id": "id-1", "type": "promise.breached.v1",
        "data": {"promise": "answer", "breached_at": "2026-04-30T11:00:00Z", "detected_at": "2026-04-30T11:02:00Z"},
    }  # fmt: skip
    mine = frozenset({"answer"})
    read = read_breach(json.dumps(event).encode(), mine)
    assert read == LastBreach("id-1", "answer", NOW - 60 * MINUTE, NOW - 58 * MINUTE)
    assert read_breach(json.dumps(event).encode(), frozenset({"other"})) is None
    assert read_breach(json.dumps(event | {"type": "promise.at_risk.v1"}).encode(), mine) is None
    for value in (
        None,
        b"",
        b"[]",
        b"{",
        b'{"type": "promise.breached.v1"}',
        b'{"type": "promise.breached.v1", "data": 1}',
    ):
        assert read_breach(value, mine) is None


def test_a_dead_letter_without_our_headers_has_an_unknown_reason() -> None:
    """Somebody else may write to that topic."""
    record = SimpleNamespace(headers=(("dlq-exception-class", b"bad_json"),), timestamp=NOW)
    assert read_letters(2, True, record) == DeadLetters(2, True, NOW, "bad_json")
    other = SimpleNamespace(headers=(), timestamp=NOW)
    assert read_letters(2, True, other) == DeadLetters(2, True, NOW, "unknown")
    assert read_letters(0, True, None) is None


def test_partitions_with_another_book_are_named() -> None:
    """Workers that do not agree with each other, or an operator with the wrong file."""
    (note,) = other_books({"0": "b" * 64, "3": "b" * 64, "5": "c" * 64, "7": None}, "c" * 64)
    assert note == "last worked with another book (bbbbbbbbbbbb, not cccccccccccc): partitions 0, 3"
    assert other_books({"0": "b" * 64}, "b" * 64) == []


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    return path


@pytest.mark.parametrize("other", [["--promises"], ["--output", "json"]])
def test_a_live_screen_is_for_people_and_quick(book: Path, other: list[str]) -> None:
    """What it cannot be combined with is an error of the command line."""
    run = promisewatch("status", "--book", book, "--bootstrap-server", "127.0.0.1:1", "--watch", *other)
    assert (run.code, run.out) == (2, "")
    assert f"found {' '.join(other)} with it" in run.err


@pytest.mark.parametrize("watch", [[], ["--watch"]])
def test_without_a_broker_it_says_so(book: Path, watch: list[str]) -> None:
    """One message and 69, live or not."""
    run = promisewatch("status", "--book", book, "--bootstrap-server", "127.0.0.1:1", *watch)
    assert (run.code, run.out) == (69, "")
    assert "127.0.0.1:1" in run.err


def test_a_broker_that_goes_away_is_waited_for_with_the_last_that_was_seen(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage is when a live screen is looked at; Ctrl-C ends it with 0."""
    script: list[Status | BaseException] = [
        whole(stands()), BrokerUnavailable("no Kafka broker at x"), whole(stands(end=15)), KeyboardInterrupt()
    ]  # fmt: skip

    class Scripted:
        def __init__(self, *_: Any) -> None: ...

        def connected(self) -> "Scripted":
            return self

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def look(self) -> Status:
            step = script.pop(0)
            if isinstance(step, BaseException):
                raise step
            return step

    monkeypatch.setattr(command, "Observer", Scripted)
    monkeypatch.setattr(command, "REFRESH_S", 0.0)
    run = promisewatch("status", "--book", book, "--bootstrap-server", "x:1", "--watch")
    assert (run.code, script) == (0, [])
    first, outage, back = (run.out.index(text) for text in ("lag 0", "no Kafka broker at x; waiting", "lag 5"))
    assert first < outage < back
    assert "this is from 2026-04-30T12:00:00.000Z" in run.out
