"""Every setting of every process, each defined once: its type, its default, its limits and its help text.

A setting `drain_timeout` is the flag `--drain-timeout` and the environment variable PROMISEWATCH_DRAIN_TIMEOUT; the
flag wins over the environment, the environment over the default. A secret (SecretStr) has no flag, which would show
in the process list; instead a file may hold it: `--sasl-password-file`, PROMISEWATCH_SASL_PASSWORD_FILE.

Adding a setting is adding a field here: flag, variable, `promisewatch config` and docs/settings.md follow from it
(`python -m promisewatch.reference` writes the latter). How they are read: promisewatch/configuring.py.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from promisewatch.configuring import PREFIX, SecretFiles
from promisewatch.console import OutputFormat
from schemas.instants import parse_duration, parse_instant
from schemas.topics import FACTS
from streams.clock import parse_clock
from streams.security import KafkaSecurity, SaslMechanism, SecurityProtocol


class StoreKind(StrEnum):
    """Where a worker keeps its copy of the state."""

    ROCKSDB = "rocksdb"
    MEMORY = "memory"


class InputKind(StrEnum):
    """What a worker reads."""

    AUTO = "auto"
    DIRECT = "direct"
    FACTS = "facts"


class LogFormat(StrEnum):
    """How log lines are written to standard error."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ChannelKind(StrEnum):
    """Where notifications go."""

    CONSOLE = "console"
    WEBHOOK = "webhook"


def _clock(text: str) -> str:
    parse_clock(text)
    return text


def _duration_ms(text: object) -> object:
    return parse_duration(text) if isinstance(text, str) else text


def _instant_ms(text: object) -> object:
    return parse_instant(text, None) if isinstance(text, str) else text


def _port(text: str) -> str:
    if text in {"auto", "off"} or (text.isdecimal() and 0 < int(text) < 65_536):
        return text
    raise ValueError(f"found {text!r}, expected a port number, 'auto' or 'off'")


def _tokens(secret: SecretStr) -> SecretStr:
    """Refuse what could be guessed, and what no header can carry. Says nothing about the token."""
    found = split_tokens(secret)
    if not found or any(len(token) < TOKEN_LENGTH_MIN for token in found):
        raise ValueError(f"expected a token of {TOKEN_LENGTH_MIN} characters or more")
    if any(not token.isascii() or not token.isprintable() for token in found):
        raise ValueError("expected a token of ASCII letters, digits and punctuation")
    return secret


def split_tokens(secret: SecretStr | None) -> list[str]:
    """Tokens that are separated by white space."""
    return [] if secret is None else secret.get_secret_value().split()


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"found {text!r}, expected a URL such as http://10.0.0.7:6066")
    return text


def _urls(text: str) -> str:
    for url in text.split(","):
        _url(url.strip())
    return text


TOKEN_LENGTH_MIN = 16
"""Characters of a token, below which it could be guessed."""

INPUT = (
    "Read the source itself (direct: one source, one key), or the facts that ingest makes of all sources; auto: "
    "directly where the book allows it."
)
FACTS_TOPIC = "Topic that ingest puts facts on."

DurationMs = Annotated[int, BeforeValidator(_duration_ms)]
"""Milliseconds, written as 90m, 12h, 7d."""
InstantMs = Annotated[int, BeforeValidator(_instant_ms)]
"""UTC milliseconds, written as an RFC 3339 instant."""
Clock = Annotated[str, AfterValidator(_clock)]
Port = Annotated[str, AfterValidator(_port)]
HttpUrl = Annotated[str, AfterValidator(_url)]
HttpUrls = Annotated[str, AfterValidator(_urls)]
Tokens = Annotated[SecretStr, AfterValidator(_tokens)]


class Settings(BaseSettings):
    """Flags over environment over defaults; an empty environment variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- no .env files: nobody would look there
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- SecretFiles says which file by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources in the order in which they win."""
        return init_settings, env_settings, SecretFiles(settings_cls)


