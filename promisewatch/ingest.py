"""`promisewatch ingest`: one process that makes facts of the events of all sources."""

from promisewatch.configuring import configured
from promisewatch.settings.processes import IngestSettings


@configured(IngestSettings)
def ingest(settings: IngestSettings) -> None:
    """Run an ingest: events of any number of sources in, on whatever topics and keys, facts out.

    Workers then read the facts topic. With each fact's subject as its key, everything about it is in one place; vectors
    among the facts say how far each source is complete. Events that cannot be used go to the source's dead letters.

    Every option is also an environment variable: --facts-topic is PROMISEWATCH_FACTS_TOPIC (see `promisewatch config`).

    Ends with 0 after SIGTERM, 75 when it must be started again (nothing is lost), 78 when topics, settings or stored
    positions do not fit or Kafka refuses the login, 65 when the book has errors, 70 after a bug (nothing is lost;
    please report it).
    """
    import os
    import socket

    from agents.ingest import IngestPlan, build_ingest, source_topics
    from promisewatch.running import begin, run_sources
    from schemas import metrics
    from schemas.book import load_book
    from schemas.editions import SHORT_DIGITS
    from schemas.topics import dlq, texts_changelog
    from streams.app import BatchApp, StreamSettings

    health = begin(settings)
    book = load_book(settings.book)
    metrics.BOOK_INFO.labels(book=book.digest[:SHORT_DIGITS]).set(1)
    sources = list(source_topics(book, settings.facts_topic).values())

    def build(streams: StreamSettings, partitions: dict[str, int]) -> BatchApp:
        sender = settings.instance_id or f"{socket.gethostname()}-{os.getpid()}"
        return build_ingest(
            book, streams, IngestPlan(settings.facts_topic, settings.marker_interval, sender, partitions)
        )

    run_sources(
        settings,
        health,
        topics=[*sources, *map(dlq, sources), settings.facts_topic, texts_changelog(settings.app_id)],
        build=build,
    )
