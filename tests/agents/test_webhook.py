"""The webhook channel against a real receiver on loopback: signed, never redirected, every failure named."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from agents.channels import Delivery, Failure, Message
from agents.channels.webhook import WebhookChannel, WebhookSettings, read_keys, retry_after
from agents.decisions import NotifyReason
from schemas.errors import SettingsError
from tests.agents.notifying import encode
from tests.agents.receiver import KEYS, Answer, Receiver, receiving
from tests.agents.test_decisions import breach

MESSAGE = Message(breach(), encode(breach()), NotifyReason.FIRST_BREACH)
SECRET = "c3VwZXItc2VjcmV0LXN1cGVyLXNlY3JldA"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def post(url: str, keys: tuple[str, ...] = KEYS, **more: float | Path) -> Delivery:
    """One attempt."""
    channel = WebhookChannel(WebhookSettings(url, keys, **more))  # type: ignore[arg-type]
    try:
        return await channel.deliver(MESSAGE)
    finally:
        await channel.close()


async def test_the_event_is_posted_as_published_and_verifies(receiver: Receiver) -> None:
    """The receiver checks with the reference package; the id is the event's, the body its very bytes."""
    assert await post(receiver.url) == Delivery()
    assert receiver.ids == ["b"]
    assert receiver.bodies == [MESSAGE.body]
    assert receiver.headers[0]["content-type"] == "application/cloudevents+json; charset=UTF-8"


@pytest.mark.parametrize("key", KEYS)
async def test_while_keys_are_rotated_a_receiver_with_either_key_verifies(receiver: Receiver, key: str) -> None:
    """One signature a key, in one header."""
    receiver.key = key
    assert await post(receiver.url, KEYS) == Delivery()
    signatures = receiver.headers[0]["webhook-signature"].split(" ")
    assert [signature[:3] for signature in signatures] == ["v1,", "v1,"]
    assert len(set(signatures)) == 2


async def test_every_attempt_is_signed_with_its_own_time(receiver: Receiver) -> None:
    """A receiver refuses what was signed minutes ago: an attempt after a long pause must not look old."""

    class Later:
        factor = 1.0
        now = 1_777_636_800_000

        def now_ms(self) -> int:
            self.now += 60_000
            return self.now

    channel = WebhookChannel(WebhookSettings(receiver.url, KEYS), Later())
    first, second = channel.headers("b", MESSAGE.body), channel.headers("b", MESSAGE.body)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert first["webhook-signature"] != second["webhook-signature"]
    assert first["webhook-id"] == second["webhook-id"] == "b"


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [
        (200, Delivery()),
        (202, Delivery()),
        (400, Delivery(Failure.REJECTED, "HTTP 400")),
        (401, Delivery(Failure.REJECTED, "HTTP 401")),
        (404, Delivery(Failure.REJECTED, "HTTP 404")),
        (410, Delivery(Failure.REJECTED, "HTTP 410")),
        (408, Delivery(Failure.RATE_LIMITED, "HTTP 408")),
        (425, Delivery(Failure.RATE_LIMITED, "HTTP 425")),
        ((429, {"retry-after": "7"}), Delivery(Failure.RATE_LIMITED, "HTTP 429", 7.0)),
        (500, Delivery(Failure.SERVER_ERROR, "HTTP 500")),
        ((503, {"retry-after": "soon"}), Delivery(Failure.SERVER_ERROR, "HTTP 503")),
        ("close", Delivery(Failure.CLOSED, "the connection ended before the answer (ServerDisconnectedError)")),
    ],
)
async def test_every_answer_has_a_name(receiver: Receiver, answer: Answer, delivery: Delivery) -> None:
    """And says whether trying again may help."""
    receiver.script = [answer]
    assert await post(receiver.url) == delivery


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """The signed message goes where the operator said, or nowhere."""
    async with receiving() as elsewhere:
        for status in (301, 302, 307, 308):
            receiver.script = [(status, {"location": elsewhere.url})]
            delivery = await post(receiver.url)
            assert delivery == Delivery(Failure.REDIRECTED, f"HTTP {status}: redirects are not followed")
        assert elsewhere.ids == []


