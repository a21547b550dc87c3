"""The webhook channel: each breach event is posted as published, signed by Standard Webhooks.

`webhook-id` is the event's id, the same in every attempt, after any crash and redrive: a receiver that remembers ids
handles each event once. While keys are rotated every key signs, so that a receiver may know the old or the new one.
"""

import binascii
import email.utils
import ssl
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from standardwebhooks import Webhook

from agents.channels import Delivery, Failure, Message
from schemas.errors import SettingsError
from streams.clock import Clock, SystemClock

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
KEY_PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
"""What Standard Webhooks asks of a key."""
TIMEOUT_MAX_SECONDS = 20.0
"""An attempt must end well within the time a rebalance grants, since nothing interrupts it."""
ANSWER_BYTES_MAX = 64 << 10
"""So much of an answer's body is read to keep the connection; nobody looks at it."""
PATIENCE_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True)
class WebhookSettings:
    """Where to post and how to sign; timeouts in seconds, for connecting and for a whole attempt.

    Raises SettingsError when anything of it cannot be used; its message never holds a key, nor a URL's path or query.
    """

    url: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    timeout: float = 10.0
    connect_timeout: float = 3.0
    concurrency: int = 32
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        check_url(self.url)
        if not self.keys:
            raise SettingsError("webhook keys: found none, expected at least one (whsec_ and base64)")
        for number, key in enumerate(self.keys, 1):
            check_key(key, f"webhook key {number} of {len(self.keys)}")
        if not 0 < self.timeout <= TIMEOUT_MAX_SECONDS:
            raise SettingsError(
                f"webhook timeout: found {self.timeout:g} s, expected more than 0 and at most {TIMEOUT_MAX_SECONDS:g}"
            )
        if self.concurrency < 1:
            raise SettingsError(f"webhook concurrency: found {self.concurrency}, expected at least 1")

    @property
    def address(self) -> str:
        """The receiver as it may be shown: without path and query, which may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def check_url(url: str) -> None:
    """Refuse what is no address of a receiver. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("webhook url: expected http:// or https:// with a host, and a port where it needs one")
    if parts.username is not None or parts.password is not None:
        raise SettingsError("webhook url: found a user or password in it, expected none: messages are signed instead")
    if parts.fragment:
        raise SettingsError("webhook url: found a fragment (#), expected none: it is never sent")


def check_key(key: str, name: str) -> None:
    """Refuse a key that Standard Webhooks would not take. Raises SettingsError without the key."""
    text = key.removeprefix(KEY_PREFIX)
    try:
        size = len(b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise SettingsError(f"{name}: found something else than base64, expected whsec_ and base64") from None
    if not KEY_BYTES_MIN <= size <= KEY_BYTES_MAX:
        raise SettingsError(f"{name}: found {size} bytes, expected {KEY_BYTES_MIN} to {KEY_BYTES_MAX}")


def read_keys(text: str) -> tuple[str, ...]:
    """Read keys separated by commas or white space, each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def retry_after(value: str | None, now_ms: int) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from now (never below 0), or None."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # beyond thirty years it makes no difference
    try:
        when = email.utils.parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return max(0.0, when.timestamp() - now_ms / 1_000)
    except (ValueError, OverflowError):
        return None


class WebhookChannel:
    """Posts. The receiver knows a repetition by its webhook-id, so deliveries are at least once."""

    name = "webhook"
    idempotent = True

    def __init__(self, settings: WebhookSettings, clock: Clock | None = None) -> None:
        """Take over settings that were checked; `clock` dates the signatures (default: the machine's)."""
        self._settings = settings
        self._signers = [Webhook(key) for key in settings.keys]
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._ssl: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            try:
                self._ssl = ssl.create_default_context(cafile=str(settings.ca_file))
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(
                    f"webhook ca file {settings.ca_file}: {error.strerror or error}, expected certificates in PEM"
                ) from error

    def headers(self, event_id: str, body: bytes) -> dict[str, str]:
        """Return the headers of one attempt: signed now, once with every key."""
        now = datetime.fromtimestamp(self._clock.now_ms() // 1_000, UTC)
        text = body.decode()
        return {
            "content-type": CONTENT_TYPE,
            "user-agent": "promisewatch",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(event_id, now, text) for signer in self._signers),
        }

    async def deliver(self, message: Message) -> Delivery:
        """Post once. Every way in which that may fail is in the answer."""
        headers = self.headers(message.event.id, message.body)
        try:
            async with self._open().post(
                self._settings.url, data=message.body, headers=headers, allow_redirects=False
            ) as response:
                status, asked = response.status, response.headers.get("retry-after")
                if status < 300:
                    await _read_some(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return failed(error)
        return judge(status, retry_after(asked, self._clock.now_ms()))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=settings.concurrency, ssl=self._ssl),
                timeout=aiohttp.ClientTimeout(total=settings.timeout, sock_connect=settings.connect_timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read_some(response: aiohttp.ClientResponse) -> None:
    """Read a short answer so that its connection can be used again; the status has decided already."""
    try:
        await response.content.read(ANSWER_BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError):
        response.close()


def judge(status: int, asked: float | None) -> Delivery:
    """Say what an HTTP status means; `asked` is its Retry-After in seconds."""
    if 200 <= status < 300:
        return Delivery()
    detail = f"HTTP {status}"
    if 300 <= status < 400:
        return Delivery(Failure.REDIRECTED, f"{detail}: redirects are not followed")
    if status in PATIENCE_STATUSES:
        return Delivery(Failure.RATE_LIMITED, detail, asked)
    if status >= 500:
        return Delivery(Failure.SERVER_ERROR, detail, asked)
    return Delivery(Failure.REJECTED, detail)


FAILURES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Failure, str], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        Failure.BAD_CERTIFICATE,
        "the receiver's certificate is not valid",
    ),
    (aiohttp.ClientConnectorDNSError, Failure.UNKNOWN_HOST, "the receiver's name cannot be resolved"),
    (aiohttp.ConnectionTimeoutError, Failure.UNREACHABLE, "no connection in time"),
    (aiohttp.ClientSSLError, Failure.UNREACHABLE, "no TLS connection came about"),
    (aiohttp.ClientConnectorError, Failure.UNREACHABLE, "no connection came about"),
    (TimeoutError, Failure.TIMEOUT, "no answer in time"),
)
"""What an exception means, the first that fits. Exceptions' own texts may hold the URL, so ours are told instead."""


def failed(error: BaseException) -> Delivery:
    """Say what an exception of an attempt means; of one not foreseen, that the connection ended."""
    for kinds, failure, detail in FAILURES:
        if isinstance(error, kinds):
            return Delivery(failure, detail)
    return Delivery(Failure.CLOSED, f"the connection ended before the answer ({type(error).__name__})")
