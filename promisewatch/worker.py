"""`promisewatch worker`: one detector process."""

from promisewatch.configuring import configured
from promisewatch.settings import WorkerSettings


@configured(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Run a detector: events in, proved breaches out.

    Every option is also an environment variable: --state-dir is PROMISEWATCH_STATE_DIR (see `promisewatch config`).

    Ends with 0 after SIGTERM, 75 when it must be started again (broker away, partition taken over: nothing is lost),
    78 when topics, settings or stored state do not fit or Kafka refuses the login, 65 when the book has errors,
    70 after a bug (nothing is lost; please report it).
    """
    from agents.detect import build_detector
    from agents.takeover import DetectSettings
    from promisewatch.direct import direct_source
    from promisewatch.running import begin, run_member
    from schemas import metrics
    from schemas.book import load_book
    from schemas.editions import SHORT_DIGITS
    from schemas.topics import BREACHES, OUTCOMES, changelog, dlq

    health = begin(settings)
    book = load_book(settings.book)
    metrics.BOOK_INFO.labels(book=book.digest[:SHORT_DIGITS]).set(1)
    source = direct_source(book)
    run_member(
        settings,
        health,
        topic=source.topic,
        topics=[dlq(source.topic), BREACHES, OUTCOMES],
        changelog=changelog(settings.app_id),
        table="records",
        build=lambda streams: build_detector(book, streams, DetectSettings(since=settings.since)),
    )
