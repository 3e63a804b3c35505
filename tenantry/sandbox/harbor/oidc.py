"""Logins to Harbor 2.15.2 through its OIDC provider, and the provider's ID tokens as credentials.

Not simulated: the stored token of a user, which is refreshed when a CLI secret is used.
"""

import json
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.harbor import users
from tenantry.sandbox.harbor.access import ANONYMOUS, Caller
from tenantry.sandbox.harbor.model import Session, User
from tenantry.sandbox.harbor.provider import (
    Identity,
    ProviderError,
    current_claims,
    discover,
    provider,
)
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.sessions import log_in_session
from tenantry.sandbox.harbor.wire import Refusal, done

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

_ILLEGAL = ',"~#%$'
_LONGEST = 255
_SIGN_IN = "/account/sign-in"


@routes.add("GET", "/c/oidc/login")
async def login(call: Call) -> Response:
    """Redirect the browser to the provider."""
    _require_oidc(call)
    target = call.query.get("redirect_url", "")
    if not _is_local(target):
        raise Refusal(400, "cannot redirect to other site")
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    try:
        url = (await provider(call.harbor)).login_url(state, verifier)
    except ProviderError as error:
        raise Refusal(500, str(error)) from error
    _session(call).values |= {"state": state, "verifier": verifier, "redirect_url": target}
    return _redirect(url)


@routes.add("GET", "/c/oidc/callback")
async def callback(call: Call) -> Response:
    """Process the provider's answer: log in, onboard, or ask for a name."""
    _require_oidc(call)
    harbor, values = call.harbor, _session(call).values
    if call.query.get("state", "") != values.get("state"):
        raise Refusal(400, "State mismatch")
    if fault := call.query.get("error"):
        description = call.query.get("error_description", "")
        raise Refusal(400, f"OIDC callback returned error: {fault} - {description}")
    target, verifier = values.pop("redirect_url", ""), values.pop("verifier", "")
    try:
        current = await provider(harbor)
        tokens = await current.tokens(call.query.get("code", ""), verifier)
    except ProviderError as error:
        raise Refusal(400, str(error)) from error
    try:
        claims = await current_claims(harbor, str(tokens.get("id_token", "")))
        identity = await current.identity(claims, str(tokens.get("access_token", "")))
    except ProviderError as error:
        raise Refusal(500, str(error)) from error
    values["id_token"] = tokens["id_token"]
    user = users.by_subject(harbor, identity.sub, identity.iss)
    if user is None:
        name = identity.username.replace(" ", "_").replace(",", "_")
        if not harbor.configuration["oidc_auto_onboard"]:
            values["identity"] = asdict(identity)
            # Only characters that a header cannot contain are escaped, as in Harbor.
            name = quote(name, safe="!\"#$%&'()*+,/:;<=>?@[\\]^`{|}")
            return _redirect(f"/oidc-onboard?username={name}&redirect_url={target}")
        if not name:
            raise Refusal(500, "unable to recover username for auto onboard")
        user = _onboard_user(harbor, identity, name)
    users.add_groups(harbor, identity.groups)
    user.groups = list(identity.groups)
    return log_in_session(call, _user_of_login(user, identity), _redirect(target or "/"))


@routes.add("POST", "/c/oidc/onboard")
def onboard(call: Call) -> Response:
    """Create the user with the chosen name."""
    _require_oidc(call)
    values = _session(call).values
    name = _parse_name(call.raw)
    if any(character in _ILLEGAL for character in name):
        raise Refusal(400, f"username {name} contains illegal characters: {_ILLEGAL}")
    if not 1 <= len(name) <= _LONGEST:
        raise Refusal(400, "username with illegal length")
    if "identity" not in values:
        raise Refusal(400, "Failed to get OIDC user info from session")
    identity = Identity(**values["identity"])
    user = _onboard_user(call.harbor, identity, name)
    del values["identity"]
    return log_in_session(call, _user_of_login(user, identity), done())


@routes.add("GET", "/c/oidc/logout")
async def logout(call: Call) -> Response:
    """End the session, and also the one at the provider if configured."""
    _require_oidc(call)
    harbor, id_token = call.harbor, _session(call).values.get("id_token")
    harbor.state.sessions.pop(call.sid, None)
    if not (id_token and harbor.configuration["oidc_logout"]):
        return _redirect(_SIGN_IN)
    try:
        current = await provider(harbor)
    except ProviderError as error:
        raise Refusal(500, str(error)) from error
    return _redirect(current.logout_url(id_token, f"{harbor.ext_endpoint}{_SIGN_IN}") or _SIGN_IN)


@routes.api("POST", "/system/oidc/ping")
async def ping(call: Call) -> Response:
    """Check whether the provider is reachable. Client id and secret are not checked."""
    body = call.body("endpoint", {"url": str, "verify_cert": bool})
    call.require("update", "configuration")
    try:
        await discover(body.get("url") or "", bool(body.get("verify_cert")))
    except ProviderError as error:
        raise Refusal(400, "failed to verify connection") from error
    return done()


async def by_id_token(harbor: "SimulatedHarbor", request: Request) -> Caller:
    """Return the onboarded user of an ID token in the Authorization header, or an anonymous caller."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if (
        scheme.lower() != "bearer"
        or harbor.configuration["auth_mode"] != "oidc_auth"
        or not request.scope["path"].startswith("/api/")
    ):
        return ANONYMOUS
    try:
        claims = await current_claims(harbor, token)
        identity = await (await provider(harbor)).identity(claims)
    except ProviderError:
        return ANONYMOUS
    user = users.by_subject(harbor, identity.sub, identity.iss)
    if user is None:
        return ANONYMOUS
    users.add_groups(harbor, identity.groups)
    return Caller(user.username, user=_user_of_login(user, identity))


def _require_oidc(call: Call) -> None:
    mode = call.harbor.configuration["auth_mode"]
    if mode != "oidc_auth":
        raise Refusal(412, f"auth mode: {mode} is not OIDC based", code="PRECONDITION_FAILED")


def _session(call: Call) -> Session:
    return call.harbor.state.sessions[call.sid]


def _is_local(path: str) -> bool:
    return not path or (path.startswith("/") and not path.startswith(("//", "/\\")))


def _parse_name(raw: bytes) -> str:
    try:
        body: Any = json.loads(raw)
        name = body.get("username") or ""
    except (ValueError, AttributeError) as error:
        raise Refusal(400, "Invalid json request") from error
    if not isinstance(name, str):
        raise Refusal(400, "Invalid json request")
    return name


def _onboard_user(harbor: "SimulatedHarbor", identity: Identity, name: str) -> User:
    return users.onboard(
        harbor, name, identity.email, identity.sub, identity.iss, list(identity.groups)
    )


def _user_of_login(user: User, identity: Identity) -> User:
    """Return the user for a session or request, with the groups and the admin flag of the login."""
    return replace(user, groups=list(identity.groups), admin_in_auth=identity.admin)


def _redirect(location: str) -> Response:
    return Response(status_code=302, headers={"location": location})
