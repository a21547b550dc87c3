"""What counts as alive and ready: lag without progress is punished, idleness and waiting never are."""

import http.client
import socket

import pytest

from schemas import metrics
from schemas.errors import SettingsError
from streams.health import Health
from streams.http import HttpServer

BOUND = 300.0


class HandTime:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> HandTime:
    return HandTime()


@pytest.fixture
def health(time: HandTime) -> Health:
    health = Health(BOUND, time)
    health.beat()
    return health


def after(time: HandTime, health: Health, seconds: float) -> None:
    """Time passes while the event loop turns."""
    time.now += seconds
    health.beat()


def test_a_partition_that_has_lag_and_does_not_move_is_not_alive(time: HandTime, health: Health) -> None:
    """The silent stall: only a restart helps. It is named."""
    health.observe({"0": 5, "3": 7}, {"0": 5, "3": 9})
    after(time, health, BOUND)
    health.observe({"0": 5, "3": 7}, {"0": 5, "3": 9})
    assert health.alive().ok
    after(time, health, 1)
    assert health.alive() == (False, "partition 3 has 2 records to read and no progress for 301 s")


def test_idleness_is_never_punished(time: HandTime, health: Health) -> None:
    """A partition without lag may stand still for ever, and has the whole bound once something arrives."""
    for _ in range(10):
        health.observe({"0": 5}, {"0": 5})
        after(time, health, BOUND)
    health.observe({"0": 5}, {"0": 6})
    after(time, health, BOUND)
    assert health.alive().ok


def test_progress_however_slow_is_progress(time: HandTime, health: Health) -> None:
    """A backlog that takes days is no reason for a restart."""
    for offset in range(10):
        health.observe({"0": offset}, {"0": 1_000_000})
        after(time, health, BOUND)
        assert health.alive().ok


def test_waiting_for_the_broker_is_not_punished(time: HandTime, health: Health) -> None:
    """While nobody answers, standing still is right."""
    health.observe({"0": 5}, {"0": 9})
    for _ in range(10):
        after(time, health, BOUND - 1)
        health.progressed()
        assert health.alive().ok


def test_a_rest_on_purpose_is_no_standstill_and_what_comes_after_it_has_the_whole_bound(
    time: HandTime, health: Health
) -> None:
    """Also when it began before the partition was looked at for the first time. The metric tells the standstill."""
    health.patient("0", 2 * BOUND)
    for _ in range(3):
        health.observe({"0": 5}, {"0": 9})
        after(time, health, BOUND)
        assert health.alive().ok
    health.patient("0", 0)
    after(time, health, BOUND)
    health.observe({"0": 5}, {"0": 9})
    assert health.alive().ok
    assert metrics.STALLED.labels(partition="0")._value.get() == 4 * BOUND
    after(time, health, 1)
    assert health.alive() == (False, "partition 0 has 4 records to read and no progress for 301 s")


def test_one_partitions_patience_does_not_cover_for_another(time: HandTime, health: Health) -> None:
    """Retries here must not hide a delivery there that never ends."""
    health.observe({"0": 5, "1": 5}, {"0": 9, "1": 9})
    after(time, health, BOUND + 1)
    health.patient("0", 60)
    assert health.alive() == (False, "partition 1 has 4 records to read and no progress for 301 s")


def test_a_rest_that_was_shortened_by_nobody_is_as_long_as_the_longest(time: HandTime, health: Health) -> None:
    """Many deliveries of a partition rest side by side."""
    health.observe({"0": 5}, {"0": 9})
    health.patient("0", 2 * BOUND)
    health.patient("0", 1)
    after(time, health, 2 * BOUND)
    assert health.alive().ok


def test_rebalancing_and_restoring_with_progress_are_not_punished(time: HandTime, health: Health) -> None:
    """Nor is what stood still before held against what is opened anew."""
    health.observe({"0": 5}, {"0": 9})
    after(time, health, BOUND)
    for _ in range(10):
        health.unsettled()
        health.progressed()
        assert health.alive().ok
        after(time, health, BOUND)
    health.observe({"0": 5}, {"0": 9})
    assert health.alive().ok


def test_a_rebalance_without_end_is_not_alive(time: HandTime, health: Health) -> None:
    """Partitions that never arrive are as stuck as those that never move."""
    health.unsettled()
    after(time, health, BOUND + 1)
    health.unsettled()
    assert health.alive() == (False, "partitions have been on their way for 301 s without progress")


def test_an_event_loop_that_stands_still_is_not_alive(time: HandTime, health: Health) -> None:
    """A busy one is: the bound is that of a stall, not of a probe."""
    time.now += BOUND
    assert health.alive().ok
    time.now += 1
    assert health.alive() == (False, "the event loop has been stuck for 301 s")
    health.stopping()
    assert health.alive().ok


def test_ready_is_what_the_process_says(health: Health) -> None:
    """From the start it says what it waits for."""
    assert health.ready() == (False, "starting")
    health.phase("waiting for the broker")
    assert health.ready() == (False, "waiting for the broker")
    health.phase(None)
    assert health.ready() == (True, "ok")
    health.stopping()
    assert health.ready() == (False, "draining")


def get(address: str, path: str, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.headers["Content-Type"], response.read().decode()


def test_probes_and_metrics_are_answered_apart_from_the_event_loop(time: HandTime, health: Health) -> None:
    """No event loop runs here at all; OpenMetrics goes to who asks for it."""
    server = HttpServer(health, "127.0.0.1", "auto")
    server.start()
    try:
        assert get(server.address, "/livez") == (200, "text/plain; charset=utf-8", "ok\n")
        assert get(server.address, "/readyz") == (503, "text/plain; charset=utf-8", "starting\n")
        health.phase(None)
        assert get(server.address, "/readyz")[0] == 200
        time.now += BOUND + 1
        assert get(server.address, "/livez")[0] == 503
        status, kind, text = get(server.address, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert (status, text.splitlines()[-1]) == (200, "# EOF")
        assert kind.startswith("application/openmetrics-text")
        assert get(server.address, "/metrics")[1].startswith("text/plain")
        assert get(server.address, "/other")[0] == 404
    finally:
        server.stop()


def test_two_processes_get_a_port_each_and_a_taken_one_is_told(health: Health) -> None:
    """`auto` looks further; a number that is asked for is that number or an error."""
    servers = [HttpServer(health, "127.0.0.1", "auto") for _ in range(2)]
    for server in servers:
        server.start()
    try:
        taken = servers[0].address.rpartition(":")[2]
        assert servers[0].address != servers[1].address
        with pytest.raises(SettingsError, match=f"cannot listen on http_host 127.0.0.1, http_port {taken}: Address"):
            HttpServer(health, "127.0.0.1", taken)
    finally:
        for server in servers:
            server.stop()
    socket.create_server(("127.0.0.1", int(taken))).close()
