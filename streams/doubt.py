"""Doubt about a source: while it lasts, the frontier of its partitions stands where it stood.

That nothing came proves something only of a source that can be understood and is heard. Three things bring it into
doubt: too many events that nobody can read, too many facts dated before the frontier that was announced already, and
silence past the source's heartbeat. A doubt ends by itself; then the frontier goes on to where the marks have come.

What this guarantees: from when a doubt is noticed the frontier stands, at least `settle` behind the clock. So an event
that was lost to the doubt can cost a false verdict only if it happened longer than `settle` before that. A source that
has turned bad altogether is noticed with as many events as the limit says, or two parts of the window later if it had
sent many good ones just before.

Instants are UTC milliseconds, handed in; nothing here reads a clock.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.book_model import DoubtPolicy
from schemas.errors import StateError
from schemas.vectors import Hold

DEAD_LETTERS: Final = "dead_letters"
LATE: Final = "late"
SILENT: Final = "silent"

SLOTS: Final = 60
"""Parts of a window in which what was read is counted. Bad ones are too many if they are in the whole window, or in the
newest two of its parts or more: a source that has turned bad is not excused by the many good events before."""
_LONG_AGO: Final = -(1 << 62)


class Ongoing(msgspec.Struct, array_like=True):
    """What is remembered of one kind of bad events: for how long they hold the source, and how they came in a row."""

    since: int | None = None
    until: int = 0
    until_arrived: int = 0
    """The same on the source's side: what arrives later is past the doubt, also when it is read at once with it."""
    streak: int = 0
    streak_from: int = 0
    streak_to: int = 0


class Stored(msgspec.Struct, array_like=True):
    """What a restart needs of a doubt."""

    dead_letters: Ongoing
    late: Ongoing


@dataclass(slots=True)
class _Slot:
    number: int
    total: int = 0
    dead_letters: int = 0
    late: int = 0


class Doubt:
    """What one partition of a source has given to doubt, and the frontier that may be announced of it."""

    def __init__(self, policy: DoubtPolicy, stored: str = "", announced: int | None = None) -> None:
        """Go on from what `stored` said; `announced` is the frontier that was announced before, if any.

        Raises StateError for something else than a doubt has stored.
        """
        self._policy = policy
        self._slot_ms = _slot_ms(policy)
        self._slots: deque[_Slot] = deque()
        self._arrived = _LONG_AGO
        before = _read(stored)
        self._dead_letters = _Kind(DEAD_LETTERS, policy.dead_letters, policy, before.dead_letters)
        self._late = _Kind(LATE, policy.late, policy, before.late)
        self._announced = announced
        self._late_before = _LONG_AGO if announced is None else announced

    @property
    def late_before(self) -> int:
        """Facts dated before this instant are to be counted as `late`.

        That is the frontier announced, since they could have made a false breach. Where the frontier stands because
        facts came late or none came, it is the one that would be announced: else facts would count as in time only
        because it stands, and the doubt would end too early.
        """
        return self._late_before

    def read(self, now: int, total: int, bad: int, late: int, arrived: int | None = None) -> None:
        """Note a batch of `total` records, `bad` of them dead letters and `late` of them facts before `late_before`.

        To be told before the frontier is asked for once more. `arrived` is the newest Kafka timestamp of the batch
        (None: like `now`): a backlog is judged by how it came, not by how fast it is read.
        """
        if not total:
            return
        # Producers may set timestamps as they like: time goes neither back nor past the clock.
        arrived = min(now, max(self._arrived, now if arrived is None else arrived))
        self._arrived = max(self._arrived, arrived)
        slot = self._slot(arrived // self._slot_ms)
        slot.total += total
        slot.dead_letters += bad
        slot.late += late
        counts = self._counts() if bad or late else []
        self._dead_letters.note(now, arrived, total, bad, [(all_, few) for all_, few, _ in counts])
        self._late.note(now, arrived, total, late, [(all_, few) for all_, _, few in counts])

    def holds(self, now: int) -> Hold | None:
        """The doubt there is."""
        return self._dead_letters.holds(now) or self._late.holds(now)

    def announce(self, now: int, proved: int | None, silent: Hold | None = None) -> int | None:
        """The frontier that may be announced where the marks, or a marker, prove `proved`; None: not known yet.

        It never goes back, and stands where it stood while there is doubt; `silent` is the heartbeat's.
        """
        if proved is None:
            return self._announced
        if silent is None and self.holds(now) is None and (self._announced is None or proved > self._announced):
            self._announced = proved
        ahead = silent is not None or self._late.holds(now) is not None
        announced = _LONG_AGO if self._announced is None else self._announced
        self._late_before = max(announced, proved) if ahead else announced
        return self._announced

    def stored(self) -> str:
        """What a restart needs, to be kept with the partition's position; empty where there is nothing to remember.

        It changes only with bad events and the first good ones after them. Counts that make no doubt yet are left out.
        """
        memory = Stored(self._dead_letters.ongoing, self._late.ongoing)
        return "" if memory == _NOTHING else msgspec.json.encode(memory).decode()

    def _slot(self, number: int) -> _Slot:
        while self._slots and self._slots[0].number <= number - SLOTS:
            self._slots.popleft()
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]

    def _counts(self) -> list[tuple[int, int, int]]:
        """Records read, dead letters and late facts: of the newest two parts of the window, of the newest three..."""
        found = []
        total = dead_letters = late = 0
        slots = list(self._slots)
        newest = slots[-1].number
        for place in range(len(slots) - 1, -1, -1):
            slot = slots[place]
            total += slot.total
            dead_letters += slot.dead_letters
            late += slot.late
            if place and slots[place - 1].number >= newest - 1:
                continue  # the newest part alone has hardly begun
            found.append((total, dead_letters, late))
        return found


