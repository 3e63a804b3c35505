"""Connections that can be reset or closed within an answer, and answers that are changed on the way."""

import asyncio
import socket
import struct

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tenantry.sandbox.faults import BODILESS, FaultName

_NOT_JSON = b"<html><body><h1>It works!</h1></body></html>"


class Connection(H11Protocol):
    """A connection that adds its transport to each request, as ``scope["state"]["transport"]``."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

    def shutdown(self) -> None:
        """Close the connection, immediately if it is idle: do not wait for a TLS client to agree."""
        super().shutdown()
        if self.transport.is_closing():
            self.transport.abort()


async def buffer_answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Call an app, and return the start message and the body of its answer instead of sending it."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return start, bytes(body)


async def buffer_request(receive: Receive) -> Receive:
    """Wait for the whole request, and return a callable that delivers it.

    A client that is still writing would notice a reset in varying ways.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        body.extend(message.get("body", b""))
        more = message.get("more_body", False)
    waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def deliver() -> Message:
        return waiting.pop() if waiting else await receive()

    return deliver


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client has disconnected.

    If an app returned without an answer, the server would answer with status 500.
    """
    while (await receive())["type"] != "http.disconnect":
        pass


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection."""
    # With a linger time of 0 the kernel sends RST instead of FIN.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()


async def reset_request(scope: Scope, receive: Receive) -> None:
    """Reset the connection of a request, and wait until it is closed."""
    reset(scope["state"]["transport"])
    await wait_for_disconnect(receive)


async def send_with_body(start: Message, body: bytes, send: Send) -> None:
    """Send an answer with another body."""
    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    if start["status"] not in BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_damaged(
    fault: FaultName, start: Message, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send an answer whose body is truncated, cut or not JSON. One without a body is not changed."""
    if scope["method"] == "HEAD" or start["status"] in BODILESS:
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    half = body[: len(body) // 2]
    sent, announced_length = {
        "truncated": (half or b"{", len(half) or 1),
        "cut": (half, len(body) + 1),
        "not-json": (_NOT_JSON, len(_NOT_JSON)),
    }[fault]
    replaced = {b"content-length": str(announced_length).encode()}
    if fault == "not-json":
        replaced[b"content-type"] = b"text/html"
    kept = [(name, value) for name, value in start["headers"] if name.lower() not in replaced]
    await send({**start, "headers": [*kept, *replaced.items()]})
    await send({"type": "http.response.body", "body": sent, "more_body": fault == "cut"})
    if fault == "cut":
        scope["state"]["transport"].close()
        await wait_for_disconnect(receive)
