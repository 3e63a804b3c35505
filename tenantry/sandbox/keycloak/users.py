"""Users, and the user profile that decides which of their attributes are stored."""

import re
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from .answers import (
    JSON,
    Call,
    Refused,
    Routes,
    answer,
    created,
    done,
    exists,
    invalid,
    invalid_field,
    not_found,
    unknown_error,
)
from .state import Group, Realm, User, new_id
from .user_search import search_users

routes = Routes()

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")
_ACCESS = dict.fromkeys(
    ("manageGroupMembership", "resetPassword", "view", "mapRoles", "impersonate", "manage"), True
)
_ROOT = ("username", "email", "firstName", "lastName")


def user_json(realm: Realm, user: User, *, brief: bool = False) -> JSON:
    """Return the representation of a user, with the attributes that the profile allows."""
    rep: JSON = {"id": user.id, "username": user.username}
    for key, value in (
        ("firstName", user.first_name),
        ("lastName", user.last_name),
        ("email", user.email),
    ):
        if value is not None:
            rep[key] = value
    rep["emailVerified"] = user.email_verified
    if not brief:
        attributes = _visible_attributes(realm, user.attributes)
        if attributes:
            rep["attributes"] = attributes
    rep |= {"enabled": user.enabled, "createdTimestamp": user.created}
    if not brief:
        actions = list(user.required_actions)
        rep |= {"totp": False, "disableableCredentialTypes": [], "requiredActions": actions}
        rep["notBefore"] = 0
    if user.federation:
        rep["federationLink"] = user.federation
    if user.service_account_of:
        rep["serviceAccountClientId"] = user.service_account_of
    return rep


def _visible_attributes(realm: Realm, attributes: dict[str, list[str]]) -> dict[str, list[str]]:
    if realm.profile.get("unmanagedAttributePolicy") in ("ENABLED", "ADMIN_EDIT", "ADMIN_VIEW"):
        return attributes
    managed = {attribute["name"] for attribute in realm.profile["attributes"]}
    return {key: value for key, value in attributes.items() if key in managed}


def _accepted_attributes(realm: Realm, given: JSON) -> dict[str, list[str]]:
    """Return the attributes that are stored. Keycloak silently drops those not in the profile."""
    accepts_all = realm.profile.get("unmanagedAttributePolicy") in ("ENABLED", "ADMIN_EDIT")
    managed = {attribute["name"] for attribute in realm.profile["attributes"]}
    return {
        key: [str(item) for item in (value if isinstance(value, list) else [value])]
        for key, value in given.items()
        if value and key not in _ROOT and (accepts_all or key in managed)
    }


def find_user(realm: Realm, user_id: str) -> User:
    """Return the user with this id; raise Refused if it does not exist."""
    user = realm.users.get(user_id)
    if user is None:
        raise not_found("User not found")
    return user


@routes("GET", "users")
def list_users(realm: Realm, call: Call) -> Response:
    """Return the matching users by username; by default, at most 100."""
    page = call.page(search_users(realm, call), 100)
    brief = call.flag("briefRepresentation")
    manage = {"access": {"manage": True}}
    return answer([user_json(realm, user, brief=brief) | manage for user in page])


@routes("GET", "users/count")
def count_users(realm: Realm, call: Call) -> Response:
    """Return the number of matching users, as a plain number."""
    return answer(len(search_users(realm, call)))


@routes("POST", "users")
def create_user(realm: Realm, call: Call) -> Response:
    """Create a user. An id in the body is ignored, and the username is converted to lower case."""
    rep = call.body
    username = rep.get("email") if realm.settings["registrationEmailAsUsername"] else None
    username = username or rep.get("username")
    if not isinstance(username, str) or not username.strip():
        raise invalid("User name is missing")
    username = username.lower()
    if realm.user_named(username):
        raise exists("User exists with same username")
    email = rep.get("email") or None
    _check_email(realm, email, None)
    if not 3 <= len(username) <= 255:
        raise invalid_field("username", "error-invalid-length", 3, 255)
    groups = []
    for path in rep.get("groups") or ():
        group = realm.group_at(path.split("/"))
        if group is None:
            raise invalid("Could not create user! See server log for more details.")
        groups.append(group)
    if any(credential.get("value") is None for credential in rep.get("credentials") or ()):
        raise unknown_error()
    user = parse_user(realm, {**rep, "username": username}, new_id(), call)
    add_user(realm, user, rep, groups)
    return created(f"{call.base}/admin/realms/{realm.name}/users/{user.id}")


def add_user(realm: Realm, user: User, rep: JSON, groups: Iterable[Group]) -> None:
    """Add a user with the passwords and links of its representation, and make it a group member."""
    realm.add_user(user)
    _set_credentials(user, rep)
    for link in rep.get("federatedIdentities") or ():
        user.links[link["identityProvider"]] = link_of(link)
    for group in groups:
        realm.join(user, group)


