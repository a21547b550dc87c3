"""The notifier's channel and its patience, as the settings say."""

from agents.channels import Channel
from agents.channels.console import ConsoleChannel
from agents.channels.webhook import WebhookChannel, WebhookSettings, read_keys
from agents.delivery import RetryPolicy
from promisewatch.settings.processes import NotifierSettings
from promisewatch.settings.values import ChannelKind


def channel_of(settings: NotifierSettings) -> Channel:
    """Return the channel. Raises SettingsError when its settings cannot be used; the message holds no secret."""
    if settings.channel is ChannelKind.CONSOLE:
        return ConsoleChannel()
    keys = settings.webhook_keys
    return WebhookChannel(
        WebhookSettings(
            url=settings.webhook_url or "",
            keys=read_keys("" if keys is None else keys.get_secret_value()),
            timeout=settings.webhook_timeout,
            connect_timeout=settings.webhook_connect_timeout,
            concurrency=settings.webhook_concurrency,
            ca_file=settings.webhook_ca_file,
        )
    )


def policy_of(settings: NotifierSettings) -> RetryPolicy:
    """Return how long deliveries are tried."""
    return RetryPolicy(
        attempts_max=settings.webhook_attempts_max,
        retry_max=settings.webhook_retry_max,
        concurrency=settings.webhook_concurrency,
    )
