"""Answering questions about a subject: `GET /subject?key=order_id&id=A-17`, served by the worker that owns it.

The request is judged in the HTTP server's thread. The question is put to the event loop, which alone may touch the
state, and answered from what has been committed: so what is told has been published. One question is answered at a
time, within `ANSWER_SECONDS` or not at all.

The answer is customers' data. With tokens set, one of them is needed, also on this machine: behind a proxy of a service
mesh every connection comes from it. Without, only this machine is answered, and only if the request was meant for it.
Nothing that names a subject is logged in plain.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Sequence
from concurrent.futures import Future
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web

from agents.subject_desk import Desk, Refused
from schemas.book_model import Book
from schemas.facts import CONTROL, TEXT_MAX, Subject
from schemas.subjects import PATH, RefusalReason, SubjectRefusal, SubjectTold
from streams.addresses import NOWHERE, advertise, own_url
from streams.app import BatchApp

log = structlog.get_logger("promisewatch.subject")

ANSWER_SECONDS = 1.0
"""An event loop that has not answered by then is busy; the asker is told so and may come again."""
RETRY_SECONDS = 1
NOT_JOINED = "this worker has not joined its group yet; ask again"
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "Via")
"""What a proxy adds: with one of them, a connection from this machine says nothing about who asks."""

STATUSES: dict[RefusalReason, HTTPStatus] = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not_kept": HTTPStatus.NOT_FOUND,
    "not_owner": HTTPStatus.CONFLICT,
    "other_application": HTTPStatus.MISDIRECTED_REQUEST,
    "not_ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "failed": HTTPStatus.INTERNAL_SERVER_ERROR,
}


class SubjectPage:
    """A page of the HTTP server: it tells what this worker knows of a subject, to those who may have it."""

    path = PATH

    def __init__(self, tokens: Sequence[str] = ()) -> None:
        """Ask for one of these tokens; without any, answer this machine alone."""
        self._tokens = [token.encode() for token in tokens]
        self._address: str | None = None
        self._desk: Desk | None = None
        self._one_at_a_time: asyncio.Lock | None = None

    def listens(self, address: str) -> None:
        """Hear where it is served."""
        self._address = address

    def serve(
        self, app: BatchApp, book: Book, *, from_facts: bool = False, advertised_url: str | None = None
    ) -> BatchApp:
        """Answer from what this app holds, which has not been started, and let its group know where that is asked.

        `from_facts`: it reads facts, keyed by subjects as they are stored, and not a source.
        """
        url = advertised_url
        if url is None:
            url = NOWHERE if self._address is None else own_url(self._address, app.settings.bootstrap_server)
        advertise(app, url)
        self._desk = Desk(app, book, from_facts=from_facts)
        app.services.append(self._desk)
        return app

    async def get(self, request: web.Request) -> web.Response:
        """Answer, or say why not."""
        try:
            self._recognise(request)
            self._admit(request)
            subject = _asked(request)
        except Refused as refused:
            return self._refused(request, None, refused.refusal)
        try:
            told = await asyncio.wait_for(self._told(subject), ANSWER_SECONDS)
        except Refused as refused:
            return self._refused(request, subject, refused.refusal)
        except TimeoutError:
            message = f"this worker is too busy to answer within {ANSWER_SECONDS:g} s; ask again"
            return self._refused(request, subject, SubjectRefusal(reason="busy", message=message))
        except Exception as error:  # noqa: BLE001 -- whatever it was, it may name the subject, and no log may
            log.error("question about a subject failed", subject=subject.value, error=type(error).__name__)  # noqa: TRY400
            message = f"this worker failed to answer ({type(error).__name__}); its log says when"
            return self._refused(request, subject, SubjectRefusal(reason="failed", message=message))
        log.info("question about a subject answered", subject=subject.value, peer=request.remote)
        return _response(HTTPStatus.OK, msgspec.json.encode(told))

    def _recognise(self, request: web.Request) -> None:
        """Raise Refused for those who are looking for another application.

        A member that has just ended is still in its group, and another worker may have its address by now. That one has
        another book, other subjects and other tokens: whatever it said would be wrong.
        """
        wanted = request.query.getall("app_id", [])
        if wanted and wanted != [self._ready_desk().app_id]:
            raise Refused("other_application", f"this is no worker of application {', '.join(wanted)}")

    def _admit(self, request: web.Request) -> None:
        """Raise Refused for those who may not ask."""
        if self._tokens:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            shown = given.strip().encode("utf-8", "surrogateescape")
            # Every token is looked at in full, whichever it is, and however much of it is right.
            right = [hmac.compare_digest(shown, token) for token in self._tokens]
            if scheme.lower() != "bearer" or not any(right):
                found = "another token" if given else "no token"
                raise Refused(
                    "unauthenticated",
                    f"found {found}, expected 'Authorization: Bearer' with this worker's subject token",
                )
            return
        if not is_loopback(request.remote or ""):
            raise Refused(
                "forbidden", "without a subject token this worker answers its own machine only; give it one "
                "(PROMISEWATCH_SUBJECT_TOKEN_FILE), and send it along",
            )  # fmt: skip
        if not is_loopback(_name_in(request.host)) or any(map(request.headers.get, FORWARDED)):
            raise Refused(
                "forbidden", "this request came by way of a proxy or under another name than this machine's; without a "
                "subject token this worker answers its own machine only",
            )  # fmt: skip

    async def _told(self, subject: Subject) -> SubjectTold:
        desk = self._ready_desk()
        loop = desk.asyncio_loop
        if loop is None:
            raise Refused("not_ready", NOT_JOINED)
        if self._one_at_a_time is None:  # made here, in the loop that it is for
            self._one_at_a_time = asyncio.Lock()
        async with self._one_at_a_time:
            answer: Future[SubjectTold] = Future()

            def look() -> None:
                if answer.set_running_or_notify_cancel():  # else nobody waits for it any more
                    try:
                        answer.set_result(desk.answer(subject))
                    except Exception as error:  # noqa: BLE001 -- it is told to who asked
                        answer.set_exception(error)

            try:
                loop.call_soon_threadsafe(look)
            except RuntimeError:
                raise Refused("not_ready", "this worker is stopping; ask again, another takes over") from None
            return await asyncio.wrap_future(answer)

    def _ready_desk(self) -> Desk:
        if self._desk is None:
            raise Refused("not_ready", NOT_JOINED)
        return self._desk

    def _refused(self, request: web.Request, subject: Subject | None, refusal: SubjectRefusal) -> web.Response:
        level = log.warning if refusal.reason in {"unauthenticated", "forbidden"} else log.info
        of = {} if subject is None else {"subject": subject.value}
        level("question about a subject refused", reason=refusal.reason, peer=request.remote, **of)
        response = _response(STATUSES[refusal.reason], msgspec.json.encode(refusal))
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_SECONDS)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="promisewatch"'
        return response


def _asked(request: web.Request) -> Subject:
    """The subject of a request. Raises Refused."""
    query = request.query
    values = {}
    for name in ("key", "id"):
        given = query.getall(name, [])
        if len(given) != 1 or not given[0]:
            raise Refused("bad_request", f"found {len(given)} times {name!r}, expected {PATH}?key=NAME&id=VALUE")
        values[name] = given[0]
    value = values["id"]
    if len(value) > TEXT_MAX or CONTROL.search(value):
        raise Refused("bad_request", f"expected an id of 1 to {TEXT_MAX} characters, none of them a control character")
    if unknown := sorted(set(query) - {*values, "app_id"}):
        raise Refused("bad_request", f"found {unknown[0]!r}, expected {PATH}?key=NAME&id=VALUE")
    return Subject(values["key"], value)


def _name_in(host: str) -> str:
    """The name or address in a Host header, which may hold anything."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, whoever asks."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _response(status: HTTPStatus, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
