"""What Kafka refuses for good: wrong credentials, no permission, no trust. Trying again will not help; somebody has to.

aiokafka tells of a login that failed only in its log while it goes from one bootstrap server to the next, so `diagnose`
asks each server once more, by itself.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from schemas.errors import SettingsError

LOGIN = (AuthenticationFailedError, SaslAuthenticationFailed)
METHOD = (AuthenticationMethodNotSupported, IllegalSaslStateError, UnsupportedSaslMechanismError)
PERMISSION = {
    TopicAuthorizationFailedError: "a topic",
    GroupAuthorizationFailedError: "the consumer group",
    ClusterAuthorizationFailedError: "the cluster (an idempotent producer needs IdempotentWrite, or Write on a topic)",
    TransactionalIdAuthorizationFailed: "the transactional ids (they begin with the application id)",
}
ANSWER_SECONDS = 10.0


def refusal(error: BaseException, client: Mapping[str, Any]) -> SettingsError | None:
    """Return what to tell a person when `error` means that Kafka refuses us for good, else None."""
    who = client.get("sasl_plain_username")
    where = client["bootstrap_servers"]
    if isinstance(error, LOGIN):
        return SettingsError(
            f"Kafka at {where} refuses the login of sasl_username {who!r} by {client.get('sasl_mechanism')}: "
            "wrong name or password"
        )
    if isinstance(error, METHOD):
        return SettingsError(
            f"Kafka at {where} does not take {client.get('sasl_mechanism')} with {client.get('security_protocol')}: "
            f"{error}; expected another sasl_mechanism or security_protocol"
        )
    for kind, what in PERMISSION.items():
        if isinstance(error, kind):
            named = f" {', '.join(sorted(error.args[0]))}" if error.args and isinstance(error.args[0], set) else ""
            user = f"user {who!r}" if who else "this client"
            return SettingsError(f"Kafka at {where} gives {user} no permission for {what}{named}")
    certificate = _certificate(error)
    if certificate is not None:
        return SettingsError(
            f"the broker at {where} cannot prove who it is: {certificate}; expected a certificate for this address "
            "vouched for by ssl_cafile"
        )
    return None


def _certificate(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or str(error)
        error = error.__cause__ or error.__context__
    return None


async def diagnose(client: Mapping[str, Any]) -> SettingsError | None:
    """Connect to each bootstrap server once; return why it refuses us for good, or None when it may yet work."""
    settings = {key: value for key, value in client.items() if key not in {"bootstrap_servers", "client_id"}}
    for address in str(client["bootstrap_servers"]).split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            connection = await asyncio.wait_for(
                create_conn(host.strip("[]"), int(port), request_timeout_ms=int(ANSWER_SECONDS * 1_000), **settings),
                ANSWER_SECONDS,
            )
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            found = refusal(error, client)
            if found is not None:
                return found
        else:
            connection.close()
    return None


async def likely_mismatch(client: Mapping[str, Any]) -> str:
    """Return a hint for a broker that accepts connections and hangs up: it may speak another security protocol."""
    for address in str(client["bootstrap_servers"]).split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), ANSWER_SECONDS)
        except (OSError, TimeoutError, ValueError):
            continue
        writer.close()
        protocol = client.get("security_protocol", "PLAINTEXT")
        return (
            f"; something listens there: does it expect another security_protocol than {protocol}, or an ssl_certfile?"
        )
    return ""
