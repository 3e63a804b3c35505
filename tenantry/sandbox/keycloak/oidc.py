"""The OpenID Connect endpoints of a realm: discovery, keys, tokens, userinfo."""

from base64 import b64decode
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from starlette.responses import Response

from .answers import JSON, Call, answer, done, not_found, oauth_error
from .client_policies import is_valid_secret
from .login import LoginPages, is_incomplete, user_with_password
from .state import Realm, User
from .tokens import Keys, claims, effective_scopes, token_set, with_login_claims

_CREDENTIALS = "Invalid client or Invalid client credentials"


class OpenID:
    """The endpoints that log in users and clients."""

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
        """Return the URLs of the endpoints."""
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
                "scopes_supported": ["openid", *(scope["name"] for scope in realm.scopes.values())],
                "claims_supported": ["iss", "sub", "aud", "exp", "iat", "preferred_username"],
            }
        )

    def certs(self, realm: Realm, call: Call) -> Response:
        """Return the public keys of the realm."""
        return answer(self._keys.jwks(realm))

    def token(self, realm: Realm, call: Call) -> Response:
        """Return tokens for a code, a password, a refresh token, or the credentials of a client."""
        form = dict(parse_qsl(call.raw.decode(), keep_blank_values=True))
        if not realm.settings["enabled"]:
            raise oauth_error(403, "access_denied", "Realm not enabled")
        client = _authenticate_client(realm, call, form)
        match form.get("grant_type"):
            case _ if "scope" in form and not form["scope"].strip():
                raise oauth_error(400, "invalid_scope", "Invalid scopes: ")
            case "authorization_code":
                session, scope = self._pages.redeem(realm, client, form)
            case "password":
                session = realm.begin_session(_user_by_password(realm, client, form))
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
        """Return the tokens for a session; raise Refused for invalid scopes."""
        if effective_scopes(realm, client, scope) is None:
            raise oauth_error(400, "invalid_scope", f"Invalid scopes: {scope}")
        user = realm.users[realm.sessions[session]]
        allowed = user.has_default_role or "offline_access" in user.roles
        if "offline_access" in scope.split() and not allowed:
            message = "Offline tokens not allowed for the user or client"
            raise oauth_error(400, "not_allowed", message)
        issuer = issuer_of(realm, base)
        return token_set(self._keys, realm, client, session, scope, issuer, now)

    def _refresh(
        self, realm: Realm, client: JSON, form: dict[str, str], now: datetime
    ) -> tuple[str, str]:
        token_claims = self._keys.read(realm, form.get("refresh_token", ""))
        if (
            token_claims is None
            or token_claims.get("typ") != "Refresh"
            or token_claims["azp"] != client["clientId"]
        ):
            raise oauth_error(400, "invalid_grant", "Invalid refresh token")
        user = realm.users.get(realm.sessions.get(token_claims["sid"], ""))
        if token_claims["exp"] <= now.timestamp() or user is None or not user.enabled:
            raise oauth_error(400, "invalid_grant", "Token is not active")
        requested = form.get("scope")
        assigned = realm.client_scopes[client["id"]]
        optional = {realm.scopes[id]["name"] for id, kind in assigned.items() if kind != "default"}
        granted = [
            name for name in token_claims["scope"].split() if name == "openid" or name in optional
        ]
        return str(token_claims["sid"]), requested if requested is not None else " ".join(granted)

    def user_of(self, realm: Realm, token: str, now: datetime) -> tuple[User, JSON] | None:
        """Return the user and the claims of an access token, or None if it is invalid or expired."""
        token_claims = self._keys.read(realm, token)
        if (
            token_claims is None
            or token_claims.get("typ") != "Bearer"
            or token_claims["exp"] <= now.timestamp()
        ):
            return None
        # The session identifies the user: an access token without the scope `basic` has no sub.
        user = realm.users.get(realm.sessions.get(token_claims["sid"], ""))
        return (user, token_claims) if user and user.enabled else None

    def userinfo(self, realm: Realm, call: Call) -> Response:
        """Return the claims of the user of an access token."""
        found = self.user_of(realm, bearer(call) or "", call.now)
        if found is None:
            raise oauth_error(401, "invalid_token", "Token verification failed")
        user, token_claims = found
        if "openid" not in token_claims["scope"].split():
            raise oauth_error(403, "insufficient_scope", "Missing openid scope")
        client = realm.client_named(token_claims["azp"])
        if client is None:
            raise oauth_error(401, "invalid_token", "Client not found")
        assigned = realm.client_scopes[client["id"]]
        granted = token_claims["scope"].split()
        scopes = [
            realm.scopes[id]
            for id, kind in assigned.items()
            if kind == "default" or realm.scopes[id]["name"] in granted
        ]
        known = claims(realm, client, user, scopes, "userinfo", int(call.now.timestamp()))
        return answer(with_login_claims(realm, token_claims["sid"], {"sub": user.id, **known}))

    def introspect(self, realm: Realm, call: Call) -> Response:
        """Return whether a token is valid for the client that sends the request."""
        form = dict(parse_qsl(call.raw.decode()))
        client = _authenticate_client(realm, call, form)
        found = self.user_of(realm, form.get("token", ""), call.now)
        if found is None:
            return answer({"active": False})
        user, token_claims = found
        audience = token_claims.get("aud", [])
        if client["clientId"] not in ([audience] if isinstance(audience, str) else audience):
            return answer({"active": False})
        return answer({**token_claims, "active": True, "username": user.username})

    def logout(self, realm: Realm, call: Call) -> Response:
        """End the session of a refresh token."""
        form = dict(parse_qsl(call.raw.decode()))
        _authenticate_client(realm, call, form)
        token_claims = self._keys.read(realm, form.get("refresh_token", ""))
        if token_claims is None:
            raise oauth_error(400, "invalid_grant", "Invalid refresh token")
        realm.end_session(token_claims["sid"])
        return done()


