"""Controls that make the simulated systems slow or faulty, from Python or over HTTP.

The systems do not know the controls. A wrapper around each app decides which request gets a fault.
`control_app.py` serves the controls over HTTP.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from tenantry.sandbox.clock import Clock
from tenantry.sandbox.connections import (
    buffer_answer,
    buffer_request,
    reset,
    reset_request,
    send_damaged,
    send_with_body,
    wait_for_disconnect,
)
from tenantry.sandbox.counting import RequestCounter
from tenantry.sandbox.faults import SYSTEMS, Fault, FaultName, SystemName

Choose = Callable[[str, str, str], int | FaultName | None]
Alter = Callable[[str, str, str, bytes], bytes]


class Logins(Protocol):
    """A login page that can expect users."""

    def expect(self, username: str, claims: dict[str, Any], realm: str) -> object:
        """Let this user be the next one at the login page, with these claims."""

    def expected(self) -> list[dict[str, Any]]:
        """Return the expected users."""

    def clear_expected(self) -> None:
        """Remove all expected users."""


Part = Literal["core", "database"]
PARTS: tuple[Part, ...] = ("core", "database")


class Harbor(Protocol):
    """A Harbor whose parts can be down."""

    database_is_down: bool

    def end_sessions(self) -> None:
        """End all sessions."""


class Controls:
    """Latency, faults, the clock, the request counter, and the expected logins.

    Attributes:
        requests: The requests that the systems received, including those with a fault.
        clock: The clock of the systems; ``clock.move(seconds)`` moves it.
        choose: A callable that returns the fault of a request, given system, method and path, for
            conditions that a pattern cannot express. It is called if none of ``faults`` is due.
        alter: A callable that returns the body to send, given system, method, path and the original
            body. It is called for answers without a fault.
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
        self.choose: Choose | None = None
        self.alter: Alter | None = None
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._latency: dict[str, float] = {}
        self._held: dict[asyncio.Transport, asyncio.AbstractEventLoop] = {}

    def fail(
        self,
        fault: int | FaultName,
        *,
        system: SystemName | None = None,
        method: str | None = None,
        path: str | None = None,
        at: int = 1,
        times: int | None = 1,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Add a fault and return it; see ``Fault``. If several are due, the oldest is injected.

        Raises:
            ValueError: such a fault does not exist.
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
        """Add a fault and return it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    @property
    def faults(self) -> list[Fault]:
        """The added faults, oldest first. ``injected`` counts the requests that got each."""
        with self._lock:
            return list(self._faults)

    @property
    def latency(self) -> dict[str, float]:
        """The delay before each request is processed, in seconds, by system."""
        return {system: self._latency.get(system, 0.0) for system in SYSTEMS}

    def delay(self, seconds: float, system: SystemName | None = None) -> None:
        """Delay each request to a system, or to all systems."""
        for name in (system,) if system else SYSTEMS:
            self._latency[name] = seconds

    @property
    def down(self) -> list[Part]:
        """The parts of Harbor that are down."""
        state = {"core": self._core_is_down, "database": self._harbor.database_is_down}
        return [part for part in PARTS if state[part]]

    def take_down(self, *parts: Part) -> None:
        """Take exactly these parts of Harbor down; without arguments, bring all of them back.

        While the core is down, connections are reset. While the database is down, the answers are
        those of a real Harbor in this state, mostly 401 or 500. A session in use meanwhile is
        invalid afterwards.
        """
        self._core_is_down = "core" in parts
        self._harbor.database_is_down = "database" in parts

    def end_sessions(self) -> None:
        """End all sessions of Harbor, as a restart of its Redis does."""
        self._harbor.end_sessions()

    def log_in(
        self, username: str, claims: dict[str, Any] | None = None, realm: str = "platform"
    ) -> None:
        """Let this user be the next one at the login page of a realm, without a password.

        Args:
            username: The user. It is created if it does not exist.
            claims: Claims for its tokens and userinfo, including ``sub``. They override those of the
                realm; None removes a claim.
            realm: The realm.

        Raises:
            ValueError: the realm does not exist, or only the server sets a claim, such as ``iss``.
        """
        self._logins.expect(username, claims or {}, realm)

    @property
    def logins(self) -> list[dict[str, Any]]:
        """The users who are expected at the login pages, the next one first."""
        return self._logins.expected()

    def clear_logins(self) -> None:
        """Remove all expected users."""
        self._logins.clear_expected()

    def clear(self) -> None:
        """Remove all faults, latency and expected users, and bring all parts of Harbor back."""
        self.clear_faults()
        self.take_down()
        self.clear_logins()
        self._latency.clear()

    def clear_faults(self) -> None:
        """Remove all faults, and reset the connections that they hold."""
        with self._lock:
            self._faults.clear()
        self.choose = self.alter = None
        self.release()

    def release(self) -> None:
        """Reset the connections of requests that get no answer."""
        with self._lock:
            held = list(self._held.items())
        for transport, loop in held:
            loop.call_soon_threadsafe(reset, transport)

    # The wrapper of a system's app

    def wrap(self, system: str, app: ASGIApp, template: Callable[[Scope], str]) -> ASGIApp:
        """Return an app with counted requests, latency and faults.

        Args:
            system: The name of the system.
            app: The app of the system.
            template: Returns the template of a request's path.
        """
        counted = self.requests.wrap(system, app)

        async def controlled(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_template"] = template(scope)
            if seconds := self._latency.get(system):
                await self._sleep(seconds)
            fault = self._next_fault(system, scope)
            if fault is not None:
                await self._inject(fault, system, counted, scope, receive, send)
            elif self.alter is not None:
                start, body = await buffer_answer(counted, scope, receive)
                body = self.alter(system, scope["method"], scope["path"], body)
                await send_with_body(start, body, send)
            else:
                await counted(scope, receive, send)

        return controlled

    async def _inject(
        self,
        fault: Fault,
        system: str,
        counted: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        scope["fault"] = str(fault.fault)
        receive = await buffer_request(receive)
        match fault.fault:
            case "reset":
                self.requests.count(system, scope, 0)
                await reset_request(scope, receive)
            case "timeout":
                self.requests.count(system, scope, 0)
                await self._hold(scope, receive)
            case "lost":
                await buffer_answer(counted, scope, receive)
                await reset_request(scope, receive)
            case "truncated" | "cut" | "not-json":
                start, body = await buffer_answer(counted, scope, receive)
                await send_damaged(fault.fault, start, body, scope, receive, send)
            case _:
                await self.requests.wrap(system, fault.answer())(scope, receive, send)

    def _next_fault(self, system: str, scope: Scope) -> Fault | None:
        request = (system, scope["method"], scope["path"])
        with self._lock:
            matching = [f for f in self._faults if f.matches(*request, scope["path_template"])]
            for fault in matching:
                fault.count_match()
            for fault in matching:
                if fault.take_turn():
                    return fault
        if system == "harbor" and self._core_is_down:
            return Fault(fault="reset")
        chosen = self.choose(*request) if self.choose else None
        return None if chosen is None else Fault(fault=chosen)

    async def _hold(self, scope: Scope, receive: Receive) -> None:
        transport = scope["state"]["transport"]
        with self._lock:
            self._held[transport] = asyncio.get_running_loop()
        try:
            await wait_for_disconnect(receive)
        finally:
            with self._lock:
                del self._held[transport]