def parse_user(realm: Realm, rep: JSON, id: str, call: Call, **fields: Any) -> User:
    """Return the user of a representation, with additional fields. It is created now by default."""
    email = rep.get("email")
    fields = {"created": int(call.now.timestamp() * 1000), **fields}
    return User(
        id=id,
        username=rep["username"].lower(),
        enabled=bool(rep.get("enabled")),
        email=email.lower() if email else None,
        email_verified=bool(rep.get("emailVerified")),
        first_name=rep.get("firstName"),
        last_name=rep.get("lastName"),
        attributes=_accepted_attributes(realm, rep.get("attributes") or {}),
        required_actions=list(rep.get("requiredActions") or ()),
        **fields,
    )


@routes("GET", "users/profile")
def get_profile(realm: Realm, call: Call) -> Response:
    """Return the user profile of the realm."""
    return answer(realm.profile)


@routes("PUT", "users/profile")
def put_profile(realm: Realm, call: Call) -> Response:
    """Replace the user profile of the realm."""
    profile = call.body
    names = [attribute.get("name") for attribute in profile.get("attributes") or ()]
    for needed in ("username", "email"):
        if needed not in names:
            raise invalid(
                "UserProfile configuration is invalid due to errors: "
                f"['{needed}' attribute must be defined]"
            )
    realm.profile = {"groups": [], **profile}
    return answer(realm.profile)


@routes("GET", "users/{user}")
def get_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Return one user."""
    return answer(user_json(realm, find_user(realm, user_id)) | {"access": _ACCESS})


@routes("PUT", "users/{user}")
def update_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Change the given fields. Attributes replace all existing ones, and also email and names."""
    user, rep = find_user(realm, user_id), call.body
    replaces_attributes = rep.get("attributes") is not None
    username = str(rep.get("username") or user.username).lower()
    if username != user.username and realm.user_named(username):
        raise exists("User exists with same username")
    email = (rep.get("email") or None) if replaces_attributes or "email" in rep else user.email
    _check_email(realm, email, user)
    if username != user.username and not realm.settings["editUsernameAllowed"]:
        raise invalid_field("username", "error-user-attribute-read-only")
    if username != user.username:
        groups = list(user.groups)
        realm.remove_user(user)
        user.username = username
        realm.add_user(user)
        for group in groups:
            realm.join(user, realm.groups[group])
    realm.set_email(user, email)
    for key, field in (("firstName", "first_name"), ("lastName", "last_name")):
        if replaces_attributes or rep.get(key) is not None:
            setattr(user, field, rep.get(key))
    for key, field in (("enabled", "enabled"), ("emailVerified", "email_verified")):
        if rep.get(key) is not None:
            setattr(user, field, bool(rep[key]))
    if rep.get("requiredActions") is not None:
        user.required_actions = list(rep["requiredActions"])
    if replaces_attributes:
        user.attributes = _accepted_attributes(realm, rep["attributes"])
    if any(credential.get("value") is None for credential in rep.get("credentials") or ()):
        raise invalid("Could not update user!")
    _set_credentials(user, rep)
    return done()


@routes("DELETE", "users/{user}")
def delete_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Delete a user. Its id is never used again."""
    realm.remove_user(find_user(realm, user_id))
    return done()


@routes("PUT", "users/{user}/reset-password")
def reset_password(realm: Realm, call: Call, user_id: str) -> Response:
    """Set the password of a user."""
    user, rep = find_user(realm, user_id), call.body
    if not rep.get("value"):
        raise invalid("Empty password not allowed")
    _set_credentials(user, {"credentials": [rep]})
    return done()


def link_of(rep: JSON) -> dict[str, str]:
    """Return the link of a representation."""
    return {key: rep[key] for key in ("userId", "userName") if rep.get(key) is not None}


def _check_email(realm: Realm, email: str | None, owner: User | None) -> None:
    if not email:
        return
    if not _EMAIL.fullmatch(email):
        raise invalid_field("email", "error-invalid-email", email)
    other = realm.user_with_email(email)
    if other and other is not owner and not realm.settings["duplicateEmailsAllowed"]:
        raise Refused(409, {"errorMessage": "User exists with same email"})


def _set_credentials(user: User, rep: JSON) -> None:
    for credential in rep.get("credentials") or ():
        if credential.get("type", "password") == "password":
            user.password = credential["value"]
            if credential.get("temporary") and "UPDATE_PASSWORD" not in user.required_actions:
                user.required_actions.append("UPDATE_PASSWORD")
            elif not credential.get("temporary") and "UPDATE_PASSWORD" in user.required_actions:
                user.required_actions.remove("UPDATE_PASSWORD")
