"""`python -m bench.notifier`: a burst of breaches to a local receiver, the notifier against a bare aiohttp loop.

Contenders, interleaved: `bare`, which posts the same bodies from memory, unsigned, as many at once as the notifier; and
`notifier`, the process as it is run, on an Apache Kafka of its own, every delivery signed, decided and recorded. The
receiver is a process of its own and says when the first and the last body came. Before the burst the notifier has
opened its partitions and is stopped (SIGSTOP) while the burst is published: it then finds all of it at once. How far
its memory grows is its peak (VmHWM) less what it held before.
"""

import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import aiohttp
import typer
from aiohttp import web
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.encoding import encode_event
from schemas.facts import Fact
from schemas.publications import Publication
from streams.clock import SystemClock

PARTITIONS = 8
CONCURRENCY = 32
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_SECONDS = 300.0


class Figures(NamedTuple):
    """One run: deliveries a second between the first and the last, and MiB that memory grew (bare: 0)."""

    rate: float
    grown_mib: float


def bodies(count: int, run: str) -> list[tuple[bytes, bytes]]:
    """Breach events of today (subject, body), one a subject."""
    now = SystemClock().now_ms()
    made = []
    for number in range(count):
        subject = f"{run}-{number}"
        opening = Fact(id=f"{subject}-placed", type="order.placed", time=now - 3_600_000, source="shop", data={})
        publication = Publication(
            kind="breached", id=f"{subject}-breach", outcome_id=f"{subject}-outcome", promise="next-day", version=1,
            title="Ordered before 18:00, delivered the next working day", severity="high", key="order_id",
            subject=subject, cycle=opening.id, opening=opening, opened_at=opening.time, due=now, breached_at=now,
            status="breached", revision=1, expected="parcel.delivered", facts=(opening,),
            explain="Promised for today, and no parcel.delivered has come.",
        )  # fmt: skip
        made.append((subject.encode(), encode_event(publication, now, "live")))
    return made


async def receive() -> None:
    """Be the receiver: print the port, count bodies, tell on /figures and begin anew on /reset."""
    seen: set[str] = set()
    times: list[float] = []

    async def take(request: web.Request) -> web.Response:
        await request.read()
        times.append(time.monotonic())
        seen.add(request.headers.get("webhook-id", str(len(times))))
        return web.Response(status=204)

    async def figures(_: web.Request) -> web.Response:
        span = times[-1] - times[0] if len(times) > 1 else 0.0
        return web.json_response({"seen": len(seen), "attempts": len(times), "seconds": span})

    async def reset(_: web.Request) -> web.Response:
        seen.clear()
        times.clear()
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/", take), web.get("/figures", figures), web.post("/reset", reset)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def post_bare(url: str, lines: Sequence[bytes]) -> None:
    """Be the yardstick: post every line."""
    waiting = iter(lines)

    async def one(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        await asyncio.gather(*(one(session) for _ in range(CONCURRENCY)))


def memory_mib(pid: int, field: str) -> float:
    """Memory of a process as Linux counts it: VmRSS now, VmHWM at its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field} of process {pid}")


class Bench:
    """A broker, a receiver and the contenders."""

    def __init__(self, folder: Path, server: str, url: str) -> None:
        self.folder, self.server, self.url = folder, server, url
        self.runs = 0

    async def ask(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(f"{self.url}figures") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def wait_for(self, count: int) -> float:
        """Wait until so many bodies have come; return the seconds between the first and the last."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        async with aiohttp.ClientSession() as session:
            while (found := await self.ask(session))["seen"] < count:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"found {found}, expected {count} bodies")
                await asyncio.sleep(0.2)
        return float(found["seconds"])

    async def reset(self) -> None:
        async with aiohttp.ClientSession() as session:
            await session.post(f"{self.url}reset")

    async def bare(self, count: int) -> Figures:
        """Run the yardstick."""
        file = self.folder / "bodies"
        file.write_bytes(b"\n".join(body for _, body in bodies(count, "bare")))
        await self.reset()
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.notifier", "bare", self.url, file)
        if await process.wait():
            raise RuntimeError("the bare loop failed")
        return Figures(count / await self.wait_for(count), 0.0)

    async def notifier(self, count: int) -> Figures:
        """Run the notifier on topics that hold nothing but this burst."""
        self.runs += 1
        name = f"bench-notifier-{self.runs}"
        self.create_topics(name)
        await self.reset()
        child = Child(
            name,
            [
                "notifier", "--bootstrap-server", self.server, "--app-id", name, "--state-dir",
                str(self.folder / name), "--channel", "webhook", "--webhook-url", self.url, "--webhook-keys-file",
                str(self.folder / "keys"), "--webhook-concurrency", str(CONCURRENCY), "--http-port", "off",
            ],
            self.folder,
        )  # fmt: skip
        child.start()
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while child.log.read_text().count("partition opened") < PARTITIONS:
                if not child.running or time.monotonic() > deadline:
                    raise RuntimeError(child.last_words())
                await asyncio.sleep(0.2)
            await asyncio.sleep(1.0)  # first fetches, before memory is read
            before = memory_mib(child.pid, "VmRSS")
            child.signal(signal.SIGSTOP)
            await self.publish(bodies(count, name))
            child.signal(signal.SIGCONT)
            seconds = await self.wait_for(count)
            return Figures(count / seconds, memory_mib(child.pid, "VmHWM") - before)
        finally:
            child.stop()

    def create_topics(self, name: str) -> None:
        """Make every topic anew: the breaches of the run before are not this run's."""
        admin = AdminClient({"bootstrap.servers": self.server})
        specs = topics.required((), f"{name}-worker", name)
        there = admin.list_topics(timeout=10).topics
        old = [spec.name for spec in specs if spec.name in there]
        for future in (admin.delete_topics(old) if old else {}).values():
            future.result(30)
        time.sleep(2.0 if old else 0.0)
        for future in admin.create_topics(
            [NewTopic(spec.name, PARTITIONS, 1, config=spec.configs) for spec in specs]
        ).values():
            future.result(30)

    async def publish(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.server, linger_ms=20)
        await producer.start()
        for future in [await producer.send(topics.BREACHES, body, key=key) for key, body in records]:
            await future
        await producer.stop()


