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

READ_BY_STATE = "start under another --app-id"
READ_BY_GROUP = (
    "end all members of the group, remove its offsets of this topic (kafka-consumer-groups --delete-offsets) and start "
    "again"
)
"""What to do where a topic was made again: positions are kept with the state, or by the group."""


class TopicWatch(mode.Service):
    """Looks at the topics that an app lives on every second, whatever else goes on."""

    mundane_level = "debug"

    def __init__(
        self, app: Any, fixed: Mapping[str, int], *, growing: Mapping[str, int] | None = None, **kwargs: Any
    ) -> None:
        """Watch topics (name -> partitions at start): `fixed` ones keep their number, `growing` ones may get more."""
        super().__init__(**kwargs)
        self._app = app
        self._fixed = dict(fixed)
        self._growing = dict(growing or {})
        self._ids: dict[str, str] = {}
        self._absent: Counter[str] = Counter()

    @mode.Service.task
    async def _run(self) -> None:
        topics = [*self._fixed, *self._growing]
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            try:
                self.look(await self._app.offsets.identify(*topics))
            except asyncio.CancelledError:
                raise
            except (KafkaError, TimeoutError, OSError):
                continue  # while no broker answers there is nothing to see
            except BaseException as error:  # noqa: BLE001 -- a watch that dies silently watches nothing
                end_process("watching topics", error)

    def expect(self, topic: str, topic_id: str) -> None:
        """Remember which topic was opened, lest one that is made again before the first look is taken for it."""
        self._ids.setdefault(topic, topic_id)

    def look(self, identities: Mapping[str, Identity]) -> None:
        """Compare with what was there at first. Raises TopicsError or StateError when a topic is not the same."""
        for topic, found in identities.items():
            self._absent[topic] = 0 if found.partitions else self._absent[topic] + 1
            if self._absent[topic] >= ABSENT_LOOKS:
                raise TopicsError(f"there is no topic {topic} any more: it was deleted while this process used it")
            if found.topic_id is not None:
                remedy = READ_BY_GROUP if topic in self._growing else READ_BY_STATE
                same_topic(topic, self._ids.setdefault(topic, found.topic_id), found.topic_id, remedy)
            if not found.partitions:
                continue
            expected = self._fixed.get(topic)
            if expected is not None and found.partitions != expected:
                raise TopicsError(
                    f"{topic} has {found.partitions} partitions now, and had {expected} at start: subjects would be on "
                    "other partitions than their state; 'promisewatch topics check' says what to do"
                )
            if found.partitions < self._growing.get(topic, 0):
                raise StateError(
                    f"{topic} was recreated: it has {found.partitions} partitions now, and had {self._growing[topic]}; "
                    f"the same offsets mean other records, so {READ_BY_GROUP}"
                )
            if topic in self._growing:
                self._growing[topic] = found.partitions


def same_topic(topic: str, before: str | None, now: str | None, remedy: str = READ_BY_STATE) -> None:
    """Raise StateError when a topic's ids say that it was made again. Not knowing one of them says nothing."""
    if before is not None and now is not None and before != now:
        raise StateError(
            f"{topic} was recreated: it has the id {now}, and what was processed came from one with the id {before}; "
            f"the same offsets mean other records, so {remedy}"
        )