def issuer_of(realm: Realm, base: str) -> str:
    """Return the issuer of a realm."""
    return f"{base}/realms/{realm.name}"


def bearer(call: Call) -> str | None:
    """Return the bearer token in the Authorization header, or None."""
    kind, _, token = call.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _authenticate_client(realm: Realm, call: Call, form: dict[str, str]) -> JSON:
    client_id, secret = form.get("client_id"), form.get("client_secret")
    kind, _, encoded = call.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, password = b64decode(encoded).decode().partition(":")
        except ValueError:
            raise oauth_error(401, "invalid_client", _CREDENTIALS) from None
        client_id, secret = unquote(name), unquote(password)
    client = realm.client_named(client_id) if client_id else None
    if client is None or not client["enabled"]:
        raise oauth_error(401, "invalid_client", _CREDENTIALS)
    if client["bearerOnly"]:
        raise oauth_error(401, "invalid_client", "Bearer-only not allowed")
    if not client["publicClient"] and not is_valid_secret(realm, client, secret, call.now):
        raise oauth_error(401, "unauthorized_client", _CREDENTIALS)
    return client


def _user_by_password(realm: Realm, client: JSON, form: dict[str, str]) -> User:
    if not client["directAccessGrantsEnabled"]:
        message = "Client not allowed for direct access grants"
        raise oauth_error(400, "unauthorized_client", message)
    user = user_with_password(realm, form.get("username", ""), form.get("password"))
    if user is None:
        raise oauth_error(400, "invalid_grant", "Invalid user credentials")
    if not user.enabled:
        raise oauth_error(400, "invalid_grant", "Account disabled")
    if user.required_actions or is_incomplete(realm, user):
        raise oauth_error(400, "invalid_grant", "Account is not fully set up")
    return user


def _service_account(realm: Realm, client: JSON) -> User:
    user = realm.user_named(f"service-account-{client['clientId']}")
    if client["publicClient"]:
        message = "Public client not allowed to retrieve service account"
        raise oauth_error(401, "unauthorized_client", message)
    if user is None or not client["serviceAccountsEnabled"]:
        message = "Client not enabled to retrieve service account"
        raise oauth_error(401, "unauthorized_client", message)
    return user


def realm_named(realms: dict[str, Realm], name: str) -> Realm:
    """Return the realm of this name; raise Refused with the message of the realm's endpoints."""
    if name not in realms:
        raise not_found("Realm does not exist")
    return realms[name]
