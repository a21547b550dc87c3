"""The HTTP server beside its own pages: what others serve on it, and what it says of requests it cannot read."""

import logging
import socket
import time
import urllib.request

import pytest
from aiohttp import web

from streams.health import Health
from streams.http import HttpServer


class Greeting:
    """A page that greets, or fails."""

    path = "/greeting"

    def __init__(self) -> None:
        self.address = ""

    def listens(self, address: str) -> None:
        self.address = address

    async def get(self, request: web.Request) -> web.Response:
        if request.query.get("name") == "secret-17":
            raise ValueError("secret-17 is nobody's name")
        return web.Response(text="hello")


def answered(address: str, request: bytes) -> bytes:
    """The server\'s answer to these very bytes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


def test_a_page_is_served_beside_the_server_s_own_and_knows_where() -> None:
    """It is told before the first request can come."""
    page = Greeting()
    server = HttpServer(Health(), "127.0.0.1", "auto", [page])
    server.start()
    try:
        assert page.address == server.address
        with urllib.request.urlopen(f"http://{server.address}/greeting", timeout=10) as response:
            assert response.read() == b"hello"
        with urllib.request.urlopen(f"http://{server.address}/livez", timeout=10) as response:
            assert response.status == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /greeting?name=secret-17 ODD\r\n\r\n", b"400"),
        (b"GE\x00T /greeting?name=secret-17 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /greeting?name=secret-17\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /greeting HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\x00secret-17\r\n\r\n", b"400"),
        (b"GET /greeting?name=secret-17 HTTP/1.1\r\nHost: x\r\n\r\n", b"500"),
    ],
)
def test_no_log_line_quotes_a_request(request_bytes: bytes, status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Neither one that cannot be read nor one whose page fails: it may name a customer, or hold a token."""
    server = HttpServer(Health(), "127.0.0.1", "auto", [Greeting()])
    server.start()
    try:
        with caplog.at_level(logging.DEBUG):
            assert status in answered(server.address, request_bytes)[:16]
            deadline = time.monotonic() + 10
            while "Error handling request" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
    finally:
        server.stop()
    lines = [line for line in caplog.text.splitlines() if "promisewatch.http.requests" in line]
    assert len(lines) == 1
    assert "secret" not in caplog.text
    assert "Error" in lines[0] or "Bad" in lines[0]
