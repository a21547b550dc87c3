"""`promisewatch subject`: whom it asks, what it says when nobody tells, and how it shows what was told."""

# ruff: noqa: E501 - a row of a table stays one line

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from promisewatch import subject_asking
from promisewatch.settings.commands import SubjectSettings
from promisewatch.settings.processes import WorkerSettings
from promisewatch.subject_asking import Candidate, NotYet, candidates_of, until_told
from promisewatch.subject_words import show_subject
from schemas.errors import PromisewatchError, SettingsError
from schemas.exits import ExitCode
from schemas.facts import FactRef, Subject
from schemas.subjects import (
    RefusalReason,
    SubjectEvent,
    SubjectFact,
    SubjectPromise,
    SubjectRefusal,
    SubjectTold,
    SubjectWarning,
)
from streams.observing import Group, Member
from tests.cli.running import promisewatch

AT = "2026-05-04T08:00:00.000Z"
BOOK = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
- {id: confirm, when: {event: order.placed}, due: {within: 15m}, expect: {event: message.sent}}
"""
TWO_KEYS = BOOK + "- {id: call, key: case_id, when: {event: a}, due: {within: 1h}, expect: {event: b}}\n"
ASKED = Subject("order_id", "A 17&?")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    return path


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_asking, "PAUSE_SECONDS", 0.02)


def promise(**changes: Any) -> SubjectPromise:
    """A promise that runs."""
    made: dict[str, Any] = {
        "promise": "confirm", "title": "Confirmed soon", "version": 1, "severity": "medium", "timezone": "Europe/Amsterdam",
        "cycle": "o1", "opened_by": FactRef("order.placed", AT, "shop", "o1"), "breach_of": None, "opened_at": AT,
        "status": "open", "text": "open: due Mon 4 May 2026 10:15, so far no message.sent", "awaits": "message.sent",
        "first_due": "2026-05-04T08:15:00.000Z", "due": "2026-05-04T08:15:00.000Z",
        "judged_at": "2026-05-04T08:15:00.000Z", "known_until": "2026-05-04T08:01:00.000Z", "paused_ms": 0,
        "paused_since": None, "paused_until": None, "fulfilled_at": None, "breached_at": None, "warnings": [],
        "revision": 0, "published": [], "kept_until": AT,
    }  # fmt: skip
    return SubjectPromise(**made | changes)


def told(*promises: SubjectPromise, **changes: Any) -> SubjectTold:
    made: dict[str, Any] = {
        "key": "order_id", "id": ASKED.value, "app_id": "promisewatch", "topic": "shop.events", "partition": 3,
        "told_at": AT, "promises": list(promises), "not_judged_yet": [],
        "facts": [SubjectFact(type="order.placed", time=AT, source="shop", id="o1", data={"speed": "next"}, withdraws=None,
                              taken_back=False)],
    }  # fmt: skip
    return SubjectTold(**made | changes)


class Worker:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self, *answers: SubjectTold | RefusalReason | int) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict[str, str], str | None]] = []

    async def get(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.query), request.headers.get("Authorization")))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, SubjectTold):
            return web.Response(body=msgspec.json.encode(answer))
        if isinstance(answer, int):
            return web.Response(status=answer, text="<html>", headers={"Location": "http://10.0.0.1/elsewhere"})
        refusal = SubjectRefusal(reason=answer, message=f"it is {answer}", partition=3)
        return web.Response(status=503, body=msgspec.json.encode(refusal))


@asynccontextmanager
async def serving(*workers: Worker) -> AsyncIterator[list[str]]:
    """These workers, each on a port of its own."""
    servers = []
    for worker in workers:
        app = web.Application()
        app.router.add_get("/subject", worker.get)
        servers.append(TestServer(app))
        await servers[-1].start_server()
    try:
        yield [str(server.make_url("")).rstrip("/") for server in servers]
    finally:
        for server in servers:
            await server.close()


async def asked(
    *workers: Worker, owner: int | None = None, seconds: float = 2.0, app_id: str | None = None
) -> SubjectTold:
    """What is told in the end by these workers; the group of `app_id` says that the `owner` has the subject."""
    async with serving(*workers) as urls, aiohttp.ClientSession() as session:

        async def find() -> list[Candidate]:
            return [Candidate(url, f"worker {place}", place == owner, app_id) for place, url in enumerate(urls)]

        return await until_told(find, session, ASKED, seconds)


async def test_the_owner_alone_is_asked_where_it_is_known() -> None:
    """Nobody else hears of the subject."""
    owner, other = Worker(told()), Worker("not_owner")
    assert await asked(owner, other, owner=0) == told()
    assert owner.asked == [({"key": "order_id", "id": "A 17&?"}, None)]
    assert other.asked == []


async def test_named_workers_are_asked_until_one_has_it() -> None:
    """In their order."""
    workers = Worker("not_owner"), Worker(told()), Worker(told())
    assert await asked(*workers) == told()
    assert [len(worker.asked) for worker in workers] == [1, 1, 0]


async def test_what_passes_is_waited_for() -> None:
    """A rebalance, a busy moment, an owner that has just changed."""
    owner = Worker("not_ready", "busy", "not_owner", told())
    assert await asked(owner, owner=0) == told()
    assert len(owner.asked) == 4


async def test_whoever_listens_at_the_address_of_a_worker_that_has_ended_is_not_believed() -> None:
    """A worker is asked as one of its application; another one says so, and the group will name the next owner."""
    owner = Worker("other_application", told())
    assert await asked(owner, owner=0, app_id="shop-detect") == told()
    assert [query["app_id"] for query, _ in owner.asked] == ["shop-detect", "shop-detect"]


async def test_where_the_owner_keeps_nothing_the_others_are_asked() -> None:
    """Producers may spread their keys by another rule than Kafka's default one."""
    assert await asked(Worker("not_kept"), Worker("not_owner"), Worker(told()), owner=0) == told()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("not_kept", ExitCode.DIFFERENT),
        ("unauthenticated", ExitCode.CONFIG),
        ("forbidden", ExitCode.CONFIG),
        ("bad_request", ExitCode.USAGE),
    ],
)
async def test_what_does_not_pass_is_said_at_once(reason: RefusalReason, code: ExitCode) -> None:
    """With an exit code that says what it is, whoever else was asked."""
    worker = Worker(reason)
    with pytest.raises(PromisewatchError, match=f"it is {reason}") as error:
        await asked(worker, Worker("not_owner"), owner=0, seconds=60)
    assert error.value.exit_code == code
    assert len(worker.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [("busy", "it is busy"), ("failed", "it is failed"), (404, "HTTP 404 with something else"), (200, "another version"),
     (302, "HTTP 302")],
)  # fmt: skip
async def test_patience_ends_with_what_the_last_one_said(answer: Any, message: str) -> None:
    """Each worker by name."""
    with pytest.raises(PromisewatchError, match=message) as error:
        await asked(Worker(answer), seconds=0.1)
    assert error.value.exit_code == ExitCode.UNAVAILABLE
    assert "worker 0: " in str(error.value)


