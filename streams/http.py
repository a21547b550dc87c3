"""/metrics, /livez and /readyz, served from a thread of their own so that they answer while the event loop is busy.

What a process serves besides is a `Page`, which answers in that thread too.
"""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Sequence
from typing import Protocol

import structlog
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from schemas.errors import SettingsError
from streams.health import Answer, Health

log = structlog.get_logger("promisewatch.http")

AUTO_PORTS = range(6066, 6166)
"""Where a free port is looked for when none is asked for: several processes of one machine get one each."""


request_log = logging.getLogger("promisewatch.http.requests")
"""Where the server library tells of requests that it cannot read, and of pages that fail."""


def without_content(record: logging.LogRecord) -> bool:
    """Leave of an error its kind alone: its text quotes the request, which may name a customer or hold a token."""
    if record.exc_info and record.exc_info[0] is not None:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[0].__name__}", ()
    record.exc_info = record.exc_text = None
    return True


request_log.addFilter(without_content)


class Page(Protocol):
    """What a process serves besides. Who may read it, and who not, is its own business."""

    @property
    def path(self) -> str:
        """Where it is served."""
        ...

    def listens(self, address: str) -> None:
        """Hear where it is served: HOST:PORT, as bound."""
        ...

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        ...


class HttpServer:
    """Serves until the process ends. Answers of its own are small, public facts about this process: no data of any
    customer.
    """

    def __init__(self, health: Health, host: str, port: str, pages: Sequence[Page] = ()) -> None:
        """Bind at once. `port` is a number or "auto". Raises SettingsError when it cannot be had."""
        self._health = health
        self._pages = pages
        self._socket = bind(host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        for page in self._pages:
            page.listens(self.address)
        self._thread.start()
        paths = " ".join(["/metrics /livez /readyz", *(page.path for page in self._pages)])
        log.info("http server listens", address=self.address, paths=paths)

    def stop(self) -> None:
        """Stop answering; returns when the port is free."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._app(), access_log=None, handle_signals=False, logger=request_log)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.SockSite(runner, self._socket).start())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", metrics_page)
        for page in self._pages:
            app.router.add_get(page.path, page.get)
        return app

    async def _livez(self, request: web.Request) -> web.Response:  # noqa: ARG002 -- aiohttp's handlers get it
        return spoken(self._health.alive())

    async def _readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002 -- aiohttp's handlers get it
        return spoken(self._health.ready())


def spoken(answer: Answer) -> web.Response:
    """200 or 503, with the reason as text."""
    return web.Response(status=200 if answer.ok else 503, text=answer.reason + "\n")


async def metrics_page(request: web.Request) -> web.Response:
    """All metrics: OpenMetrics with exemplars for who asks for it (Prometheus does), else the older text format."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})


def bind(host: str, port: str) -> socket.socket:
    """Return a listening socket. Raises SettingsError saying what is in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = AUTO_PORTS if port == "auto" else [int(port)]
    for number in wanted:
        try:
            return socket.create_server((host, number), family=family)
        except OSError as error:
            if port == "auto" and error.errno == errno.EADDRINUSE:
                continue
            raise SettingsError(
                f"cannot listen on http_host {host}, http_port {number}: {error.strerror}; expected an address of this "
                "machine and a free port ('auto' takes a free one, 'off' listens nowhere)"
            ) from error
    raise SettingsError(f"no free port from {AUTO_PORTS[0]} to {AUTO_PORTS[-1]} on {host}; --http-port names another")
