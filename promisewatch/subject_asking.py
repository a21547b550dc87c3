"""Asks the worker that has a subject, and finds out which one that is."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
import msgspec
from yarl import URL

from promises.subjects import home_of
from promisewatch.settings.commands import SubjectSettings
from promisewatch.topic_admin import topic_admin
from schemas.errors import PromisewatchError, SettingsError, TopicsError
from schemas.exits import ExitCode
from schemas.facts import Subject
from schemas.subjects import PATH, SubjectRefusal, SubjectTold, decode_refusal, decode_told
from streams.observing import Group, Member, read_group
from streams.offsets import LogOffsets

CONNECT_SECONDS = 3.0
ATTEMPT_SECONDS = 5.0
PAUSE_SECONDS = 0.5
"""Between two rounds of asking: a rebalance, a restore or a busy moment passes."""
STABLE = "Stable"
"""Kafka's name of the state of a group that has handed out its partitions."""


class Candidate(NamedTuple):
    """A worker that may be asked. `who` names it to people, `owner`: the group says that it has the subject.

    `app_id` is the application whose worker it is, where that is known: at the address of one that has just ended
    somebody else may listen by now.
    """

    url: str
    who: str
    owner: bool = False
    app_id: str | None = None


class Unanswered(NamedTuple):
    """Why a worker told nothing; `refusal` None: what was there is no worker that answers, or nothing was there."""

    candidate: Candidate
    message: str
    refusal: SubjectRefusal | None = None

    def __str__(self) -> str:
        return f"{self.candidate.who}: {self.message}"


class NotYet(Exception):
    """Nobody can be asked just now."""


Find = Callable[[], Awaitable[Sequence[Candidate]]]
"""Says who may be asked, the owner first. Raises NotYet where that may be known in a moment."""


async def ask(settings: SubjectSettings, subject: Subject, topic: str, *, from_facts: bool) -> SubjectTold:
    """What the worker tells that has the subject, asked again and again for `answer_timeout` seconds at most.

    Raises PromisewatchError with an exit code: DIFFERENT if nothing is kept, CONFIG if we may not know, UNAVAILABLE if
    nobody answers.
    """
    async with asking_session(settings) as session:
        if settings.workers:
            listed = [Candidate(url, url) for url in settings.workers]

            async def find() -> Sequence[Candidate]:
                return listed

            return await until_told(find, session, subject, settings.answer_timeout)
        async with group_members(settings, topic) as (partitions, look):
            home = home_of(subject, partitions, from_facts=from_facts)

            async def find_in_group() -> Sequence[Candidate]:
                return candidates_of(await look(), home, settings)

            return await until_told(find_in_group, session, subject, settings.answer_timeout)


