"""When a running promise is at risk: the instants of its `warn`."""

from collections.abc import Sequence

from promises.calendars import Calendar, Calendars
from promises.civil import Civil
from schemas.book_model import DueWithin, Promise, Warn


def working_calendar(promise: Promise, civil: Civil, calendars: Calendars) -> Calendar | None:
    """The calendar whose open time the promise counts; None if it counts no open time. `civil` is its zone.

    `plus` with a calendar counts days, so its time runs at night as well.
    """
    if isinstance(promise.due, DueWithin) and promise.due.calendar is not None:
        return calendars.calendar(promise.due.calendar, civil.name)
    return None


def warn_instants(opened_at: int, due: int, warns: Sequence[Warn], calendar: Calendar | None) -> list[tuple[str, int]]:
    """(text, instant) of each warning of a promise, in the order of the book; `calendar` is its `working_calendar`.

    An offset is elapsed time before the due. A share is of the time from the opening to the due, or of the open time
    in between, rounded down to a millisecond. Raises EventError `calendar_closed`.
    """
    found = []
    for warn in warns:
        if warn.offset_ms is not None:
            instant = due + warn.offset_ms
        else:
            assert warn.share is not None, "a warning has an offset or a share"
            if calendar is None:
                instant = opened_at + (due - opened_at) * warn.share // 100
            else:
                instant = calendar.add_open(opened_at, calendar.open_between(opened_at, due) * warn.share // 100)
        found.append((warn.text, instant))
    return found
