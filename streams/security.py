"""How clients prove who they are to Kafka and that they talk to the right broker: TLS and SASL, for every client.

Several client libraries are in use (aiokafka, Faust on aiokafka, librdkafka); here is the one place that says the same
to each of them (Faust's spelling of it is in `streams.app`). A password is never part of a representation, so it
cannot slip into a log line.
"""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from schemas.errors import SettingsError


class SecurityProtocol(StrEnum):
    """How connections to the broker are made, by Kafka's names."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def encrypted(self) -> bool:
        """Whether connections are TLS."""
        return self.name.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Whether the client says who it is by SASL."""
        return self.name.startswith("SASL")


class SaslMechanism(StrEnum):
    """How a name and a password are shown to the broker."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


@dataclass(frozen=True)
class KafkaSecurity:
    """What every connection to Kafka needs besides an address. The default is neither TLS nor SASL."""

    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    mechanism: SaslMechanism = SaslMechanism.PLAIN
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings: the broker's certificate and name are always checked.

        Raises SettingsError naming the file that is missing or is no certificate or key.
        """
        if not self.protocol.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ssl_cafile {self.cafile}: {_why(error)}, expected certificates in PEM") from error
        if self.certfile is not None:
            try:
                context.load_cert_chain(self.certfile, self.keyfile, password=_no_password)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(
                    f"ssl_certfile {self.certfile}, ssl_keyfile {self.keyfile}: {_why(error)}, expected a certificate "
                    "and its key in PEM, without a password"
                ) from error
        return context

    def aiokafka(self) -> dict[str, Any]:
        """Return the settings of an aiokafka client."""
        found: dict[str, Any] = {"security_protocol": self.protocol.value, "ssl_context": self.ssl_context()}
        if self.protocol.sasl:
            found |= {
                "sasl_mechanism": self.mechanism.value,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return found

    def librdkafka(self) -> dict[str, Any]:
        """Return the settings of a confluent-kafka client."""
        self.ssl_context()  # the same messages about files, whichever client runs first
        found: dict[str, Any] = {"security.protocol": self.protocol.value}
        if self.protocol.sasl:
            found |= {
                "sasl.mechanism": self.mechanism.value,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        if self.protocol.encrypted:
            files = {
                "ssl.ca.location": self.cafile,
                "ssl.certificate.location": self.certfile,
                "ssl.key.location": self.keyfile,
            }
            found |= {name: str(path) for name, path in files.items() if path is not None}
        return found


NO_SECURITY = KafkaSecurity()


def _why(error: OSError) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _no_password() -> str:
    """Answer a key that asks for a password, instead of a prompt at the terminal."""
    raise ssl.SSLError("the key is encrypted")
