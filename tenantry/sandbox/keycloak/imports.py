"""Partial import, for users only."""

from typing import Any

from starlette.responses import Response

from .answers import JSON, Call, Refused, Routes, answer, duplicate, exists, unknown_error
from .state import Group, Realm, User, new_id
from .users import add_user, parse_user

routes = Routes()

_OTHERS = ("groups", "clients", "identityProviders", "roles")
Planned = tuple[JSON, Any, str, list[Group]]
"""The representation of a user, the existing user of that name, the action, and the groups."""
_ACTIONS = {"ADDED": "added", "SKIPPED": "skipped", "OVERWRITTEN": "overwritten"}


@routes("POST", "partialImport")
def partial_import(realm: Realm, call: Call) -> Response:
    """Import all given users with their ids, links, groups and roles, or none.

    Imported users do not get the default role. A missing role is created. A missing group or client
    causes an internal server error.
    """
    rep = call.body
    if others := [key for key in _OTHERS if rep.get(key)]:
        raise Refused(
            501, {"error": f"the sandbox does not simulate importing {', '.join(others)}"}
        )
    policy = rep.get("ifResourceExists") or "FAIL"
    planned = [_plan(realm, user, policy) for user in rep.get("users") or ()]
    results = []
    for given, existing, action, groups in planned:
        user = existing
        if action != "SKIPPED":
            if existing is not None:
                realm.remove_user(existing)
            user = _import_user(realm, given, groups, call)
        name = given["username"]
        results.append(
            {"action": action, "resourceType": "USER", "resourceName": name, "id": user.id}
        )
    counts = dict.fromkeys(("overwritten", "added", "skipped"), 0)
    for _, _, action, _ in planned:
        counts[_ACTIONS[action]] += 1
    return answer({**counts, "results": results})


def _plan(realm: Realm, rep: JSON, policy: str) -> Planned:
    """Return the action for a user; raise Refused before any user is imported."""
    name = rep.get("username")
    if not name:
        raise unknown_error()
    existing = realm.user_named(name)
    if existing is not None and policy == "SKIP":
        return rep, existing, "SKIPPED", []
    if existing is not None and policy == "FAIL":
        raise exists(f"User with user name {name} already exists.")
    holder = realm.users.get(rep.get("id") or "")
    if holder is not None and holder is not existing:
        raise duplicate()
    email = rep.get("email")
    other = realm.user_with_email(email) if email else None
    duplicate_email = other not in (None, existing) and not realm.settings["duplicateEmailsAllowed"]
    paths = rep.get("groups") or ()
    found = [realm.group_at(path.split("/")) for path in paths]
    groups = [group for group in found if group is not None]
    clients = (realm.client_named(client) for client in rep.get("clientRoles") or ())
    if duplicate_email or len(groups) < len(paths) or None in clients:
        raise unknown_error()
    return rep, existing, "ADDED" if existing is None else "OVERWRITTEN", groups


def _import_user(realm: Realm, rep: JSON, groups: list[Group], call: Call) -> User:
    given = list(rep.get("realmRoles") or ())
    roles = [role for role in given if role != realm.default_role]
    other_fields: JSON = {
        "roles": roles,
        "has_default_role": realm.default_role in given,
        "client_roles": {
            name: list(granted) for name, granted in (rep.get("clientRoles") or {}).items()
        },
    }
    if rep.get("createdTimestamp"):
        other_fields["created"] = rep["createdTimestamp"]
    user = parse_user(realm, rep, rep.get("id") or new_id(), call, **other_fields)
    for role in roles:
        realm.roles.setdefault(role, new_id())
    for name, granted in user.client_roles.items():
        known = realm.client_roles.setdefault(name, {})
        for role in granted:
            known.setdefault(role, new_id())
    add_user(realm, user, rep, groups)
    return user
