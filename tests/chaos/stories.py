"""Random stories about promises of every general kind, and what must be published about them.

The stories and their verdicts are those of the second opinion in `tests/reference`; here they become records of a
topic, told to several subjects each, so that there is a load.
"""

import json
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from promisewatch.demonstration.expected import Event
from promisewatch.demonstration.watch import RETRACTED, Seen
from tests.chaos.oracle import Sent, iso
from tests.reference.evaluator import judge
from tests.reference.worlds import ALWAYS, FAR, Story

DAY_MS = 86_400_000
START_MS = 1_397_000_000_000
"""An instant in April 2014; each burst tells of the next month, and none of the future."""
MONTH_MS = 30 * DAY_MS
LATE_MS = 600_000
"""By how much events overtake each other."""
STORIES, SUBJECTS = 12, 8
"""Stories in a burst, and to how many subjects each of them happens."""
MARKERS = 12
"""How often during a burst the source says how far it is complete."""
AT_RISK = "promise.at_risk.v1"
LAST = "last"
"""The promise that nobody keeps, broken after all others."""

BOOK = """
sources:
  s: {{topic: {topic}, format: json, id: event, type: type, time: at, settle: {settle_ms}ms, frontier: {frontier}}}
defaults: {{timezone: Europe/Amsterdam, key: order, skew: 5m, orphan_ttl: 400d, retention: 4000d}}
calendars:
  office: {{days: [mon, tue, wed, thu, fri], hours: "09:00-17:00", holidays: NL}}
promises:
- {{id: plain, when: {{event: opened}}, due: {{within: 4h}}, expect: {{event: answered}}}}
- {{id: no-bad, when: {{event: opened}}, forbid: {{event: bad}}, until: {{event: mended}}, due: {{plus: 2, unit: day}}}}
- {{id: no-third, when: {{event: asked, again: true}}, forbid: {{event: asked, count: 2}}, due: {{within: 20h}}}}
- {{id: visit, when: {{event: opened, again: true}}, due: {{field: slot}}, expect: {{event: done, match: [ref]}},
   repromise: {{event: moved, field: slot, max: 2}}, release: {{event: cancelled}}, warn: [-1h, 50%]}}
- {{id: answer, when: {{event: asked}}, due: {{plus: 1, unit: day, calendar: office, at: closing}},
   expect: {{event: answered}}, pause: {{event: waits, until: resumes, max: 1d}}, warn: [80%]}}
- {{id: agree, when: {{event: [left.set, right.set], again: true}}, due: {{within: 1h30m}},
   expect: {{holds: "l.cents == r.cents", from: {{l: left.set, r: right.set}}}}}}
- {{id: stuck, when: {{event: status, field: status, enter: [p, q], again: true}}, due: {{within: 4h}},
   expect: {{leave: status}}, warn: [-5m]}}
- {{id: units, when: {{event: opened, if: "data.sims == 2"}}, due: {{within: 2d}}, not_before: from,
   expect: {{event: done, count: 2, distinct: unit}}}}
- {{id: last, when: {{event: ending}}, due: {{within: 1m}}, expect: {{event: never}}}}
"""

Cycle = tuple[str, str, str]
"""Promise, subject and the id of the opening event."""


class Verdict(NamedTuple):
    """How a cycle ended; instants are UTC milliseconds."""

    status: str
    due: int
    fulfilled_at: int | None


