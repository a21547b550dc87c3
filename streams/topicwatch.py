"""Ends the process when a topic it lives on is not the one any more that it began with.

Neither Faust nor aiokafka does: for them a topic that is gone, made again or grown is a reason to ask again, for ever,
or to go on with the partitions that are left.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import mode
from aiokafka.errors import KafkaError

from schemas.errors import StateError, TopicsError
from streams.failure import end_process
from streams.identity import Identity

LOOK_SECONDS = 1.0
ABSENT_LOOKS = 3
"""So many times in a row a topic must be absent: a broker that has just come up may know less than the others."""


class TopicWatch(mode.Service):
    """Looks at the input topic and the changelog every second, whatever else goes on."""

    mundane_level = "debug"

    def __init__(self, app: Any, **kwargs: Any) -> None:
        """Watch the topics that `app` reads."""
        super().__init__(**kwargs)
        self._app = app
        self._ids: dict[str, str] = {}
        self._absent: Counter[str] = Counter()

    @mode.Service.task
    async def _run(self) -> None:
        settings = self._app.settings
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            try:
                self.look(await self._app.offsets.identify(settings.topic, settings.changelog))
            except asyncio.CancelledError:
                raise
            except (KafkaError, TimeoutError, OSError):
                continue  # while no broker answers there is nothing to see
            except BaseException as error:  # noqa: BLE001 -- a watch that dies silently watches nothing
                end_process("watching topics", error)

    def look(self, identities: Mapping[str, Identity]) -> None:
        """Compare with what was there at first. Raises TopicsError or StateError when a topic is not the same."""
        expected = self._app.settings.partitions
        for topic, found in identities.items():
            self._absent[topic] = 0 if found.partitions else self._absent[topic] + 1
            if self._absent[topic] >= ABSENT_LOOKS:
                raise TopicsError(f"there is no topic {topic} any more: it was deleted while this process used it")
            if found.topic_id is not None:
                same_topic(topic, self._ids.setdefault(topic, found.topic_id), found.topic_id)
            if found.partitions not in {0, expected}:
                raise TopicsError(
                    f"{topic} has {found.partitions} partitions now, and had {expected} at start: subjects would be on "
                    "other partitions than their state; 'promisewatch topics check' says what to do"
                )


def same_topic(topic: str, before: str | None, now: str | None) -> None:
    """Raise StateError when a topic's ids say that it was made again. Not knowing one of them says nothing."""
    if before is not None and now is not None and before != now:
        raise StateError(
            f"{topic} was recreated: it has the id {now}, and what was processed came from one with the id {before}; "
            "the same offsets mean other records, so start under another --app-id"
        )