class _Kind:
    """One kind of bad events, of which there may be too many."""

    def __init__(self, reason: str, limit: int | None, policy: DoubtPolicy, ongoing: Ongoing) -> None:
        self._reason = reason
        self._limit = limit
        self._share = policy.share
        self._window_ms = policy.window_ms
        self._slot_ms = _slot_ms(policy)
        self.ongoing = ongoing if limit is not None else Ongoing()

    def note(self, now: int, arrived: int, total: int, few: int, counts: list[tuple[int, int]]) -> None:
        """Note that `few` of `total` were of this kind; `counts` are the same two of longer and longer times."""
        ongoing, limit = self.ongoing, self._limit
        if limit is None:
            return
        if ongoing.since is not None and arrived >= ongoing.until_arrived:
            ongoing.since, ongoing.until, ongoing.until_arrived = None, 0, 0
        if few < total:
            ongoing.streak = ongoing.streak_from = ongoing.streak_to = 0
        elif few:
            if not ongoing.streak:
                ongoing.streak_from = arrived
            ongoing.streak += few
            ongoing.streak_to = arrived
        if not few:
            return
        # Nothing but bad ones counts however slowly they came: a source may send less than the limit in a window.
        in_a_row = ongoing.streak >= limit and arrived - ongoing.streak_from >= 2 * self._slot_ms
        if in_a_row or any(few >= limit and few * 100 >= self._share * total for total, few in counts):
            lasts_ms = self._lasts_ms() if in_a_row else self._window_ms
            ongoing.since = now if self.holds(now) is None else ongoing.since
            ongoing.until = max(ongoing.until, now + lasts_ms)
            ongoing.until_arrived = arrived + lasts_ms

    def holds(self, now: int) -> Hold | None:
        since = self.ongoing.since
        return None if since is None or now >= self.ongoing.until else Hold(self._reason, since)

    def _lasts_ms(self) -> int:
        """A window, or longer than the next one is awaited where they come more slowly than that."""
        ongoing = self.ongoing
        gaps = max(1, ongoing.streak - 1)
        return max(self._window_ms, 2 * (ongoing.streak_to - ongoing.streak_from) // gaps)


class Heartbeat:
    """Whether a source is heard, judged for all of its partitions together: one alone may be idle."""

    def __init__(self, heartbeat_ms: int, settle_ms: int, heard: int) -> None:
        """`heard` is when the source is known to have sent something (an instant longer ago than a heartbeat: it has
        been silent), for a start from the Kafka timestamps of its newest records.
        """
        self._heartbeat_ms = heartbeat_ms
        self._settle_ms = settle_ms
        self._heard = heard
        self._ends: dict[int, int] | None = None
        self._silent_since: int | None = None
        self._back_since: int | None = None

    def beat(self, now: int, ends: Mapping[int, int]) -> None:
        """Note the end offset of each partition of the source, asked after `now` was read: one that grew is a sound."""
        before, self._ends = self._ends, dict(ends)
        too_long = now - self._heard > self._heartbeat_ms
        if too_long and self._silent_since is None:
            self._silent_since = self._heard
        if before is not None and any(end > before.get(partition, 0) for partition, end in ends.items()):
            self._heard = max(self._heard, now)
            if self._silent_since is not None and self._back_since is None:
                self._back_since = now
        elif too_long:
            self._back_since = None
        if self._back_since is not None and now - self._back_since >= self._settle_ms:
            self._silent_since = self._back_since = None

    def holds(self, now: int) -> Hold | None:
        """`silent` since the last sound. A source that is back is in doubt for its `settle` still: what it could not
        send meanwhile comes first, and is late, which a `Doubt` then notices.
        """
        since = self._silent_since
        if since is None and now - self._heard > self._heartbeat_ms:
            since = self._heard
        return None if since is None else Hold(SILENT, since)


def _slot_ms(policy: DoubtPolicy) -> int:
    return max(1, policy.window_ms // SLOTS)


def _read(stored: str) -> Stored:
    if not stored:
        return Stored(Ongoing(), Ongoing())
    try:
        return msgspec.json.decode(stored, type=Stored)
    except msgspec.MsgspecError as error:
        raise StateError(f"found {stored[:60]!r}, expected what a doubt about a source has stored: {error}") from None


_NOTHING: Final = Stored(Ongoing(), Ongoing())
