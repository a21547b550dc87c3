"""A source that takes events back: the fact leaves the set and verdicts heal, whichever of the two came first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.book import parse_book
from schemas.decoding import Decoder
from tests.promises.builders import CONFIRM, HEAD, HOUR, MINUTE, Partition, at, fact
from tests.promises.test_general_invariance import PAUSES, SHARING, Known, final, stories

OPENED = at("2026-05-04 10:00")
TAKES_BACK = HEAD.replace("time: occurred_at}", "time: occurred_at, withdraws: cancels}")
BOOK = parse_book(TAKES_BACK + CONFIRM)


def placed_and_confirmed() -> Partition:
    p = Partition(BOOK)
    p.learn(fact("order.placed", OPENED, "o"), fact("message.sent", OPENED + MINUTE, "m", kind="confirmation"))
    assert p.kinds() == ["kept"]
    return p


def withdrawal(of: str, time: int = OPENED + 2 * MINUTE):  # type: ignore[no-untyped-def]
    one = fact("anything", time, f"not-{of}")
    return type(one)(one.source, one.id, one.type, one.time, {}, of)


def test_a_withdrawn_fulfilment_never_was() -> None:
    """What was kept runs again, and is broken."""
    p = placed_and_confirmed()
    p.learn(withdrawal("m"))
    p.frontier(OPENED + HOUR)
    assert p.kinds() == ["kept", "open", "breached"]


def test_a_withdrawn_opening_takes_its_breach_back() -> None:
    p = Partition(BOOK)
    p.learn(fact("order.placed", OPENED, "o"))
    p.frontier(OPENED + HOUR)
    p.learn(withdrawal("o"))
    assert [(one.kind, one.status, one.reason) for one in p.published[1:]] == [("retracted", "void", "opening_changed")]


def test_the_withdrawal_may_come_first() -> None:
    p = Partition(BOOK)
    p.learn(withdrawal("o"), fact("order.placed", OPENED, "o"))
    assert p.frontier(OPENED + HOUR) == []


def test_what_takes_back_says_nothing_else() -> None:
    """Also where it is of a type that opens: taking back a scan is no scan."""
    p = Partition(BOOK)
    one = fact("order.placed", OPENED, "x")
    p.learn(type(one)(one.source, one.id, one.type, one.time, {}, "o"))
    assert p.frontier(OPENED + HOUR) == []


def test_the_decoder_reads_whom_it_takes_back() -> None:
    """Also from an event of a type that no promise names, as long as it has the subject."""
    decode = Decoder(BOOK).source("shop").decode
    event = b'{"event_id":"x","type":"scan.undone","occurred_at":"2026-05-04T10:00:00Z","order_id":"A","cancels":17}'
    found = decode(event)
    assert found.fact is not None
    assert (found.fact.withdraws, found.fact.data) == ("17", {})
    assert decode(event.replace(b',"cancels":17', b"")).unknown


WHOLE = parse_book(TAKES_BACK + SHARING + PAUSES)


@settings(max_examples=60, deadline=None)
@given(story=stories(withdrawals=True), chance=st.randoms(use_true_random=False))
def test_order_does_not_matter(story: list[Known], chance: object) -> None:
    """Withdrawals among the facts, in any order, with any frontier in between."""

    def run(known: list[Known], marks: list[int]) -> Partition:
        p = Partition(WHOLE)
        for number, (about, one) in enumerate(known):
            p.learn(one, about=about)
            if number < len(marks):
                p.frontier(max(p.core.frontier, marks[number]))
        p.frontier("2026-05-05 00:00")
        return p

    shuffled = list(story)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    marks = [OPENED + chance.randrange(-60, 240) * MINUTE for _ in range(4)]  # type: ignore[attr-defined]
    assert final(run(shuffled, marks)) == final(run(story, []))
