"""Running promises move to another version on an explicit word, and nothing that was published is undone by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises.migrating import REASONS, Fate, Migrating
from promises.unseen import unseen
from schemas.book_model import Book
from schemas.editions import version_of
from schemas.errors import EventError
from tests.promises.builders import (
    CONFIRM,
    DUE,
    HOUR,
    MINUTE,
    OPENED,
    book,
    confirmed,
    fact,
    placed,
)
from tests.promises.kept import Kept

GENERAL = CONFIRM.replace("when: {event: order.placed}", "when: {event: order.placed, again: true}")
BOTH = pytest.mark.parametrize("text", [CONFIRM, GENERAL], ids=["simple", "general"])


def with_second(text: str, *changes: tuple[str, str], also: str = "") -> Book:
    """A book with the text as version 1 and, changed, as version 2, in force from the year 2030; `also` with more."""
    second = text.replace("id: confirm", 'id: confirm, version: 2, effective_from: "2030-01-01"')
    for part, other in changes:
        assert part in second
        second = second.replace(part, other)
    return book(text + second + also)


def moved(partition: Kept, **options: bool) -> list[Fate]:
    return partition.migrate(partition.migration("confirm", 2, **options))


@BOTH
def test_a_running_promise_is_moved_and_its_due_computed_anew_from_its_opening(text: str) -> None:
    """Also where the new version is not in force yet for openings: the operator has said so."""
    partition = Kept(with_second(text, ("15m", "1h")))
    partition.learn(placed(OPENED))
    (fate,) = moved(partition)
    assert (fate.reason, fate.version, fate.due_before, fate.due) == ("moved", 1, DUE, OPENED + HOUR)
    partition.restart()
    partition.learn(confirmed(OPENED + 50 * MINUTE))
    (kept,) = partition.published
    assert (kept.status, kept.version, kept.due) == ("kept", 2, OPENED + HOUR)


@BOTH
def test_a_due_that_has_passed_already_is_published_only_after_the_floor(text: str) -> None:
    """What was on its way when the migration was read may still keep the promise."""
    partition = Kept(with_second(text, ("15m", "5m")))
    partition.learn(placed(OPENED))
    partition.frontier(OPENED + 10 * MINUTE)
    partition.core.floor = OPENED + 12 * MINUTE
    (fate,) = moved(partition)
    assert (fate.due, fate.status, fate.overdue) == (OPENED + 5 * MINUTE, "open", True)
    partition.frontier(OPENED + 12 * MINUTE)
    assert partition.kinds() == []
    partition.frontier(OPENED + 12 * MINUTE + 1)
    assert [(one.kind, one.breached_at, one.version) for one in partition.published] == [
        ("breached", OPENED + 5 * MINUTE, 2)
    ]


@BOTH
def test_a_breach_that_was_published_is_not_taken_back(text: str) -> None:
    """More time now does not undo that the time promised then was not kept."""
    partition = Kept(with_second(text, ("15m", "1h")))
    partition.learn(placed(OPENED), about="broken")
    partition.learn(placed(OPENED), confirmed(OPENED + MINUTE), about="kept")
    partition.learn(placed(OPENED + 10 * MINUTE), about="runs")
    partition.frontier(DUE + 1)
    before = partition.kinds()
    assert [fate.due for fate in moved(partition)] == [OPENED + 70 * MINUTE]
    assert partition.kinds() == before == ["kept", "breached"]
    partition.learn(confirmed(OPENED + 30 * MINUTE), about="broken")
    assert partition.kinds()[2:] == ["fulfilled_late"]


@BOTH
def test_what_the_new_text_already_has_settles_the_promise_at_once(text: str) -> None:
    """Its fulfilment was kept with the subject, since another promise waits for it."""
    also = "- {id: letter, when: {event: order.placed}, due: {within: 9h}, expect: {event: letter.sent}}"
    partition = Kept(with_second(text, ("message.sent, where: {kind: confirmation}", "letter.sent"), also=also))
    partition.learn(placed(OPENED), fact("letter.sent", OPENED + MINUTE))
    (fate,) = moved(partition, assume_known=True)
    assert (fate.reason, fate.status) == ("moved", "kept")
    assert {(one.promise, one.status, one.version) for one in partition.published} == {
        ("letter", "kept", 1), ("confirm", "kept", 2),
    }  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("part", "other", "reason"),
    [
        ("when: {event: order.placed", "when: {event: order.made", "not_opened"),
        ("when: {event: order.placed", "when: {where: {speed: next}, event: order.placed", "not_opened"),
        ("{within: 15m}", "{field: slot}", "unseen"),
        ("message.sent", "letter.sent", "unseen"),
        ("kind: confirmation", "kind: letter", "unseen"),
        (", release: {event: order.cancelled}", ", release: {event: order.dropped}", "unseen"),
        (", release: {event: order.cancelled}", "", "moved"),
        (", where: {kind: confirmation}", "", "unseen"),
        ("15m", "16m", "moved"),
    ],
)
@pytest.mark.parametrize("newer", [True, False])
def test_what_cannot_be_moved_truly_is_left_with_its_reason(
    text: str, part: str, other: str, reason: str, *, newer: bool
) -> None:
    """A text that looks at facts which nobody kept would call promises broken that are not; `newer` than what runs."""
    partition = Kept(book(text) if newer else with_second(text, (part, other)))
    partition.learn(placed(OPENED))
    partition.latest = OPENED
    partition.restart(with_second(text, (part, other)))
    (fate,) = moved(partition)
    if reason == "unseen" and not newer:
        reason = "no_due" if "slot" in other else "moved"
    assert fate.reason == reason
    assert reason in REASONS
    partition.frontier(DUE + HOUR)
    (breach,) = partition.published
    assert breach.version == (2 if reason == "moved" else 1)


@BOTH
def test_a_text_that_was_out_of_the_book_has_seen_nothing_of_that_time(text: str) -> None:
    """While it was closed, what it looks at was kept for its own cycles alone."""
    third = text.replace("id: confirm", 'id: confirm, version: 3, effective_from: "2026-05-04T11:00:00+02:00"')
    both = with_second(text, ("kind: confirmation", "kind: letter"), also=third)
    partition = Kept(both)
    partition.learn(placed(OPENED), about="first")
    partition.migrate(partition.migration("confirm", 2))
    partition.restart(book(text + third))
    assert [version_of(closed.pin) for closed in partition.editions.closed] == [2]
    partition.learn(placed(OPENED + HOUR), about="meanwhile")
    partition.latest = OPENED + 2 * HOUR
    partition.restart(both)
    partition.learn(placed(OPENED + 3 * HOUR), about="since")
    fates = partition.migrate(partition.migration("confirm", 2, (3,)))
    assert [fate.reason for fate in fates] == ["unseen", "moved"]


@BOTH
def test_a_promise_without_a_due_by_the_new_text_is_left(text: str) -> None:
    """Also on the operator's word that everything is known: the opening does not name the slot."""
    partition = Kept(with_second(text, ("{within: 15m}", "{field: slot}")))
    partition.learn(placed(OPENED), about="without")
    partition.learn(placed(OPENED, slot="2026-05-04T12:00:00+02:00"), about="with")
    partition.learn(placed(OPENED, slot="2026-05-04T09:00:00+02:00"), about="past")
    assert [fate.reason for fate in moved(partition, assume_known=True)] == ["born_overdue", "moved", "no_due"]


