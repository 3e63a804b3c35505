"""The simulated Harbor 2.15.2 as one app: the processing of a request, and the state.

A request is processed in the order of the real server: CSRF, read-only mode, session,
authentication (robot, user, session), handler. Handlers run in one event loop and most never wait,
so each is as atomic as the transaction of a call in the real server.

Not simulated: scanning, signatures, replication, the messages of webhooks, LDAP. Calls take as long
as on a real server, for example to hash a password, only with ``realistic``.
"""

import inspect
import secrets
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenantry.sandbox.clock import Clock
from tenantry.sandbox.counting import WRITES
from tenantry.sandbox.harbor import (
    blobs,
    configuration,
    groups,
    labels,
    local_users,
    manifests,
    members,
    metadata,
    oidc,
    outage,
    projects,
    quotas,
    registries,
    registry,
    repositories,
    retention,
    robots,
    storage,
    system,
    tokens,
    users,
    webhooks,
)
from tenantry.sandbox.harbor.access import ANONYMOUS, authenticate
from tenantry.sandbox.harbor.model import State, User
from tenantry.sandbox.harbor.provider import Provider
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.sessions import Csrf, Visit
from tenantry.sandbox.harbor.wire import Refusal, invalid

# These modules are imported because they register routes.
_MODULES = (
    blobs,
    configuration,
    groups,
    labels,
    local_users,
    manifests,
    members,
    metadata,
    oidc,
    projects,
    quotas,
    registries,
    registry,
    repositories,
    retention,
    robots,
    system,
    tokens,
    users,
    webhooks,
)
_STATE = TypeAdapter(State)
_NEVER_READ_ONLY = ("/api/v2.0/configurations", "/c/login", "/c/oidc/onboard")


class SimulatedHarbor:
    """A Harbor with its state in memory.

    Tests can read the state and change it without requests: ``projects`` by name (with members,
    quota, retention and rules), ``robots``, ``groups`` and ``users`` by id (1 is the admin), and
    ``configuration``, including the values that the API hides.

    Attributes:
        ext_endpoint: The configured external address.
        login_delay: The seconds that a wrong password takes, and for which it locks its name.
        race_window: The seconds between reading and writing a robot or a member, in which concurrent
            writers interfere.
        version: The version that it reports. Its behavior does not change with it.
        database_is_down: Whether the database does not answer. All callers are then anonymous, and
            requests that need the database fail.
        read_only_configuration: Whether the configuration is set by CONFIG_OVERWRITE_JSON.
        unhealthy: The components that ``/health`` reports as unhealthy, with their errors.
        provider: The OIDC provider as last discovered, with the settings of that time.
        blobs: The content of the blobs, in files. A dump has only their digests and sizes.
        uploads: The unfinished uploads. A dump does not include them, so clients must restart them.
        issued_secrets: All secrets that were returned or set, to search for leaks. Never saved.
    """

    def __init__(self, clock: Clock, ext_endpoint: str = "http://127.0.0.1") -> None:
        self.clock = clock
        self.ext_endpoint = ext_endpoint
        self.login_delay = 1.5
        self.race_window = 0.001
        self.version = system.VERSION
        self.database_is_down = False
        self.read_only_configuration = False
        self.unhealthy: dict[str, str] = {}
        self.issued_secrets: list[str] = []
        self.locked: Counter[str] = Counter()
        self.blobs = storage.Files()
        self.uploads: dict[str, blobs.Upload] = {}
        self._use_state(State(secrets.token_hex(32), configuration.defaults()))
        users.add_local_admin(self)
        projects.add_library(self)

    def _use_state(self, state: State) -> None:
        self.state = state
        self.projects, self.robots = state.projects, state.robots
        self.groups, self.users = state.groups, state.users
        self.configuration = state.configuration
        self.provider: Provider | None = None

    def overwrite_configuration(self, settings: Mapping[str, Any]) -> None:
        """Set these settings as CONFIG_OVERWRITE_JSON does. None can be changed afterwards."""
        self.configuration |= settings
        self.provider = None
        self.read_only_configuration = True

    def end_sessions(self) -> None:
        """End all sessions, as Harbor does when its Redis is flushed or restarted."""
        self.state.sessions.clear()

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values, without anonymous sessions."""
        state: dict[str, Any] = _STATE.dump_python(self.state, mode="json")
        sessions = state["sessions"]
        state["sessions"] = {i: s for i, s in sessions.items() if s["user_id"] is not None}
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of an earlier dump."""
        self._use_state(_STATE.validate_python(state))

    def sign_in(
        self, username: str, email: str | None, sub: str, iss: str, groups: list[str]
    ) -> User:
        """Change the state as a login through the IdP does, and return the user.

        Raises:
            Refusal: the error of the login callback.
        """
        return users.sign_in(self, username, email, sub, iss, groups)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers["x-request-id"] = request.headers.get("x-request-id") or str(uuid.uuid4())
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        csrf = Csrf(self, request)
        response = await self._answer_in_session(request, csrf)
        csrf.mark(response)
        return response

    async def _answer_in_session(self, request: Request, csrf: Csrf) -> Response:
        try:
            csrf.check()
        except (
            Refusal
        ) as refusal:  # rejected before the session, so the answer sets no cookie for it
            return refusal.response()
        if self._rejects_write(request.method, request.scope["path"].rstrip("/")):
            message = "The system is in read only mode. Any modification is prohibited."
            return Refusal(403, message, code="DENIED").response()
        visit = Visit(self, request)
        response = await self._handle(request, visit)
        visit.mark(response)
        return response

    async def _handle(self, request: Request, visit: Visit) -> Response:
        if self.database_is_down:
            return await outage.answer(request, lambda: self._call(request, visit))
        return await self._call(request, visit)

    async def _call(self, request: Request, visit: Visit) -> Response:
        try:
            caller = ANONYMOUS if self.database_is_down else await authenticate(self, request)
            if not caller.known and not self.database_is_down:
                caller = await oidc.by_id_token(self, request)
            if not caller.known:
                caller = visit.caller
            raw_path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
            method = request.method
            handler, request.scope["path_template"], path = routes.find(method, raw_path)
            _check_accept(request)
            call = Call(self, request, caller, path, await request.body(), visit.sid)
            reply = handler(call)
            return await reply if inspect.isawaitable(reply) else reply
        except Refusal as refusal:
            return refusal.response()

    def _rejects_write(self, method: str, path: str) -> bool:
        return method in WRITES and self.configuration["read_only"] and path not in _NEVER_READ_ONLY


def _check_accept(request: Request) -> None:
    """Raise Refusal for an Accept header that Harbor does not support.

    A request with a body is answered in the type of the body, so its header is not checked.
    """
    accepted = request.headers.get("accept", "*/*")
    has_body = request.headers.get("content-length", "0") != "0"
    if not request.scope["path"].startswith("/api/") or has_body:
        return
    if not any(
        kind in accepted for kind in ("*/*", "application/*", "application/json", "text/plain")
    ):
        raise invalid("unsupported media type requested, only [application/json] are available")
