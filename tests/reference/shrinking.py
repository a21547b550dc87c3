"""A disagreement made small: what can be left out while it stays one, and the rest as a script for people."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from schemas.book import parse_book
from schemas.book_model import Book
from schemas.errors import BookError
from tests.reference.playing import as_yaml, disagreement, expectation
from tests.reference.worlds import ALWAYS, Arrival, World, prompt

TRIES_MAX = 600


def problem_with(world: World, arrival: Arrival) -> str | None:
    """What is wrong; an exception is wrong too."""
    book = parsed(as_yaml(world.book))
    if book is None:
        return None
    try:
        return disagreement(world, book, arrival, expectation(world))
    except Exception as error:  # noqa: BLE001 - whatever it is, a smaller world is easier to look at
        return f"raised {type(error).__name__}: {error}"


@lru_cache(maxsize=1000)
def parsed(text: str) -> Book | None:
    try:
        return parse_book(text, "world.yaml")
    except BookError:
        return None


def shrink(world: World, arrival: Arrival) -> tuple[World, Arrival]:
    """The smallest world found in which something is still wrong."""
    tries = 0
    smaller: tuple[World, Arrival] | None = (world, arrival)
    while smaller is not None:
        world, arrival = smaller
        smaller = None
        for candidate in candidates(world, arrival):
            tries += 1
            if tries > TRIES_MAX:
                break
            if problem_with(*candidate):
                smaller = candidate
                break
    return world, arrival


def candidates(world: World, arrival: Arrival) -> Iterator[tuple[World, Arrival]]:
    """The world with something less in it; where the frontier keeps up with the facts, it still does."""
    for smaller, same in less_in_it(world, arrival):
        if not arrival.prompt:
            yield smaller, same
        elif any(smaller.events.values()) and parsed(as_yaml(smaller.book)):
            again = prompt(random.Random(arrival.slice_size), smaller)
            yield smaller, replace(again, watched=arrival.watched, to_the_end=arrival.to_the_end)
    if not arrival.prompt:
        yield from fewer_steps(world, arrival)


def less_in_it(world: World, arrival: Arrival) -> Iterator[tuple[World, Arrival]]:
    """The world with a promise, a subject, an event or a key of a promise less."""
    promises = world.book["promises"]
    for index in range(len(promises)):
        yield with_promises(world, promises[:index] + promises[index + 1 :]), arrival
    for subject in world.events if len(world.events) > 1 else []:
        yield without(world, arrival, lambda step, subject=subject: step[0] == "event" and step[1][0] == subject)
    events = {id(step[1][1]): step for step in arrival.steps if step[0] == "event"}
    for step in events.values():
        yield without(world, arrival, lambda other, step=step: other[0] == "event" and other[1][1] is step[1][1])
    for index, promise in enumerate(promises):
        for smaller in simpler(promise):
            yield with_promises(world, [*promises[:index], smaller, *promises[index + 1 :]]), arrival
    if world.known_since != ALWAYS:
        yield replace(world, known_since=ALWAYS), arrival


def fewer_steps(world: World, arrival: Arrival) -> Iterator[tuple[World, Arrival]]:
    """The same world with fewer repetitions, frontier steps, commits and restarts."""
    marks = [index for index, (word, _) in enumerate(arrival.steps[:-1]) if word != "event"]
    for half in (marks, marks[::2], marks[1::2]) if len(marks) > 2 else []:
        left = [step for index, step in enumerate(arrival.steps) if index not in half]
        yield world, replace(arrival, steps=left)
    for index in range(len(arrival.steps) - 1):
        left = arrival.steps[:index] + arrival.steps[index + 1 :]
        word, what = arrival.steps[index]
        if word != "event" or any(other == (word, what) for other in left):
            yield world, replace(arrival, steps=left)


def with_promises(world: World, promises: list[dict[str, Any]]) -> World:
    ids = {promise["id"] for promise in promises}
    kept = [promise for promise in promises if promise["when"].get("breach_of") in {None, *ids}]
    return replace(world, book=world.book | {"promises": kept})


def simpler(promise: dict[str, Any]) -> list[dict[str, Any]]:
    """The promise without one of its keys, or one of theirs."""
    found = [{key: value for key, value in promise.items() if key != gone} for gone in promise]
    for part in ("when", "expect", "forbid", "due", "release", "repromise", "pause", "until"):
        inner = promise.get(part)
        if isinstance(inner, dict):
            found += [promise | {part: {key: inner[key] for key in inner if key != gone}} for gone in inner]
    needed = {"id", "when", "due"}
    return [one for one in found if needed <= one.keys() and ("expect" in one or "forbid" in one)]


def without(world: World, arrival: Arrival, gone: Any) -> tuple[World, Arrival]:
    steps = [step for step in arrival.steps if not gone(step)]
    events: dict[str, list[Any]] = {}
    for word, what in steps:
        if word == "event" and all(other is not what[1] for other in events.setdefault(what[0], [])):
            events[what[0]].append(what[1])
    return replace(world, events=events), replace(arrival, steps=steps)


def script(world: World, arrival: Arrival) -> str:
    """A world as a text to read: the book, what happened in this order, and what is wrong."""
    defaults = world.book["defaults"]
    dues = [promise["due"] for promise in world.book["promises"]]
    names = {due[key] for due in dues for key in ("calendar", "of") if key in due}
    lines = [f"defaults: {json.dumps(defaults)}"]
    lines += [f"  {name}: {json.dumps(world.book['calendars'][name])}" for name in sorted(names)]
    lines += [f"- {json.dumps(promise)}" for promise in world.book["promises"]]
    lines.append(f"known since {when(world.known_since)}; slices of {arrival.slice_size}")
    if arrival.prompt:
        lines.append("the frontier keeps up with the facts")
    lines += ["each fact is a batch of its own"] if arrival.watched else []
    lines += ["goes on until nothing is kept"] if arrival.to_the_end else []
    for word, what in arrival.steps:
        if word == "event":
            event = what[1]
            taken = f" takes back {event['withdraws']}" if "withdraws" in event else ""
            said = f"{event['type']} {event['id']} {when(event['time'])}{taken} {json.dumps(event['data'])}"
            lines.append(f"  {what[0]}: {said}")
        elif not arrival.prompt or what == world.frontier:
            lines.append(f"  {word} {when(what) if word == 'frontier' else ''}")
    lines.append(problem_with(world, arrival) or "nothing is wrong any more")
    return "\n".join(lines)


def when(instant: int) -> str:
    if abs(instant) > 1 << 49:
        return "always"
    return f"{(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).isoformat()} ({instant})"
