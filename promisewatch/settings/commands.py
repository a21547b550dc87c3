"""Settings of what an operator starts, and what ends by itself."""

from pathlib import Path

from pydantic import Field

from promisewatch.console import OutputFormat
from promisewatch.settings.shared import FACTS_TOPIC, INPUT, KafkaSettings
from promisewatch.settings.values import Clock, HttpUrls, InputKind, InstantMs, Tokens, split_tokens
from schemas.topics import FACTS


class RedriveSettings(KafkaSettings):
    """Settings of `promisewatch redrive`."""

    group_id: str = Field(
        "promisewatch-redrive",
        min_length=1,
        description="Consumer group that remembers which dead letters were sent back.",
    )
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")


class MigrateSettings(KafkaSettings):
    """Settings of `promisewatch migrate`."""

    book: Path = Field(description="Promise book (YAML), as the workers have it.")
    app_id: str = Field(
        "promisewatch", min_length=1, description="Application id of the worker, which names its changelog."
    )
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")


class TopicsSettings(KafkaSettings):
    """Settings of `promisewatch topics`."""

    book: Path = Field(description="Promise book (YAML).")
    app_id: str = Field(
        "promisewatch", min_length=1, description="Application id of the worker, which names its changelog."
    )
    notifier_app_id: str = Field(
        "promisewatch-notifier", min_length=1, description="Application id of the notifier, which names its changelog."
    )
    input: InputKind = Field(InputKind.AUTO, description=INPUT)
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    ingest_app_id: str = Field(
        "promisewatch-ingest", min_length=1, description="Application id of the ingest, which names its changelog."
    )
    partitions: int | None = Field(
        None, ge=1, description="Partitions of the source topics, which `create` then makes where they are absent."
    )
    facts_partitions: int | None = Field(
        None,
        ge=1,
        description="Partitions of the facts topic, and with that of what workers write (default: as many as it has, "
        "else as the source topic that has most).",
    )
    replication_factor: int | None = Field(
        None, ge=1, description="Replicas of each topic (create: default 1; check and mend: default any)."
    )
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")


class StatusSettings(KafkaSettings):
    """Settings of `promisewatch status`."""

    book: Path = Field(description="Promise book (YAML), as the workers have it.")
    app_id: str = Field(
        "promisewatch", min_length=1, description="Application id of the worker: its group, and its changelog's prefix."
    )
    input: InputKind = Field(InputKind.AUTO, description=INPUT)
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    ingest_app_id: str = Field(
        "promisewatch-ingest", min_length=1, description="Application id of the ingest: its consumer group."
    )
    clock: Clock = Field(
        "system", description="'system', or 'scaled:<real ms>:<simulated ms>:<factor>' as the worker has it."
    )
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")


class SubjectSettings(KafkaSettings):
    """Settings of `promisewatch subject`."""

    bootstrap_server: str = Field(
        "",
        description="Kafka broker to connect to, to find the worker by its group; several are separated by commas. Not "
        "needed with --worker.",
        json_schema_extra={"metavar": "HOST:PORT"},
    )
    book: Path = Field(description="Promise book (YAML), as the workers have it.")
    app_id: str = Field("promisewatch", min_length=1, description="Application id of the worker: its group.")
    input: InputKind = Field(InputKind.AUTO, description=INPUT)
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    key: str | None = Field(None, description="What ID is the value of (default: the book's only key).")
    worker: HttpUrls | None = Field(
        None,
        description="Where a worker is asked, instead of looking it up in its group; several, separated by commas, are "
        "asked until one has the subject.",
        json_schema_extra={"metavar": "URL"},
    )
    worker_ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) that vouch for a worker's where it is asked by https; default: the system's.",
    )
    subject_token: Tokens | None = Field(None, description="Token that the workers ask for; of several, the first.")
    answer_timeout: float = Field(
        15.0, ge=1.0, le=300.0, description="Seconds to go on asking: handing out partitions anew takes a while."
    )
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")

    @property
    def token(self) -> str | None:
        """The one to show."""
        return next(iter(split_tokens(self.subject_token)), None)

    @property
    def workers(self) -> list[str]:
        """Every worker to be asked, in order; none: the group knows."""
        return [] if self.worker is None else [url.strip() for url in self.worker.split(",")]


class FeedSettings(KafkaSettings):
    """Settings of `promisewatch feed`."""

    book: Path = Field(description="Promise book (YAML).")
    speed: float | None = Field(
        None, ge=0.001, description="Play recorded time so many times as fast. Default: no waiting."
    )
    as_of: InstantMs | None = Field(
        None, description="Leave out later events; the last marker says this instant (RFC 3339)."
    )
    markers: bool | None = Field(None, description="Send frontier markers. Default: if the source says so.")
    output: OutputFormat = Field(OutputFormat.TABLE, description="Print for people (table) or for programs (json).")