async def measure(events: int, rounds: int) -> None:
    """Run the contenders in turn and print the table."""
    with tempfile.TemporaryDirectory(prefix="promisewatch-bench-") as name, ApacheKafka() as broker:
        folder = Path(name)
        (folder / "keys").write_text(KEY)
        receiver = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.notifier", "receiver", stdout=asyncio.subprocess.PIPE
        )
        assert receiver.stdout is not None
        try:
            port = int(await receiver.stdout.readline())
            bench = Bench(folder, broker.bootstrap_server, f"http://127.0.0.1:{port}/")
            ran: dict[str, list[Figures]] = {"bare": [], "burst": [], "burst x4": []}
            for number in range(rounds):
                ran["bare"].append(await bench.bare(events))
                ran["burst"].append(await bench.notifier(events))
                if number == 0:
                    ran["burst x4"].append(await bench.notifier(4 * events))
                print(json.dumps({who: figures[-1]._asdict() for who, figures in ran.items() if figures}), flush=True)
        finally:
            receiver.terminate()
            await receiver.wait()
    print_table(events, ran)


def print_table(events: int, ran: dict[str, list[Figures]]) -> None:
    """Print medians as Markdown; the share is the median of the shares within rounds, of neighbours in time only."""
    rates = {who: statistics.median(f.rate for f in figures) for who, figures in ran.items()}
    grown = {who: max(f.grown_mib for f in figures) for who, figures in ran.items()}
    share = statistics.median(ours.rate / bare.rate for ours, bare in zip(ran["burst"], ran["bare"], strict=True))
    print("| contender | events | deliveries/s | of bare | memory grew by |")
    print("|---|---|---|---|---|")
    print(f"| bare aiohttp loop | {events:,} | {rates['bare']:,.0f} | 1.00 | |")
    print(f"| notifier | {events:,} | {rates['burst']:,.0f} | {share:.2f} | {grown['burst']:.0f} MiB |")
    print(f"| notifier | {4 * events:,} | {rates['burst x4']:,.0f} | | {grown['burst x4']:.0f} MiB |")


def main(
    role: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    events: Annotated[int, typer.Option("--events", min=100, help="Breaches in the burst.")] = 10_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds, of which medians are taken.")] = 3,
) -> None:
    """Measure a burst of breaches: the notifier against a bare aiohttp loop, and how far its memory grows."""
    match role or []:
        case ["receiver"]:
            asyncio.run(receive())
        case ["bare", url, file]:
            asyncio.run(post_bare(url, Path(file).read_bytes().splitlines()))
        case _:
            asyncio.run(measure(events, rounds))


if __name__ == "__main__":
    typer.run(main)
