"""Every touch of Faust's internals, so that an upgrade fails here and not in production."""

import inspect
from pathlib import Path

import aiokafka
import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, OffsetResetStrategy
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.assignor import PartitionAssignor
from faust.stores import base
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver

from streams.addresses import AddressedAssignor
from streams.app import BatchApp, StreamSettings, build_app, build_sources_app
from streams.intake import BatchConsumer, BatchConsumerThread, BatchTopic
from streams.partitions import SourceHandler
from streams.positions import NO_GENERATION, GroupConsumer, GroupConsumerThread
from streams.recovery import BatchRecovery, BatchTableManager, ChangelogStore, PartitionTable
from streams.worker import QuietWorker

OVERRIDES = [
    (BatchConsumer, driver.Consumer, ["getmany", "_new_consumer_thread", "_filter_tps_with_pending_acks", "_new_offset",
                                      "perform_seek", "wait_empty", "on_partitions_revoked"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, ["_create_worker_consumer", "_fetch_records"]),
    (BatchTopic, faust.Topic, ["decode", "_compile_decode"]),
    (BatchRecovery, Recovery, ["_build_highwaters", "_build_offsets", "_seek_offsets", "on_recovery_completed",
                               "_resume_streams"]),
    (GroupConsumer, driver.Consumer, ["commit", "_new_consumer_thread", "on_partitions_revoked"]),
    (BatchTableManager, TableManager, ["recovery"]),
    (ChangelogStore, base.Store, ["persisted_offset", "reset_state"]),
    (QuietWorker, faust.Worker, ["_setup_logging", "_on_startup_end_spinner", "_sentinel_task", "_schedule_shutdown"]),
    (PartitionTable, faust.Table, ["_changelog_topic_name", "_new_store"]),
    (AddressedAssignor, PartitionAssignor, ["on_assignment", "_compress", "_decompress", "_url"]),
]  # fmt: skip


def test_every_method_we_override_still_exists_with_the_parameters_we_know() -> None:
    """A renamed or re-parametrised internal method would silently leave our override unused."""
    for ours, theirs, names in OVERRIDES:
        for name in names:
            stock, mine = getattr(theirs, name, None), getattr(ours, name)
            assert stock is not None, f"{theirs.__name__}.{name} is gone"
            if callable(stock) and name != "decode":
                known = list(inspect.signature(mine).parameters)
                assert list(inspect.signature(stock).parameters) == known, f"{theirs.__name__}.{name} changed"


def test_faust_still_reads_offsets_and_seeks_where_we_step_in() -> None:
    """The internals that our overrides call or rely on."""
    for name in ("_wait_next_records", "_is_changelog_tp", "seek_wait", "commit_and_end_transactions"):
        assert callable(getattr(consumer.Consumer, name, None) or getattr(driver.Consumer, name)), name
    source = inspect.getsource(Recovery)
    assert "T(self.on_recovery_completed)(generation_id)" in source
    assert "self._build_highwaters" in source
    assert "need_recovery" in source


def test_the_consumer_takes_isolation_and_wait_before_it_starts() -> None:
    """Both are set on the built aiokafka consumer, which reads them in start()."""
    source = inspect.getsource(aiokafka.AIOKafkaConsumer.start)
    assert "self._isolation_level" in source
    assert "self._fetch_max_wait_ms" in source


async def test_a_refused_transaction_is_told_where_we_look_for_it() -> None:
    """`streams.emit` waits for it beside the acknowledgements, which then never come."""
    manager = TransactionManager("id", 1_000)
    manager.set_pid_and_epoch(1, 0)
    manager.begin_transaction()
    waiter = manager._transaction_waiter
    assert not waiter.done()
    manager.error_transaction(TopicAuthorizationFailedError({"t"}))
    assert isinstance(waiter.exception(), TopicAuthorizationFailedError)


def test_a_group_that_formed_while_no_topics_were_told_hears_of_them_soon(tmp_path: Path) -> None:
    """Right after a broker's return it may form without partitions; by default it would stay so for five minutes."""
    settings = StreamSettings("127.0.0.1:1", "app", "events", "app-records-changelog", 1, state_dir=tmp_path)
    app = build_app(settings, lambda *_: pytest.fail("nothing is opened"))
    assert app.conf.consumer_metadata_max_age_ms <= 10_000
    assert "metadata_max_age_ms=conf.consumer_metadata_max_age_ms" in inspect.getsource(driver)


@pytest.fixture
def sources(tmp_path: Path) -> BatchApp:
    """An app of two sources, not started."""

    async def open_source(*_: object) -> SourceHandler:
        pytest.fail("nothing is opened")

    return build_sources_app(
        StreamSettings("127.0.0.1:1", "app", state_dir=tmp_path), {"orders": 2, "parcels": 5}, open_source
    )


async def test_an_app_without_tables_is_resumed_where_we_open(sources: BatchApp) -> None:
    """Faust has nothing to recover then; streams are resumed, and sought after that."""
    assert not sources.tables
    source = inspect.getsource(Recovery)
    assert "if not self.tables" in source
    assert "T(self._resume_streams)(generation_id=generation_id)" in source
    resume = inspect.getsource(Recovery._resume_streams)
    assert resume.index("consumer.perform_seek()") < resume.index("consumer.resume_flow()")


async def test_an_app_without_tables_deals_partitions_out_by_themselves(sources: BatchApp) -> None:
    """Faust's own assignor wants topics of equal size."""
    thread = GroupConsumerThread.__new__(GroupConsumerThread)
    assert "else RoundRobinPartitionAssignor" in inspect.getsource(
        driver.AIOKafkaConsumerThread._create_worker_consumer
    )
    assert not sources.tables.changelog_topics
    assert sources.assignor.assigned_actives() == set()
    assert callable(thread.call_thread)
    assert callable(thread.assignment)
    assert callable(thread._ensure_consumer)


async def test_a_position_outside_of_its_log_is_an_error_and_no_reason_to_read_elsewhere(sources: BatchApp) -> None:
    """Only for an app whose positions are all that it knows."""
    assert OffsetResetStrategy.from_str(sources.conf.consumer_auto_offset_reset) == OffsetResetStrategy.NONE
    assert "auto_offset_reset=conf.consumer_auto_offset_reset" in inspect.getsource(driver)


def test_the_group_is_asked_for_offsets_with_metadata_and_says_who_is_a_member() -> None:
    """The public ways give offsets alone."""
    source = inspect.getsource(GroupCoordinator._do_fetch_commit_offsets)
    assert "offsets[tp] = OffsetAndMetadata(offset, metadata)" in source
    assert list(inspect.signature(GroupCoordinator.fetch_committed_offsets).parameters) == ["self", "partitions"]
    assert OffsetCommitRequest.DEFAULT_GENERATION_ID == NO_GENERATION
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in inspect.getsource(GroupCoordinator)


def test_faust_commits_before_it_gives_partitions_away() -> None:
    """`wait_empty` is where our consumer does; it is told of a revocation before the next assignment is asked for."""
    assert "_consumer_wait_empty" in inspect.getsource(faust.App._on_partitions_revoked)
    assert "await self.commit()" in inspect.getsource(consumer.Consumer)
    assert "self.commit(" in inspect.getsource(consumer.Consumer.commit_and_end_transactions)


def test_a_fetch_may_outlive_a_rebalance() -> None:
    """Why what it brings is put back: it waits for the next assignment, and Faust for it."""
    assert "reassignment_in_progress" in inspect.getsource(Fetcher.fetched_records)
    waits = inspect.getsource(consumer.Consumer._wait_next_records)
    assert "records = await self._getmany(" in waits
    assert "await self.wait(self.can_resume_flow)" in waits
    assert "self._records[tp]" in inspect.getsource(Fetcher.seek_to)