async def until_told(find: Find, session: aiohttp.ClientSession, subject: Subject, timeout_s: float) -> SubjectTold:
    """Ask round after round, until somebody tells, or says for good that there is nothing to tell."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = await one_round(await find(), session, subject)
            if isinstance(found, SubjectTold):
                return found
            reasons = [str(one) for one in found]
        except NotYet as error:
            reasons = [str(error)]
        if time.monotonic() + PAUSE_SECONDS > deadline:
            message = f"no worker answers (asked for {timeout_s:g} s)"
            raise PromisewatchError("\n  ".join([message, *reasons]), ExitCode.UNAVAILABLE)
        await asyncio.sleep(PAUSE_SECONDS)


async def one_round(
    candidates: Sequence[Candidate], session: aiohttp.ClientSession, subject: Subject
) -> SubjectTold | list[Unanswered]:
    """Ask one after the other. Where the owner is known, others are asked only if it keeps nothing: they may, if the
    producers of the source choose partitions by a rule of their own.
    """
    silent: list[Unanswered] = []
    for candidate in candidates:
        answer = await attempt(candidate, session, subject)
        if isinstance(answer, SubjectTold):
            return answer
        silent.append(answer)
        if candidate.owner and (answer.refusal is None or answer.refusal.reason != "not_kept"):
            break
    refusals = [(one, one.refusal) for one in silent if one.refusal is not None]
    for one, why in refusals:
        if why.reason == "not_kept":
            raise PromisewatchError(why.message, ExitCode.DIFFERENT)
        if why.reason == "bad_request":
            raise PromisewatchError(str(one), ExitCode.USAGE)
    for one, why in refusals:
        if why.reason == "unauthenticated":
            raise SettingsError(f"{one}; here that is --subject-token-file or PROMISEWATCH_SUBJECT_TOKEN")
        if why.reason == "forbidden":
            raise SettingsError(str(one))
    return silent


async def attempt(candidate: Candidate, session: aiohttp.ClientSession, subject: Subject) -> SubjectTold | Unanswered:
    """Ask one worker once."""
    try:
        query = {"key": subject.key, "id": subject.value}
        if candidate.app_id is not None:
            query["app_id"] = candidate.app_id
        url = URL(candidate.url) / PATH.lstrip("/") % query
        async with session.get(url, allow_redirects=False) as response:
            body = await response.read()
    except ssl.SSLError as error:
        return Unanswered(candidate, f"{candidate.url} cannot prove who it is: {error}")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Unanswered(candidate, f"{candidate.url} cannot be reached ({_why(error)}){_hint(candidate)}")
    try:
        if response.status == HTTPStatus.OK:
            return decode_told(body)
        why = decode_refusal(body)
    except msgspec.MsgspecError:
        what = f"HTTP {response.status} with something else than an answer"
        return Unanswered(candidate, f"{candidate.url} answers {what}: no worker, or one of another version")
    return Unanswered(candidate, why.message, why)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _hint(candidate: Candidate) -> str:
    host = URL(candidate.url).host or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        return (
            "; that is the worker's own machine: ask there, or start it with --http-host and a subject token, so that "
            "it answers others"
        )
    return ""


@asynccontextmanager
async def asking_session(settings: SubjectSettings) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that shows our token. Raises SettingsError for certificates that cannot be read."""
    try:
        context = ssl.create_default_context(cafile=settings.worker_ca_file)
    except OSError as error:
        raise SettingsError(f"worker_ca_file {settings.worker_ca_file} cannot be used: {error}") from error
    headers = {} if settings.token is None else {"Authorization": f"Bearer {settings.token}"}
    timeout = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS, sock_connect=CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        yield session


Look = Callable[[], Awaitable[Group | None]]


@asynccontextmanager
async def group_members(settings: SubjectSettings, topic: str) -> AsyncIterator[tuple[int, Look]]:
    """The partitions of the topic that the workers read, and how to look who has them.

    Raises BrokerUnavailable, SettingsError if Kafka refuses us, TopicsError if there is no such topic.
    """
    client = {"bootstrap_servers": settings.bootstrap_server, **settings.security.aiokafka()}
    async with topic_admin(settings.bootstrap_server, settings.security):  # tells what is wrong with the broker
        offsets = LogOffsets(client)
        try:
            await offsets.start()
            partitions = await offsets.partition_count(topic)
        finally:
            await offsets.stop()
        if not partitions:
            raise TopicsError(f"there is no topic {topic}; 'promisewatch topics create' makes it")
        yield partitions, lambda: read_group(client, settings.app_id, topic)


def candidates_of(group: Group | None, home: int, settings: SubjectSettings) -> list[Candidate]:
    """Who may be asked about a subject of partition `home`, its owner first. Raises NotYet, or SettingsError if it
    never can be known this way.
    """
    if group is None:
        raise SettingsError(
            f"the broker at {settings.bootstrap_server} does not tell who is in a group; expected --worker with the "
            "URL of a worker"
        )
    if not group.members:
        raise NotYet(f"no worker of application {settings.app_id!r} runs: its group has no members")
    owner = next((member for member in group.members if home in member.partitions), None)
    if owner is None or (not owner.url and group.state != STABLE):  # members tell their addresses when it is stable
        raise NotYet(f"the workers of application {settings.app_id!r} are handing out their partitions ({group.state})")
    if not owner.url:
        raise SettingsError(
            f"worker {owner.name} on {owner.host}, which has partition {home}, tells no address: expected it with "
            "--http-port, or --worker with the URL where it is asked"
        )
    others = [member for member in group.members if member is not owner and member.url]
    app_id = settings.app_id
    return [_candidate(owner, app_id, owner=True), *(_candidate(member, app_id, owner=False) for member in others)]


def _candidate(member: Member, app_id: str, *, owner: bool) -> Candidate:
    return Candidate(member.url, f"worker {member.name}", owner, app_id)
