"""What the worlds were made of: constructs and pairs of them that came to a cycle, borders met, ways of arriving."""

from collections import Counter

from tests.reference.evaluator import Judged
from tests.reference.made_books import CONSTRUCTS, PAIRS
from tests.reference.worlds import Arrival, World

SHARE_MIN = 0.01
"""In how many worlds at least each construct, each pair of constructs and each border is to be met."""
BORDERS = {"due - 1 ms": -1, "due": 0, "due + 1 ms": 1}
ARRIVALS = [
    "in order", "shuffled", "prompt", "duplicates", "late", "withdrawn", "two contents", "frontier steps", "commits",
    "restart", "single timers",
]  # fmt: skip
STATUSES = ["open", "kept", "breached", "fulfilled_late", "released"]

Expected = dict[tuple[str, str], list[Judged]]


class Coverage:
    """Counts, by world."""

    def __init__(self) -> None:
        self.worlds = 0
        self.met: Counter[str | tuple[str, str]] = Counter()

    def world(self, world: World, expected: Expected, arrivals: list[Arrival]) -> None:
        self.worlds += 1
        found: set[str | tuple[str, str]] = set()
        for (promise, subject), cycles in expected.items():
            if not cycles:
                continue
            has = world.book["x-features"][promise]
            found |= has | {pair for pair in PAIRS if has.issuperset(pair)}
            times = {event["time"] for event in world.events[subject]}
            found |= {name for name, delta in BORDERS.items() if any(one.due + delta in times for one in cycles)}
            found |= {one.status for one in cycles}
            found |= {f"{one.status} once paused" for one in cycles if one.paused_ms}
            found |= {f"{one.status} once moved" for one in cycles if one.due != one.first_due and not one.paused_ms}
        for arrival in arrivals:
            found |= ways(world, arrival)
        self.met.update(found)

    def add(self, other: "Coverage") -> None:
        self.met += other.met
        self.worlds += other.worlds

    def rare(self) -> list[str | tuple[str, str]]:
        """What was met too seldom."""
        wanted = [*CONSTRUCTS, *PAIRS, *BORDERS, *ARRIVALS, *STATUSES]
        return [one for one in wanted if self.met[one] < SHARE_MIN * self.worlds]

    def rarest(self, pairs: list[tuple[str, str]], number: int) -> list[tuple[str, str]]:
        """The pairs met least often so far, in the order given."""
        return sorted(pairs, key=lambda pair: self.met[pair])[:number]

    def table(self) -> str:
        """A line a construct: in how many worlds, and its rarest companion."""
        lines = [f"{self.worlds} worlds; in how many of them (per cent):"]
        for one in CONSTRUCTS:
            pairs = [pair for pair in PAIRS if one in pair]
            rarest = min(pairs, key=lambda pair: self.met[pair])
            other = rarest[rarest[0] == one]
            rest = f"rarest of {len(pairs):2} with: {other} {self.share(rarest):.1f}"
            lines.append(f"{one:>14} {self.share(one):6.1f}   {rest}")
        moved = [f"{status} once {word}" for word in ("moved", "paused") for status in STATUSES]
        others = (list(BORDERS), ARRIVALS, STATUSES, moved)
        lines += ["   ".join(f"{name} {self.share(name):.1f}" for name in names) for names in others]
        return "\n".join(lines)

    def share(self, one: str | tuple[str, str]) -> float:
        return 100 * self.met[one] / max(1, self.worlds)


def ways(world: World, arrival: Arrival) -> set[str]:
    """How a world became known."""
    events = [step[1][1] for step in arrival.steps if step[0] == "event"]
    times = [event["time"] for event in events]
    words = [word for word, _ in arrival.steps]
    found = {"prompt"} if arrival.prompt else set()
    found.add("in order" if times == sorted(times) else "shuffled")
    ids = {(event["id"], event["type"], event["time"], str(event["data"])) for event in events}
    found |= {"duplicates"} if len(ids) < len(events) else set()
    found |= {"two contents"} if len({one[0] for one in ids}) < len(ids) else set()
    found |= {"withdrawn"} if any("withdraws" in event for event in events) else set()
    found |= {"frontier steps"} if words.count("frontier") > 1 else set()
    found |= {"commits"} if "commit" in words else set()
    found |= {"restart"} if "restart" in words else set()
    found |= {"single timers"} if arrival.slice_size == 1 else set()
    known = -(1 << 62)
    for word, what in arrival.steps:
        known = max(known, what) if word == "frontier" else known
        if word == "event" and what[1]["time"] < known:
            found.add("late")
    return found
