"""A running promise is judged by the words in which it was made, whatever the book says by now."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.book import parse_book
from schemas.editions import check_keys, editions_of, pin_of, text_digest, version_of
from schemas.errors import StateError
from schemas.records import decode_texts, encode_texts
from tests.promises.builders import (
    ALWAYS,
    CONFIRM,
    DAY,
    DUE,
    HEAD,
    HOUR,
    MINUTE,
    OPENED,
    Partition,
    at,
    book,
    cancelled,
    confirmed,
    fact,
    placed,
)
from tests.promises.kept import Kept

OTHER = "- {id: other, when: {event: order.placed}, due: {within: 90d}, expect: {event: order.archived}}"
COUNTED = """
- {id: twice, when: {event: order.placed, again: true}, due: {within: 1h}, expect: {event: part.sent, count: 2}}
"""


@pytest.mark.parametrize(
    "text", [CONFIRM, CONFIRM.replace("when: {event: order.placed}", "when: {event: order.placed, again: true}")]
)
def test_a_promise_that_left_the_book_is_kept_to_its_end(text: str) -> None:
    """The customer was promised it: kept or broken, it is told as before. Nothing new opens."""
    partition = Kept(book(text))
    partition.learn(placed(OPENED), about="A")
    partition.learn(placed(OPENED), about="B")
    partition.learn(placed(OPENED), about="C")
    partition.restart(book(OTHER))
    partition.learn(placed(OPENED + MINUTE), about="D")
    partition.learn(confirmed(OPENED + 2 * MINUTE), about="A")
    partition.learn(cancelled(OPENED + 2 * MINUTE), about="B")
    partition.restart()
    partition.frontier(DUE + 1)
    told = {one.subject: one.status for one in partition.published if one.promise == "confirm"}
    assert told == {"A": "kept", "B": "released", "C": "breached"}
    assert {one.version for one in partition.published} == {1}


def test_a_version_that_left_the_book_still_judges_what_opened_under_it() -> None:
    """Version 2 is stricter: it says nothing about what version 1 had promised."""
    second = CONFIRM.replace("id: confirm", "id: confirm, version: 2").replace("within: 15m", "within: 5m")
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED), about="old")
    partition.restart(book(second))
    partition.learn(placed(OPENED), about="new")
    for subject in ("old", "new"):
        partition.learn(confirmed(OPENED + 10 * MINUTE), about=subject)
    partition.frontier(DUE + 1)
    assert partition.final() == {
        ("confirm", "old", partition.published[0].cycle): ("kept", OPENED + 10 * MINUTE),
        ("confirm", "new", partition.published[1].cycle): ("fulfilled_late", OPENED + 10 * MINUTE),
    }
    assert [one.version for one in partition.published] == [1, 2, 2]


@pytest.mark.parametrize("text", [CONFIRM, COUNTED.replace("part.sent, count: 2", "message.sent, count: 1")])
def test_a_text_that_changed_under_its_number_judges_only_what_opens_from_then_on(text: str) -> None:
    """Other than the old one expects: what runs waits for the old event, what opens for the new one."""
    partition = Kept(book(text))
    partition.learn(placed(OPENED), about="old")
    partition.restart(book(text.replace("message.sent", "letter.sent")))
    partition.learn(placed(OPENED), about="new")
    for subject in ("old", "new"):
        partition.learn(confirmed(OPENED + MINUTE), about=subject)
    partition.restart()
    partition.frontier(OPENED + 2 * HOUR)
    told = {one.subject: (one.status, one.version) for one in partition.published}
    assert told == {"old": ("kept", 1), "new": ("breached", 1)}


def test_a_book_that_goes_back_to_an_earlier_text_goes_on_under_it() -> None:
    """The cycles of a text are one set, however often the book left it; nothing is left closed."""
    changed = CONFIRM.replace("15m", "5m")
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED), about="A")
    partition.restart(book(changed))
    partition.learn(placed(OPENED), about="B")
    assert partition.core.pinned == {("confirm", 1)}
    partition.restart(book(CONFIRM))
    partition.learn(placed(OPENED), about="C")
    partition.restart()
    assert partition.core.pinned == {("confirm", 1), ("confirm", pin_of(1, 1))}
    assert [text.pin for text in partition.editions.closed] == [pin_of(1, 1)]
    assert partition.editions.pins == {}


def test_a_text_is_forgotten_with_the_last_cycle_that_ran_under_it() -> None:
    """What is kept is bounded by what runs, and not by how often the book has changed."""
    partition = Kept(book(CONFIRM))
    for minutes in range(2, 12):
        partition.restart(book(CONFIRM.replace("15m", f"{minutes}m")))
        assert partition.editions.closed == ()
    partition.learn(placed(OPENED))
    partition.restart(book(OTHER))
    assert [text.promise.id for text in partition.editions.closed] == ["confirm"]
    partition.frontier(OPENED + 401 * DAY)
    assert partition.store == {}
    partition.restart()
    assert partition.editions.closed == ()
    assert partition.editions.stored is not None
    assert [text.promise for text in partition.editions.stored.texts] == ["other"]


def test_title_and_severity_follow_the_book_while_the_text_is_the_same() -> None:
    """A typing mistake in a title is mended for what runs as well: nobody was promised a title."""
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED))
    partition.restart(
        book(CONFIRM.replace("15 minutes", "a quarter").replace("due:", "breach: {severity: high}, due:"))
    )
    assert partition.editions.closed == ()
    partition.frontier(DUE + 1)
    (breach,) = partition.published
    assert (breach.title, breach.severity) == ("Confirmed within a quarter", "high")


def test_how_a_text_is_spelled_makes_no_other_text_of_it() -> None:
    """60m is 1h, and a default is what it stands for."""
    spelled = book(CONFIRM.replace("15m", "900s").replace("id: confirm", "retention: 400d, version: 1, id: confirm"))
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED))
    partition.restart(spelled)
    assert partition.editions.closed == ()
    assert text_digest(spelled.promises[0], {}) == text_digest(book(CONFIRM).promises[0], {})


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("within: 15m", "within: 16m"),
        ("event: order.placed", "event: order.made"),
        ("kind: confirmation", "kind: note"),
        ("kind: confirmation", "confirmation: kind"),
        ("order.cancelled", "order.dropped"),
        ("id: confirm,", "id: confirm, warn: [-5m],"),
        ("id: confirm,", "id: confirm, retention: 10d,"),
        ("id: confirm,", "id: confirm, timezone: Asia/Tokyo,"),
        ("id: confirm,", "id: confirm, not_before: slot,"),
    ],
)
def test_everything_that_a_promise_is_judged_by_is_its_text(part: str, other: str) -> None:
    """Each of these makes another text."""
    one, two = book(CONFIRM).promises[0], book(CONFIRM.replace(part, other, 1)).promises[0]
    assert text_digest(one, {}) != text_digest(two, {})


def test_a_calendar_is_part_of_the_text() -> None:
    """A closing day that is added to the book moves no due of what runs, also where a pause counts it anew."""
    text = """
    - {id: answer, when: {event: case.opened}, due: {plus: 2, unit: day, calendar: office, at: closing},
       expect: {event: case.closed}, pause: {event: asked, until: answered, max: 30d}}
    """
    before = parse_book(HEAD + text)
    after = parse_book(HEAD.replace("holidays: NL, timezone", 'holidays: NL, add: ["2026-05-08"], timezone') + text)
    assert text_digest(before.promises[0], before.calendars) != text_digest(after.promises[0], after.calendars)
    partition = Kept(before)
    partition.learn(fact("case.opened", "2026-05-06 10:00"), about="old")
    partition.restart(after)
    partition.learn(fact("case.opened", "2026-05-06 10:00"), about="new")
    for subject in ("old", "new"):
        partition.learn(fact("asked", "2026-05-06 11:00"), fact("answered", "2026-05-06 12:00"), about=subject)
    partition.frontier("2026-05-20 12:00")
    dues = {one.subject: one.due for one in partition.published}
    assert dues == {"old": at("2026-05-11 17:00"), "new": at("2026-05-12 17:00")}


def test_what_only_a_closed_text_waits_for_is_kept_for_its_cycles_alone() -> None:
    """A subject about which nothing runs any more is not stored because of a promise that is gone."""
    for text in (CONFIRM, CONFIRM.replace("order.placed}", "order.placed, again: true}")):
        partition = Kept(book(text))
        partition.learn(placed(OPENED), about="runs")
        partition.restart(book("- {id: other, when: {event: a}, due: {within: 1h}, expect: {event: b}}"))
        partition.learn(confirmed(OPENED + MINUTE), about="nothing runs")
        partition.learn(placed(OPENED + MINUTE), about="nothing runs")
        assert list(partition.store) == [b"order_id\x1fruns"]
        assert partition.counted == {"irrelevant": 2}


def test_other_content_of_a_fulfilment_counts_for_a_closed_text_too() -> None:
    """The smallest content of an id wins, as under any text."""
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED))
    partition.restart(book("- {id: other, when: {event: a}, due: {within: 1h}, expect: {event: b}}"))
    late = confirmed(DUE + MINUTE, "m")
    partition.learn(late)
    partition.frontier(DUE + HOUR)
    assert partition.kinds() == ["breached", "fulfilled_late"]
    partition.learn(confirmed(DUE, "m"))
    assert partition.kinds()[2:] == ["retracted"]


def test_a_remedy_and_its_cause_go_on_together_after_both_have_left_the_book() -> None:
    """The breach that a remedy makes good is judged by its own text, and healed if it never was one."""
    text = CONFIRM + "- {id: gift, when: {breach_of: confirm}, due: {within: 1d}, expect: {event: gift.sent}}"
    partition = Kept(book(text))
    partition.learn(placed(OPENED))
    partition.frontier(DUE + HOUR)
    partition.restart(book(OTHER))
    partition.learn(confirmed(DUE - MINUTE))
    assert partition.kinds() == ["breached", "retracted", "released"]


def test_remedies_of_each_other_by_two_books_are_refused() -> None:
    """Within one book that is a mistake; by what still runs it is one too, and the message says what to do."""
    gift = "- {id: gift, when: {breach_of: confirm}, due: {within: 1d}, expect: {event: gift.sent}}"
    partition = Kept(book(CONFIRM + gift))
    partition.learn(placed(OPENED))
    partition.frontier(DUE + HOUR)
    turned = CONFIRM.replace("event: order.placed", "breach_of: gift") + gift.replace("breach_of: confirm", "event: x")
    with pytest.raises(StateError, match="'confirm' and 'gift' are each other's remedies"):
        partition.restart(book(turned))


def test_a_book_with_another_key_is_refused_while_something_runs_by_the_old_one() -> None:
    """No fact would ever reach what runs: it would be called broken without anybody having broken it."""
    partition = Kept(book(CONFIRM))
    partition.learn(placed(OPENED))
    other = parse_book((HEAD + OTHER).replace("key: order_id", "key: case_id"))
    stored = decode_texts(partition.texts or b"", "test")
    with pytest.raises(StateError, match="part 3: promise 'confirm' version 1 runs by the key 'order_id'"):
        check_keys(other, editions_of(other, stored, "part 3", ALWAYS), "part 3")


def test_the_stored_texts_have_each_calendar_once_and_read_the_same_again() -> None:
    """A book of many promises with one large calendar is stored with one large calendar."""
    days = ", ".join(f'"2030-01-{day:02d}"' for day in range(1, 32))
    head = HEAD.replace('"2026-12-31"', days)
    lines = [
        f"- {{id: p{n}, when: {{event: a}}, due: {{plus: {n}, unit: day, calendar: carrier}}, expect: {{event: b}}}}"
        for n in range(20)
    ]
    large = parse_book(head + "\n".join(lines))
    stored = editions_of(large, None, "test", ALWAYS).stored
    assert stored is not None
    raw = encode_texts(stored)
    assert raw.count(b"2030-01-31") == 1
    again = editions_of(large, decode_texts(raw, "test"), "test", ALWAYS)
    assert (again.changed, again.pins, again.closed) == (False, {}, ())


def test_texts_that_cannot_be_read_stop_the_worker_with_their_place() -> None:
    """A newer program may have written words that this one does not know; guessing would judge by another text."""
    stored = editions_of(book(), None, "test", ALWAYS).stored
    assert stored is not None
    with pytest.raises(StateError, match="part 3: found texts of promises of format 9, expected format 1"):
        decode_texts(encode_texts(msgspec.structs.replace(stored, format=9)), "part 3")
    spelling = {**stored.texts[0].spelling, "promises": [{**stored.texts[0].spelling["promises"][0], "forgive": True}]}
    strange = msgspec.structs.replace(stored, texts=[msgspec.structs.replace(stored.texts[0], spelling=spelling)])
    with pytest.raises(StateError, match="part 3: the stored text of 'confirm' version 1 cannot be read .*'forgive'"):
        editions_of(book(), strange, "part 3", ALWAYS)


@given(version=st.integers(1, 2**31), edition=st.integers(0, 2**20))
def test_a_pin_names_its_version_and_is_its_number_in_the_first_edition(version: int, edition: int) -> None:
    """Records written before a text first changed need no other number."""
    assert version_of(pin_of(version, edition)) == version
    assert pin_of(version, 0) == version


BOOKS = (
    CONFIRM + COUNTED,
    CONFIRM.replace("15m", "5m") + COUNTED,
    CONFIRM + COUNTED.replace("count: 2", "count: 1"),
    OTHER,
)


@given(
    switches=st.lists(st.tuples(st.integers(0, 8), st.sampled_from(range(len(BOOKS)))), max_size=6),
    order=st.permutations(range(8)),
    kinds=st.lists(
        st.sampled_from(["message.sent", "part.sent", "order.cancelled"]), min_size=8, max_size=8
    ),
)  # fmt: skip
def test_what_opened_under_a_book_ends_as_if_the_book_had_stayed(
    switches: list[tuple[int, int]], order: list[int], kinds: list[str]
) -> None:
    """Whatever books come and go, and whenever the worker starts: one order, opened under the first book."""
    facts = [fact(kind, OPENED + 7 * MINUTE * (n + 1), f"e{n}", kind="confirmation") for n, kind in enumerate(kinds)]
    stayed, changed = Partition(book(BOOKS[0])), Kept(book(BOOKS[0]))
    for partition in (stayed, changed):
        partition.learn(placed(OPENED, "opening"))
    for step, which in enumerate(order):
        for when, made in switches:
            if when == step:
                changed.restart(book(BOOKS[made]))
        for partition in (stayed, changed):
            partition.learn(facts[which])
            partition.frontier(OPENED + step * 10 * MINUTE)
    for partition in (stayed, changed):
        partition.frontier(OPENED + 3 * HOUR)
    told = [[one for one in partition.published if one.promise != "other"] for partition in (stayed, changed)]
    assert [one.id for one in told[1]] == [one.id for one in told[0]]
    assert [(one.status, one.due, one.revision) for one in told[1]] == [
        (one.status, one.due, one.revision) for one in told[0]
    ]