async def test_a_receiver_that_does_not_answer_costs_no_more_than_the_timeout(receiver: Receiver) -> None:
    """It may have taken the message in: that is ambiguous, and worth another attempt."""
    receiver.script = ["hang"]
    delivery = await post(receiver.url, timeout=0.2)
    assert delivery == Delivery(Failure.TIMEOUT, "no answer in time")


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    """Nothing can have arrived there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        delivery = await post(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert delivery == Delivery(Failure.UNREACHABLE, "no connection came about")


async def test_a_name_that_resolves_to_nothing_is_named() -> None:
    """Worth another attempt: a name server in trouble says the same."""
    delivery = await post("http://receiver.invalid/")
    assert delivery == Delivery(Failure.UNKNOWN_HOST, "the receiver's name cannot be resolved")


async def test_a_certificate_nobody_vouches_for_is_refused_and_one_of_a_given_authority_is_not(tmp_path: Path) -> None:
    """Nothing is sent to a receiver that cannot prove who it is."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    async with receiving(tls) as receiver:
        refused = await post(receiver.url)
        assert refused == Delivery(Failure.BAD_CERTIFICATE, "the receiver's certificate is not valid")
        assert receiver.ids == []
        assert await post(receiver.url, ca_file=file) == Delivery()


async def test_a_plain_server_at_an_https_address_is_unreachable(receiver: Receiver) -> None:
    """A mistake in the address, or a proxy that restarts: no certificate was shown, so none is bad."""
    delivery = await post(receiver.url.replace("http:", "https:"))
    assert delivery == Delivery(Failure.UNREACHABLE, "no TLS connection came about")


def test_which_failures_are_worth_another_attempt() -> None:
    """One row a failure: whether it may pass, and whether the message may have arrived."""
    assert {failure.value: (failure.recoverable, failure.ambiguous) for failure in Failure} == {
        "rejected": (False, False),
        "redirected": (False, False),
        "bad_certificate": (False, False),
        "broken_output": (False, True),
        "rate_limited": (True, False),
        "server_error": (True, True),
        "timeout": (True, True),
        "closed": (True, True),
        "unreachable": (True, False),
        "unknown_host": (True, False),
    }


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("Fri, 99 May 2026 11:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    """Anything else is as good as none."""
    assert retry_after(value, 1_777_636_800_000) == seconds


@pytest.mark.parametrize(
    ("url", "keys", "message"),
    [
        ("ftp://h/", KEYS, "webhook url: expected http:// or https:// with a host"),
        ("https://", KEYS, "webhook url: expected http:// or https:// with a host"),
        ("https://h:port/", KEYS, "webhook url: expected http:// or https:// with a host"),
        (f"https://u:{SECRET}@h/", KEYS, "webhook url: found a user or password in it, expected none"),
        ("https://h/#x", KEYS, "webhook url: found a fragment"),
        ("https://h/", (), "webhook keys: found none, expected at least one"),
        ("https://h/", (KEYS[0], f"whsec_{SECRET}!"), "webhook key 2 of 2: found something else than base64"),
        ("https://h/", ("whsec_" + SECRET[:24],), "webhook key 1 of 1: found 18 bytes, expected 24 to 64"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_telling_a_secret(
    url: str, keys: tuple[str, ...], message: str
) -> None:
    """What was found, what was expected, where: but no key and no password."""
    with pytest.raises(SettingsError) as refusal:
        WebhookSettings(url, keys)
    assert message in str(refusal.value)
    assert SECRET[:12] not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_an_unreadable_ca_file_is_refused_by_name(tmp_path: Path) -> None:
    """At start, not at the first breach."""
    with pytest.raises(SettingsError, match=r"webhook ca file .*ca\.pem: No such file"):
        WebhookChannel(WebhookSettings("https://h/", KEYS, ca_file=tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(SettingsError, match=r"webhook ca file .*ca\.pem: .*expected certificates in PEM"):
        WebhookChannel(WebhookSettings("https://h/", KEYS, ca_file=tmp_path / "ca.pem"))


def test_keys_are_read_from_commas_and_lines_each_once() -> None:
    """As an environment variable or a mounted file has them."""
    assert read_keys(f"{KEYS[0]},{KEYS[1]}\n {KEYS[0]}\n") == KEYS
    assert read_keys(" \n") == ()


async def test_no_representation_log_or_error_shows_a_key_or_the_path_of_the_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Chat services put their secret into the path."""
    caplog.set_level(logging.DEBUG)
    settings = WebhookSettings(f"{receiver.url}?token={SECRET}", (f"whsec_{SECRET}", KEYS[0]))
    channel = WebhookChannel(settings)
    receiver.script = [500, "close", 400, 302]
    seen = [repr(settings), repr(channel), settings.address, str(vars(channel))]
    seen += [repr(await channel.deliver(MESSAGE)) for _ in range(5)]
    await channel.close()
    seen.append(repr(await post(f"http://receiver.invalid/{SECRET}")))
    assert len(receiver.ids) == 5
    text = "\n".join([*seen, caplog.text])
    assert SECRET not in text
    assert KEYS[0] not in text
    assert settings.address == receiver.url.removesuffix("/hook")
