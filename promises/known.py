"""What is known of the past of one partition: since when, and which spans may have been lost since then."""

from promises import borders
from promises.gaps import ENDLESS, Gap, ended, with_gap


class Known:
    """Everything is known from `since` on (ENDLESS: nobody knows yet), but what happened in the `gaps` (UTC ms)."""

    def __init__(self, since: int, gaps: tuple[Gap, ...]) -> None:
        self.since = since
        self.gaps = gaps

    @property
    def opens_from(self) -> int:
        """Since when everything is known that openings look at."""
        return max([self.since, *(until for _, until in self.gaps)])

    def lose(self, since: int, until: int) -> bool:
        """Facts dated from `since` to before `until` may never become known; whether that is news."""
        if since >= until:
            news = until > self.since
            self.since = max(self.since, until)
            return news
        gaps = with_gap(self.gaps, since, until)
        news = gaps != self.gaps
        self.gaps = gaps
        return news

    def begin_at(self, instant: int) -> None:
        """From `instant` on everything is known, where nobody knew since when, or until when a gap lasts."""
        if self.since == ENDLESS:
            self.since = instant
        self.gaps = ended(self.gaps, instant)

    def forget(self, looks_from: int) -> None:
        """Let go of gaps that ended before the earliest instant at which anything still looks."""
        needed = tuple(gap for gap in self.gaps if borders.before_known(looks_from, gap[1]))
        for gap in self.gaps:
            if gap not in needed:
                self.since = max(self.since, gap[1])
        self.gaps = needed
