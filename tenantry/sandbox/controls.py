"""Makes the simulated systems slow or faulty, from Python or over HTTP.

The systems do not know of it: their apps are wrapped, and the wrapper decides which request fails.
`control_app.py` serves the controls over HTTP.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tenantry.sandbox.clock import Clock
from tenantry.sandbox.counting import RequestCounter

SystemName = Literal["harbor", "keycloak", "kubernetes"]
SYSTEMS: tuple[SystemName, ...] = ("harbor", "keycloak", "kubernetes")
Kind = Literal["reset", "timeout", "lost", "truncated", "cut", "not-json"]
Status = Annotated[int, Field(ge=200, le=599)]

_NOT_JSON = b"<html><body><h1>It works!</h1></body></html>"
_BODILESS = (204, 304)


class Fault(BaseModel):
    """What befalls which requests.

    A number is a status to answer with, and nothing is done. The others: ``reset`` (the connection
    is reset, nothing is done), ``timeout`` (nothing is done, and no answer comes while the client
    waits), ``lost`` (it is done, and instead of the answer comes a reset), ``truncated`` (it is
    done; half the body comes, as if that were all), ``cut`` (it is done; the connection ends within
    the body) and ``not-json`` (it is done; the body is a page of HTML).
    """

    model_config = ConfigDict(extra="forbid")

    fault: Status | Kind
    system: SystemName | None = None
    """The system; any if not given."""
    method: str | None = None
    """The method; any if not given."""
    path: str | None = None
    """A glob of the path or of its template; any path if not given. ``*`` goes across slashes."""
    at: int = Field(default=1, ge=1)
    """Which of the matching requests is the first to be struck, counted from when this was set."""
    times: int | None = Field(default=1, ge=1)
    """How many requests are struck; None: all from then on."""
    body: Any = None
    """The body that comes with a status: text, or what is to be JSON."""
    headers: dict[str, str] = Field(default_factory=dict)
    """The headers that come with a status."""

    _seen: int = PrivateAttr(default=0)
    _struck: int = PrivateAttr(default=0)

    @model_validator(mode="after")
    def _check_answer(self) -> "Fault":
        if not isinstance(self.fault, int) and (self.body is not None or self.headers):
            raise ValueError("body and headers come with a status only")
        return self

    @property
    def seen(self) -> int:
        """How many requests matched."""
        return self._seen

    @property
    def struck(self) -> int:
        """How many of them were struck."""
        return self._struck

    def shown(self) -> dict[str, Any]:
        """As the controls' server shows it."""
        return {**self.model_dump(), "seen": self.seen, "struck": self.struck}

    def _matches(self, system: str, method: str, path: str, template: str) -> bool:
        return (
            self.system in (None, system)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or any(fnmatchcase(p, self.path) for p in (path, template)))
        )

    @property
    def _due(self) -> bool:
        return self._seen >= self.at and (self.times is None or self._struck < self.times)

    def _answer(self) -> Response:
        assert isinstance(self.fault, int)
        body = self.body if isinstance(self.body, str) else json.dumps(self.body or {})
        response = Response(
            b"" if self.fault in _BODILESS else body, self.fault, media_type="application/json"
        )
        for name, value in self.headers.items():
            response.headers[name] = value
        return response


Chooser = Callable[[str, str, str], int | Kind | None]
Alter = Callable[[str, str, str, bytes], bytes]


class Logins(Protocol):
    """Where people log in."""

    def expect(self, username: str, claims: dict[str, Any], realm: str) -> object:
        """Have this user be the next who comes, with these claims."""

    def expected(self) -> list[dict[str, Any]]:
        """Who is awaited."""

    def expect_nobody(self) -> None:
        """Await nobody any more."""


Part = Literal["core", "database"]
PARTS: tuple[Part, ...] = ("core", "database")


class Harbor(Protocol):
    """A Harbor whose parts can be down."""

    database_is_down: bool

    def end_sessions(self) -> None:
        """Forget all sessions."""


