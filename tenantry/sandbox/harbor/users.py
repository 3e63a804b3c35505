"""Harbor 2.15.2's users; those of its own are made in local_users.py."""

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

# What secrets must be like that people choose, robots' too.
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
    """Put in user 1. User 2 is the anonymous one, whom no answer ever shows."""
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
    """Do what the IdP's callback does: find the user by subject and issuer, or onboard it.

    What changed in the IdP since (name, e-mail) is not followed; its groups are.
    """
    if user := by_subject(harbor, sub, iss):
        add_groups(harbor, groups)
        user.groups = list(groups)
        return user
    return onboard(harbor, username, email, sub, iss, groups)


def by_subject(harbor: "SimulatedHarbor", sub: str, iss: str) -> User | None:
    """The user of a subject at an issuer."""
    return next((u for u in harbor.users.values() if u.subiss == sub + iss), None)


def add_groups(harbor: "SimulatedHarbor", groups: list[str]) -> None:
    """Put in the groups of a login that nobody knows yet."""
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
    """Put in a user whom the IdP sends for the first time, and its groups in any case."""
    add_groups(harbor, groups)
    user_id, now = harbor.state.next_id("user"), harbor.clock.now()
    for user in harbor.users.values():
        if user.username == username or (email and user.email == email):
            named = f"user {username} or email {email or ''}"
            msg = f"failed to create user record: {named} already exists"
            raise Refusal(409, msg, code="UNKNOWN")
    secret = generated_secret(harbor)
    user = User(user_id, username, email or None, now, now, False, sub + iss, secret, list(groups))
    harbor.users[user_id] = user
    return user


def generated_secret(harbor: "SimulatedHarbor") -> str:
    """32 letters and digits, and noted as issued."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    # Real ones pass Harbor's own rule for secrets nearly always; these do always.
    secret = "aZ9" + "".join(secrets.choice(letters) for _ in range(29))
    harbor.issued_secrets.append(secret)
    return secret


def _shown(user: User, meta: bool = False) -> dict[str, Any]:
    seen: dict[str, Any] = {
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
        seen["oidc_user_meta"] = {
            "creation_time": stamp(user.created),
            "id": user.id,
            "secret": user.cli_secret,
            "subiss": user.subiss,
            "update_time": stamp(user.updated),
            "user_id": user.id,
        }
    return seen


def _comment(user: User) -> str:
    if user.id == ADMIN_ID:
        return "admin user"
    return "Onboarded via OIDC provider" if user.subiss else ""


@routes.api("GET", "/users/current")
def current_user(call: Call) -> Response:
    """Who is asking: the sure test of credentials and sessions."""
    access.require_known(call.caller)
    if call.caller.user is None:
        raise Refusal(412, "get current user not available for security context: robot")
    user = found_user(call, call.caller.user.id)  # a session outlives its user
    seen = replace(user, admin_in_auth=call.caller.user.admin_in_auth)
    return answer(_shown(seen, meta=_by_oidc(call)))


@routes.api("GET", "/users")
def list_users(call: Call) -> Response:
    """All but the admin."""
    listing = call.listing
    call.require("list", "user")
    found = [u for u in call.harbor.users.values() if u.id != ADMIN_ID]
    if name := call.query.get("username"):
        found = [u for u in found if name in u.username]
    if email := call.query.get("email"):
        found = [u for u in found if email in (u.email or "")]
    found.sort(key=lambda u: u.username)
    return listing.answer(listing.select(found, _FIELDS), _shown)


@routes.api("GET", "/users/search")
def search_users(call: Call) -> Response:
    """Names only, for anyone who is known."""
    access.require_known(call.caller)
    name = call.query.get("username")
    if name is None:
        raise invalid("username in query is required")
    found = [u for u in call.harbor.users.values() if name in u.username and u.id != ADMIN_ID]
    found.sort(key=lambda u: u.username)
    return call.listing.answer(found, lambda u: {"user_id": u.id, "username": u.username})


@routes.api("GET", "/users/{user_id}")
def get_user(call: Call) -> Response:
    """One user; with OIDC also what ties it to the IdP, its CLI secret in clear."""
    user_id = call.number("user_id")
    if not call.caller.known:
        return Response(status_code=500)  # Harbor fails here instead of saying 401
    _require(call, "read", f"Not authorized to read user: {user_id}", user_id)
    return answer(_shown(found_user(call, user_id), meta=_by_oidc(call)))


@routes.api("DELETE", "/users/{user_id}")
def delete_user(call: Call) -> Response:
    """Delete the user and its memberships; what it owns stays. The same login may come anew."""
    user_id = call.number("user_id")
    _require(call, "delete", "Not authorized to delete users")
    if user_id == ADMIN_ID or _is_caller(call, user_id):
        raise Refusal(403, f"User with ID {user_id} cannot be deleted")
    found_user(call, user_id)
    del call.harbor.users[user_id]
    drop_memberships(call.harbor, "u", user_id)
    return done()


@routes.api("PUT", "/users/{user_id}/sysadmin")
def set_sysadmin(call: Call) -> Response:
    """Make a user an admin, or no longer."""
    user_id = call.number("user_id")
    body = call.body("sysadmin_flag", {"sysadmin_flag": bool})
    call.require("update", "user")
    if user_id not in call.harbor.users:
        raise Refusal(404, f"user with id {user_id} not found")
    found_user(call, user_id).sysadmin = bool(body.get("sysadmin_flag"))
    return done()


@routes.api("PUT", "/users/{user_id}/cli_secret")
def set_cli_secret(call: Call) -> Response:
    """Set the secret that docker takes for a password; without one, make one. It is not told."""
    user_id = call.number("user_id")
    body = call.body("secret", {"secret": str})
    if not _by_oidc(call):
        mode = call.harbor.configuration["auth_mode"]
        raise Refusal(412, f"unable to update CLI secret under authmode: {mode}")
    refusal = f"Not authorized to update the CLI secret for user: {user_id}"
    _require(call, "update", refusal, user_id)
    secret = body.get("secret") or ""
    if secret and not STRONG.fullmatch(secret):
        raise Refusal(400, WEAK)
    user = found_user(call, user_id)
    if secret:
        call.harbor.issued_secrets.append(secret)
    user.cli_secret = secret or generated_secret(call.harbor)
    user.updated = call.harbor.clock.now()
    return done()


def _by_oidc(call: Call) -> bool:
    return bool(call.harbor.configuration["auth_mode"] == "oidc_auth")


def _is_caller(call: Call, user_id: int) -> bool:
    return call.caller.user is not None and call.caller.user.id == user_id


def _require(call: Call, action: str, refusal: str, themselves: int | None = None) -> None:
    """Refuse whoever may not do this to users, and is not the one user who may besides."""
    access.require_known(call.caller)
    if themselves is not None and _is_caller(call, themselves):
        return
    if not access.may_system(call.caller, action, "user"):
        raise Refusal(403, refusal)


def found_user(call: Call, user_id: int) -> User:
    """The user of an id, or the refusal that Harbor would send."""
    if user := call.harbor.users.get(user_id):
        return user
    raise Refusal(404, f"user {user_id} not found")
