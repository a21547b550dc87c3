"""Where a worker can be asked: its address travels in what it tells its consumer group about itself.

Faust's members show the coordinator a URL for exactly this. The group's description then says who has which partition
and where that one is asked, without a registry of our own.

Touches of Faust 0.15 internals, held by tests/streams/test_faust_contract.py: `PartitionAssignor.on_assignment`,
`._compress`, `._decompress`, `._url`; `App.assignor`.
"""

import ipaddress
import socket
from typing import Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor import PartitionAssignor
from faust.assignor.client_assignment import ClientMetadata
from yarl import URL

NOWHERE = ""
"""The address of a member that serves no HTTP."""
KAFKA_PORT = 9092


class AddressedAssignor(PartitionAssignor):
    """Faust's assignor, for members that may come back under another address.

    A static member gets the assignment that the coordinator has kept for it, which names the address it had before;
    the stock assignor takes that for a mistake and ends the worker.
    """

    def on_assignment(self, assignment: Any) -> None:
        """Take an assignment, whatever address it names."""
        told = ClientMetadata.loads(self._decompress(assignment.user_data))
        told.url = str(self._url)
        own = self._compress(told.dumps())
        super().on_assignment(ConsumerProtocolMemberAssignment(assignment.version, assignment.assignment, own))


def advertise(app: Any, url: str) -> None:
    """Have a Faust app that has not been started tell its group this address (NOWHERE: none)."""
    app.conf.canonical_url = URL(url)
    app.assignor = AddressedAssignor(app, replicas=app.conf.table_standby_replicas)


def advertised(metadata: bytes) -> str:
    """The address in what a member has told its group; NOWHERE if it told none, or is none of ours."""
    try:
        told = msgspec.json.decode(ConsumerProtocolMemberMetadata.decode(metadata).user_data)
        url = told["url"]
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError):
        return NOWHERE
    return url if isinstance(url, str) else NOWHERE


def own_url(address: str, bootstrap_server: str) -> str:
    """The URL of what listens on `address` (HOST:PORT, as bound), as others can reach it.

    Where it listens on all addresses, it is named by the one from which this machine reaches the broker.
    """
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    if ipaddress.ip_address(bare).is_unspecified:
        bare = _towards(bootstrap_server.split(",", maxsplit=1)[0].strip()) or socket.gethostname()
    return f"http://[{bare}]:{port}" if ":" in bare else f"http://{bare}:{port}"


def _towards(server: str) -> str | None:
    """The address of this machine that a server would see, None if that cannot be told. Nothing is sent."""
    host, _, port = server.rpartition(":")
    if not port.isdecimal():
        host, port = server, str(KAFKA_PORT)
    try:
        for family, kind, protocol, _, place in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(place)
                return str(probe.getsockname()[0])
    except OSError:
        return None
    return None
