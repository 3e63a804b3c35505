"""The ASGI application: it finds the realm and the handler, and checks the caller."""

import threading
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from . import (
    client_policies,
    clients,
    evaluation,
    groups,
    imports,
    mapper_paths,
    providers,
    scopes,
    user_details,
    users,
)
from .answers import JSON, Call, Refused, answer, created, done, exists, invalid, not_found
from .builtin import new_realm
from .oidc import OpenID, bearer, realm_named
from .state import Login, Realm, User, new_id
from .tokens import PROTOCOL, Keys
from .user_details import role_json

VERSION = "26.7.3"

# Creating a realm with any of these would be an import, which is not simulated.
_IMPORTED = ("users", "groups", "clients", "clientScopes", "identityProviders", "roles")

_ROUTES = [
    groups.routes,
    users.routes,
    user_details.routes,
    imports.routes,
    clients.routes,
    client_policies.routes,
    evaluation.routes,
    scopes.routes,
    mapper_paths.routes,
    providers.routes,
]


class Now(Protocol):
    """A clock."""

    def now(self) -> datetime:
        """Return the current time."""


class SimulatedKeycloak:
    """A Keycloak with the realm master and its administrator, admin with password admin.

    `realms` has its state: plain objects that a test may read, and change as another administrator
    would. `url` is its address, and so the issuer of its tokens.
    """

    def __init__(self, clock: Now, relative_path: str = "") -> None:
        self.url = "http://127.0.0.1:8080"
        self.relative_path = relative_path.rstrip("/")
        self.realms: dict[str, Realm] = {}
        self._clock = clock
        self._lock = threading.RLock()
        self._openid = OpenID(Keys())
        # Verified tokens: checking a signature takes longer than most requests.
        self._verified: dict[str, tuple[float, str, str, str]] = {}
        self.realms["master"] = new_realm("master", {"enabled": True})
        admin = self.add_user("master", "admin")
        admin.password = "admin"
        admin.roles.append("admin")
        self.app = Starlette(routes=[Mount("/", app=self._serve)])

    def add_user(
        self, realm: str, username: str, *, email: str | None = None, password: str | None = None
    ) -> User:
        """Add an enabled user to a realm as another administrator would, and return it."""
        user = User(new_id(), username, int(self._clock.now().timestamp() * 1000), True)
        user.password = password
        with self._lock:
            self.realms[realm].add_user(user)
            self.realms[realm].set_email(user, email)
        return user

    def login(self, realm: str, client_id: str, username: str, scope: str = "openid") -> JSON:
        """Return the tokens for a user who logs in at a client."""
        with self._lock:
            found = self.realms[realm]
            client, user = found.client_named(client_id), found.user_named(username)
            if client is None or user is None:
                raise LookupError(f"realm {realm} has no client {client_id} or user {username}")
            now = self._clock.now()
            session = found.begin_session(user)
            return self._openid.tokens(found, client, session, scope, self.base, now)

    def expect(self, username: str, claims: JSON, realm: str) -> User:
        """Let this user be the next one at the realm's login page, without a password; return the user.

        The user is created if it does not exist. Several expected users come in this order.

        Args:
            username: The user.
            claims: Claims for its ID token, its access token and userinfo, including `sub`. They
                override those of the realm; None removes a claim.
            realm: The realm.

        Raises:
            ValueError: the realm does not exist, or only the server sets a claim.
        """
        if taken := sorted(PROTOCOL & claims.keys()):
            raise ValueError(f"claims that only the server sets: {', '.join(taken)}")
        with self._lock:
            found = self.realms.get(realm)
            if found is None:
                known = ", ".join(sorted(self.realms))
                raise ValueError(f"realm '{realm}' does not exist; the realms are: {known}")
            user = found.user_named(username) or self.add_user(realm, username.lower())
            found.expected_logins.append(Login(user.id, claims))
            return user

    def expected(self) -> list[JSON]:
        """Return the expected users, the next one first."""
        with self._lock:
            return [
                {
                    "realm": name,
                    "username": realm.users[login.user].username,
                    "claims": login.claims,
                }
                for name, realm in self.realms.items()
                for login in realm.expected_logins
                if login.user in realm.users
            ]

    def clear_expected(self) -> None:
        """Remove all expected users, so that the next login needs name and password."""
        with self._lock:
            for realm in self.realms.values():
                realm.expected_logins.clear()

    @property
    def base(self) -> str:
        """The address before /realms and /admin."""
        return self.url.rstrip("/") + self.relative_path

    def dump(self) -> JSON:
        """Return the whole state as JSON values."""
        with self._lock:
            return {"realms": {name: realm.dump() for name, realm in self.realms.items()}}

    def load(self, state: JSON) -> None:
        """Replace the whole state by an earlier dump."""
        with self._lock:
            self.realms = {name: Realm.load(realm) for name, realm in state["realms"].items()}
            self._verified.clear()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = await request.body()
        with self._lock:
            try:
                response = self._answer(request, raw)
            except Refused as refused:
                response = answer(refused.body, refused.status)
        await response(scope, receive, send)

    def _answer(self, request: Request, raw: bytes) -> Response:
        # Use the raw path, in which a slash within a segment is encoded.
        path = request.scope.get("raw_path", b"").decode() or request.scope["path"]
        path = path.partition("?")[0]
        if not path.startswith(self.relative_path + "/"):
            raise not_found("Unable to find matching target resource method")
        segments = [unquote(part) for part in path[len(self.relative_path) + 1 :].split("/")]
        if segments[-1:] == [""]:
            segments.pop()
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        now = self._clock.now()
        call = Call(request.method, segments, query, request.headers, raw, self.base, now)
        match segments:
            case ["realms", name, *rest]:
                return self._realm(call, name, rest)
            case ["admin", *rest]:
                return self._admin(call, rest)
        raise not_found("Unable to find matching target resource method")

    def _realm(self, call: Call, name: str, rest: list[str]) -> Response:
        realm = realm_named(self.realms, name)
        if not rest and call.method == "GET":
            issuer = f"{self.base}/realms/{name}"
            return answer({"realm": name, "token-service": f"{issuer}/protocol/openid-connect"})
        found = self._openid.routes.find(call.method, rest)
        if found is None:
            raise not_simulated(call)
        return found[0](realm, call, *found[1])

    def _admin(self, call: Call, rest: list[str]) -> Response:
        user, home = self._caller(call, rest)
        match call.method, rest:
            case "GET", ["serverinfo"]:
                return answer({"systemInfo": {"version": VERSION}})
            case _, ["realms", name, *_] if name not in self.realms:
                raise not_found("Realm not found.")
        if home != "master" or "admin" not in user.roles:
            raise Refused(403, {"error": "HTTP 403 Forbidden"})
        match call.method, rest:
            case "GET", ["realms"]:
                return self._list_realms(call)
            case "POST", ["realms"]:
                return self._create_realm(call)
            case _, ["realms", name]:
                return self._admin_realm(call, self.realms[name])
            case _, ["realms", name, *path]:
                return self._admin_objects(call, self.realms[name], path)
        raise not_simulated(call)

    def _admin_realm(self, call: Call, realm: Realm) -> Response:
        match call.method:
            case "GET":
                return answer(realm.settings)
            case "PUT":
                return self._update_realm(call, realm)
            case "DELETE":
                if realm.name == "master":
                    raise invalid("Can't remove master realm")
                del self.realms[realm.name]
                return done()
        raise not_simulated(call)

    def _admin_objects(self, call: Call, realm: Realm, path: list[str]) -> Response:
        match call.method, path:
            case "GET", ["roles"]:
                return answer([role_json(realm, name) for name in sorted(realm.roles)])
            case "GET", ["roles", name]:
                if name not in realm.roles:
                    raise not_found("Could not find role")
                return answer(role_json(realm, name))
            case "GET", ["group-by-path", *names]:
                return groups.group_at_path(realm, names)
        for routes in _ROUTES:
            if found := routes.find(call.method, path):
                handler, parameters = found
                return handler(realm, call, *parameters)
        raise not_simulated(call)

    def _caller(self, call: Call, rest: list[str]) -> tuple[User, str]:
        """Return the user of the request's token, and its realm; raise Refused if it is invalid."""
        token, moment = bearer(call), call.now.timestamp()
        unauthorized = Refused(401, {"error": "HTTP 401 Unauthorized"})
        if token is None:
            raise unauthorized
        if token not in self._verified:
            # A token may be from master, or from the realm of the request, whose users have no rights.
            homes = [name for name in ("master", *rest[1:2]) if name in self.realms]
            users = {
                name: self._openid.user_of(self.realms[name], token, call.now) for name in homes
            }
            home, found = next(((name, user) for name, user in users.items() if user), ("", None))
            if found is None:
                raise unauthorized
            user, claims = found
            if len(self._verified) > 1000:
                self._verified.clear()
            self._verified[token] = (claims["exp"], claims["sid"], user.id, home)
        expires, session, user_id, home = self._verified[token]
        realm = self.realms.get(home)
        caller = realm.users.get(user_id) if realm else None
        ended = realm is None or session not in realm.sessions
        if expires <= moment or ended or caller is None or not caller.enabled:
            raise unauthorized
        return caller, home

    def _list_realms(self, call: Call) -> Response:
        settings = [self.realms[name].settings for name in sorted(self.realms)]
        if call.flag("briefRepresentation"):
            brief = ("id", "realm", "displayName", "enabled")
            settings = [{key: row.get(key) for key in brief} for row in settings]
        return answer(settings)

    def _create_realm(self, call: Call) -> Response:
        rep = call.body
        name = rep.get("realm")
        if not name:
            raise invalid("Realm name cannot be empty")
        if name in self.realms:
            raise exists(f"Realm {name} already exists")
        imported = [key for key in _IMPORTED if rep.get(key)]
        if imported:
            what = f"importing a realm's {', '.join(imported)}"
            raise Refused(501, {"error": f"the sandbox does not simulate {what}"})
        self.realms[name] = new_realm(name, rep)
        return created(f"{call.base}/admin/realms/{name}")

    def _update_realm(self, call: Call, realm: Realm) -> Response:
        rep = {key: value for key, value in call.body.items() if value is not None}
        name = rep.get("realm", realm.name)
        if name != realm.name:
            if name in self.realms:
                raise exists("Realm with same name exists")
            del self.realms[realm.name]
            realm.name = name
            self.realms[name] = realm
        realm.settings |= rep | {"id": realm.id}
        return done()


def not_simulated(call: Call) -> Refused:
    """Return the error for a path that a real Keycloak may have, but the sandbox does not."""
    what = f"{call.method} /{'/'.join(call.segments)}"
    return Refused(501, {"error": f"the sandbox's Keycloak does not simulate {what}"})
