"""The local users of Harbor 2.15.2, for installations without an identity provider (``db_auth``).

Not simulated: self-registration, and changes of the administrator, whose password is fixed. Recorded
from a real Harbor: their rejection in other modes. The other messages are from its source.
"""

import re
import secrets

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import ADMIN_ID, User
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.users import STRONG, WEAK, find_user
from tenantry.sandbox.harbor.wire import Refusal, Shape, created, done

_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@(\[[0-9.]+\]|([a-zA-Z0-9-]+\.)+[a-zA-Z]{2,})")
_ILLEGAL = ",~#$%"
_PROFILE: Shape = {"email": str, "realname": str, "comment": str}
_SHAPE: Shape = {"username": str, "password": str, "email": str, "realname": str, "comment": str}


@routes.api("POST", "/users")
def create_user(call: Call) -> Response:
    """Create a user with a password. This is rejected if users come from an IdP."""
    mode = call.harbor.configuration["auth_mode"]
    if mode != "db_auth":
        raise Refusal(403, f"creating local user is not allowed under auth mode: {mode}")
    body = call.body("userReq", _SHAPE)
    call.require("create", "user")
    password, name = body.get("password") or "", body.get("username") or ""
    if not STRONG.fullmatch(password):
        raise Refusal(400, WEAK)
    email, realname, comment = _parse_profile(body)
    harbor = call.harbor
    user_id, now = harbor.state.next_id("user"), harbor.clock.now()
    for user in harbor.users.values():
        if user.username == name or user.email == email:
            raise Refusal(409, f"user {name} or email {email} already exists")
    user = User(user_id, name, email, now, now, realname=realname, comment=comment)
    _set_password(call, user, password)
    harbor.users[user_id] = user
    return created(f"/api/v2.0/users/{user_id}")


@routes.api("PUT", "/users/{user_id}")
def update_user(call: Call) -> Response:
    """Replace email, real name and comment. This is rejected if users come from an IdP."""
    user_id = call.number("user_id")
    user = _find_changeable_user(call, user_id)
    user.email, user.realname, user.comment = _parse_profile(call.body("profile", _PROFILE))
    user.updated = call.harbor.clock.now()
    return done()


@routes.api("PUT", "/users/{user_id}/password")
def update_password(call: Call) -> Response:
    """Set a password. Users must send the old one to change their own."""
    user_id = call.number("user_id")
    user = _find_changeable_user(call, user_id)
    body = call.body("password", {"old_password": str, "new_password": str})
    old, new = body.get("old_password") or "", body.get("new_password") or ""
    own = call.caller.user is not None and call.caller.user.id == user_id
    if own and access.hash_secret(old, user.salt) != user.password_hash:
        raise Refusal(403, "Current password is incorrect")
    if not STRONG.fullmatch(new):
        raise Refusal(400, WEAK)
    if access.hash_secret(new, user.salt) == user.password_hash:
        raise Refusal(400, "New password is identical to old password")
    _set_password(call, user, new)
    return done()


def _find_changeable_user(call: Call, user_id: int) -> User:
    access.require_known(call.caller)
    own = call.caller.user is not None and call.caller.user.id == user_id
    local = call.harbor.configuration["auth_mode"] == "db_auth"
    may_update = access.may_system(call.caller, "update", "user")
    if not ((local and (may_update or own)) or (user_id == ADMIN_ID and may_update)):
        raise Refusal(403, f"User with ID {user_id} can't be updated")
    if user_id == ADMIN_ID:
        raise Refusal(501, "the sandbox's administrator cannot be changed: see local_users.py")
    return find_user(call, user_id)


def _parse_profile(body: dict[str, str]) -> tuple[str, str, str]:
    email, realname = body.get("email") or "", body.get("realname") or ""
    comment = body.get("comment") or ""
    if not email:
        raise Refusal(400, "email can't be empty")
    if not _EMAIL.fullmatch(email):
        raise Refusal(400, "email with illegal format")
    if not 1 <= len(realname) <= 255:
        raise Refusal(400, "realname with illegal length")
    if any(character in _ILLEGAL for character in realname):
        raise Refusal(400, "realname contains illegal characters")
    if len(comment) > 30:
        raise Refusal(400, "comment with illegal length")
    return email, realname, comment


def _set_password(call: Call, user: User, password: str) -> None:
    user.salt = secrets.token_hex(16)
    user.password_hash = access.hash_secret(password, user.salt)
    call.harbor.issued_secrets.append(password)