@BOTH
def test_a_text_that_looks_back_further_than_is_known_is_left(text: str) -> None:
    """With `early` a fulfilment may have come, and have been forgotten, before the log begins."""
    partition = Kept(with_second(text, ("expect: {", "expect: {early: true, ")))
    partition.core.known_since = OPENED - HOUR
    partition.learn(placed(OPENED))
    assert [fate.reason for fate in moved(partition)] == ["before_known"]


@BOTH
def test_only_the_versions_that_are_meant_are_moved(text: str) -> None:
    """And what is under the new one already stays as it is."""
    third = text.replace("id: confirm", 'id: confirm, version: 3, effective_from: "2026-05-04T11:00:00+02:00"')
    partition = Kept(with_second(text, ("15m", "1h"), also=third))
    partition.learn(placed(OPENED), about="first")
    partition.learn(placed(OPENED + HOUR), about="third")
    fates = partition.migrate(partition.migration("confirm", 2, (3,)))
    assert [(fate.version, fate.reason) for fate in fates] == [(3, "moved")]
    again = partition.migrate(partition.migration("confirm", 2))
    assert sorted((fate.version, fate.reason) for fate in again) == [(1, "moved"), (2, "already")]


def test_what_runs_under_a_text_that_changed_in_place_can_be_moved_to_the_new_one() -> None:
    """Both have one number; the digest in the order says which text is meant."""
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED))
    partition.restart(book(CONFIRM.replace("15m", "1h")))
    (fate,) = partition.migrate(partition.migration("confirm", 1))
    assert (fate.version, fate.reason, fate.due) == (1, "moved", OPENED + HOUR)
    partition.restart()
    assert partition.editions.closed == ()


