"""A proxy in front of a server, which can answer in its place."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

import urllib3

_OF_THE_CONNECTION = ("connection", "content-length", "transfer-encoding", "keep-alive")


class Answer(NamedTuple):
    """An answer of the proxy's own."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Proxy:
    """A running proxy.

    Attributes:
        url: the address of the proxy.
        choose: returns the proxy's own answer for a method and path; None forwards the request.
        forwarded: method and path of each forwarded request.
    """

    def __init__(self, upstream: str, pool: urllib3.PoolManager | None = None) -> None:
        """
        Args:
            upstream: the address of the server.
            pool: connects to it, with a certificate for example.
        """
        self.choose: Callable[[str, str], Answer | None] = lambda method, path: None
        self.forwarded: list[tuple[str, str]] = []
        proxy, http = self, pool or urllib3.PoolManager(retries=False)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                given = proxy.choose(self.command, self.path)
                if given is None:
                    proxy.forwarded.append((self.command, self.path.partition("?")[0]))
                    kept = {
                        name: value
                        for name, value in self.headers.items()
                        if name.lower() not in _OF_THE_CONNECTION
                    }
                    found = http.request(
                        self.command,
                        f"{upstream}{self.path}",
                        headers=kept,
                        body=body or None,
                        redirect=False,
                    )
                    given = Answer(found.status, found.data, dict(found.headers))
                self.send_response(given.status)
                for name, value in given.headers.items():
                    if name.lower() not in _OF_THE_CONNECTION:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
