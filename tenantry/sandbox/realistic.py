"""Delays that calls take on a real Harbor, so that benchmarks do not favor calls that are slow there.

The figures were measured on a Harbor 2.15.2 with two cores. Keycloak and Kubernetes have no
additional delay here. A delay only waits and uses no CPU, so other requests continue.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tenantry.sandbox.connections import buffer_answer
from tenantry.sandbox.harbor import ADMIN, SimulatedHarbor
from tenantry.sandbox.harbor.access import basic
from tenantry.sandbox.harbor.routing import BASE


@dataclass(frozen=True)
class Cost:
    """The duration of a call, in seconds.

    Attributes:
        seconds: The fixed duration.
        per_row: The additional duration for each row of the answer.
        concurrency: The number of such calls that the server processes concurrently; None means no
            limit.
    """

    seconds: float
    per_row: float = 0.0
    concurrency: int | None = 1


# Basic auth as a local user, and a login: both compute a PBKDF2, one at a time on each core.
PASSWORD = Cost(0.100, concurrency=2)
# Basic auth as a robot: a SHA-256. The concurrency was not measured; it cannot exceed the cores.
ROBOT = Cost(0.004, concurrency=2)
# 100 sequential calls took as long as 100 calls in 16 threads: concurrency gains nothing.
CALL = Cost(0.002)

COSTS = {
    # 18 ms a row without CPU load: 100 pages of one row took 2.1 s sequentially, 0.2 s in 16 threads.
    ("GET", f"{BASE}/quotas"): Cost(0, per_row=0.018, concurrency=None),
    # 30 to 145 ms for a page of 100; this is the maximum.
    ("GET", f"{BASE}/projects"): Cost(0, per_row=0.00145, concurrency=None),
    ("POST", f"{BASE}/projects"): Cost(0.0025),
    ("GET", f"{BASE}/projects/{{project}}/summary"): Cost(0.003),
    ("GET", f"{BASE}/projects/{{project}}/members"): Cost(0.002),
    # 2 ms for the few robots of a project; 40 ms for 100 system robots.
    ("GET", f"{BASE}/robots"): Cost(0.002, per_row=0.0004),
    ("POST", f"{BASE}/robots"): Cost(0.0023),
    ("PATCH", f"{BASE}/robots/{{robot_id}}"): Cost(0.005),
}
"""By method and template; any other call to the API costs ``CALL``."""
_FREE = (f"{BASE}/ping", f"{BASE}/health")


class Charge(NamedTuple):
    """One delay of a call."""

    reason: str
    seconds: float


class Costs:
    """Delays for the calls to a simulated Harbor, as measured on a real one.

    Attributes:
        charged: The latest delays, oldest first. The reason is ``password``, ``robot``, or method
            and template.
    """

    def __init__(
        self,
        harbor: SimulatedHarbor,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.charged: deque[Charge] = deque(maxlen=50_000)
        self._harbor = harbor
        self._sleep = sleep
        self._slots: dict[str, asyncio.Semaphore] = {}

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return Harbor's app with delays. The scope of its requests must have ``path_template``."""

        async def delayed(scope: Scope, receive: Receive, send: Send) -> None:
            if login := self._login_type(Request(scope)):
                await self._charge(login, {"password": PASSWORD, "robot": ROBOT}[login])
            start, body = await buffer_answer(app, scope, receive)
            method, template = scope["method"], scope["path_template"]
            # Harbor rejects a request before it does any of the work.
            if template.startswith(BASE) and template not in _FREE and start["status"] < 400:
                cost = COSTS.get((method, template), CALL)
                rows = len(json.loads(body)) if cost.per_row else 0
                await self._charge(f"{method} {template}", cost, rows)
            await send(start)
            await send({"type": "http.response.body", "body": body})

        return delayed

    def _login_type(self, request: Request) -> str | None:
        """Return the kind of credential that Harbor must hash, or None if it hashes none."""
        if (request.method, request.scope["path_template"]) == ("POST", "/c/login"):
            return "password"
        credentials = basic(request.headers.get("authorization", ""))
        if credentials is None:
            return None
        name, configuration = credentials[0], self._harbor.configuration
        if name.startswith(configuration["robot_name_prefix"]):
            return "robot"
        # With OIDC, all other users send a CLI secret, which is compared without hashing.
        return "password" if configuration["auth_mode"] != "oidc_auth" or name == ADMIN else None

    async def _charge(self, reason: str, cost: Cost, rows: int = 0) -> None:
        seconds = cost.seconds + rows * cost.per_row
        self.charged.append(Charge(reason, seconds))
        if cost.concurrency is None:
            await self._sleep(seconds)
            return
        # Logins do not wait for other calls; all other calls share one slot.
        slot = reason if reason in ("password", "robot") else "call"
        async with self._slots.setdefault(slot, asyncio.Semaphore(cost.concurrency)):
            await self._sleep(seconds)
