"""Logins to Harbor 2.15.2 through its OIDC provider, and the provider's ID tokens as credentials.

Not simulated: what a CLI secret owes to the provider (a stored token that is refreshed when used).
"""

import json
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.harbor import users
from tenantry.sandbox.harbor.access import NOBODY, Caller
from tenantry.sandbox.harbor.model import Session, User
from tenantry.sandbox.harbor.provider import (
    Identity,
    ProviderError,
    current_claims,
    discovered,
    provider,
)
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.sessions import log_into
from tenantry.sandbox.harbor.wire import Refusal, done

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

_ILLEGAL = ',"~#%$'
_LONGEST = 255
_SIGN_IN = "/account/sign-in"


@routes.add("GET", "/c/oidc/login")
async def login(call: Call) -> Response:
    """Send the browser to the provider."""
    _require_oidc(call)
    target = call.query.get("redirect_url", "")
    if not _local(target):
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
    """Take the provider's answer: log in, onboard, or ask for a name."""
    _require_oidc(call)
    harbor, held = call.harbor, _session(call).values
    if call.query.get("state", "") != held.get("state"):
        raise Refusal(400, "State mismatch")
    if fault := call.query.get("error"):
        words = call.query.get("error_description", "")
        raise Refusal(400, f"OIDC callback returned error: {fault} - {words}")
    target, verifier = held.pop("redirect_url", ""), held.pop("verifier", "")
    try:
        found = await provider(harbor)
        tokens = await found.tokens(call.query.get("code", ""), verifier)
    except ProviderError as error:
        raise Refusal(400, str(error)) from error
    try:
        claims = await current_claims(harbor, str(tokens.get("id_token", "")))
        identity = await found.identity(claims, str(tokens.get("access_token", "")))
    except ProviderError as error:
        raise Refusal(500, str(error)) from error
    held["id_token"] = tokens["id_token"]
    user = users.by_subject(harbor, identity.sub, identity.iss)
    if user is None:
        name = identity.username.replace(" ", "_").replace(",", "_")
        if not harbor.configuration["oidc_auto_onboard"]:
            held["identity"] = asdict(identity)
            # Unescaped, as Harbor has it, but for what no header can carry.
            name = quote(name, safe="!\"#$%&'()*+,/:;<=>?@[\\]^`{|}")
            return _redirect(f"/oidc-onboard?username={name}&redirect_url={target}")
        if not name:
            raise Refusal(500, "unable to recover username for auto onboard")
        user = _onboarded(harbor, identity, name)
    users.add_groups(harbor, identity.groups)
    user.groups = list(identity.groups)
    return log_into(call, _signed_in(user, identity), _redirect(target or "/"))


@routes.add("POST", "/c/oidc/onboard")
def onboard(call: Call) -> Response:
    """Make the user under the name that the person chose."""
    _require_oidc(call)
    held = _session(call).values
    name = _chosen(call.raw)
    if any(character in _ILLEGAL for character in name):
        raise Refusal(400, f"username {name} contains illegal characters: {_ILLEGAL}")
    if not 1 <= len(name) <= _LONGEST:
        raise Refusal(400, "username with illegal length")
    if "identity" not in held:
        raise Refusal(400, "Failed to get OIDC user info from session")
    identity = Identity(**held["identity"])
    user = _onboarded(call.harbor, identity, name)
    del held["identity"]
    return log_into(call, _signed_in(user, identity), done())


@routes.add("GET", "/c/oidc/logout")
async def logout(call: Call) -> Response:
    """End the session here and, if so configured, at the provider."""
    _require_oidc(call)
    harbor, id_token = call.harbor, _session(call).values.get("id_token")
    harbor.state.sessions.pop(call.sid, None)
    if not (id_token and harbor.configuration["oidc_logout"]):
        return _redirect(_SIGN_IN)
    try:
        found = await provider(harbor)
    except ProviderError as error:
        raise Refusal(500, str(error)) from error
    return _redirect(found.logout_url(id_token, f"{harbor.ext_endpoint}{_SIGN_IN}") or _SIGN_IN)


@routes.api("POST", "/system/oidc/ping")
async def ping(call: Call) -> Response:
    """Whether a provider is there. Its client's name and secret are not looked at."""
    body = call.body("endpoint", {"url": str, "verify_cert": bool})
    call.require("update", "configuration")
    try:
        await discovered(body.get("url") or "", bool(body.get("verify_cert")))
    except ProviderError as error:
        raise Refusal(400, "failed to verify connection") from error
    return done()


async def by_id_token(harbor: "SimulatedHarbor", request: Request) -> Caller:
    """Whoever an ID token in the Authorization header speaks of, if onboarded before."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if (
        scheme.lower() != "bearer"
        or harbor.configuration["auth_mode"] != "oidc_auth"
        or not request.scope["path"].startswith("/api/")
    ):
        return NOBODY
    try:
        claims = await current_claims(harbor, token)
        identity = await (await provider(harbor)).identity(claims)
    except ProviderError:
        return NOBODY
    user = users.by_subject(harbor, identity.sub, identity.iss)
    if user is None:
        return NOBODY
    users.add_groups(harbor, identity.groups)
    return Caller(user.username, user=_signed_in(user, identity))


def _require_oidc(call: Call) -> None:
    mode = call.harbor.configuration["auth_mode"]
    if mode != "oidc_auth":
        raise Refusal(412, f"auth mode: {mode} is not OIDC based", code="PRECONDITION_FAILED")


def _session(call: Call) -> Session:
    return call.harbor.state.sessions[call.sid]


def _local(path: str) -> bool:
    return not path or (path.startswith("/") and not path.startswith(("//", "/\\")))


def _chosen(raw: bytes) -> str:
    try:
        body: Any = json.loads(raw)
        name = body.get("username") or ""
    except (ValueError, AttributeError) as error:
        raise Refusal(400, "Invalid json request") from error
    if not isinstance(name, str):
        raise Refusal(400, "Invalid json request")
    return name


def _onboarded(harbor: "SimulatedHarbor", identity: Identity, name: str) -> User:
    return users.onboard(
        harbor, name, identity.email, identity.sub, identity.iss, list(identity.groups)
    )


def _signed_in(user: User, identity: Identity) -> User:
    """The user as the session or the request has it: groups and admin's role are the login's."""
    return replace(user, groups=list(identity.groups), admin_in_auth=identity.admin)


def _redirect(location: str) -> Response:
    return Response(status_code=302, headers={"location": location})