async def test_nobody_is_there() -> None:
    """The address is named, and what may help where it is the worker's own machine."""
    async with serving(Worker(told())) as urls:
        gone = urls[0]
    async with aiohttp.ClientSession() as session:

        async def find() -> list[Candidate]:
            return [Candidate(gone, "worker detect-0")]

        with pytest.raises(PromisewatchError, match=f"worker detect-0: {gone} cannot be reached") as error:
            await until_told(find, session, ASKED, 0.1)
    assert "ask there" in str(error.value)


SETTINGS = {"book": Path("book.yaml"), "bootstrap_server": "broker:9092"}


def member(name: str, url: str, *partitions: int) -> Member:
    return Member(f"{name}-6f0c9e5a-6a39-5d0e-9d3c-0b1f5b8c7a11", "faust", "10.0.0.7", partitions, url)


def test_the_owner_is_the_member_that_has_the_partition() -> None:
    """The others come after it; those that serve nothing are not asked."""
    group = Group("Stable", (member("a", "http://a", 0, 1), member("b", "http://b", 2), member("c", "", 3)), {})
    found = candidates_of(group, 2, SubjectSettings(**SETTINGS))
    assert found == [
        Candidate("http://b", "worker b", owner=True, app_id="promisewatch"),
        Candidate("http://a", "worker a", app_id="promisewatch"),
    ]


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        (None, SettingsError, "does not tell who is in a group; expected --worker"),
        (Group("Empty", (), {}), NotYet, "no worker of application 'promisewatch' runs"),
        (Group("Stable", (member("a", "http://a", 0),), {}), NotYet, "handing out their partitions"),
        (Group("PreparingRebalance", (member("a", "", 2),), {}), NotYet, "PreparingRebalance"),
        (Group("Stable", (member("a", "", 2),), {}), SettingsError, "worker a on 10.0.0.7, which has partition 2"),
    ],
)
def test_where_nobody_can_be_asked_it_is_said_why(group: Group | None, error: type[Exception], message: str) -> None:
    """What passes is waited for, what does not is told at once."""
    with pytest.raises(error, match=message):
        candidates_of(group, 2, SubjectSettings(**SETTINGS))


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.delenv("PROMISEWATCH_SUBJECT_TOKEN", raising=False)
    return monkeypatch


async def test_the_token_is_shown_and_no_redirect_followed(no_environment: pytest.MonkeyPatch) -> None:
    """Of several the first; it goes to the workers and to nobody else."""
    no_environment.setenv("PROMISEWATCH_SUBJECT_TOKEN", "the-newer-token-0001 the-older-token-0001")
    worker = Worker(302, told())
    async with serving(worker) as urls:
        settings = SubjectSettings(book=Path("book.yaml"), worker=urls[0])
        assert await subject_asking.ask(settings, ASKED, "shop.events", from_facts=False) == told()
    assert [token for _, token in worker.asked] == ["Bearer the-newer-token-0001"] * 2


