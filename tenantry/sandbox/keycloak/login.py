"""The login page of a realm, the codes that it issues to applications, and the logout.

There is no single sign-on: each login needs name and password. A user who is expected (a control of
the sandbox) is logged in without them. Not simulated: required actions at the login, and the page
that confirms a logout.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from .answers import JSON, Call, Refused, Routes, oauth_error
from .state import Realm, User, new_id
from .tokens import Keys, effective_scopes

_MAX_CODES = 1000


@dataclass
class _Code:
    """The request of a login for which a code was issued."""

    client: str
    redirect_uri: str
    session: str
    scope: str
    challenge: str


class LoginPages:
    """The pages for login and logout."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._codes: dict[str, _Code] = {}
        self.routes = Routes()
        self.routes("GET", "protocol/openid-connect/auth")(self.show)
        self.routes("POST", "login-actions/authenticate")(self.authenticate)
        self.routes("GET", "protocol/openid-connect/logout")(self.log_out)

    def show(self, realm: Realm, call: Call) -> Response:
        """Return the login form, or the error of the application's request."""
        if error := _find_error(realm, call):
            return error
        while realm.expected_logins:
            login = realm.expected_logins.pop(0)
            if user := realm.users.get(login.user):
                return self._log_in(realm, call, user, login.claims)
        return _form(realm, call)

    def authenticate(self, realm: Realm, call: Call) -> Response:
        """Check name and password, and return to the application with a code, or to the form."""
        if error := _find_error(realm, call):
            return error
        form = dict(parse_qsl(call.raw.decode()))
        user = user_with_password(realm, form.get("username", ""), form.get("password", ""))
        if user is None:
            return _form(realm, call, "Invalid username or password.")
        if not user.enabled:
            return _form(realm, call, "Account is disabled, contact your administrator.")
        if user.required_actions or is_incomplete(realm, user):
            raise _not_simulated("actions required of a user at the login")
        return self._log_in(realm, call, user, {})

    def _log_in(self, realm: Realm, call: Call, user: User, claims: JSON) -> Response:
        query, session, code = call.query, realm.begin_session(user, claims), new_id()
        self._codes[code] = _Code(
            query["client_id"],
            query["redirect_uri"],
            session,
            query.get("scope", ""),
            query.get("code_challenge", ""),
        )
        while len(self._codes) > _MAX_CODES:
            del self._codes[next(iter(self._codes))]
        return _redirect_to_application(realm, call, {"session_state": session}, {"code": code})

    def redeem(self, realm: Realm, client: JSON, form: dict[str, str]) -> tuple[str, str]:
        """Return the session and scope of a code, which can be used once.

        Raises:
            Refused: the code or its use is invalid.
        """
        if "code" not in form:
            raise oauth_error(400, "invalid_request", "Missing parameter: code")
        code = self._codes.pop(form["code"], None)
        fault = "Code not valid"
        if code is not None and code.session in realm.sessions:
            fault = _code_fault(code, client, form)
        if code is None or fault:
            raise oauth_error(400, "invalid_grant", fault)
        return code.session, code.scope

    def log_out(self, realm: Realm, call: Call) -> Response:
        """End the session of an ID token, and return to the application."""
        if "id_token_hint" not in call.query:
            raise _not_simulated("the page that asks whether to log out")
        claims = self._keys.read(realm, call.query["id_token_hint"])
        client = realm.client_named(str(claims["azp"])) if claims else None
        if claims is None or client is None:
            return _page("Invalid parameter: id_token_hint", 400)
        target = call.query.get("post_logout_redirect_uri", "")
        allowed = client.get("attributes", {}).get("post.logout.redirect.uris", "").split("##")
        if not _is_one_of(target, allowed):
            return _page("Invalid redirect uri", 400)
        realm.end_session(claims["sid"])
        return _redirect(target)


def user_with_password(realm: Realm, name: str, password: str | None) -> User | None:
    """Return the user with this name or email address and password, or None."""
    user = realm.user_named(name)
    if user is None and realm.settings["loginWithEmailAllowed"]:
        user = realm.user_with_email(name)
    if user is None or user.password is None or user.password != password:
        return None
    return user


