"""What several commands have in common: how to reach Kafka, and how a long-running process behaves."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from promisewatch.configuring import PREFIX, SecretFiles
from promisewatch.settings.values import Clock, LogFormat, LogLevel, Port, StoreKind
from streams.security import KafkaSecurity, SaslMechanism, SecurityProtocol

INPUT = (
    "Read the source itself (direct: one source, one key), or the facts that ingest makes of all sources; auto: "
    "directly where the book allows it."
)
FACTS_TOPIC = "Topic that ingest puts facts on."
"""Help texts of settings that several commands have, each on its own."""


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
