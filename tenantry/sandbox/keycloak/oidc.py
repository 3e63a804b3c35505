"""The OpenID Connect endpoints of a realm: discovery, keys, tokens, userinfo."""

from base64 import b64decode
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from starlette.responses import Response

from .answers import JSON, Call, answer, done, not_found, oauth_error
from .client_policies import takes
from .login import LoginPages, incomplete, user_with_password
from .state import Realm, User
from .tokens import Keys, claims, scopes_in_force, token_set, told

_CREDENTIALS = "Invalid client or Invalid client credentials"


class OpenID:
    """What signs users and clients in."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._pages = LoginPages(keys)
        self.routes = self._pages.routes
        openid = "protocol/openid-connect"
        for method, path, handler in (
            ("GET", ".well-known/openid-configuration", self.discovery),
            ("GET", f"{openid}/certs", self.certs),
            ("POST", f"{openid}/token", self.token),
            ("POST", f"{openid}/token/introspect", self.introspect),
            ("GET", f"{openid}/userinfo", self.userinfo),
            ("POST", f"{openid}/userinfo", self.userinfo),
            ("POST", f"{openid}/logout", self.logout),
        ):
            self.routes(method, path)(handler)

    def discovery(self, realm: Realm, call: Call) -> Response:
        """The realm's endpoints."""
        issuer = issuer_of(realm, call.base)
        endpoint = f"{issuer}/protocol/openid-connect"
        return answer(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{endpoint}/auth",
                "token_endpoint": f"{endpoint}/token",
                "introspection_endpoint": f"{endpoint}/token/introspect",
                "userinfo_endpoint": f"{endpoint}/userinfo",
                "end_session_endpoint": f"{endpoint}/logout",
                "jwks_uri": f"{endpoint}/certs",
                "grant_types_supported": [
                    "authorization_code",
                    "client_credentials",
                    "password",
                    "refresh_token",
                ],
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", *(each["name"] for each in realm.scopes.values())],
                "claims_supported": ["iss", "sub", "aud", "exp", "iat", "preferred_username"],
            }
        )

    def certs(self, realm: Realm, call: Call) -> Response:
        """The realm's public keys."""
        return answer(self._keys.jwks(realm))

    def token(self, realm: Realm, call: Call) -> Response:
        """Sign in: with a code or a password, with a refresh token, or as a client."""
        form = dict(parse_qsl(call.raw.decode(), keep_blank_values=True))
        if not realm.settings["enabled"]:
            raise oauth_error(403, "access_denied", "Realm not enabled")
        client = _client(realm, call, form)
        match form.get("grant_type"):
            case _ if "scope" in form and not form["scope"].strip():
                raise oauth_error(400, "invalid_scope", "Invalid scopes: ")
            case "authorization_code":
                session, scope = self._pages.redeem(realm, client, form)
            case "password":
                session = realm.begin_session(_password(realm, client, form))
                scope = form.get("scope", "")
            case "client_credentials":
                session = realm.begin_session(_service_account(realm, client))
                scope = form.get("scope", "")
            case "refresh_token":
                session, scope = self._refresh(realm, client, form, call.now)
            case None:
                raise oauth_error(400, "invalid_request", "Missing form parameter: grant_type")
            case _:
                raise oauth_error(400, "unsupported_grant_type", "Unsupported grant_type")
        return answer(self.tokens(realm, client, session, scope, call.base, call.now))

    def tokens(
        self, realm: Realm, client: JSON, session: str, scope: str, base: str, now: datetime
    ) -> JSON:
        """The tokens of a user that has been let in."""
        if scopes_in_force(realm, client, scope) is None:
            raise oauth_error(400, "invalid_scope", f"Invalid scopes: {scope}")
        user = realm.users[realm.sessions[session]]
        allowed = user.has_default_role or "offline_access" in user.roles
        if "offline_access" in scope.split() and not allowed:
            words = "Offline tokens not allowed for the user or client"
            raise oauth_error(400, "not_allowed", words)
        issuer = issuer_of(realm, base)
        return token_set(self._keys, realm, client, session, scope, issuer, now)

    def _refresh(
        self, realm: Realm, client: JSON, form: dict[str, str], now: datetime
    ) -> tuple[str, str]:
        read = self._keys.read(realm, form.get("refresh_token", ""))
        if read is None or read.get("typ") != "Refresh" or read["azp"] != client["clientId"]:
            raise oauth_error(400, "invalid_grant", "Invalid refresh token")
        user = realm.users.get(realm.sessions.get(read["sid"], ""))
        if read["exp"] <= now.timestamp() or user is None or not user.enabled:
            raise oauth_error(400, "invalid_grant", "Token is not active")
        asked = form.get("scope")
        assigned = realm.client_scopes[client["id"]]
        optional = {
            realm.scopes[each]["name"] for each, how in assigned.items() if how != "default"
        }
        kept = [name for name in read["scope"].split() if name == "openid" or name in optional]
        return str(read["sid"]), asked if asked is not None else " ".join(kept)

    def user_of(self, realm: Realm, token: str, now: datetime) -> tuple[User, JSON] | None:
        """Whose access token this is, if it is one in force."""
        read = self._keys.read(realm, token)
        if read is None or read.get("typ") != "Bearer" or read["exp"] <= now.timestamp():
            return None
        # By the session: an access token without the scope `basic` has no sub.
        user = realm.users.get(realm.sessions.get(read["sid"], ""))
        return (user, read) if user and user.enabled else None

    def userinfo(self, realm: Realm, call: Call) -> Response:
        """The claims about the user whose access token this is."""
        found = self.user_of(realm, bearer(call) or "", call.now)
        if found is None:
            raise oauth_error(401, "invalid_token", "Token verification failed")
        user, read = found
        if "openid" not in read["scope"].split():
            raise oauth_error(403, "insufficient_scope", "Missing openid scope")
        client = realm.client_named(read["azp"])
        if client is None:
            raise oauth_error(401, "invalid_token", "Client not found")
        assigned = realm.client_scopes[client["id"]]
        granted = read["scope"].split()
        scopes = [
            realm.scopes[each]
            for each, how in assigned.items()
            if how == "default" or realm.scopes[each]["name"] in granted
        ]
        known = claims(realm, client, user, scopes, "userinfo", int(call.now.timestamp()))
        return answer(told(realm, read["sid"], {"sub": user.id, **known}))

    def introspect(self, realm: Realm, call: Call) -> Response:
        """Whether a token is in force, and meant for the client that asks."""
        form = dict(parse_qsl(call.raw.decode()))
        client = _client(realm, call, form)
        found = self.user_of(realm, form.get("token", ""), call.now)
        if found is None:
            return answer({"active": False})
        user, read = found
        audience = read.get("aud", [])
        if client["clientId"] not in ([audience] if isinstance(audience, str) else audience):
            return answer({"active": False})
        return answer({**read, "active": True, "username": user.username})

    def logout(self, realm: Realm, call: Call) -> Response:
        """End the session of a refresh token."""
        form = dict(parse_qsl(call.raw.decode()))
        _client(realm, call, form)
        read = self._keys.read(realm, form.get("refresh_token", ""))
        if read is None:
            raise oauth_error(400, "invalid_grant", "Invalid refresh token")
        realm.end_session(read["sid"])
        return done()