class Controls:
    """Latency, faults, the clock, the count of requests, and who logs in.

    Attributes:
        requests: What was asked of the systems, struck requests among them.
        clock: The time that the systems live in; ``clock.move(seconds)``.
        choose: Given system, method and path, the fault of a request that none of ``faults``
            strikes: for what a pattern can't say.
        alter: Given system, method, path and the body of an answer of a request that nothing
            strikes, the body that is sent instead.
    """

    def __init__(
        self,
        requests: RequestCounter,
        clock: Clock,
        logins: Logins,
        harbor: Harbor,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.requests = requests
        self.clock = clock
        self._logins = logins
        self._harbor = harbor
        self._core_is_down = False
        self._sleep = sleep
        self.choose: Chooser | None = None
        self.alter: Alter | None = None
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._latency: dict[str, float] = {}
        self._held: dict[asyncio.Transport, asyncio.AbstractEventLoop] = {}

    def fail(
        self,
        fault: int | Kind,
        *,
        system: SystemName | None = None,
        method: str | None = None,
        path: str | None = None,
        at: int = 1,
        times: int | None = 1,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Set a fault; see ``Fault``. Where several could strike a request, the oldest does.

        Raises:
            ValueError: there is no such fault.
        """
        return self.add(
            Fault(
                fault=fault,
                system=system,
                method=method,
                path=path,
                at=at,
                times=times,
                body=body,
                headers=headers or {},
            )
        )

    def add(self, fault: Fault) -> Fault:
        """Set a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    @property
    def faults(self) -> list[Fault]:
        """The faults that were set, oldest first; ``struck`` says how often each struck."""
        with self._lock:
            return list(self._faults)

    @property
    def latency(self) -> dict[str, float]:
        """Seconds that each request waits before anything is done, by system."""
        return {system: self._latency.get(system, 0.0) for system in SYSTEMS}

    def delay(self, seconds: float, system: SystemName | None = None) -> None:
        """Let each request to a system, or to all, wait so long."""
        for name in (system,) if system else SYSTEMS:
            self._latency[name] = seconds

    @property
    def down(self) -> list[Part]:
        """The parts of Harbor that are down."""
        state = {"core": self._core_is_down, "database": self._harbor.database_is_down}
        return [part for part in PARTS if state[part]]

    def take_down(self, *parts: Part) -> None:
        """Let exactly these parts of Harbor be down; none brings all of them back.

        While its core is down, connections are reset. While its database is down, it answers what
        Harbor answers then: mostly 401 or 500. Sessions that it was asked for meanwhile are dead.
        """
        self._core_is_down = "core" in parts
        self._harbor.database_is_down = "database" in parts

    def end_sessions(self) -> None:
        """End all sessions of Harbor, as a restart of its Redis does."""
        self._harbor.end_sessions()

    def log_in(
        self, username: str, claims: dict[str, Any] | None = None, realm: str = "platform"
    ) -> None:
        """Have this user be the next who comes to a realm's login page, without a password.

        Args:
            username: The user; made if it isn't there.
            claims: What its tokens and userinfo say of it, over what the realm would say, ``sub``
                included; None takes a claim away.
            realm: The realm.

        Raises:
            ValueError: there is no such realm, or a claim is the server's own, such as ``iss``.
        """
        self._logins.expect(username, claims or {}, realm)

    @property
    def logins(self) -> list[dict[str, Any]]:
        """The users who are still to come, by realm, the next one first."""
        return self._logins.expected()

    def clear_logins(self) -> None:
        """Take back all logins that nobody came for."""
        self._logins.expect_nobody()

    def clear(self) -> None:
        """Take back all faults, latency and logins; nothing is down any more."""
        self.clear_faults()
        self.take_down()
        self.clear_logins()
        self._latency.clear()

    def clear_faults(self) -> None:
        """Take back all faults; connections that are held are reset."""
        with self._lock:
            self._faults.clear()
        self.choose = self.alter = None
        self.release()

    def release(self) -> None:
        """Reset the connections of requests that wait for an answer in vain."""
        with self._lock:
            held = list(self._held.items())
        for transport, loop in held:
            loop.call_soon_threadsafe(_reset, transport)

    # Around a system

    def around(self, system: str, app: ASGIApp, template: Callable[[Scope], str]) -> ASGIApp:
        """Wrap the app of one system, so that what befalls a request is counted too.

        Args:
            system: The system's name.
            app: Its app.
            template: Gives the template of a request's path.
        """
        counted = self.requests.around(system, app)

        async def controlled(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_template"] = template(scope)
            if seconds := self._latency.get(system):
                await self._sleep(seconds)
            fault = self._strike(system, scope)
            if fault is None and self.alter is not None:
                start, body = await whole_answer(counted, scope, receive)
                body = self.alter(system, scope["method"], scope["path"], body)
                await _send_altered(start, body, send)
                return
            if fault is None:
                await counted(scope, receive, send)
                return
            scope["fault"] = str(fault.fault)
            receive = await _received(receive)
            match fault.fault:
                case "reset":
                    self.requests.count(system, scope, 0)
                    await _end_with_reset(scope, receive)
                case "timeout":
                    self.requests.count(system, scope, 0)
                    await self._hold(scope, receive)
                case "lost":
                    await whole_answer(counted, scope, receive)
                    await _end_with_reset(scope, receive)
                case "truncated" | "cut" | "not-json":
                    start, body = await whole_answer(counted, scope, receive)
                    await _send_spoiled(fault.fault, start, body, scope, receive, send)
                case _:
                    await self.requests.around(system, fault._answer())(scope, receive, send)

        return controlled

    def _strike(self, system: str, scope: Scope) -> Fault | None:
        asked = (system, scope["method"], scope["path"])
        with self._lock:
            matching = [f for f in self._faults if f._matches(*asked, scope["path_template"])]
            for fault in matching:
                fault._seen += 1
            for fault in matching:
                if fault._due:
                    fault._struck += 1
                    return fault
        if system == "harbor" and self._core_is_down:
            return Fault(fault="reset")
        chosen = self.choose(*asked) if self.choose else None
        return None if chosen is None else Fault(fault=chosen)

    async def _hold(self, scope: Scope, receive: Receive) -> None:
        transport = scope["state"]["transport"]
        with self._lock:
            self._held[transport] = asyncio.get_running_loop()
        try:
            await _until_gone(receive)
        finally:
            with self._lock:
                del self._held[transport]


# --- On the wire ---------------------------------------------------------------------------------


class Connection(H11Protocol):
    """A connection that its requests can reach: as ``scope["state"]["transport"]``."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

    def shutdown(self) -> None:
        """Close the connection, at once if it is idle: a TLS client need not agree first."""
        super().shutdown()
        if self.transport.is_closing():
            self.transport.abort()


async def whole_answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Let an app answer, and keep the answer: its start, and its body."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return start, bytes(body)


def _reset(transport: asyncio.Transport) -> None:
    # Without lingering the kernel sends RST instead of FIN.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()


async def _end_with_reset(scope: Scope, receive: Receive) -> None:
    _reset(scope["state"]["transport"])
    await _until_gone(receive)


async def _received(receive: Receive) -> Receive:
    """Wait for the whole request: a client that still writes sees a reset differently each time."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body.extend(message.get("body", b""))
        more = message.get("more_body", False)
    waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _until_gone(receive: Receive) -> None:
    # An app that returned before would be answered for, with a 500.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_altered(start: Message, body: bytes, send: Send) -> None:
    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    if start["status"] not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_spoiled(
    how: Kind, start: Message, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    if scope["method"] == "HEAD" or start["status"] in _BODILESS:  # there is nothing to spoil
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    half = body[: len(body) // 2]
    sent, promised = {
        "truncated": (half or b"{", len(half) or 1),
        "cut": (half, len(body) + 1),
        "not-json": (_NOT_JSON, len(_NOT_JSON)),
    }[how]
    replaced = {b"content-length": str(promised).encode()}
    if how == "not-json":
        replaced[b"content-type"] = b"text/html"
    kept = [(name, value) for name, value in start["headers"] if name.lower() not in replaced]
    await send({**start, "headers": [*kept, *replaced.items()]})
    await send({"type": "http.response.body", "body": sent, "more_body": how == "cut"})
    if how == "cut":
        scope["state"]["transport"].close()
        await _until_gone(receive)