def is_incomplete(realm: Realm, user: User) -> bool:
    """Return whether a user lacks required fields of the profile. Those of master never do."""
    required = [
        attribute["name"]
        for attribute in realm.profile.get("attributes") or ()
        if "user" in ((attribute.get("required") or {}).get("roles") or ())
    ]
    fields = {"email": user.email, "firstName": user.first_name, "lastName": user.last_name}
    given = {**user.attributes, **{key: value for key, value in fields.items() if value}}
    return realm.name != "master" and any(
        not given.get(name) for name in required if name != "username"
    )


def _find_error(realm: Realm, call: Call) -> Response | None:
    """Return the error of an application's request, as a page or as a redirect to the application."""
    query = call.query
    client = realm.client_named(query.get("client_id", ""))
    if client is None or not client["enabled"]:
        return _page("Client not found.", 400)
    if not _is_one_of(query.get("redirect_uri", ""), _redirect_uris(client, call)):
        return _page("Invalid parameter: redirect_uri", 400)
    method = client.get("attributes", {}).get("pkce.code.challenge.method")
    scope = query.get("scope", "")
    invalid: dict[str, str] = {"error": "invalid_request"}
    fault: dict[str, str] = {}
    if "response_type" not in query:
        fault = invalid | {"error_description": "Missing parameter: response_type"}
    elif query["response_type"] != "code":
        fault = {"error": "unsupported_response_type"}
    elif not client["standardFlowEnabled"]:
        description = "Client is not allowed to initiate browser login with given response_type. "
        description += "Standard flow is disabled for the client."
        fault = {"error": "unauthorized_client", "error_description": description}
    elif effective_scopes(realm, client, scope) is None:
        fault = {"error": "invalid_scope", "error_description": f"Invalid scopes: {scope}"}
    elif method and "code_challenge_method" not in query:
        fault = invalid | {"error_description": "Missing parameter: code_challenge_method"}
    return _redirect_to_application(realm, call, fault, {}) if fault else None


def _code_fault(code: _Code, client: JSON, form: dict[str, str]) -> str:
    """Return why a code cannot be redeemed, or an empty string."""
    if code.client != client["clientId"]:
        return "Auth error: Found different client_id in clientSession"
    if code.redirect_uri != form.get("redirect_uri", ""):
        return "Incorrect redirect_uri"
    if code.challenge and "code_verifier" not in form:
        return "PKCE code verifier not specified"
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    if code.challenge and urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
        return "PKCE verification failed: Code mismatch"
    return ""


def _is_one_of(address: str, allowed: list[str]) -> bool:
    """Return whether an address is in the list, or matches an item that ends with a star."""
    return bool(address) and any(
        address.startswith(item[:-1]) if item.endswith("*") else address == item for item in allowed
    )


def _redirect_uris(client: JSON, call: Call) -> list[str]:
    """Return the redirect URIs of a client. A path is relative to the client's root URL."""
    root = str(client.get("rootUrl") or "").replace("${authBaseUrl}", call.base).rstrip("/")
    known = client.get("redirectUris") or ()
    return [f"{root}{uri}" if uri.startswith("/") else uri for uri in known]


def _form(realm: Realm, call: Call, message: str = "") -> Response:
    action = f"{call.base}/realms/{realm.name}/login-actions/authenticate?{urlencode(call.query)}"
    return _page(
        f"""{message}</p><form method="post" action="{escape(action)}">
<label>Username or email <input name="username" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button name="login">Sign In</button></form><p>"""
    )


def _page(content: str, status: int = 200) -> Response:
    text = f"<!doctype html><title>Sign in</title><p>{content}</p>"
    return Response(text, status, media_type="text/html")


def _redirect_to_application(
    realm: Realm, call: Call, first: dict[str, str], last: dict[str, str]
) -> Response:
    """Return a redirect to the application with these parameters."""
    query, issuer = call.query, f"{call.base}/realms/{realm.name}"
    state = {"state": query["state"]} if "state" in query else {}
    parameters = urlencode({**first, **state, "iss": issuer, **last})
    target = query["redirect_uri"]
    return _redirect(f"{target}{'&' if '?' in target else '?'}{parameters}")


def _not_simulated(what: str) -> Refused:
    return Refused(501, {"error": f"the sandbox's Keycloak does not simulate {what}"})


def _redirect(location: str) -> Response:
    return Response(status_code=302, headers={"location": location})
