"""The embedded broker's process: `python -m promisewatch.brokers.embedded_server TOPIC:PARTITIONS...`.

Drives librdkafka's mock cluster (`rdkafka_mock.h`) in the shared library that the confluent-kafka wheel carries.
Prints `bootstrap server: HOST:PORT` when the topics are there, and runs until SIGTERM or SIGINT.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

RD_KAFKA_PRODUCER = 0
ERROR_BYTES = 512


def load_librdkafka() -> Any:
    """The wheel's own librdkafka with the signatures used here."""
    import confluent_kafka

    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    if not found:
        sys.exit(
            f"found no librdkafka beside {package}; the embedded broker needs confluent-kafka installed as a wheel"
        )
    library = ctypes.CDLL(str(found[0]))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, ctypes.c_int]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def start(library: Any, topics: list[tuple[str, int]]) -> str:
    """Start a cluster of one broker with the topics. Returns HOST:PORT."""
    error = ctypes.create_string_buffer(ERROR_BYTES)
    handle = library.rd_kafka_new(RD_KAFKA_PRODUCER, library.rd_kafka_conf_new(), error, ERROR_BYTES)
    if not handle:
        sys.exit(f"librdkafka: {error.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(handle, 1)
    if not cluster:
        sys.exit("librdkafka could not start its mock cluster")
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    for name, partitions in topics:
        code = library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1)
        if code != 0:
            sys.exit(f"librdkafka could not create topic {name} with {partitions} partitions: error {code}")
    address: bytes = library.rd_kafka_mock_cluster_bootstraps(cluster)
    return address.decode()


def main() -> None:
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # before librdkafka starts threads, which inherit it
    topics = [(name, int(partitions)) for name, _, partitions in (text.rpartition(":") for text in sys.argv[1:])]
    print(f"bootstrap server: {start(load_librdkafka(), topics)}", flush=True)
    signal.sigwait(endings)
    os._exit(0)  # nothing of the cluster is worth an orderly end


if __name__ == "__main__":
    main()
