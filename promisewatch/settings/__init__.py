"""Every setting of every process, each defined once: its type, its default, its limits and its help text.

A setting `drain_timeout` is the flag `--drain-timeout` and the environment variable PROMISEWATCH_DRAIN_TIMEOUT; the
flag wins over the environment, the environment over the default. A secret (SecretStr) has no flag, which would show
in the process list; instead a file may hold it: `--sasl-password-file`, PROMISEWATCH_SASL_PASSWORD_FILE.

`values.py` says what a value may be, `shared.py` what several commands have in common, `processes.py` what runs for
long and `commands.py` what an operator starts. Adding a setting is adding a field there: flag, variable, `promisewatch
config` and docs/settings.md follow from it (`python -m promisewatch.reference` writes the latter). How they are read:
promisewatch/configuring.py.
"""

from promisewatch.settings.commands import (
    FeedSettings,
    MigrateSettings,
    RedriveSettings,
    StatusSettings,
    SubjectSettings,
    TopicsSettings,
)
from promisewatch.settings.processes import IngestSettings, NotifierSettings, WorkerSettings
from promisewatch.settings.shared import Settings

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
