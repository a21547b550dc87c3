"""`promisewatch worker`: one detector process."""

from promisewatch.configuring import configured
from promisewatch.settings.processes import WorkerSettings


@configured(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Run a detector: events in, proved breaches out.

    A book with one source and one key is read from the topic of its source; any other from the facts topic, which
    `promisewatch ingest` fills.

    Every option is also an environment variable: --state-dir is PROMISEWATCH_STATE_DIR (see `promisewatch config`).

    Ends with 0 after SIGTERM, 75 when it must be started again (broker away, partition taken over: nothing is lost),
    78 when topics, settings or stored state do not fit or Kafka refuses the login, 65 when the book has errors,
    70 after a bug (nothing is lost; please report it).
    """
    from agents.answering import SubjectPage
    from agents.detect import build_detector
    from agents.detect_facts import build_facts_detector
    from agents.takeover import DetectSettings
    from promisewatch.direct import direct_source, reads_facts
    from promisewatch.running import begin, run_member
    from schemas import metrics
    from schemas.book import load_book
    from schemas.editions import SHORT_DIGITS
    from schemas.topics import BREACHES, OUTCOMES, changelog, dlq

    page = SubjectPage(settings.subject_tokens)
    health = begin(settings, [page])
    book = load_book(settings.book)
    metrics.BOOK_INFO.labels(book=book.digest[:SHORT_DIGITS]).set(1)
    from_facts = reads_facts(book, settings.input)
    topic = settings.facts_topic if from_facts else direct_source(book).topic
    build = build_facts_detector if from_facts else build_detector
    run_member(
        settings,
        health,
        topic=topic,
        topics=[dlq(topic), BREACHES, OUTCOMES],
        changelog=changelog(settings.app_id),
        table="records",
        build=lambda streams: page.serve(
            build(book, streams, DetectSettings(since=settings.since)),
            book,
            from_facts=from_facts,
            advertised_url=settings.advertised_url,
        ),
    )
