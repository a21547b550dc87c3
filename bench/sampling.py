"""A sampling profiler inside the process: every few milliseconds, whose CPU time went into which frame.

Each thread's own CPU clock tells how much it used since the last sample; that goes to where the thread now is. Waiting
costs nothing, and work of C code that holds no interpreter lock goes to the Python line that called it. What threads
without Python frames use (RocksDB's, librdkafka's) is the rest of the process's CPU time.
"""

import json
import linecache
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

EVERY_SECONDS = 0.005
SWITCH_SECONDS = 0.0005
"""How soon a busy thread lets the sampler look. With Python's 5 ms it would nearly always be found in a system call,
where it lets go by itself."""
WRITE_EVERY_SECONDS = 0.25

BY_PLACE = (
    ("promises/partition.py:take", "encode records"),
    ("promises/partition.py:<dictcomp>", "encode records"),
    ("promises/stored.py", "decode records"),
    ("promises/", "core"),
    ("schemas/decoding.py", "decode events"),
    ("schemas/publications.py", "encode events"),
    ("schemas/records.py", "encode records"),
    ("streams/store.py", "store write"),
    ("streams/emit.py:_post", "build Kafka batches"),
    ("streams/emit.py", "send"),
    ("streams/intake.py", "intake"),
    ("streams/partitions.py", "intake"),
    ("agents/committing.py", "detect agent"),
    ("agents/detect.py", "detect agent"),
    ("agents/detect_facts.py", "detect agent"),
    ("aiokafka/consumer/", "fetch"),
    ("aiokafka/producer/", "send"),
    ("aiokafka/", "Kafka client"),
    ("faust/", "faust"),
    ("mode/", "faust"),
    ("asyncio/", "event loop"),
    ("selectors.py", "event loop"),
    ("prometheus_client/", "metrics"),
)
ROOMS = ("promises/", "schemas/", "streams/", "agents/")
SEEN_THROUGH = (
    "schemas/instants.py", "aiokafka/record/", "aiokafka/util.py", "asyncio/", "selectors.py", "mode/worker.py",
    "mode/threads.py", "mode/loop/", "faust/worker.py",
)  # fmt: skip
"""Helpers whose work belongs to whoever called them, and what runs the event loops, which called everything."""
STORE_READ = "self._read("


class Sampler(threading.Thread):
    """Writes a JSON line every quarter of a second: `at`, `stages` and `functions` in CPU seconds, `process` in all."""

    def __init__(self, file: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self._file = file

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        used: dict[int, float] = {}
        process, written = time.process_time(), time.monotonic()
        stages: dict[str, float] = defaultdict(float)
        functions: dict[str, float] = defaultdict(float)
        with self._file.open("w") as out:
            while True:
                time.sleep(EVERY_SECONDS)
                for thread, frame in sys._current_frames().items():  # noqa: SLF001 -- the documented way to see them
                    spent = thread_seconds(thread)
                    delta, used[thread] = spent - used.get(thread, spent), spent
                    if delta > 0:
                        mine = thread == self.ident
                        stages["the sampler" if mine else stage(frame)] += delta
                        functions["the sampler" if mine else where(frame, thread)] += delta
                if time.monotonic() - written > WRITE_EVERY_SECONDS:
                    now = time.process_time()
                    line = {"at": time.time(), "stages": stages, "functions": functions, "process": now - process}
                    out.write(json.dumps(line) + "\n")
                    out.flush()
                    process, written = now, time.monotonic()
                    stages.clear()
                    functions.clear()


def thread_seconds(thread: int) -> float:
    """CPU time a thread has used (0 once it has ended)."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    except OSError:
        return 0.0


def short(filename: str) -> str:
    """A path from its package on."""
    _, found, rest = filename.rpartition("site-packages/")
    if found:
        return rest
    parts = filename.split("/")
    for depth in range(max(0, len(parts) - 3), len(parts)):
        if parts[depth] in {"promises", "schemas", "streams", "agents", "asyncio", "promisewatch", "bench"}:
            return "/".join(parts[depth:])
    return parts[-1]


def stage(frame: FrameType | None) -> str:
    """To which stage the work in a frame belongs."""
    first = None
    while frame is not None:
        place = f"{short(frame.f_code.co_filename)}:{frame.f_code.co_name}"
        if place.startswith("promises/partition.py:") and STORE_READ in linecache.getline(
            frame.f_code.co_filename, frame.f_lineno
        ):
            return "store read"
        name = next((name for start, name in BY_PLACE if place.startswith(start)), None)
        if name is not None:
            if not place.startswith(SEEN_THROUGH):
                return name
            first = first or name
        frame = frame.f_back
    return first or "other"


def where(frame: FrameType, thread: int) -> str:
    """The line a thread is at, and which thread it is if not the main one."""
    beside = "" if thread == threading.main_thread().ident else " (beside the main thread)"
    return f"{short(frame.f_code.co_filename)}:{frame.f_code.co_name}:{frame.f_lineno}{beside}"
