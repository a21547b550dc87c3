"""The performance of four systems: an ingest process makes one picture of them, and the carrier falls silent."""

import asyncio
import re

from promisewatch.demonstration.report import Report
from promisewatch.demonstration.stage import Scene, new_lines
from promisewatch.demonstration.systems import BACK_MS, SILENT_MS, WAITS_FOR_CARRIER, system_of
from promisewatch.demonstration.watch import BREACHED
from promisewatch.demonstration.week import BURST_MS, Message
from schemas import topics
from schemas.book import Book

DOUBT = re.compile(r"source is in doubt(?P<ends> no more)?.* reason=(?P<reason>\w+).* source=(?P<source>\w+)")
"""What the worker logs when it ceases to believe a source, and when it does so again."""
INGEST_ID = "promisewatch-ingest"
MARKER_SECONDS = "0.2"
OUTAGE_SECONDS = 1.0


class SystemsScene(Scene):
    """Four systems, one ingest process, which is killed, one worker and one notifier."""

    @classmethod
    def topic_names(cls, book: Book) -> list[str]:
        """Every topic that the performance needs."""
        return [*super().topic_names(book), topics.FACTS, topics.dlq(topics.FACTS), topics.texts_changelog(INGEST_ID)]

    def topic_of(self, message: Message) -> str:
        """The topic of the system that sends the message."""
        return self.book.sources[system_of(message)].topic

    def cast(self, clock: str) -> None:
        """Say which processes take part, on this clock; none of them runs yet."""
        super().cast(clock)
        arguments = ("--app-id", INGEST_ID, *self._member(), "--marker-interval", MARKER_SECONDS, "--clock", clock)
        self.ingest = self._child("ingest", *self._book(), *arguments, stateful=False)
        self.children = [self.ingest, self.worker, self.notifier]

    async def trouble(self) -> None:
        """The carrier falls silent and comes back; at the moment of the highest load the ingest process is killed."""
        await self._until(SILENT_MS)
        self.voice.at(SILENT_MS, "carrier", "falls silent: nothing can be proved of parcels from here on", "magenta")
        await self._until(BACK_MS)
        waited = sum(1 for message in self.week.messages if message.at == BACK_MS)
        self.voice.at(BACK_MS, "carrier", f"is back, and sends the {waited} messages that have waited", "magenta")
        await self._until(BURST_MS)
        await asyncio.sleep(0.2)
        self.killing = True
        pid = self.ingest.pid
        self.ingest.kill()
        self.voice.at(self.clock.now_ms(), "ingest killed", f"kill -9 {pid}", "bold magenta")
        await asyncio.sleep(OUTAGE_SECONDS)
        self.ingest.start()
        self.killing = False
        self.outage = (BURST_MS, self.clock.now_ms())
        self.voice.at(self.outage[1], "ingest started", f"again, as process {self.ingest.pid}", "magenta")

    async def listen(self) -> None:
        """Pass on what the notifier tells, and what the worker says of its sources."""
        await asyncio.gather(super().listen(), self._doubts())

    async def _doubts(self) -> None:
        async for line in new_lines(self.worker.log):
            found = DOUBT.search(line)
            if found is not None:
                text = f"believes {found['source']} again" if found["ends"] else f"is in doubt: {found['source']} is"
                reason = "" if found["ends"] else f" {found['reason']}, and what waits for it is held"
                self.voice.at(self.clock.now_ms(), "worker", text + reason, "magenta")

    async def _until(self, instant_ms: int) -> None:
        await asyncio.sleep(max(0, instant_ms - self.clock.now_ms()) / self.clock.factor / 1000)

    def _compare(self) -> Report:
        """The report of the week, and whether anything was proved that nobody could know."""
        report = super()._compare()
        heartbeat_ms = self.book.sources["carrier"].heartbeat_ms
        assert heartbeat_ms is not None, "the book says how long the carrier may be silent"
        unknown = range(SILENT_MS + heartbeat_ms, BACK_MS)
        report.problems.extend(
            f"{one.promise} {one.subject}: proved while the carrier was silent"
            for one in self.watch.seen.breaches
            if one.type == BREACHED and one.promise in WAITS_FOR_CARRIER
            if one.due in unknown and one.detected_at < BACK_MS
        )
        return report
