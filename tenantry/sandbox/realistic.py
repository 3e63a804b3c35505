"""What calls cost on a real Harbor, so that no benchmark is won by what a real one would punish.

The figures were measured on a Harbor 2.15.2 with two cores. Keycloak and Kubernetes cost nothing
extra here. Delays are waited for, not worked off: the other requests go on meanwhile.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tenantry.sandbox.controls import whole_answer
from tenantry.sandbox.harbor import ADMIN, SimulatedHarbor
from tenantry.sandbox.harbor.access import basic
from tenantry.sandbox.harbor.routing import BASE


@dataclass(frozen=True)
class Cost:
    """Seconds of a call.

    Attributes:
        seconds: What it takes whatever it answers.
        per_row: What each row of its answer takes in addition.
        at_once: How many such calls the server gets on with at the same time; None: any number.
    """

    seconds: float
    per_row: float = 0.0
    at_once: int | None = 1


# Basic auth as a local user and a login: a PBKDF2, and a core does one at a time.
PASSWORD = Cost(0.100, at_once=2)
# Basic auth as a robot: a SHA-256. Not measured side by side; more than cores it can't be.
ROBOT = Cost(0.004, at_once=2)
# 100 one after another took as long as 16 at once: the server gains nothing from being asked so.
CALL = Cost(0.002)

COSTS = {
    # 18 ms a row, spent in waiting: 100 pages of a row each took 2.1 s in turn, 0.2 s 16 at once.
    ("GET", f"{BASE}/quotas"): Cost(0, per_row=0.018, at_once=None),
    # 30 to 145 ms a page of 100; the most is taken.
    ("GET", f"{BASE}/projects"): Cost(0, per_row=0.00145, at_once=None),
    ("POST", f"{BASE}/projects"): Cost(0.0025),
    ("GET", f"{BASE}/projects/{{project}}/summary"): Cost(0.003),
    ("GET", f"{BASE}/projects/{{project}}/members"): Cost(0.002),
    # 2 ms for a project's few; 40 ms for 100 of the system's.
    ("GET", f"{BASE}/robots"): Cost(0.002, per_row=0.0004),
    ("POST", f"{BASE}/robots"): Cost(0.0023),
    ("PATCH", f"{BASE}/robots/{{robot_id}}"): Cost(0.005),
}
"""By method and template; any other call to the API costs ``CALL``."""
_FREE = (f"{BASE}/ping", f"{BASE}/health")


class Charge(NamedTuple):
    """A delay that was asked for."""

    what: str
    seconds: float


class Costs:
    """Lets the calls to a simulated Harbor cost what they cost on a real one.

    Attributes:
        charged: The last delays, oldest first: ``password``, ``robot``, or method and template.
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

    def around(self, app: ASGIApp) -> ASGIApp:
        """Wrap Harbor's app. Its requests must say their ``path_template``."""

        async def costly(scope: Scope, receive: Receive, send: Send) -> None:
            if proof := self._proof(Request(scope)):
                await self._charge(proof, {"password": PASSWORD, "robot": ROBOT}[proof])
            start, body = await whole_answer(app, scope, receive)
            method, template = scope["method"], scope["path_template"]
            # Whom Harbor refuses it refuses before any of the work.
            if template.startswith(BASE) and template not in _FREE and start["status"] < 400:
                cost = COSTS.get((method, template), CALL)
                rows = len(json.loads(body)) if cost.per_row else 0
                await self._charge(f"{method} {template}", cost, rows)
            await send(start)
            await send({"type": "http.response.body", "body": body})

        return costly

    def _proof(self, request: Request) -> str | None:
        """What it takes to see who asks; None: next to nothing."""
        if (request.method, request.scope["path_template"]) == ("POST", "/c/login"):
            return "password"
        credentials = basic(request.headers.get("authorization", ""))
        if credentials is None:
            return None
        name, configuration = credentials[0], self._harbor.configuration
        if name.startswith(configuration["robot_name_prefix"]):
            return "robot"
        # With OIDC all others show a CLI secret, which is compared only.
        return "password" if configuration["auth_mode"] != "oidc_auth" or name == ADMIN else None

    async def _charge(self, what: str, cost: Cost, rows: int = 0) -> None:
        seconds = cost.seconds + rows * cost.per_row
        self.charged.append(Charge(what, seconds))
        if cost.at_once is None:
            await self._sleep(seconds)
            return
        # Passwords have the cores to themselves; the other calls share one way through.
        slot = what if what in ("password", "robot") else "call"
        async with self._slots.setdefault(slot, asyncio.Semaphore(cost.at_once)):
            await self._sleep(seconds)
