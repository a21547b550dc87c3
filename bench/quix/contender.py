"""The five promises by hand on Quix Streams: state per order in RocksDB with its changelog, outcomes to a topic.

`python contender.py SERVER TOPIC GROUP FOLDER RECORDS GUARANTEE`, in the environment that pyproject.toml locks. It does
less than promisewatch: no versions, no late or retracted evidence, no timers, dues from a table of days.
"""

import json
import os
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found, unused-ignore]

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CLOSED_DAYS = {6}

OPENS = {
    "order.placed": ("confirm-15m", "next-day"),
    "payment.captured": ("picked-4h",),
    "order.shipped": ("pickup-2d",),
    "delivery.planned": ("slot",),
}
FULFILS = {
    "message.sent": ("confirm-15m",),
    "parcel.delivered": ("next-day", "slot"),
    "order.picked": ("picked-4h",),
    "parcel.at_pickup": ("pickup-2d",),
}
RELEASES = {"order.cancelled": ("next-day", "picked-4h", "pickup-2d", "slot")}
KNOWN = {*OPENS, *FULFILS, *RELEASES}
FIELDS = ("speed", "kind", "method", "slot_end")

_days: dict[tuple[str, int, bool], int] = {}


def instant_ms(text: str) -> int:
    """UTC milliseconds of an RFC 3339 text."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


def end_of_working_day_ms(text: str, days: int, *, cutoff: bool) -> int:
    """The end of the day that is `days` working days on (one more after 18:00), remembered per day."""
    late = cutoff and text[11:16] >= "18:00"
    found = _days.get((text[:10], days, late))
    if found is None:
        day, left = datetime.fromisoformat(text), days + late
        while left:
            day += timedelta(days=1)
            left -= day.weekday() not in CLOSED_DAYS
        end = day.replace(hour=23, minute=59, second=59, microsecond=999_000)
        found = _days[text[:10], days, late] = int(end.timestamp() * 1_000)
    return found


def due_ms(promise: str, event: dict[str, Any], at: int) -> int | None:
    """When an opened promise is due; None if the event does not open it."""
    if promise == "confirm-15m":
        return at + 15 * MINUTE_MS
    if promise == "picked-4h":
        return at + 4 * HOUR_MS
    if promise == "next-day":
        return end_of_working_day_ms(event["occurred_at"], 1, cutoff=True) if event.get("speed") == "next" else None
    if promise == "pickup-2d":
        return end_of_working_day_ms(event["occurred_at"], 2, cutoff=False) if event.get("method") == "pickup" else None
    return instant_ms(event["slot_end"])


class Promises:
    """The stateful step."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self.started = 0.0
        self.ended = 0.0

    def process(self, event: dict[str, Any], state: Any) -> list[dict[str, Any]]:
        """Add one event to its order's state; return the outcomes it settles."""
        if not self.started:
            self.started = time.time()
        outcomes = self._apply(event, state) if event["type"] in KNOWN else []
        self._left -= 1
        if not self._left:
            self.ended = time.time()
        return outcomes

    def _apply(self, event: dict[str, Any], state: Any) -> list[dict[str, Any]]:
        kind, at = event["type"], instant_ms(event["occurred_at"])
        if kind == "message.sent" and event.get("kind") != "confirmation":
            return []
        order = state.get("order") or {"facts": {}, "runs": {}}
        if event["event_id"] in order["facts"]:
            return []
        outcomes, runs, changed = [], order["runs"], False
        for promise in OPENS.get(kind, ()):
            due = due_ms(promise, event, at) if promise not in runs else None
            if due is not None:
                runs[promise] = [at, due, "open", 0]
                changed = True
        for roles, status in ((FULFILS, "kept"), (RELEASES, "released")):
            for promise in roles.get(kind, ()):
                run = runs.get(promise)
                if run is not None and run[2] == "open" and at <= run[1]:
                    run[2], run[3] = status, run[3] + 1
                    outcomes.append(outcome(event, promise, run))
                    changed = True
        if changed:
            order["facts"][event["event_id"]] = [kind, at, {name: event[name] for name in FIELDS if name in event}]
            state.set("order", order)
        return outcomes


def outcome(event: dict[str, Any], promise: str, run: list[Any]) -> dict[str, Any]:
    """What is published about a settled promise."""
    return {
        "id": f"{promise}/{event['order_id']}/{run[2]}/{run[3]}", "type": "promise.outcome.v1", "promise": promise,
        "subject": event["order_id"], "opened_at": run[0], "due": run[1], "status": run[2], "revision": run[3],
        "fulfilled_at": event["occurred_at"],
    }  # fmt: skip


def main() -> None:
    server, topic, group, folder, records, guarantee = sys.argv[1:]
    wanted = int(records)
    promises = Promises(wanted)
    app = Application(
        broker_address=server, consumer_group=group, auto_offset_reset="earliest", state_dir=folder,
        processing_guarantee=guarantee, loglevel="WARNING",
    )  # fmt: skip
    frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="bytes"))
    frame = frame.apply(promises.process, stateful=True, expand=True)
    frame.to_topic(app.topic(f"{group}-outcomes", value_serializer="json"), key=lambda value: value["subject"])

    run_until(app, promises)
    print(json.dumps({"records": wanted - 1, "started": promises.started, "ended": promises.ended}), flush=True)
    os._exit(0)


def run_until(app: Application, promises: Promises) -> None:
    """Run until all is processed and its checkpoint is committed."""

    def watch() -> None:
        while not promises.ended:
            time.sleep(0.05)
        app.stop()

    threading.Thread(target=watch, daemon=True).start()
    app.run()


if __name__ == "__main__":
    main()
