"""`promisewatch feed`: sends a recording to Kafka."""

import time
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Annotated, Any

import typer

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, progress, stderr, stdout
from promisewatch.feeding import MARKER_EVERY_S, Counts, Event, Feeder, Pace, Topic, in_blocks, plan, read_events
from promisewatch.recordings import parse_recording
from promisewatch.settings.commands import FeedSettings
from schemas.book import load_book
from schemas.book_model import Source
from schemas.cloudevents import STRUCTURED_HEADERS
from schemas.decoding import Decoder
from schemas.instants import format_instant


@configured(FeedSettings)
def feed(
    settings: FeedSettings,
    files: Annotated[
        list[str],
        typer.Argument(metavar="[SOURCE=]FILE...", help="Recordings: .jsonl, plain, .gz or .zst.", show_default=False),
    ],
) -> None:
    """Send recordings of events to the topics of their sources, keyed as the book says and merged by time.

    Markers tell every partition, in recorded time, up to which instant it is complete: exactly, also where the
    recording is out of order. Lines that cannot be read as events are sent too, without a key, as a live topic would
    hold them; the worker puts them into the dead letters. CloudEvents are sent in structured mode.

    Exit codes: 0 sent and acknowledged; 1 no such topic; 65 a book, recording or event cannot be used; 66 no such
    file; 69 no broker; 78 a setting is wrong, or Kafka refuses the login or a permission.
    """
    until, speed = settings.as_of, settings.speed
    loaded = load_book(settings.book)
    recordings = [parse_recording(text, sorted(loaded.sources)) for text in files]
    sources = [loaded.sources[name] for name in dict.fromkeys(recording.source for recording in recordings)]
    decoder = Decoder(loaded)
    total = sum(recording.path.stat().st_size for recording in recordings)
    span_ms = inf if speed is None else speed * 1000 * MARKER_EVERY_S

    def blocks(counts: Counts, report: Callable[[int], None]) -> Iterator[list[Event]]:
        return in_blocks(read_events(recordings, decoder, until, counts, report), span_ms)

    topics = {source.name: topic_of(settings, source) for source in sources}
    with progress("reading", total) as meter:
        planned = plan(blocks(Counts(), meter.at), until)
    counts = Counts()
    marked = [
        one.name for one in sources if (one.frontier == "markers" if settings.markers is None else settings.markers)
    ]
    began = time.monotonic()
    with progress("sending", total) as meter:
        pace = None if speed is None else Pace(speed)
        Feeder(topics, planned, counts, marked=marked, pace=pace).feed(blocks(counts, meter.at))
    summary = summarize(list(topics.values()), planned.first, planned.end, counts, time.monotonic() - began)
    if settings.output is OutputFormat.JSON:
        print_json(summary)
    else:
        for name, value in summary.items():
            if isinstance(value, dict):
                value = ", ".join(f"{topic} ({count} partitions)" for topic, count in value.items())  # noqa: PLW2901
            stdout.print(f"{name.replace('_', ' '):14} {'' if value is None else value}")
    if counts.first_unreadable is not None:
        stderr.print(f"{counts.unreadable} lines cannot be read as events, the first: {counts.first_unreadable}")


def topic_of(settings: FeedSettings, source: Source) -> Topic:
    """The topic of a source, connected. Raises as `Topic`."""
    headers = STRUCTURED_HEADERS if source.format == "cloudevents" else ()
    return Topic(settings.bootstrap_server, source.topic, settings.security, headers)


def summarize(topics: Sequence[Topic], first: int, end: int, counts: Counts, seconds: float) -> dict[str, Any]:
    """What was sent, where to, and how fast."""
    where: dict[str, Any] = {"topic": topics[0].name, "partitions": topics[0].partitions}
    if len(topics) > 1:
        where = {"topics": {topic.name: topic.partitions for topic in topics}}
    return {
        **where,
        "sent": counts.sent,
        "unknown_type": counts.unknown_type,
        "unreadable": counts.unreadable,
        "after_as_of": counts.after_as_of,
        "markers": counts.markers,
        "first_event": format_instant(first),
        "complete_until": format_instant(end),
        "seconds": round(seconds, 3),
        "events_per_second": round(counts.sent / max(seconds, 1e-9)),
    }
