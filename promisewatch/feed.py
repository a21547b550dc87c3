"""`promisewatch feed`: sends a recording to Kafka."""

import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Annotated, Any

import typer

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, progress, stderr, stdout
from promisewatch.direct import direct_source
from promisewatch.feeding import MARKER_EVERY_S, Counts, Event, Feeder, Pace, Topic, in_blocks, plan, read_events
from promisewatch.recordings import parse_recording
from promisewatch.settings import FeedSettings
from schemas.book import load_book
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
    """Send a recording of events to the topic of its source, keyed as the book says.

    Markers tell every partition, in recorded time, up to which instant it is complete: exactly, also where the
    recording is out of order. Lines that cannot be read as events are sent too, without a key, as a live topic would
    hold them; the worker puts them into the dead letters. CloudEvents are sent in structured mode.

    Exit codes: 0 sent and acknowledged; 1 no such topic; 65 a book, recording or event cannot be used; 66 no such
    file; 69 no broker; 78 a setting is wrong, or Kafka refuses the login or a permission.
    """
    until, speed = settings.as_of, settings.speed
    loaded = load_book(settings.book)
    recordings = [parse_recording(text, sorted(loaded.sources)) for text in files]
    source = direct_source(loaded)
    decoder = Decoder(loaded)
    total = sum(recording.path.stat().st_size for recording in recordings)
    span_ms = inf if speed is None else speed * 1000 * MARKER_EVERY_S

    def blocks(counts: Counts, report: Callable[[int], None]) -> Iterator[list[Event]]:
        return in_blocks(read_events(recordings, decoder, until, counts, report), span_ms)

    headers = STRUCTURED_HEADERS if source.format == "cloudevents" else ()
    topic = Topic(settings.bootstrap_server, source.topic, settings.security, headers)
    with progress("reading", total) as meter:
        planned = plan(blocks(Counts(), meter.at), until)
    counts = Counts()
    wanted = source.frontier == "markers" if settings.markers is None else settings.markers
    began = time.monotonic()
    with progress("sending", total) as meter:
        pace = None if speed is None else Pace(speed)
        Feeder(topic, planned, counts, markers=wanted, pace=pace).feed(blocks(counts, meter.at))
    summary = summarize(topic, planned.first, planned.end, counts, time.monotonic() - began)
    if settings.output is OutputFormat.JSON:
        print_json(summary)
    else:
        for name, value in summary.items():
            stdout.print(f"{name.replace('_', ' '):14} {'' if value is None else value}")
    if counts.first_unreadable is not None:
        stderr.print(f"{counts.unreadable} lines cannot be read as events, the first: {counts.first_unreadable}")


def summarize(topic: Topic, first: int, end: int, counts: Counts, seconds: float) -> dict[str, Any]:
    """What was sent, where to, and how fast."""
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
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
