"""A random world of orders, and what must be published about it. Imports nothing of `promises/` or `schemas/`.

The world runs on any time: simulated milliseconds (its completeness told by markers) or the machine's. It keeps its
word: an event is handed out at most `JITTER_MS` after it happened, in an order that overtakes within that bound.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from promisewatch.demonstration.expected import Event, Rule, Verdict, judge

JITTER_MS = 800
AHEAD_MS = 1_000
"""An order begins this much after the world decides on it, so that nothing about it happens in the past."""
CONFIRM_MS = 5_000
LABEL_MS = 2_000
ORPHAN_TTL_MS = 20_000
LONGEST_MS = 6_000
"""No promise runs longer than this."""

BOOK = """
sources:
  shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: {settle_ms}ms, frontier: {frontier},
    doubt: {{late: never}}}}
defaults: {{timezone: Europe/Amsterdam, key: order, orphan_ttl: 20s}}
promises:
- {{id: deliver, when: {{event: placed}}, due: {{field: by}},
   expect: {{event: delivered}}, release: {{event: cancelled}}}}
- {{id: confirm, when: {{event: placed}}, due: {{within: 5s}}, expect: {{event: sent, where: {{kind: confirmation}}}}}}
- {{id: label, when: {{event: shipped, where: {{method: post}}}}, due: {{within: 2s}},
   expect: {{event: label, early: true}}}}
