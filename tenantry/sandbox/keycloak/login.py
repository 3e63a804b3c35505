"""The login page of a realm, the codes that it sends an application, and logging out.

It remembers nobody: each login asks for name and password, unless somebody is awaited (a control of
the sandbox), who is let in as it is. Not simulated: actions required of a user
at the login, and the page that asks whether to log out.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from .answers import JSON, Call, Refused, Routes, oauth_error
from .state import Realm, User, new_id
from .tokens import Keys, scopes_in_force

_MOST_CODES = 1000


@dataclass
class _Code:
    """What was asked for when somebody logged in."""

    client: str
    redirect_uri: str
    session: str
    scope: str
    challenge: str


class LoginPages:
    """Where people log in and out."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._codes: dict[str, _Code] = {}
        self.routes = Routes()
        self.routes("GET", "protocol/openid-connect/auth")(self.show)
        self.routes("POST", "login-actions/authenticate")(self.authenticate)
        self.routes("GET", "protocol/openid-connect/logout")(self.log_out)

    def show(self, realm: Realm, call: Call) -> Response:
        """The form, or what is wrong with the application's request."""
        if refusal := _refusal(realm, call):
            return refusal
        while realm.awaited:
            login = realm.awaited.pop(0)
            if user := realm.users.get(login.user):
                return self._let_in(realm, call, user, login.claims)
        return _form(realm, call)

    def authenticate(self, realm: Realm, call: Call) -> Response:
        """Take name and password; back to the application with a code, or to the form."""
        if refusal := _refusal(realm, call):
            return refusal
        form = dict(parse_qsl(call.raw.decode()))
        user = user_with_password(realm, form.get("username", ""), form.get("password", ""))
        if user is None:
            return _form(realm, call, "Invalid username or password.")
        if not user.enabled:
            return _form(realm, call, "Account is disabled, contact your administrator.")
        if user.required_actions or incomplete(realm, user):
            raise _not_simulated("actions required of a user at the login")
        return self._let_in(realm, call, user, {})

    def _let_in(self, realm: Realm, call: Call, user: User, claims: JSON) -> Response:
        asked, session, code = call.query, realm.begin_session(user, claims), new_id()
        self._codes[code] = _Code(
            asked["client_id"],
            asked["redirect_uri"],
            session,
            asked.get("scope", ""),
            asked.get("code_challenge", ""),
        )
        while len(self._codes) > _MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return _back(realm, call, {"session_state": session}, {"code": code})

    def redeem(self, realm: Realm, client: JSON, form: dict[str, str]) -> tuple[str, str]:
        """The session and scope of a code, which is good once."""
        if "code" not in form:
            raise oauth_error(400, "invalid_request", "Missing parameter: code")
        code = self._codes.pop(form["code"], None)
        fault = "Code not valid"
        if code is not None and code.session in realm.sessions:
            fault = _fault(code, client, form)
        if code is None or fault:
            raise oauth_error(400, "invalid_grant", fault)
        return code.session, code.scope

    def log_out(self, realm: Realm, call: Call) -> Response:
        """End the session of an ID token and go back to the application."""
        if "id_token_hint" not in call.query:
            raise _not_simulated("the page that asks whether to log out")
        read = self._keys.read(realm, call.query["id_token_hint"])
        client = realm.client_named(str(read["azp"])) if read else None
        if read is None or client is None:
            return _page("Invalid parameter: id_token_hint", 400)
        target = call.query.get("post_logout_redirect_uri", "")
        allowed = client.get("attributes", {}).get("post.logout.redirect.uris", "").split("##")
        if not _is_one_of(target, allowed):
            return _page("Invalid redirect uri", 400)
        realm.end_session(read["sid"])
        return _redirect(target)


def user_with_password(realm: Realm, name: str, password: str | None) -> User | None:
    """The user of this name, or e-mail address, whose password it is."""
    user = realm.user_named(name)
    if user is None and realm.settings["loginWithEmailAllowed"]:
        user = realm.user_with_email(name)
    if user is None or user.password is None or user.password != password:
        return None
    return user