@pytest.mark.parametrize(
    ("token", "message"),
    [("short", "16 characters or more"), ("long-enough-by-itself short", "16 characters"), ("ünicode-is-no-header", "ASCII")],
)  # fmt: skip
def test_a_token_that_could_be_guessed_is_refused_unseen(
    token: str, message: str, no_environment: pytest.MonkeyPatch
) -> None:
    """By worker and asker alike, and no message holds it."""
    no_environment.setenv("PROMISEWATCH_SUBJECT_TOKEN", token)
    for settings in (WorkerSettings, SubjectSettings):
        with pytest.raises(ValueError, match=message) as error:
            settings(**SETTINGS)
        assert token not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], ExitCode.USAGE, "expected --bootstrap-server, to find the worker by its group, or --worker"),
        (["--worker", "broker"], ExitCode.USAGE, "--worker: found 'broker', expected a URL"),
        (["--worker", "http://a:1,ftp://b"], ExitCode.USAGE, "--worker: found 'ftp://b', expected a URL"),
        (
            ["--worker", "http://127.0.0.1:1", "--key", "case_id"],
            ExitCode.USAGE,
            "found --key 'case_id', expected one of",
        ),
        (["--worker", "https://127.0.0.1:1", "--worker-ca-file", "/nowhere"], ExitCode.CONFIG, "worker_ca_file"),
        (["--worker", "http://127.0.0.1:1", "--answer-timeout", "1"], ExitCode.UNAVAILABLE, "no worker answers"),
    ],
)
def test_what_is_wrong_is_one_message(book: Path, arguments: list[str], code: ExitCode, message: str) -> None:
    """What was found, what was expected, and an exit code that says which kind it is."""
    run = promisewatch("subject", "A-17", "--book", book, *arguments)
    assert (run.code, run.out) == (code, "")
    assert message in run.err
    assert "Traceback" not in run.err


def test_a_book_of_several_keys_wants_to_know_which(tmp_path: Path) -> None:
    """An order and a case may have one number."""
    path = tmp_path / "book.yaml"
    path.write_text(TWO_KEYS)
    run = promisewatch("subject", "17", "--book", path, "--worker", "http://127.0.0.1:1")
    assert run.code == ExitCode.USAGE
    assert "found no --key, expected one of order_id, case_id" in run.err


def test_what_runs_is_shown_with_all_an_employee_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """In the promise's own time."""
    moved = promise(
        due="2026-05-05T07:00:00.000Z", paused_since="2026-05-04T08:05:00.000Z", paused_until="2026-05-04T08:35:00.000Z",
        warnings=[SubjectWarning(warn="-6h", at="2026-05-04T08:10:00.000Z", given=True),
                  SubjectWarning(warn="-1h", at="2026-05-05T06:00:00.000Z", given=False)],
        published=[SubjectEvent(kind="at_risk", status="open", due="2026-05-05T07:00:00.000Z", warn="-6h", id="5f3c",
                                topic="promisewatch.breaches")],
    )  # fmt: skip
    broken = promise(promise="sorry", title="sorry", status="breached", text="broken: due", breach_of="confirm", version=2,
                     awaits=None, judged_at=None)  # fmt: skip
    show_subject(told(moved, broken, not_judged_yet=["nightly"]), "Europe/Amsterdam")
    shown = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in shown] == [
        "Order A 17&?: 1 event, 1 promise running, 1 ended",
        "as of Mon 4 May 2026 10:00 (Europe/Amsterdam), partition 3 of shop.events",
        "",
        "confirm: Confirmed soon",
        "  order.placed o1: open: due Mon 4 May 2026 10:15, so far no message.sent",
        "    awaited:   message.sent",
        "    due:       Tue 5 May 2026 09:00, first promised for Mon 4 May 2026 10:15",
        "    paused:    since Mon 4 May 2026 10:05, until Mon 4 May 2026 10:35 at most",
        "    judged:    once all until Mon 4 May 2026 10:15 is known; known so far: all before Mon 4 May 2026 10:01",
        "    at risk:   warned Mon 4 May 2026 10:10 (-6h)",
        "    at risk:   will be warned of Tue 5 May 2026 08:00 (-1h)",
        "    published: at_risk (-6h) on promisewatch.breaches, due Tue 5 May 2026 09:00, id 5f3c",
        "",
        "sorry",
        "  version 2, breach of confirm: broken: due",
        "",
        "not judged yet, until their sources are known: nightly",
        "",
        "events",
        '  Mon 4 May 2026 10:00  order.placed o1 of shop  speed="next"',
    ]


def test_events_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A payload may hold anything."""
    fact = SubjectFact(
        type="order.placed", time=AT, source="shop", id="o1", data={"note": "\x1b[2J"}, withdraws=None, taken_back=True
    )
    show_subject(told(promise(text="open: status is still \x1b]0;owned\x07"), facts=[fact]), None)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "(taken back)" in shown
