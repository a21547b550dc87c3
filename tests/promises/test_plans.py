"""Which promises a fact concerns: looked up by what it says, with the verdicts of asking every one."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promises.detector import Detector
from promises.plans import LOOKED_UP_FROM, Plan
from schemas.facts import Fact
from tests.promises.builders import HOUR, MINUTE, OPENED, Partition, book

REGIONS = [f"r{number}" for number in range(LOOKED_UP_FROM)]
SIMPLE = "".join(
    f"- {{id: simple-{region}, when: {{event: a, where: {{region: {region}}}}}, due: {{within: 1h}}, "
    f"expect: {{event: b, where: {{region: {region}, m: 1}}}}, release: {{event: c}}}}\n"
    for region in REGIONS
)
OTHERS = "".join(
    f"- {{id: other-{region}, when: {{event: [a, c], where: {{region: {region}}}, again: true}}, due: {{within: 1h}}, "
    f"expect: {{event: b, if: data.m == 1, where: {{region: {region}}}}}, warn: [-10m]}}\n"
    for region in REGIONS
)
ANY = """
- {id: flag, when: {event: a, where: {region: true}}, due: {within: 1h}, expect: {event: b}}
- {id: one, when: {event: a, where: {region: 1}}, due: {within: 1h}, expect: {event: b}}
- {id: nothing, when: {event: a, where: {region: null}}, due: {within: 1h}, expect: {event: b}}
- {id: whichever, when: {event: a}, due: {within: 1h}, expect: {event: b, where: {region: r1}}}
- {id: status, when: {event: a, where: {region: r1}, field: m, enter: [1], again: true},
   due: {within: 1h}, expect: {leave: m}}
- {id: agree, when: {event: a, where: {region: r1}}, due: {within: 1h},
   expect: {holds: "x.m == y.m", from: {x: a, y: b}}}
- {id: paused, when: {event: a, where: {region: r2}}, due: {within: 1h}, expect: {event: b, where: {region: r2}},
   pause: {event: c, until: d, max: 1h}}
- {id: remedy, when: {breach_of: other-r1}, due: {within: 1h}, expect: {event: b, where: {region: r1}}}
"""
WHOLE = book(SIMPLE + OTHERS + ANY)


def asked_one_by_one() -> Detector:
    """The same book without anything being looked up."""
    made = Detector(WHOLE)
    for plans in made.rules.plans.values():
        plans.update({event: Plan(one.roles, one.clans, one.orphan_ttl_ms) for event, one in plans.items()})
    return made


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """Facts with every kind of region, some of them told anew with another."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        data: dict[str, Any] = {}
        region = draw(st.sampled_from([*REGIONS[:3], "r1", "r1", "unknown", True, 1, 1.0, None, ...]))
        if region is not ...:
            data["region"] = region
        if draw(st.booleans()):
            data["m"] = draw(st.sampled_from([1, 2]))
        name = draw(st.sampled_from([f"f{number}", "f0"]))
        time = OPENED + draw(st.integers(-2, 6)) * 15 * MINUTE
        found.append(Fact("shop", name, draw(st.sampled_from("aabbcd")), time, data, None))
    return found


@settings(max_examples=150, deadline=None)
@given(story=stories(), marks=st.lists(st.integers(-60, 300), max_size=3))
def test_what_is_looked_up_is_what_asking_every_promise_finds(story: list[Fact], marks: list[int]) -> None:
    """The same events, in the same order, with the same ids; and the same is stored."""

    def play(detector: Detector) -> Partition:
        partition = Partition(detector)
        for number, fact in enumerate(story):
            partition.learn(fact)
            if number < len(marks):
                partition.frontier(max(partition.core.frontier, OPENED + marks[number] * MINUTE))
        partition.frontier(max(partition.core.frontier, OPENED + 30 * HOUR))
        return partition

    looked_up, asked = play(Detector(WHOLE)), play(asked_one_by_one())
    assert looked_up.published == asked.published
    assert looked_up.store == asked.store


def test_a_fact_is_asked_of_the_promises_of_its_region_only() -> None:
    """And of those that ask for no region."""
    (plans,) = Detector(WHOLE).rules.plans.values()
    narrowed = plans["a"].narrowed
    assert narrowed is not None
    found = narrowed.plan(Fact("shop", "x", "a", OPENED, {"region": "r0"}, None))
    assert [role.family.id for role in found.roles] == ["simple-r0", "whichever"]
    assert [clan.id for clan in found.clans] == ["other-r0", "status", "agree"]
    flag = narrowed.plan(Fact("shop", "x", "a", OPENED, {"region": True}, None))
    assert [role.family.id for role in flag.roles] == ["flag", "whichever"]
    assert (
        narrowed.plan(Fact("shop", "x", "a", OPENED, {"region": ["r0"]}, None)).clans
        == narrowed.plan(Fact("shop", "x", "a", OPENED, {}, None)).clans
    )