def incomplete(realm: Realm, user: User) -> bool:
    """Whether a user lacks what the profile wants of users; the administrators' realm is spared."""
    wanted = [
        each["name"]
        for each in realm.profile.get("attributes") or ()
        if "user" in ((each.get("required") or {}).get("roles") or ())
    ]
    held = {"email": user.email, "firstName": user.first_name, "lastName": user.last_name}
    given = {**user.attributes, **{key: value for key, value in held.items() if value}}
    return realm.name != "master" and any(
        not given.get(name) for name in wanted if name != "username"
    )


def _refusal(realm: Realm, call: Call) -> Response | None:
    """Why the application's request is refused: on a page, or back at the application."""
    asked = call.query
    client = realm.client_named(asked.get("client_id", ""))
    if client is None or not client["enabled"]:
        return _page("Client not found.", 400)
    if not _is_one_of(asked.get("redirect_uri", ""), _redirects(client, call)):
        return _page("Invalid parameter: redirect_uri", 400)
    method = client.get("attributes", {}).get("pkce.code.challenge.method")
    scope = asked.get("scope", "")
    invalid: dict[str, str] = {"error": "invalid_request"}
    fault: dict[str, str] = {}
    if "response_type" not in asked:
        fault = invalid | {"error_description": "Missing parameter: response_type"}
    elif asked["response_type"] != "code":
        fault = {"error": "unsupported_response_type"}
    elif not client["standardFlowEnabled"]:
        words = "Client is not allowed to initiate browser login with given response_type. "
        words += "Standard flow is disabled for the client."
        fault = {"error": "unauthorized_client", "error_description": words}
    elif scopes_in_force(realm, client, scope) is None:
        fault = {"error": "invalid_scope", "error_description": f"Invalid scopes: {scope}"}
    elif method and "code_challenge_method" not in asked:
        fault = invalid | {"error_description": "Missing parameter: code_challenge_method"}
    return _back(realm, call, fault, {}) if fault else None


def _fault(code: _Code, client: JSON, form: dict[str, str]) -> str:
    """What is wrong with the way a code is redeemed."""
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
    """Whether an address is allowed: as it stands, or by a pattern that ends with a star."""
    return bool(address) and any(
        address.startswith(each[:-1]) if each.endswith("*") else address == each for each in allowed
    )


def _redirects(client: JSON, call: Call) -> list[str]:
    """Return where a client may be returned to; a path is below the client's root URL."""
    root = str(client.get("rootUrl") or "").replace("${authBaseUrl}", call.base).rstrip("/")
    known = client.get("redirectUris") or ()
    return [f"{root}{each}" if each.startswith("/") else each for each in known]


def _form(realm: Realm, call: Call, words: str = "") -> Response:
    action = f"{call.base}/realms/{realm.name}/login-actions/authenticate?{urlencode(call.query)}"
    return _page(
        f"""{words}</p><form method="post" action="{escape(action)}">
<label>Username or email <input name="username" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button name="login">Sign In</button></form><p>"""
    )


def _page(words: str, status: int = 200) -> Response:
    text = f"<!doctype html><title>Sign in</title><p>{words}</p>"
    return Response(text, status, media_type="text/html")


def _back(realm: Realm, call: Call, first: dict[str, str], last: dict[str, str]) -> Response:
    """To the application, with what it is told."""
    asked, issuer = call.query, f"{call.base}/realms/{realm.name}"
    state = {"state": asked["state"]} if "state" in asked else {}
    told = urlencode({**first, **state, "iss": issuer, **last})
    target = asked["redirect_uri"]
    return _redirect(f"{target}{'&' if '?' in target else '?'}{told}")


def _not_simulated(what: str) -> Refused:
    return Refused(501, {"error": f"the sandbox's Keycloak does not simulate {what}"})


def _redirect(location: str) -> Response:
    return Response(status_code=302, headers={"location": location})
