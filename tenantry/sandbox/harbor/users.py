"""The users of Harbor 2.15.2. local_users.py creates the local ones."""

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.groups import add_group, drop_memberships
from tenantry.sandbox.harbor.model import ADMIN_ID, OIDC_GROUP, User
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, done, invalid, stamp

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

# The rule for chosen secrets, including those of robots.
STRONG = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?=.*[0-9]).{8,128}", re.DOTALL)
WEAK = (
    "the password or secret must be 8-128, inclusively, characters long with at least 1 uppercase "
    "letter, 1 lowercase letter and 1 number"
)
_FIELDS = {
    "username": lambda u: u.username,
    "email": lambda u: u.email or "",
    "user_id": lambda u: u.id,
    "creation_time": lambda u: u.created,
}


def add_local_admin(harbor: "SimulatedHarbor") -> None:
    """Add user 1. User 2 is the anonymous user, which the API never shows."""
    now, user_id = harbor.clock.now(), harbor.state.next_id("user")
    harbor.users[user_id] = User(user_id, access.ADMIN, None, now, now, True)
    harbor.state.next_id("user")


def sign_in(
    harbor: "SimulatedHarbor",
    username: str,
    email: str | None,
    sub: str,
    iss: str,
    groups: list[str],
) -> User:
    """Find the user by subject and issuer or onboard it, as the login callback does, and return it.

    The groups are updated from the IdP; name and email are not.
    """
    if user := by_subject(harbor, sub, iss):
        add_groups(harbor, groups)
        user.groups = list(groups)
        return user
    return onboard(harbor, username, email, sub, iss, groups)


def by_subject(harbor: "SimulatedHarbor", sub: str, iss: str) -> User | None:
    """Return the user with this subject and issuer, or None."""
    return next((u for u in harbor.users.values() if u.subiss == sub + iss), None)


def add_groups(harbor: "SimulatedHarbor", groups: list[str]) -> None:
    """Add the groups of a login that do not exist."""
    for group in groups:
        if not any(g.name == group for g in harbor.groups.values()):
            add_group(harbor, group, OIDC_GROUP)


def onboard(
    harbor: "SimulatedHarbor",
    username: str,
    email: str | None,
    sub: str,
    iss: str,
    groups: list[str],
) -> User:
    """Add a user from the IdP, and return it. Its groups are added even if this is rejected."""
    add_groups(harbor, groups)
    user_id, now = harbor.state.next_id("user"), harbor.clock.now()
    for user in harbor.users.values():
        if user.username == username or (email and user.email == email):
            description = f"user {username} or email {email or ''}"
            msg = f"failed to create user record: {description} already exists"
            raise Refusal(409, msg, code="UNKNOWN")
    secret = generate_secret(harbor)
    user = User(user_id, username, email or None, now, now, False, sub + iss, secret, list(groups))
    harbor.users[user_id] = user
    return user