def test_a_cycle_whose_move_would_change_another_is_left() -> None:
    """Two cycles share what fulfils them: the one that is broken stays as it was told."""
    text = """
    - {id: confirm, when: {event: m.made, again: true}, due: {within: 1h}, expect: {event: m.sent, count: 2}}
    """
    partition = Kept(with_second(text, ("1h", "6h"), ("expect: {", "expect: {match: [n], ")))
    partition.learn(fact("m.made", OPENED, "first", n=1), fact("m.made", OPENED + 30 * MINUTE, "second", n=2))
    partition.learn(fact("m.sent", OPENED + 5 * MINUTE, n=1), fact("m.sent", OPENED + 70 * MINUTE, n=3))
    partition.frontier(OPENED + 61 * MINUTE)
    assert partition.kinds() == ["breached"]
    (fate,) = moved(partition, assume_known=True)
    assert (fate.opening, fate.reason) == ("second", "shares")
    assert partition.kinds() == ["breached"]


def test_a_text_without_again_takes_no_second_cycle() -> None:
    """By the new text only the first opening counts: what runs beside it stays under the old one."""
    partition = Kept(with_second(GENERAL, (", again: true", ", again: false"), ("15m", "1h")))
    partition.learn(placed(OPENED, "a"), placed(OPENED + MINUTE, "b"))
    assert [fate.reason for fate in moved(partition)] == ["shares", "shares"]
    partition.frontier(OPENED + HOUR)
    assert [one.version for one in partition.published] == [1, 1]


def test_warnings_of_the_new_text_are_given_after_the_floor() -> None:
    """One whose time has passed says at once that the promise is at risk: it is."""
    partition = Kept(with_second(CONFIRM, ("due:", "warn: [-10m], due:")))
    partition.learn(placed(OPENED))
    partition.frontier(OPENED + 7 * MINUTE)
    moved(partition)
    partition.frontier(OPENED + 8 * MINUTE)
    assert partition.kinds() == ["at_risk"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"promise": "confrim"}, "unknown_promise"),
        ({"to": 7}, "unknown_version"),
        ({"text": "0" * 64}, "other_text"),
    ],
)
def test_a_migration_that_the_book_does_not_know_is_refused(changes: dict[str, object], reason: str) -> None:
    """A worker with another book must not do what somebody else was shown."""
    partition = Kept(with_second(CONFIRM, ("15m", "1h")))
    meant = partition.migration("confirm", 2)
    asked = type(meant)(**{field: getattr(meant, field) for field in meant.__struct_fields__} | changes)  # type: ignore[arg-type]
    with pytest.raises(EventError) as refused:
        Migrating(partition.detector, asked)
    assert refused.value.reason == reason


def test_a_version_that_has_left_the_book_is_no_target() -> None:
    """Its text is kept for what runs under it, and for nothing else."""
    made = with_second(CONFIRM, ("15m", "1h"))
    partition = Kept(made)
    partition.learn(placed(OPENED))
    migration = partition.migration("confirm", 1)
    partition.restart(book(CONFIRM.replace("id: confirm", "id: confirm, version: 2").replace("15m", "1h")))
    with pytest.raises(EventError, match="no version 1 of promise 'confirm', expected one of 2"):
        Migrating(partition.detector, migration)


