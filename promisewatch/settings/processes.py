"""Settings of what runs for long: ingest, worker and notifier."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from promisewatch.settings.shared import FACTS_TOPIC, INPUT, MemberSettings, ProcessSettings
from promisewatch.settings.values import ChannelKind, DurationMs, HttpUrl, InputKind, InstantMs, Tokens, split_tokens
from schemas.topics import FACTS


class IngestSettings(ProcessSettings):
    """Settings of `promisewatch ingest`."""

    book: Path = Field(description="Promise book (YAML).")
    app_id: str = Field(
        "promisewatch-ingest", min_length=1, description="Consumer group and prefix of the changelog topic."
    )
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    marker_interval: float = Field(
        0.5, ge=0.05, le=60.0, description="Seconds between two vectors, which say how far the sources are complete."
    )


class WorkerSettings(MemberSettings):
    """Settings of `promisewatch worker`."""

    book: Path = Field(description="Promise book (YAML).")
    app_id: str = Field("promisewatch", min_length=1, description="Consumer group and prefix of the changelog topic.")
    state_dir: Path = Field(Path("state"), description="Folder of the local state, one a process.")
    input: InputKind = Field(InputKind.AUTO, description=INPUT)
    facts_topic: str = Field(FACTS, min_length=1, description=FACTS_TOPIC)
    since: InstantMs | None = Field(
        None, description="RFC 3339 instant before which nothing opens (default: what the log can prove)."
    )
    subject_token: Tokens | None = Field(
        None,
        description="Token of 16 characters or more that `promisewatch subject` has to show; several, separated by "
        "white space, are all accepted, so that tokens can be changed. Without one, the worker answers its own machine "
        "only.",
    )
    advertised_url: HttpUrl | None = Field(
        None,
        description="Where `promisewatch subject` reaches this worker, http or https, if it is not the address of "
        "--http-host and --http-port: behind a proxy, say.",
        json_schema_extra={"metavar": "URL"},
    )

    @property
    def subject_tokens(self) -> list[str]:
        """The tokens, each by itself."""
        return split_tokens(self.subject_token)


class NotifierSettings(MemberSettings):
    """Settings of `promisewatch notifier`."""

    app_id: str = Field(
        "promisewatch-notifier", min_length=1, description="Consumer group and prefix of the changelog topic."
    )
    state_dir: Path = Field(Path("notifier-state"), description="Folder of the local state, one a process.")
    channel: ChannelKind = Field(ChannelKind.CONSOLE, description="Where notifications go.")
    max_age: DurationMs = Field(
        7 * 86_400_000,
        description="Breaches older than this are recorded, but nobody is told: 90m, 12h, 7d.",
        json_schema_extra={"shown": "7d"},
    )
    webhook_url: str | None = Field(
        None, description="Where --channel webhook posts to, http or https.", json_schema_extra={"metavar": "URL"}
    )
    webhook_keys: SecretStr | None = Field(
        None,
        description="Keys that sign webhooks (Standard Webhooks: whsec_ and base64), separated by commas or white "
        "space; each signs, so that keys can be rotated.",
    )
    webhook_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that vouch for the receiver's; default: the system's."
    )
    webhook_timeout: float = Field(10.0, gt=0, le=20, description="Seconds that one attempt may take, answer included.")
    webhook_connect_timeout: float = Field(3.0, gt=0, le=20, description="Seconds that connecting may take.")
    webhook_attempts_max: int = Field(8, ge=1, le=100, description="Attempts before an event goes to the dead letters.")
    webhook_retry_max: float = Field(
        120.0,
        ge=0,
        le=240,
        description="Seconds after which a failed attempt is the last one: so long a receiver that is down holds its "
        "partitions. /livez knows that retries go on.",
    )
    webhook_concurrency: int = Field(
        32,
        ge=1,
        le=1_000,
        description="Attempts that may be under way at once; events of one subject keep their order.",
    )

    @model_validator(mode="after")
    def _channel_has_what_it_needs(self) -> Self:
        """Refuse a webhook without receiver or keys, and a receiver that nobody would post to."""
        if self.channel is ChannelKind.WEBHOOK and (self.webhook_url is None or self.webhook_keys is None):
            raise ValueError("channel webhook needs webhook_url and webhook_keys")
        if self.channel is not ChannelKind.WEBHOOK and self.webhook_url is not None:
            raise ValueError(f"webhook_url has no effect with channel {self.channel.value}; expected webhook")
        return self
