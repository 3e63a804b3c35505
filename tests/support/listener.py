"""Local HTTP servers that stand for another host."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class LocalServer:
    """A running HTTP server on a free port.

    Args:
        answer: Answers a request with any method.
        protocol: The version of HTTP.
    """

    def __init__(
        self, answer: Callable[[BaseHTTPRequestHandler], None], protocol: str = "HTTP/1.0"
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = protocol

            def answer(self) -> None:
                answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Listener(LocalServer):
    """A server that records its requests.

    Attributes:
        requests: The requests: method and path, headers and body in one text.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        super().__init__(self._record)

    def _record(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size).decode(errors="replace")
        self.requests.append(f"{handler.command} {handler.path}\n{handler.headers}\n{body}")
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")