def generate_secret(harbor: "SimulatedHarbor") -> str:
    """Return a new secret of 32 letters and digits, and record it as issued."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    # Real secrets almost always match Harbor's rule for chosen secrets; these always do.
    secret = "aZ9" + "".join(secrets.choice(letters) for _ in range(29))
    harbor.issued_secrets.append(secret)
    return secret


def _user_json(user: User, meta: bool = False) -> dict[str, Any]:
    values: dict[str, Any] = {
        "admin_role_in_auth": user.admin_in_auth,
        "comment": user.comment or _comment(user),
        "creation_time": stamp(user.created),
        **({"email": user.email} if user.email else {}),
        "realname": user.realname or user.username,
        "sysadmin_flag": user.sysadmin,
        "update_time": stamp(user.updated),
        "user_id": user.id,
        "username": user.username,
    }
    if meta and user.subiss:
        values["oidc_user_meta"] = {
            "creation_time": stamp(user.created),
            "id": user.id,
            "secret": user.cli_secret,
            "subiss": user.subiss,
            "update_time": stamp(user.updated),
            "user_id": user.id,
        }
    return values


def _comment(user: User) -> str:
    if user.id == ADMIN_ID:
        return "admin user"
    return "Onboarded via OIDC provider" if user.subiss else ""


@routes.api("GET", "/users/current")
def current_user(call: Call) -> Response:
    """Return the caller. This is the reliable check of credentials and sessions."""
    access.require_known(call.caller)
    if call.caller.user is None:
        raise Refusal(412, "get current user not available for security context: robot")
    user = find_user(call, call.caller.user.id)  # a session remains valid after its user is deleted
    user = replace(user, admin_in_auth=call.caller.user.admin_in_auth)
    return answer(_user_json(user, meta=_uses_oidc(call)))


@routes.api("GET", "/users")
def list_users(call: Call) -> Response:
    """Return all users except the admin."""
    listing = call.listing
    call.require("list", "user")
    found = [u for u in call.harbor.users.values() if u.id != ADMIN_ID]
    if name := call.query.get("username"):
        found = [u for u in found if name in u.username]
    if email := call.query.get("email"):
        found = [u for u in found if email in (u.email or "")]
    found.sort(key=lambda u: u.username)
    return listing.answer(listing.select(found, _FIELDS), _user_json)


@routes.api("GET", "/users/search")
def search_users(call: Call) -> Response:
    """Return ids and names, for all authenticated callers."""
    access.require_known(call.caller)
    name = call.query.get("username")
    if name is None:
        raise invalid("username in query is required")
    found = [u for u in call.harbor.users.values() if name in u.username and u.id != ADMIN_ID]
    found.sort(key=lambda u: u.username)
    return call.listing.answer(found, lambda u: {"user_id": u.id, "username": u.username})


@routes.api("GET", "/users/{user_id}")
def get_user(call: Call) -> Response:
    """Return one user; with OIDC, including its link to the IdP and its CLI secret in clear text."""
    user_id = call.number("user_id")
    if not call.caller.known:
        return Response(status_code=500)  # Harbor answers 500 here, not 401
    _require(call, "read", f"Not authorized to read user: {user_id}", user_id)
    return answer(_user_json(find_user(call, user_id), meta=_uses_oidc(call)))


@routes.api("DELETE", "/users/{user_id}")
def delete_user(call: Call) -> Response:
    """Delete a user and its memberships. Its projects remain, and the user can log in again."""
    user_id = call.number("user_id")
    _require(call, "delete", "Not authorized to delete users")
    if user_id == ADMIN_ID or _is_caller(call, user_id):
        raise Refusal(403, f"User with ID {user_id} cannot be deleted")
    find_user(call, user_id)
    del call.harbor.users[user_id]
    drop_memberships(call.harbor, "u", user_id)
    return done()


@routes.api("PUT", "/users/{user_id}/sysadmin")
def set_sysadmin(call: Call) -> Response:
    """Set or remove the admin flag of a user."""
    user_id = call.number("user_id")
    body = call.body("sysadmin_flag", {"sysadmin_flag": bool})
    call.require("update", "user")
    if user_id not in call.harbor.users:
        raise Refusal(404, f"user with id {user_id} not found")
    find_user(call, user_id).sysadmin = bool(body.get("sysadmin_flag"))
    return done()


@routes.api("PUT", "/users/{user_id}/cli_secret")
def set_cli_secret(call: Call) -> Response:
    """Set the CLI secret, or generate one. The answer does not include it."""
    user_id = call.number("user_id")
    body = call.body("secret", {"secret": str})
    if not _uses_oidc(call):
        mode = call.harbor.configuration["auth_mode"]
        raise Refusal(412, f"unable to update CLI secret under authmode: {mode}")
    refusal = f"Not authorized to update the CLI secret for user: {user_id}"
    _require(call, "update", refusal, user_id)
    secret = body.get("secret") or ""
    if secret and not STRONG.fullmatch(secret):
        raise Refusal(400, WEAK)
    user = find_user(call, user_id)
    if secret:
        call.harbor.issued_secrets.append(secret)
    user.cli_secret = secret or generate_secret(call.harbor)
    user.updated = call.harbor.clock.now()
    return done()


def _uses_oidc(call: Call) -> bool:
    return bool(call.harbor.configuration["auth_mode"] == "oidc_auth")


def _is_caller(call: Call, user_id: int) -> bool:
    return call.caller.user is not None and call.caller.user.id == user_id


def _require(call: Call, action: str, refusal: str, themselves: int | None = None) -> None:
    """Raise Refusal if the caller may not do this to users and is not the user `themselves`."""
    access.require_known(call.caller)
    if themselves is not None and _is_caller(call, themselves):
        return
    if not access.may_system(call.caller, action, "user"):
        raise Refusal(403, refusal)


def find_user(call: Call, user_id: int) -> User:
    """Return the user with this id; raise Refusal if it does not exist."""
    if user := call.harbor.users.get(user_id):
        return user
    raise Refusal(404, f"user {user_id} not found")
