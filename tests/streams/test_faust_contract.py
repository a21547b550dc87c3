"""Every touch of Faust's internals, so that an upgrade fails here and not in production."""

import inspect
from pathlib import Path

import aiokafka
import faust
import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.producer.transaction_manager import TransactionManager
from faust.stores import base
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver

from streams.app import StreamSettings, build_app
from streams.intake import BatchConsumer, BatchConsumerThread, BatchTopic
from streams.recovery import BatchRecovery, BatchTableManager, ChangelogStore, PartitionTable
from streams.worker import QuietWorker

OVERRIDES = [
    (BatchConsumer, driver.Consumer, ["getmany", "_new_consumer_thread", "_filter_tps_with_pending_acks", "_new_offset",
                                      "perform_seek", "wait_empty", "on_partitions_revoked"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, ["_create_worker_consumer", "_fetch_records"]),
    (BatchTopic, faust.Topic, ["decode", "_compile_decode"]),
    (BatchRecovery, Recovery, ["_build_highwaters", "_build_offsets", "_seek_offsets", "on_recovery_completed"]),
    (BatchTableManager, TableManager, ["recovery"]),
    (ChangelogStore, base.Store, ["persisted_offset", "reset_state"]),
    (QuietWorker, faust.Worker, ["_setup_logging", "_on_startup_end_spinner", "_sentinel_task", "_schedule_shutdown"]),
    (PartitionTable, faust.Table, ["_changelog_topic_name", "_new_store"]),
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
