"""Where a worker is asked: what it tells its group, and what others make of that."""

import inspect
import socket
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor import PartitionAssignor
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata

from streams.addresses import NOWHERE, AddressedAssignor, advertise, advertised, own_url


def app_at(url: str) -> Any:
    app = faust.App("watch", broker="kafka://localhost:9092", web_enabled=False, table_standby_replicas=0)
    advertise(app, url)
    return app


def told(app: Any) -> bytes:
    """What a member of the group tells about itself, as the coordinator keeps it."""
    metadata = app.assignor.metadata({"shop.events"})
    return ConsumerProtocolMemberMetadata(metadata.version, list(metadata.subscription), metadata.user_data).encode()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.7:6066", "http://[::1]:6070", "https://watch.example/detect-0", NOWHERE]
)
def test_a_member_tells_its_group_where_it_is_asked(url: str) -> None:
    """Exactly as it was given, and nothing where it serves nothing."""
    assert advertised(told(app_at(url))) == url


@pytest.mark.parametrize("odd", [b"", b"odd", b"\x00\x01" + b"\x00" * 8, b"\xff" * 40])
def test_members_that_are_none_of_ours_tell_no_address(odd: bytes) -> None:
    """A group may have any members."""
    assert advertised(odd) == NOWHERE
    other = ConsumerProtocolMemberMetadata(0, ["shop.events"], odd).encode()
    assert advertised(other) == NOWHERE
    assert advertised(ConsumerProtocolMemberMetadata(0, ["t"], b'{"url": 7}').encode()) == NOWHERE


def test_an_assignment_that_names_an_earlier_address_is_taken() -> None:
    """As a static member gets it that comes back under another one; Faust itself would end the worker."""
    app = app_at("http://10.0.0.8:6066")
    has = ClientAssignment(actives={"shop.events": [0, 1]}, standbys={})
    data = ClientMetadata(assignment=has, url="http://10.0.0.7:6066", changelog_distribution={}).dumps()
    kept = ConsumerProtocolMemberAssignment(0, [("shop.events", [0, 1])], PartitionAssignor._compress(data))
    app.assignor.on_assignment(kept)
    assert {tp.partition for tp in app.assignor.assigned_actives()} == {0, 1}
    assert advertised(told(app)) == "http://10.0.0.8:6066"
    with pytest.raises(AssertionError):
        PartitionAssignor.on_assignment(app.assignor, kept)


def test_the_assignor_is_known_to_the_group_by_faust_s_own_name() -> None:
    """Members of an older version are in the same group during a rolling restart."""
    app = app_at(NOWHERE)
    assert app.assignor.name == PartitionAssignor(app).name
    assert list(inspect.signature(AddressedAssignor.on_assignment).parameters) == list(
        inspect.signature(PartitionAssignor.on_assignment).parameters
    )


@pytest.mark.parametrize(
    ("listens", "server", "expected"),
    [
        ("127.0.0.1:6066", "broker:9092", "http://127.0.0.1:6066"),
        ("[::1]:6066", "broker:9092", "http://[::1]:6066"),
        ("10.0.0.7:80", "broker:9092", "http://10.0.0.7:80"),
        ("0.0.0.0:6066", "127.0.0.1:9092,b:1", "http://127.0.0.1:6066"),
        ("0.0.0.0:6066", "127.0.0.1", "http://127.0.0.1:6066"),
    ],
)
def test_the_address_is_the_one_that_is_listened_on(listens: str, server: str, expected: str) -> None:
    """Or, where that is every address, the one from which the broker sees this machine."""
    assert own_url(listens, server) == expected


def test_where_the_broker_has_no_address_the_machine_s_name_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to find out."""

    def fails(*_: object, **__: object) -> None:
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert own_url("0.0.0.0:6066", "nowhere.invalid:9092") == f"http://{socket.gethostname()}:6066"


def test_an_app_keeps_its_number_of_standbys() -> None:
    """The assignor is made as Faust makes its own."""
    app = SimpleNamespace(conf=SimpleNamespace(table_standby_replicas=3, canonical_url=None), tables=None)
    advertise(app, "http://10.0.0.7:6066")
    assert app.assignor.replicas == 3