class KafkaSettings(Settings):
    """How to reach Kafka, for every command that does."""

    bootstrap_server: str = Field(
        description="Kafka broker to connect to; several are separated by commas.",
        json_schema_extra={"metavar": "HOST:PORT"},
    )
    security_protocol: SecurityProtocol = Field(SecurityProtocol.PLAINTEXT, description="How to connect to the broker.")
    sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.PLAIN, description="How user name and password are shown to the broker."
    )
    sasl_username: str | None = Field(None, description="User name at the broker.")
    sasl_password: SecretStr | None = Field(None, description="Password at the broker.")
    ssl_cafile: Path | None = Field(
        None, description="Certificates (PEM) that vouch for the broker's; default: the system's."
    )
    ssl_certfile: Path | None = Field(None, description="Our own certificate (PEM), where the broker asks for one.")
    ssl_keyfile: Path | None = Field(None, description="The key of --ssl-certfile (PEM), if not in the same file.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        """Refuse settings that would have no effect, or lack what they need."""
        protocol = self.security_protocol
        has_login = self.sasl_username is not None or self.sasl_password is not None
        if protocol.sasl and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"security_protocol {protocol.value} needs sasl_username and sasl_password")
        if has_login and not protocol.sasl:
            raise ValueError(
                f"sasl_username and sasl_password have no effect with security_protocol {protocol.value}; expected "
                "SASL_PLAINTEXT or SASL_SSL"
            )
        if not protocol.encrypted and any((self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)):
            raise ValueError(
                f"ssl_cafile, ssl_certfile and ssl_keyfile have no effect with security_protocol {protocol.value}; "
                "expected SSL or SASL_SSL"
            )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        return self

    @property
    def security(self) -> KafkaSecurity:
        """What every Kafka client is told about security."""
        return KafkaSecurity(
            protocol=self.security_protocol,
            mechanism=self.sasl_mechanism,
            username=self.sasl_username,
            password=None if self.sasl_password is None else self.sasl_password.get_secret_value(),
            cafile=self.ssl_cafile,
            certfile=self.ssl_certfile,
            keyfile=self.ssl_keyfile,
        )


class ProcessSettings(KafkaSettings):
    """What the long-running processes, ingest, worker and notifier, have in common."""

    app_id: str = Field(min_length=1, description="Consumer group and prefix of the changelog topic.")
    clock: Clock = Field(
        "system", description="'system', or 'scaled:<real ms>:<simulated ms>:<factor>' for demonstrations."
    )
    instance_id: str | None = Field(
        None, description="Static group membership: a restart under one id has its partitions back at once."
    )
    session_timeout: float = Field(45.0, ge=1.0, description="Seconds without a heartbeat until partitions move on.")
    drain_timeout: float = Field(
        25.0,
        ge=1.0,
        description="Seconds that SIGTERM leaves for finishing what runs; then the process ends with 75, and what was "
        "not committed is done again. Keep it below the orchestrator's own patience (Kubernetes: 30 s).",
    )
    stall_timeout: float = Field(
        300.0,
        ge=5.0,
        description="Seconds without progress, on a partition that has something to read, after which /livez says 503.",
    )
    http_host: str = Field(
        "127.0.0.1", description="Address that /metrics, /livez and /readyz listen on; 0.0.0.0 for all."
    )
    http_port: Port = Field(
        "auto",
        description="Port of /metrics, /livez and /readyz: a number, 'auto' (the first free one from 6066 on, which is "
        "logged), or 'off'.",
    )
    log_format: LogFormat = Field(LogFormat.CONSOLE, description="Log lines for people or for machines.")
    log_level: LogLevel = Field(LogLevel.INFO, description="The least important log line that is written.")


class MemberSettings(ProcessSettings):
    """What the processes that keep state, worker and notifier, have in common besides."""

    state_dir: Path = Field(description="Folder of the local state, one a process.")
    store: StoreKind = Field(StoreKind.ROCKSDB, description="Local state on disk or in memory only.")
    transactions: bool = Field(
        True,
        description="Write exactly once. Without: for brokers that have no transactions; a crash can publish an event "
        "twice.",
    )


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


PROCESSES: dict[str, type[Settings]] = {
    "ingest": IngestSettings,
    "worker": WorkerSettings,
    "notifier": NotifierSettings,
    "topics": TopicsSettings,
    "status": StatusSettings,
    "subject": SubjectSettings,
    "feed": FeedSettings,
    "redrive": RedriveSettings,
    "migrate": MigrateSettings,
}
"""Which command has which settings."""