"""


def iso(instant_ms: int) -> str:
    seconds, ms = divmod(instant_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def _by(opening: Event) -> int | None:
    return opening.data.get("by_ms")


RULES = (
    Rule(
        "deliver",
        opens=lambda e: e.type == "placed",
        due=_by,
        keeps=lambda e: e.type == "delivered",
        releases=lambda e: e.type == "cancelled",
    ),
    Rule(
        "confirm",
        opens=lambda e: e.type == "placed",
        due=lambda e: e.time + CONFIRM_MS,
        keeps=lambda e: e.type == "sent" and e.data["kind"] == "confirmation",
    ),
    Rule(
        "label",
        opens=lambda e: e.type == "shipped" and e.data["method"] == "post",
        due=lambda e: e.time + LABEL_MS,
        keeps=lambda e: e.type == "label",
        early=True,
    ),
)


class Sent(NamedTuple):
    """One message to be fed: `event` is what it says."""

    event: Event
    value: bytes


class World:
    """Hands out messages as its time advances, and remembers them for the oracle. The same seed, the same world."""

    def __init__(self, seed: int, now_ms: int, prefix: str, *, conflicts: bool = True) -> None:
        """`conflicts`: now and then one event id comes with two contents."""
        self.now = now_ms
        self.told: list[Event] = []
        self._random = Random(seed)
        self._prefix = prefix
        self._conflicts = conflicts
        self._waiting: list[tuple[int, int, Sent]] = []
        self._orders = 0
        self._events = 0
        self._muted: set[str] = set()

    def mute(self, kind: str) -> None:
        """From now on no event of this type happens."""
        self._muted.add(kind)

    def advance(self, to_ms: int, orders: int) -> list[Sent]:
        """What is published until `to_ms`, in that order; meanwhile `orders` new orders begin, about a second later."""
        for _ in range(orders):
            self._order(self._random.randrange(self.now, max(self.now + 1, to_ms)) + AHEAD_MS)
        self.now = to_ms
        out = []
        while self._waiting and self._waiting[0][0] <= to_ms:
            out.append(heapq.heappop(self._waiting)[2])
        self.told.extend(sent.event for sent in out)
        return out

    @property
    def complete_until(self) -> int:
        """Everything dated before this instant has been handed out."""
        return min((sent.event.time for _, _, sent in self._waiting if sent.event.time < self.now), default=self.now)

    def sentinels(self, subjects: Iterable[str], due: int) -> list[Sent]:
        """One last broken promise per given subject, later than every other; no other promise to it is broken, whenever
        one looks.
        """
        sentinels = [
            sent
            for subject in subjects
            for sent in (
                self._sent("placed", subject, self.now, {"by_ms": due}),
                self._sent("sent", subject, self.now, {"kind": "confirmation"}),
            )
        ]
        self.told.extend(sent.event for sent in sentinels)
        return sentinels

    def verdicts(self, as_of: int, known_since: Mapping[str, int] | None = None) -> dict[tuple[str, str], Verdict]:
        """The expected verdict per (promise, subject); `known_since` (subject -> ms) where a log has lost its past."""
        subjects: dict[str, list[Event]] = defaultdict(list)
        for event in self.told:
            subjects[event.subject].append(event)

        def since(rule: Rule, subject: str) -> int | None:
            """What an early promise waits for may have come long before its opening, and have been lost."""
            known = (known_since or {}).get(subject)
            return known if known is None else known + (ORPHAN_TTL_MS if rule.early else 0)

        judged = {
            (rule.promise, subject): judge(rule, events, as_of, since(rule, subject))
            for subject, events in subjects.items()
            for rule in RULES
        }
        return {key: verdict for key, verdict in judged.items() if verdict is not None}

    def _order(self, placed: int) -> None:
        random = self._random
        subject = f"{self._prefix}-{self._orders}"
        self._orders += 1
        by = placed + random.randrange(1_000, LONGEST_MS)
        self._tell("placed", subject, placed, {"by_ms": by} if random.random() > 0.02 else {})
        if random.random() < 0.03:
            self._tell("placed", subject, placed + random.choice((-500, 0, 500)), {"by_ms": by + 300})
        moment = self._near(placed + CONFIRM_MS)
        if moment is not None:
            self._tell("sent", subject, moment, {"kind": random.choice(("confirmation",) * 9 + ("newsletter",))})
        moment = self._near(by)
        if moment is not None:
            self._tell("delivered", subject, moment, {})
        if random.random() < 0.1:
            self._tell("cancelled", subject, by + random.choice((-700, 0, 1, 700)), {})
        if random.random() < 0.5:
            shipped = placed + random.randrange(5_000)
            self._tell("shipped", subject, shipped, {"method": random.choice(("post", "van"))})
            moment = self._near(shipped + LABEL_MS)
            if moment is not None:
                self._tell("label", subject, moment, {})

    def _near(self, due: int) -> int | None:
        """An instant around a due: mostly before, sometimes exactly at it or a millisecond beside, or never."""
        random = self._random
        kind = random.random()
        if kind < 0.1:
            return None
        if kind < 0.25:
            return due + random.choice((-1, 0, 1))
        if kind < 0.4:
            return due + random.randrange(1, 6_000)
        return due - random.randrange(1_500)

    def _tell(self, kind: str, subject: str, happened: int, data: dict[str, Any]) -> None:
        if kind in self._muted:
            return
        sent = self._sent(kind, subject, happened, data)
        self._publish(sent)
        if self._random.random() < 0.05:
            self._publish(sent)
        if self._conflicts and self._random.random() < 0.01:
            # The same id with another content: the smaller one counts, whichever comes first.
            self._publish(self._sent(kind, subject, happened + 200, data, event_id=sent.event.id))

    def _publish(self, sent: Sent) -> None:
        self._events += 1
        arrives = sent.event.time + self._random.randrange(JITTER_MS)
        heapq.heappush(self._waiting, (arrives, self._events, sent))

    def _sent(self, kind: str, subject: str, happened: int, data: dict[str, Any], event_id: str | None = None) -> Sent:
        identity = event_id or f"{self._random.getrandbits(40):010x}"
        body = {"id": identity, "type": kind, "order": subject, "at": iso(happened)}
        if "by_ms" in data:
            body["by"] = iso(data["by_ms"])
        if "kind" in data or "method" in data:
            body |= data
        return Sent(Event(identity, kind, happened, subject, data), json.dumps(body).encode())
