"""`promisewatch notifier`: one notifier process."""

from promisewatch.configuring import configured
from promisewatch.settings.processes import NotifierSettings

RECORDS_IN_HAND_MAX = 2_000
POLL_RECORDS_MAX = 500
"""A notifier is as fast as the other side: what it cannot tell yet waits in Kafka, not in memory."""


@configured(NotifierSettings)
def notifier(settings: NotifierSettings) -> None:
    """Run a notifier: breaches in, somebody told, on the console or by signed webhooks.

    A webhook is tried again while that may help; what cannot be delivered goes to promisewatch.notifications.dlq, from
    where `promisewatch redrive` sends it back.

    Every option is also an environment variable: --state-dir is PROMISEWATCH_STATE_DIR (see `promisewatch config`).

    Ends with 0 after SIGTERM, 75 when it must be started again (nothing is lost, nothing is told twice), 78 when
    topics, settings or stored state do not fit or Kafka refuses the login, 70 after a bug (please report it).
    """
    from dataclasses import replace

    from agents.notify import NotifySettings, build_notifier
    from promisewatch.channels import channel_of, policy_of
    from promisewatch.running import begin, run_member
    from schemas.topics import BREACHES, NOTIFICATIONS, dlq, notifier_changelog
    from streams.app import BatchApp, StreamSettings

    channel, policy = channel_of(settings), policy_of(settings)
    health = begin(settings)

    def build(streams: StreamSettings) -> BatchApp:
        bounded = replace(streams, records_in_hand_max=RECORDS_IN_HAND_MAX, poll_records_max=POLL_RECORDS_MAX)
        return build_notifier(bounded, NotifySettings(settings.max_age), channel, policy)

    run_member(
        settings,
        health,
        topic=BREACHES,
        topics=[NOTIFICATIONS, dlq(BREACHES), dlq(NOTIFICATIONS)],
        changelog=notifier_changelog(settings.app_id),
        table="notified",
        build=build,
    )
