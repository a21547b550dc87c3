"""What is known of a partition's past: a beginning that comes late, gaps that end, and gaps that no longer matter."""

from promises.gaps import ENDLESS
from promises.known import Known


def test_openings_wait_for_the_end_of_the_last_gap() -> None:
    """They look at everything before them; before the end of an endless gap is known, nothing opens."""
    assert Known(10, ()).opens_from == 10
    assert Known(10, ((20, 30), (50, 60))).opens_from == 60
    assert Known(10, ((20, ENDLESS),)).opens_from == ENDLESS


def test_what_is_lost_before_it_was_ever_looked_at_only_delays_openings() -> None:
    """Told again, it is no news."""
    known = Known(10, ())
    assert known.lose(40, 30)
    assert (known.since, known.gaps) == (30, ())
    assert not known.lose(40, 30)
    assert known.lose(50, 60)
    assert not known.lose(52, 58)
    assert (known.since, known.gaps) == (30, ((50, 60),))


def test_the_first_fact_after_what_was_lost_says_where_knowledge_begins_and_takes_nothing_back() -> None:
    """A beginning that was known before, and was later, stands."""
    unknown = Known(ENDLESS, ((20, ENDLESS),))
    unknown.begin_at(40)
    assert (unknown.since, unknown.gaps) == (40, ((20, 40),))
    known = Known(50, ((20, ENDLESS),))
    known.begin_at(40)
    assert (known.since, known.gaps, known.opens_from) == (50, ((20, 40),), 50)


def test_a_gap_that_nothing_looks_back_to_is_let_go_of_and_nothing_opens_before_its_end_for_all_that() -> None:
    known = Known(10, ((20, 30), (50, 60)))
    known.forget(30)
    assert (known.since, known.gaps) == (30, ((50, 60),))
    known.forget(100)
    assert (known.since, known.gaps, known.opens_from) == (60, (), 60)
