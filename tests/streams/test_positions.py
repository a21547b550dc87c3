"""Committing positions: what is committed, what a failed commit costs, and who hears of it."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    OffsetMetadataTooLargeError,
)
from faust.types import TP
from structlog.testing import capture_logs

from schemas.errors import SettingsError
from streams import positions
from streams.partitions import Committed
from streams.positions import GroupConsumer, GroupConsumerThread

A, B = TP("a", 0), TP("b", 0)


class Committing:
    """A consumer whose group takes commits, or answers with `error`."""

    def __init__(self) -> None:
        self.reached_: dict[TP, Committed] = {}
        self.commits: list[dict[TP, Committed]] = []
        self.error: BaseException | None = None
        self.now = 1_000.0
        self.thread = cast("Any", GroupConsumerThread.__new__(GroupConsumerThread))
        self.thread.commit_positions = self.take
        self.consumer = cast("Any", GroupConsumer.__new__(GroupConsumer))
        self.consumer.__dict__.update(
            app=self, _thread=self.thread, _stored={}, _committing=asyncio.Lock(), _failing_since=None, _told_at=0.0
        )

    @property
    def partitions(self) -> "Committing":
        return self

    def reached(self) -> dict[TP, Committed]:
        return dict(self.reached_)

    async def take(self, moved: dict[TP, Committed]) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.commits.append(moved)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Committing:
    made = Committing()
    monkeypatch.setattr(positions, "time", made)
    return made


async def test_only_what_has_moved_is_committed_and_metadata_alone_is_a_move(one: Committing) -> None:
    """What a handler adds changes without a record, too."""
    one.reached_ = {A: Committed(0, "x"), B: Committed(5, "x")}
    assert await one.consumer.commit()
    assert not await one.consumer.commit()
    one.reached_[A] = Committed(0, "y")
    assert await one.consumer.commit()
    assert one.commits == [{A: (0, "x"), B: (5, "x")}, {A: (0, "y")}]


async def test_the_last_commit_before_a_handover_is_not_left_to_one_that_is_under_way(one: Committing) -> None:
    """That one knows an earlier position."""
    one.reached_ = {A: Committed(1, "")}
    first = asyncio.create_task(one.consumer.commit())
    await asyncio.sleep(0)
    one.reached_ = {A: Committed(2, "")}
    await one.consumer.commit()
    await first
    assert one.commits == [{A: (1, "")}, {A: (2, "")}]


@pytest.mark.parametrize("error", [KafkaError("no"), TimeoutError()])
async def test_a_commit_that_fails_is_tried_again_and_told_once_a_minute(one: Committing, error: BaseException) -> None:
    """It costs only work. That it goes on failing, and that it is over, somebody should know."""
    one.reached_, one.error = {A: Committed(1, "")}, error
    with capture_logs() as logs:
        for _ in range(60):
            assert not await one.consumer.commit()
            one.now += 2
        one.error = None
        assert await one.consumer.commit()
    assert [(log["log_level"], log.get("failing_seconds")) for log in logs] == [
        ("warning", 0),
        ("warning", 60),
        ("info", None),
    ]
    assert one.commits == [{A: (1, "")}]


@pytest.mark.parametrize("error", [CommitFailedError("rebalanced"), IllegalStateError("not assigned")])
async def test_a_commit_that_a_rebalance_has_overtaken_is_no_failure(one: Committing, error: BaseException) -> None:
    """Whoever has the partition now begins where the last commit says."""
    one.reached_, one.error = {A: Committed(1, "")}, error
    with capture_logs() as logs:
        assert not await one.consumer.commit()
    assert [log["log_level"] for log in logs] == ["info"]


@pytest.mark.parametrize("error", [OffsetMetadataTooLargeError(), GroupAuthorizationFailedError("g")])
async def test_what_is_refused_for_good_ends_the_process(
    one: Committing, error: KafkaError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every restart would process everything since the last commit again."""
    ended: list[BaseException] = []
    monkeypatch.setattr(positions, "end_process", lambda _, reason: ended.append(reason))
    one.reached_, one.error = {A: Committed(1, "x" * 5_000)}, error
    with pytest.raises((KafkaError, SettingsError)):
        await one.consumer.commit()
    assert len(ended) == 1
    assert isinstance(ended[0], GroupAuthorizationFailedError) or "metadata of 5000 characters" in str(ended[0])


async def test_who_is_no_member_commits_nothing() -> None:
    """A group without members would take it, and with it go back to where a process stood that was away for long."""

    class Consumer:
        _coordinator = type("Coordinator", (), {"generation": -1})

    thread = cast("Any", GroupConsumerThread.__new__(GroupConsumerThread))
    thread._ensure_consumer = Consumer
    with pytest.raises(IllegalStateError, match="no member"):
        await thread._commit_positions({A: Committed(1, "")})
