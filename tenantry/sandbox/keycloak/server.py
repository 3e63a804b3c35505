"""The ASGI application: finds the realm and the handler, and who may call it."""

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
    users,
)
from .answers import JSON, Call, Refused, answer, created, done, exists, invalid, not_found
from .builtin import new_realm
from .oidc import OpenID, bearer, realm_named
from .state import Login, Realm, User, new_id
from .tokens import PROTOCOL, Keys

VERSION = "26.7.3"

# A realm that is made with any of these would be an import, which is not simulated.
_IMPORTED = ("users", "groups", "clients", "clientScopes", "identityProviders", "roles")

_ROUTES = [
    groups.routes,
    users.routes,
    imports.routes,
    clients.routes,
    client_policies.routes,
    evaluation.routes,
    scopes.routes,
    mapper_paths.routes,
    providers.routes,
]


class Now(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The present moment."""


class SimulatedKeycloak:
    """A Keycloak with the realm master and its administrator, admin with password admin.

    `realms` is what it holds: plain objects that a test may read and, as somebody else would
    behind our back, change. `url` is where it listens, and so the issuer of its tokens.
    """

    def __init__(self, clock: Now, relative_path: str = "") -> None:
        self.url = "http://127.0.0.1:8080"
        self.relative_path = relative_path.rstrip("/")
        self.realms: dict[str, Realm] = {}
        self._clock = clock
        self._lock = threading.RLock()
        self._openid = OpenID(Keys())
        # Proven tokens by what they are: looking at a signature costs more than most requests.
        self._proven: dict[str, tuple[float, str, str, str]] = {}
        self.realms["master"] = new_realm("master", {"enabled": True})
        admin = self.add_user("master", "admin")
        admin.password = "admin"
        admin.roles.append("admin")
        self.app = Starlette(routes=[Mount("/", app=self._serve)])

    def add_user(
        self, realm: str, username: str, *, email: str | None = None, password: str | None = None
    ) -> User:
        """Put an enabled user into a realm, as somebody else would."""
        user = User(new_id(), username, int(self._clock.now().timestamp() * 1000), True)
        user.password = password
        with self._lock:
            self.realms[realm].add_user(user)
            self.realms[realm].set_email(user, email)
        return user

    def login(self, realm: str, client_id: str, username: str, scope: str = "openid") -> JSON:
        """The tokens a user gets who signs in at a client's login page."""
        with self._lock:
            found = self.realms[realm]
            client, user = found.client_named(client_id), found.user_named(username)
            if client is None or user is None:
                raise LookupError(f"realm {realm} has no client {client_id} or user {username}")
            now = self._clock.now()
            session = found.begin_session(user)
            return self._openid.tokens(found, client, session, scope, self.base, now)

    def expect(self, username: str, claims: JSON, realm: str) -> User:
        """Have this user be the next who comes to the realm's login page, and let in there.

        It is made if it isn't there. Several that are awaited come in turn.

        Args:
            username: The user.
            claims: What its ID token, its access token and userinfo say of it, over what the realm
                would say; None takes a claim away. `sub` may be one of them.
            realm: The realm.

        Raises:
            ValueError: there is no such realm, or a claim is the server's own.
        """
        if taken := sorted(PROTOCOL & claims.keys()):
            raise ValueError(f"claims that only the server sets: {', '.join(taken)}")
        with self._lock:
            found = self.realms.get(realm)
            if found is None:
                known = ", ".join(sorted(self.realms))
                raise ValueError(f"there is no realm '{realm}', but {known}")
            user = found.user_named(username) or self.add_user(realm, username.lower())
            found.awaited.append(Login(user.id, claims))
            return user

    def expected(self) -> list[JSON]:
        """Who is awaited, the next one first."""
        with self._lock:
            return [
                {
                    "realm": name,
                    "username": realm.users[login.user].username,
                    "claims": login.claims,
                }
                for name, realm in self.realms.items()
                for login in realm.awaited
                if login.user in realm.users
            ]

    def clear_expected(self) -> None:
        """Have the next who comes asked for name and password again."""
        with self._lock:
            for realm in self.realms.values():
                realm.awaited.clear()

    @property
    def base(self) -> str:
        """The address before /realms and /admin."""
        return self.url.rstrip("/") + self.relative_path

    def dump(self) -> JSON:
        """Everything it holds, as JSON."""
        with self._lock:
            return {"realms": {name: realm.dump() for name, realm in self.realms.items()}}

    def load(self, held: JSON) -> None:
        """Hold what was dumped, and nothing else."""
        with self._lock:
            self.realms = {name: Realm.load(realm) for name, realm in held["realms"].items()}
            self._proven.clear()

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
        # The raw path: a slash inside a segment comes encoded.
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
            case "GET", ["realms", name]:
                return answer(self.realms[name].settings)
            case "PUT", ["realms", name]:
                return self._update_realm(call, self.realms[name])
            case "DELETE", ["realms", name]:
                if name == "master":
                    raise invalid("Can't remove master realm")
                del self.realms[name]
                return done()
            case "GET", ["realms", name, "roles"]:
                realm = self.realms[name]
                return answer([users.role(realm, each) for each in sorted(realm.roles)])
            case "GET", ["realms", name, "roles", role]:
                if role not in self.realms[name].roles:
                    raise not_found("Could not find role")
                return answer(users.role(self.realms[name], role))
            case "GET", ["realms", name, "group-by-path", *path]:
                return groups.by_path(self.realms[name], path)
            case _, ["realms", name, *path]:
                for routes in _ROUTES:
                    found = routes.find(call.method, path)
                    if found:
                        return found[0](self.realms[name], call, *found[1])
        raise not_simulated(call)

    def _caller(self, call: Call, rest: list[str]) -> tuple[User, str]:
        """The user of master whose token came along; only master's administrators are known."""
        token, moment = bearer(call), call.now.timestamp()
        unauthorized = Refused(401, {"error": "HTTP 401 Unauthorized"})
        if token is None:
            raise unauthorized
        if token not in self._proven:
            # Administrators are of master or of the realm itself, which gives nobody rights here.
            homes = [name for name in ("master", *rest[1:2]) if name in self.realms]
            users = {
                name: self._openid.user_of(self.realms[name], token, call.now) for name in homes
            }
            home, found = next(((n, each) for n, each in users.items() if each), ("", None))
            if found is None:
                raise unauthorized
            user, claims = found
            if len(self._proven) > 1000:
                self._proven.clear()
            self._proven[token] = (claims["exp"], claims["sid"], user.id, home)
        expires, session, user_id, home = self._proven[token]
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
            settings = [{key: each.get(key) for key in brief} for each in settings]
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
    """A path the real Keycloak may have and this one hasn't."""
    what = f"{call.method} /{'/'.join(call.segments)}"
    return Refused(501, {"error": f"the sandbox's Keycloak does not simulate {what}"})
