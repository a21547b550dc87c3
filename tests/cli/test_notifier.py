"""`promisewatch notifier`: what its webhook needs, said before anything is started, and never with a secret in it."""

from pathlib import Path

import pytest

from promisewatch.channels import channel_of, policy_of
from promisewatch.settings.processes import NotifierSettings
from promisewatch.settings.values import ChannelKind
from schemas.exits import ExitCode
from tests.agents.receiver import KEYS
from tests.cli.running import promisewatch

ARGUMENTS = ("notifier", "--bootstrap-server", "127.0.0.1:1", "--http-port", "off")
WEBHOOK = (*ARGUMENTS, "--channel", "webhook")


def test_a_webhook_needs_a_receiver_and_keys() -> None:
    """Exit code 78: a restart alone will not help."""
    run = promisewatch(*WEBHOOK)
    assert run.code == ExitCode.CONFIG
    assert "channel webhook needs webhook_url and webhook_keys" in run.err


def test_a_receiver_that_nobody_would_post_to_is_refused() -> None:
    """Somebody forgot --channel webhook, and would wonder why nothing comes."""
    run = promisewatch(*ARGUMENTS, "--webhook-url", "https://crm.example/")
    assert run.code == ExitCode.CONFIG
    assert "webhook_url has no effect with channel console; expected webhook" in run.err


def test_a_bad_key_is_refused_without_being_shown(tmp_path: Path) -> None:
    """Which of them, and why."""
    file = tmp_path / "keys"
    file.write_text(f"{KEYS[0]}\nwhsec_dG9vLXNob3J0\n")
    run = promisewatch(*WEBHOOK, "--webhook-url", "https://crm.example/", "--webhook-keys-file", file)
    assert run.code == ExitCode.CONFIG
    assert "webhook key 2 of 2: found 9 bytes, expected 24 to 64" in run.err
    assert "dG9vLXNob3J0" not in run.err + run.out


@pytest.mark.parametrize("url", ["crm.example", "ftp://crm.example/", "https://user:hush@crm.example/"])
def test_a_url_that_cannot_be_posted_to_is_refused_without_being_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a secret."""
    monkeypatch.setenv("PROMISEWATCH_WEBHOOK_KEYS", KEYS[0])
    run = promisewatch(*WEBHOOK, "--webhook-url", url)
    assert run.code == ExitCode.CONFIG
    assert "webhook url: " in run.err
    assert "crm.example" not in run.err
    assert "hush" not in run.err


def test_limits_of_the_webhook_are_limits_of_its_settings() -> None:
    """An attempt of a minute would outlast a rebalance."""
    run = promisewatch(*WEBHOOK, "--webhook-timeout", "60")
    assert run.code == ExitCode.USAGE
    assert "--webhook-timeout: found '60.0'; it should be less than or equal to 20" in run.err


def test_settings_reach_the_channel_and_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several keys out of one variable; the channel's representation and the settings' show none of them."""
    monkeypatch.setenv("PROMISEWATCH_WEBHOOK_KEYS", ", ".join(KEYS))
    settings = NotifierSettings(
        bootstrap_server="x",
        channel=ChannelKind.WEBHOOK,
        webhook_url="https://crm.example/hook",
        webhook_attempts_max=3,
        webhook_concurrency=5,
    )  # type: ignore[call-arg]
    channel, policy = channel_of(settings), policy_of(settings)
    assert (channel.name, channel.idempotent) == ("webhook", True)
    assert (policy.attempts_max, policy.retry_max, policy.concurrency) == (3, 120.0, 5)
    headers = channel.headers("id", b"{}")  # type: ignore[attr-defined]
    assert len(headers["webhook-signature"].split(" ")) == 2
    for key in KEYS:
        assert key not in repr(settings) + repr(channel) + str(vars(channel))


def test_the_console_needs_nothing() -> None:
    """It is the default."""
    assert channel_of(NotifierSettings(bootstrap_server="x")).name == "console"  # type: ignore[call-arg]
