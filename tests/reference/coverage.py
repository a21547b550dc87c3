"""What the worlds were made of: constructs and pairs of them that came to a cycle, borders met, ways of arriving."""

from collections import Counter
from itertools import combinations
from typing import Any

from promises.detector import Detector
from tests.reference.facts import Event, wanted_events
from tests.reference.made_books import CONSTRUCTS, PAIRS
from tests.reference.worlds import ALWAYS, TTL, Arrival, Expected, World, horizon

SHARE_MIN = 0.01
"""In how many worlds at least each of these is to be met."""
BORDERS = {"due - 1 ms": -1, "due": 0, "due + 1 ms": 1}
"""Instants of a fact of a type that decides the promise."""
ARRIVALS = [
    "in order", "shuffled", "prompt", "duplicates", "late", "withdrawn", "withdrawn late", "two contents",
    "the other content late", "frontier steps", "batch borders", "single timers", "restart", "each fact a batch",
    "until nothing is kept", "short memory", "beginning lost", "two subjects", "more known than the frontier says",
]  # fmt: skip
STATUSES = ["open", "kept", "breached", "fulfilled_late", "released"]
EVENTS = ["paused", "moved", "warned"]
"""What happened to cycles on their way."""
PATHS = ["followed fact by fact", "judged anew", "both on one subject"]

Met = str | tuple[str, str]


class Coverage:
    """Counts, by world."""

    def __init__(self) -> None:
        self.worlds = 0
        self.met: Counter[Met] = Counter()

    def world(self, world: World, detector: Detector, expected: Expected, arrivals: list[Arrival]) -> None:
        self.worlds += 1
        found: set[Met] = {"two subjects"} if len(world.events) > 1 else set()
        paths: dict[str, set[str]] = {subject: set() for subject in world.events}
        for (promise, subject), cycles in expected.items():
            if not cycles:
                continue
            has = [one for one in CONSTRUCTS if one in world.book["x-features"][promise]]
            found |= {*has, *combinations(has, 2)}
            versions = [one for one in world.book["promises"] if one["id"] == promise]
            types = {event for one in versions for event in deciding(one)}
            times = {event["time"] for event in world.events[subject] if event["type"] in types}
            found |= {name for name, delta in BORDERS.items() if any(one.due + delta in times for one in cycles)}
            found |= {one.status for one in cycles}
            found |= {"paused" for one in cycles if one.paused_ms} | {"warned" for one in cycles if one.warnings}
            found |= {"moved" for one in cycles if one.due != one.first_due and not one.paused_ms}
            found |= {f"{one.status} once paused" for one in cycles if one.paused_ms}
            found |= {f"{one.status} once moved" for one in cycles if one.due != one.first_due and not one.paused_ms}
            paths[subject].add(PATHS[promise not in detector.rules.families])
        found |= {path for taken in paths.values() for path in taken}
        found |= {"both on one subject" for taken in paths.values() if len(taken) > 1}
        found |= {"short memory"} if horizon(world.book, 0) < TTL - 1 else set()
        found |= {"beginning lost"} if world.known_since > ALWAYS else set()
        found |= {"more known than the frontier says"} if world.goes_on else set()
        for arrival in arrivals:
            found |= ways(arrival)
        self.met.update(found)

    def add(self, other: "Coverage") -> None:
        self.met += other.met
        self.worlds += other.worlds

    def rare(self, share_min: float = SHARE_MIN) -> list[Met]:
        """What was met in a smaller share of the worlds."""
        wanted = [*CONSTRUCTS, *PAIRS, *BORDERS, *ARRIVALS, *STATUSES, *EVENTS, *PATHS]
        return [one for one in wanted if self.met[one] < share_min * self.worlds]

    def rarest(self, pairs: list[tuple[str, str]], number: int) -> list[tuple[str, str]]:
        """The pairs met least often so far, in the order given."""
        return sorted(pairs, key=lambda pair: self.met[pair])[:number]

    def table(self) -> str:
        """In how many worlds each was met, in per cent; pairs of constructs from the rarest on."""
        moved = [f"{status} once {word}" for word in ("moved", "paused") for status in STATUSES]
        parts = {
            "constructs": CONSTRUCTS, "facts at": list(BORDERS), "arrivals": ARRIVALS, "verdicts": STATUSES + moved,
            "on the way": EVENTS, "paths through the core": PATHS,
        }  # fmt: skip
        lines = [f"{self.worlds:,} worlds; what was met, in how many of them (per cent)"]
        for title, names in parts.items():
            lines += ["", title, *columns([f"{name:<29}{self.share(name):6.1f}" for name in names], 3)]
        rising = sorted(PAIRS, key=lambda pair: self.met[pair])
        lines += ["", f"{len(PAIRS)} pairs of constructs in one promise"]
        lines += columns([f"{' + '.join(pair):<29}{self.share(pair):6.1f}" for pair in rising], 3)
        return "\n".join(lines)

    def share(self, one: Met) -> float:
        return 100 * self.met[one] / max(1, self.worlds)


def columns(cells: list[str], number: int) -> list[str]:
    return ["   ".join(cells[at : at + number]) for at in range(0, len(cells), number)]


def deciding(promise: dict[str, Any]) -> set[str]:
    """Types of the events that can keep, break, end or move the promise."""
    expect, pause = promise.get("expect", {}), promise.get("pause", {})
    parts = [promise.get(role) for role in ("forbid", "until", "release", "repromise", "pause")]
    parts += [pause.get("until"), *expect.get("from", {}).values(), expect if "event" in expect else None]
    parts += [promise["when"] if "leave" in expect else None]
    return {event for part in parts if part for event in wanted_events(part)}


def ways(arrival: Arrival) -> set[str]:
    """How a world became known."""
    events = [step[1][1] for step in arrival.steps if step[0] == "event"]
    times = [event["time"] for event in events]
    words = [word for word, _ in arrival.steps]
    found = {"prompt"} if arrival.prompt else set()
    found.add("in order" if times == sorted(times) else "shuffled")
    contents = {told(event) for event in events}
    found |= {"duplicates"} if len(contents) < len(events) else set()
    found |= {"two contents"} if len({one[0] for one in contents}) < len(contents) else set()
    found |= {"withdrawn"} if any("withdraws" in event for event in events) else set()
    found |= {"frontier steps"} if words.count("frontier") > 1 else set()
    found |= {"batch borders"} if "commit" in words else set()
    found |= {"restart"} if "restart" in words else set()
    found |= {"single timers"} if arrival.slice_size == 1 else set()
    found |= {"each fact a batch"} if arrival.watched else set()
    found |= {"until nothing is kept"} if arrival.to_the_end else set()
    return found | what_was_late(arrival)


def what_was_late(arrival: Arrival) -> set[str]:
    """What became known after the frontier had passed it: facts, withdrawals, and other contents."""
    found = set()
    frontier = ALWAYS
    seen: dict[str, tuple[Any, ...]] = {}
    for word, what in arrival.steps:
        if word == "frontier":
            frontier = max(frontier, what)
        if word != "event":
            continue
        event = what[1]
        taken = seen.get(event.get("withdraws", ""))
        other = seen.setdefault(event["id"], told(event))
        found |= {"late"} if event["time"] < frontier else set()
        found |= {"withdrawn late"} if taken and taken[2] < frontier else set()
        found |= {"the other content late"} if other != told(event) and other[2] < frontier else set()
    return found


def told(event: Event) -> tuple[Any, ...]:
    return (event["id"], event["type"], event["time"], str(event["data"]))