def test_what_is_unseen_is_told_by_event() -> None:
    """Every way in which a promise looks at events."""

    def between(old: str, new: str) -> list[str]:
        shape = "- {id: p, when: {event: a, again: true}, due: {within: 1h}, "
        one, two = (book(shape + text + "}").promises[0] for text in (old, new))
        return unseen(two, one)

    assert between("expect: {event: b}", "expect: {event: b, count: 2}") == []
    assert between("expect: {event: b}", "expect: {event: b, distinct: n, count: 2}") == ["b"]
    assert between("expect: {event: b}", "expect: {event: b, match: [n]}") == ["a", "b"]
    assert between("expect: {event: [b, c]}", "expect: {event: c}") == []
    assert between("expect: {event: b}", 'expect: {event: b, if: "data.n > 1"}') == ["b"]
    assert between('expect: {event: b, if: "data.n > 1"}', 'expect: {event: b, if: "data.n > 2"}') == ["b"]
    assert between("expect: {event: b}", "forbid: {event: b}, until: c") == ["c"]
    assert between("expect: {event: b}", "expect: {event: b}, breach: {group_by: [n]}") == []
    assert between("expect: {event: b}", "expect: {event: b}, repromise: {event: d, field: n, max: 1}") == ["d"]
    assert between("expect: {event: b}", "expect: {event: b}, pause: {event: e, until: f, max: 1d}") == ["e", "f"]


EVENTS = st.sampled_from(["order.placed", "message.sent", "order.cancelled"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.integers(0, 2), EVENTS, st.integers(0, 90)),
        st.tuples(st.just("frontier"), st.integers(0, 10)),
    ),
    max_size=14,
)  # fmt: skip


@given(
    text=st.sampled_from([CONFIRM, GENERAL]),
    within=st.sampled_from(["5m", "15m", "40m"]),
    before=STEPS,
    after=STEPS,
    restarts=st.sets(st.integers(0, 30)),
    stop_after=st.integers(0, 4),
)
def test_a_migration_commutes_with_restarts(
    text: str,
    within: str,
    before: list[tuple[object, ...]],
    after: list[tuple[object, ...]],
    restarts: set[int],
    stop_after: int,
) -> None:
    """However often the worker is lost, in the midst of the migration too: the same is published with the same ids."""
    made = with_second(text, ("15m", within))
    whole, broken = Kept(made), Kept(made)
    times = {"whole": OPENED, "broken": OPENED}
    steps = [*before, ("migrate",), *after, ("frontier", 300)]
    for number, step in enumerate(steps):
        for name, partition in (("whole", whole), ("broken", broken)):
            if name == "broken" and number in restarts:
                partition.restart()
            if step[0] == "migrate":
                if name == "broken":
                    partition.migrate(partition.migration("confirm", 2), stop_after=stop_after)
                    partition.restart()
                moved(partition)
            elif step[0] == "frontier":
                times[name] += int(str(step[1])) * MINUTE
                partition.frontier(times[name])
            else:
                one = fact(str(step[2]), OPENED + int(str(step[3])) * MINUTE, f"e{number}", kind="confirmation")
                partition.learn(one, about=f"s{step[1]}")
    told = [
        sorted((one.id, one.outcome_id, one.version, one.due) for one in each.published) for each in (whole, broken)
    ]
    assert told[1] == told[0]


@given(minutes=st.integers(0, 120), within=st.integers(1, 120))
def test_a_moved_promise_ends_as_if_it_had_opened_under_the_new_version(minutes: int, within: int) -> None:
    """Where nothing is late: the move happens before either due."""
    text = CONFIRM.replace("15m", "3h")
    alone = text.replace("id: confirm", "id: confirm, version: 2").replace("3h", f"{within}m")
    partition, expected = Kept(with_second(text, ("3h", f"{within}m"))), Kept(book(alone))
    for one in (partition, expected):
        one.learn(placed(OPENED, "o"))
    moved(partition)
    for one in (partition, expected):
        one.learn(confirmed(OPENED + minutes * MINUTE, "c"))
        one.frontier(OPENED + 4 * HOUR)
    assert [(one.id, one.status, one.due) for one in partition.published] == [
        (one.id, one.status, one.due) for one in expected.published
    ]
