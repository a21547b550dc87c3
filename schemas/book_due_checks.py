"""Whether the due of a promise, and what moves it or warns of it, can come about."""

from schemas.book_model import Warn
from schemas.book_promise_checks import check_form
from schemas.book_reading import Spelled
from schemas.book_spelling import DueSpelling, PromiseSpelling
from schemas.book_text import BookText, Path
from schemas.instants import format_duration

_FORMS = {
    "within": frozenset({"within", "calendar"}),
    "plus": frozenset({"plus", "unit", "cutoff", "of", "calendar", "at"}),
    "field": frozenset({"field", "offset", "at"}),
}
"""The three ways to say a due, and the keys that belong to each."""


def check_due(text: BookText, path: Path, promise: PromiseSpelling, spelled: Spelled) -> None:
    """Note what is wrong with the due of one promise, and with its warnings."""
    due, place = promise.due, (*path, "due")
    form = check_form(text, place, due, _FORMS)
    if form == "within" and due.within is not None and due.within < 0:
        _check_before_opening(text, path, promise)
    elif form == "plus":
        _check_plus(text, place, promise)
    elif form == "field" and due.at == "closing":
        text.problem((*place, "at"), "closing needs a calendar, and 'field' takes none; expected end_of_day or a time")
    if promise.not_before is not None and promise.not_before == due.field and (due.offset or 0) <= 0:
        message = f"can never be kept: 'not_before' is {due.field!r}, and so is the due; nothing lies in between"
        text.problem((*path, "not_before"), message)
    _check_warnings(text, path, promise, spelled)


def _check_before_opening(text: BookText, path: Path, promise: PromiseSpelling) -> None:
    if not _is_early(promise):
        text.problem((*path, "due", "within"), "a due before the opening needs 'early: true' under expect")
    for key, why in (("pause", "what is over cannot stand still"), ("warn", "there is no time left to warn")):
        if getattr(promise, key):
            text.problem((*path, key), f"{key!r} does not go with a due before the opening: {why}", at_key=True)


def _check_plus(text: BookText, path: Path, promise: PromiseSpelling) -> None:
    due = promise.due
    if due.unit is None and "unit" not in due.model_fields_set:
        text.problem(path, "missing key 'unit' next to 'plus', expected 'unit: day'")
    if due.cutoff is not None and due.of is None:
        text.problem((*path, "cutoff"), "'cutoff' needs 'of', the calendar of the days it applies to", at_key=True)
    if due.of is not None and due.cutoff is None:
        text.problem((*path, "of"), "'of' needs 'cutoff', the time from which the next day counts", at_key=True)
    if due.at == "closing" and due.calendar is None:
        text.problem((*path, "at"), "closing needs 'calendar', whose closing time is meant")
    if _starts_its_own_day(due) and not _is_early(promise):
        text.problem(
            (*path, "at"), "a due at the start of the opening's own day lies before it; 'plus: 1' is the day after"
        )


def _starts_its_own_day(due: DueSpelling) -> bool:
    """A due that is never after its opening: 00:00 of the same civil day."""
    return due.plus == 0 and due.at == 0 and due.calendar is None and due.cutoff is None


def _check_warnings(text: BookText, path: Path, promise: PromiseSpelling, spelled: Spelled) -> None:
    settle_ms = max((_settle_ms(spelled, name) for name in spelled.sources), default=0)
    seen: dict[tuple[int | None, int | None], str] = {}
    for index, warn in enumerate(promise.warn):
        place = (*path, "warn", index)
        first = seen.setdefault((warn.offset_ms, warn.share), warn.text)
        if any((one.offset_ms, one.share) == (warn.offset_ms, warn.share) for one in promise.warn[:index]):
            text.problem(place, f"found {warn.text!r}, the same instant as {first!r} before it")
        left_ms = _left_ms(warn, promise.due)
        if left_ms is not None and left_ms < settle_ms:
            message = f"{warn.text!r} warns {format_duration(left_ms)} before the due, but what is known lags by"
            text.problem(place, f"{message} 'settle' ({format_duration(settle_ms)}): it would come too late")


def _settle_ms(spelled: Spelled, name: str) -> int:
    """How far behind the clock a source's events are known; one with markers says itself how far it is complete."""
    source = spelled.sources[name]
    if source.frontier == "markers":
        return 0
    return spelled.defaults.settle if source.settle is None else source.settle


def _left_ms(warn: Warn, due: DueSpelling) -> int | None:
    """The time between a warning and the due, None if it is another each time."""
    if warn.offset_ms is not None:
        return -warn.offset_ms
    if due.within is None or due.calendar is not None or due.within < 0 or warn.share is None:
        return None
    return due.within * (100 - warn.share) // 100


def _is_early(promise: PromiseSpelling) -> bool:
    return promise.expect is not None and promise.expect.early