def issuer_of(realm: Realm, base: str) -> str:
    """The realm's issuer."""
    return f"{base}/realms/{realm.name}"


def bearer(call: Call) -> str | None:
    """The token in the Authorization header."""
    kind, _, token = call.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _client(realm: Realm, call: Call, form: dict[str, str]) -> JSON:
    client_id, secret = form.get("client_id"), form.get("client_secret")
    kind, _, encoded = call.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, word = b64decode(encoded).decode().partition(":")
        except ValueError:
            raise oauth_error(401, "invalid_client", _CREDENTIALS) from None
        client_id, secret = unquote(name), unquote(word)
    client = realm.client_named(client_id) if client_id else None
    if client is None or not client["enabled"]:
        raise oauth_error(401, "invalid_client", _CREDENTIALS)
    if client["bearerOnly"]:
        raise oauth_error(401, "invalid_client", "Bearer-only not allowed")
    if not client["publicClient"] and not takes(realm, client, secret, call.now):
        raise oauth_error(401, "unauthorized_client", _CREDENTIALS)
    return client


def _password(realm: Realm, client: JSON, form: dict[str, str]) -> User:
    if not client["directAccessGrantsEnabled"]:
        what = "Client not allowed for direct access grants"
        raise oauth_error(400, "unauthorized_client", what)
    user = user_with_password(realm, form.get("username", ""), form.get("password"))
    if user is None:
        raise oauth_error(400, "invalid_grant", "Invalid user credentials")
    if not user.enabled:
        raise oauth_error(400, "invalid_grant", "Account disabled")
    if user.required_actions or incomplete(realm, user):
        raise oauth_error(400, "invalid_grant", "Account is not fully set up")
    return user


def _service_account(realm: Realm, client: JSON) -> User:
    user = realm.user_named(f"service-account-{client['clientId']}")
    if client["publicClient"]:
        what = "Public client not allowed to retrieve service account"
        raise oauth_error(401, "unauthorized_client", what)
    if user is None or not client["serviceAccountsEnabled"]:
        what = "Client not enabled to retrieve service account"
        raise oauth_error(401, "unauthorized_client", what)
    return user


def realm_named(realms: dict[str, Realm], name: str) -> Realm:
    """The realm of this name, in the words of the realm's own endpoints."""
    if name not in realms:
        raise not_found("Realm does not exist")
    return realms[name]
