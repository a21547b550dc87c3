"""A webhook receiver on loopback: verifies signatures as any receiver would, and misbehaves as a test asks."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from standardwebhooks import Webhook

KEYS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "c2Vjb25kLXNlY29uZC1zZWNvbmQtc2Vjb25k")
"""An old and a new one."""

Answer = int | tuple[int, dict[str, str]] | str
"""A status, a status with headers, or "close" (end the connection) or "hang" (never answer)."""


@dataclass
class Receiver:
    """What came in. `script` holds the next answers; when it is empty, 204."""

    url: str = ""
    key: str = KEYS[0]
    script: list[Answer] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0
    gate: asyncio.Event | None = None
    arrived: Callable[[], None] = lambda: None

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Verify, keep, answer."""
        body = await request.read()
        content = Webhook(self.key).verify(body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        self.bodies.append(body)
        self.subjects.append(content["subject"])
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        self.arrived()
        try:
            if self.gate is not None:
                await self.gate.wait()
            answer = self.script.pop(0) if self.script else 204
            if answer == "hang":
                await asyncio.Event().wait()
            if isinstance(answer, str):
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            return web.Response(status=status, headers=headers)
        finally:
            self.open_now -= 1


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens while the block runs."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
