"""The simulated Harbor 2.15.2 as one app: a request's way through it, and its state.

The way is that of the real one: CSRF first, then read-only mode, then the session, then who is
asking (robot, user, session), then the handler. Handlers run in one event loop and most never
wait, so each is as atomic as the transaction that the real one wraps around a call.

Not simulated: scanning, signatures, replication, what webhooks send, LDAP. What calls cost, a
password's hash above all, is paid with ``realistic`` only.
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
from tenantry.sandbox.harbor.access import NOBODY, authenticated
from tenantry.sandbox.harbor.model import State, User
from tenantry.sandbox.harbor.provider import Provider
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.sessions import Csrf, Visit
from tenantry.sandbox.harbor.wire import Refusal, invalid

# Imported for the routes that they add.
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
    """A Harbor that holds its state in memory.

    Its state is there to be read, and to be changed behind the API's back: ``projects`` by name
    (with members, quota, retention and rules), ``robots``, ``groups`` and ``users`` by id (1 is the
    admin), and ``configuration``, with the values that the API hides.

    Attributes:
        ext_endpoint: The address that Harbor believes to have.
        login_delay: Seconds that a wrong password takes, and locks its name.
        race_window: Seconds between the reading and the writing of a robot or a member: what
            happens to two writers at once is decided in there.
        version: What it says of its version; it behaves like this one all the same.
        database_is_down: Whether its database does not answer: it then treats every caller
            as anonymous, and fails where it must read more than that.
        read_only_configuration: Whether its configuration is set by CONFIG_OVERWRITE_JSON.
        unhealthy: Components that ``/health`` calls broken, and what it says of them.
        provider: The OIDC provider as it was last found, with the settings of that time.
        blobs: What the blobs hold, in files. Never in a dump, which has their digests and sizes.
        uploads: The uploads under way. Never in a dump: whoever goes on with one starts anew.
        issued_secrets: Every secret ever handed out or set, for a search for leaks. Never saved.
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
        self._hold(State(secrets.token_hex(32), configuration.defaults()))
        users.add_local_admin(self)
        projects.add_library(self)

    def _hold(self, state: State) -> None:
        self.state = state
        self.projects, self.robots = state.projects, state.robots
        self.groups, self.users = state.groups, state.users
        self.configuration = state.configuration
        self.provider: Provider | None = None

    def overwrite_configuration(self, settings: Mapping[str, Any]) -> None:
        """Start anew with CONFIG_OVERWRITE_JSON: these settings hold, and none can be changed."""
        self.configuration |= settings
        self.provider = None
        self.read_only_configuration = True

    def end_sessions(self) -> None:
        """Forget all sessions, as Harbor does when its Redis is flushed or started again."""
        self.state.sessions.clear()

    def dump(self) -> dict[str, Any]:
        """The state, fit for JSON, without the records of anonymous sessions."""
        state: dict[str, Any] = _STATE.dump_python(self.state, mode="json")
        sessions = state["sessions"]
        state["sessions"] = {i: s for i, s in sessions.items() if s["user_id"] is not None}
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Take the state of an earlier dump."""
        self._hold(_STATE.validate_python(state))

    def sign_in(
        self, username: str, email: str | None, sub: str, iss: str, groups: list[str]
    ) -> User:
        """Do what a user's login through the IdP does, or raise the callback's ``Refusal``."""
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
        except Refusal as refusal:  # comes before the session: it says nothing of it
            return refusal.response()
        if self._refuses_writes(request.method, request.scope["path"].rstrip("/")):
            words = "The system is in read only mode. Any modification is prohibited."
            return Refusal(403, words, code="DENIED").response()
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
            caller = NOBODY if self.database_is_down else await authenticated(self, request)
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

    def _refuses_writes(self, method: str, path: str) -> bool:
        return method in WRITES and self.configuration["read_only"] and path not in _NEVER_READ_ONLY


def _check_accept(request: Request) -> None:
    """Refuse a request whose Accept header Harbor cannot serve.

    A request with a body is answered in the body's own type, so only others are refused.
    """
    accepted = request.headers.get("accept", "*/*")
    has_body = request.headers.get("content-length", "0") != "0"
    if not request.scope["path"].startswith("/api/") or has_body:
        return
    if not any(
        kind in accepted for kind in ("*/*", "application/*", "application/json", "text/plain")
    ):
        raise invalid("unsupported media type requested, only [application/json] are available")
