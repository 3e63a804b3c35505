"""A proxy that can respond in place of its upstream server."""

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

import urllib3

from tests.support.listener import LocalServer

_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding", "keep-alive")


class Answer(NamedTuple):
    """A response of the proxy itself."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Proxy(LocalServer):
    """A running proxy.

    Attributes:
        url: The address of the proxy.
        choose: Returns the proxy's own response to a method and path, or None to forward the
            request.
        forwarded: The method and path of each forwarded request.
    """

    def __init__(self, upstream: str, pool: urllib3.PoolManager | None = None) -> None:
        """
        Args:
            upstream: The address of the server.
            pool: The connection pool for the server, for example with a client certificate.
        """
        self.choose: Callable[[str, str], Answer | None] = lambda method, path: None
        self.forwarded: list[tuple[str, str]] = []
        self._upstream = upstream
        self._pool = pool or urllib3.PoolManager(retries=False)
        super().__init__(self._answer, "HTTP/1.1")

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        response = self.choose(handler.command, handler.path) or self._forward(handler, body)
        handler.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(response.body)))
        handler.end_headers()
        handler.wfile.write(response.body)

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        self.forwarded.append((handler.command, handler.path.partition("?")[0]))
        headers = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        found = self._pool.request(
            handler.command,
            f"{self._upstream}{handler.path}",
            headers=headers,
            body=body or None,
            redirect=False,
        )
        return Answer(found.status, found.data, dict(found.headers))