class Stories:
    """Bursts of records about ever new subjects, whose names begin with `prefix`. The same seed, the same stories."""

    def __init__(self, seed: int, prefix: str) -> None:
        self._random = Random(seed)
        self._prefix = prefix
        self._start = START_MS
        self._told: list[tuple[list[dict[str, Any]], list[str]]] = []
        """Each story with its subjects."""
        spelled = YAML(typ="safe", pure=True).load(BOOK.format(topic="t", settle_ms=0, frontier="markers"))
        promises = [promise for promise in spelled["promises"] if promise["id"] != LAST]
        self._book = spelled | {"promises": promises}
        self.promises = {promise["id"] for promise in promises}

    def burst(self) -> list[tuple[list[Sent], int]]:
        """Parts of a burst, each with the instant up to which all is told by then: out of order, some of it twice."""
        arriving: list[tuple[int, float, Sent]] = []
        for _ in range(STORIES):
            story = without_ties(Story(self._random, self._book | {"x-start": self._start}, 0).tell())
            subjects = [f"{self._prefix}-{len(self._told)}-{number}" for number in range(SUBJECTS)]
            self._told.append((story, subjects))
            for event in story:
                for subject in subjects:
                    for _ in range(2 if self._random.random() < 0.05 else 1):
                        arrives = event["time"] + self._random.randrange(LATE_MS)
                        arriving.append((arrives, self._random.random(), sent(event, subject)))
        self._start += MONTH_MS
        arriving.sort(key=lambda one: one[:2])
        size = len(arriving) // MARKERS + 1
        parts = [arriving[begin : begin + size] for begin in range(0, len(arriving), size)]
        until = self._start - DAY_MS
        told: list[tuple[list[Sent], int]] = []
        for part in reversed(parts):
            told.append(([one for *_, one in part], until))
            until = min([until, *(one.event.time for *_, one in part)])
        return told[::-1]

    def ending(self, subjects: Iterable[str]) -> tuple[list[Sent], int]:
        """One last broken promise for each of these subjects, and an instant by which everything is decided."""
        judged = (judge(self._book, story, FAR, ALWAYS) for story, _ in self._told)
        dues = [one.due for by_promise in judged for cycles in by_promise.values() for one in cycles]
        times = [event["time"] for story, _ in self._told for event in story]
        last = max(*dues, *times, self._start) + DAY_MS
        event = {"id": "ending", "type": "ending", "time": last, "data": {}}
        return [sent(event, subject) for subject in subjects], last + DAY_MS

    def verdicts(self, frontier: int) -> dict[Cycle, Verdict]:
        """How every cycle stands when everything before `frontier` is known, but for the open ones."""
        return {
            (promise, subject, f"{subject}-{one.cycle}"): Verdict(one.status, one.due, one.fulfilled_at)
            for story, subjects in self._told
            for promise, cycles in judge(self._book, story, frontier, ALWAYS).items()
            for one in cycles
            for subject in subjects
            if one.status != "open"
        }


def without_ties(story: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A story in which no event has two contents at one instant. Which one counts depends on the bytes of what is kept
    of it, and the second opinion is told more than a worker keeps.
    """
    first: dict[tuple[str, int], Any] = {}
    return [event for event in story if first.setdefault((event["id"], event["time"]), event["data"]) == event["data"]]


def sent(event: dict[str, Any], subject: str) -> Sent:
    """An event of a story as it happens to one subject."""
    name = f"{subject}-{event['id']}"
    body = event["data"] | {"event": name, "type": event["type"], "at": iso(event["time"]), "order": subject}
    return Sent(Event(name, event["type"], event["time"], subject, event["data"]), json.dumps(body).encode())


def problems(seen: Seen, expected: dict[Cycle, Verdict]) -> list[str]:
    """What is wrong with what was published: a verdict, a breach that stands or does not, an id used twice."""
    published = folded(seen)
    found = [
        f"{name}: expected {expected.get(name)}, outcomes say {published.get(name)}"
        for name in sorted(expected.keys() | published.keys())
        if expected.get(name) != published.get(name)
    ]
    broken = {name for name, verdict in expected.items() if verdict.status in ("breached", "fulfilled_late")}
    standing = standing_breaches(seen)
    found += [f"{name}: broken, but no breach stands" for name in sorted(broken - standing)]
    found += [f"{name}: a breach stands, but it is not broken" for name in sorted(standing - broken)]
    ids = Counter([breach.id for breach in seen.breaches]) + Counter([outcome.id for outcome in seen.outcomes])
    return found + [f"{name}: published {count} times" for name, count in ids.items() if count > 1]


def folded(seen: Seen) -> dict[Cycle, Verdict]:
    """The outcomes in force: of each cycle the highest revision, but for those taken back."""
    newest = {(one.promise, one.subject, one.cycle): one for one in sorted(seen.outcomes, key=lambda one: one.revision)}
    return {
        name: Verdict(one.status, one.due, one.fulfilled_at)
        for name, one in newest.items()
        if name[0] != LAST and one.status not in ("void", "open")
    }


def standing_breaches(seen: Seen) -> set[Cycle]:
    """The cycles whose newest word on the breaches topic, warnings apart, is that they were broken."""
    words = [one for one in seen.breaches if one.type != AT_RISK and one.promise != LAST]
    newest = {(one.promise, one.subject, one.cycle): one for one in sorted(words, key=lambda one: one.revision)}
    return {name for name, one in newest.items() if one.type != RETRACTED}
