"""Users that come with all that they have: partial import, of users only."""

from typing import Any

from starlette.responses import Response

from .answers import JSON, Call, Refused, Routes, answer, duplicate, exists, unknown_error
from .state import Group, Realm, User, new_id
from .users import take_in, user_of

routes = Routes()

_OTHERS = ("groups", "clients", "identityProviders", "roles")
Planned = tuple[JSON, Any, str, list[Group]]
"""A user's representation, who has its name, what is done with it, and its groups."""
_ACTIONS = {"ADDED": "added", "SKIPPED": "skipped", "OVERWRITTEN": "overwritten"}


@routes("POST", "partialImport")
def partial_import(realm: Realm, call: Call) -> Response:
    """Take users in with their ids, links, groups and roles, all of them or none.

    Whoever is imported has no role by default. A role that isn't there is made; a group or a client
    that isn't there is a fault of the server's.
    """
    rep = call.body
    if others := [key for key in _OTHERS if rep.get(key)]:
        raise Refused(
            501, {"error": f"the sandbox does not simulate importing {', '.join(others)}"}
        )
    policy = rep.get("ifResourceExists") or "FAIL"
    planned = [_plan(realm, each, policy) for each in rep.get("users") or ()]
    results = []
    for given, there, action, groups in planned:
        user = there
        if action != "SKIPPED":
            if there is not None:
                realm.remove_user(there)
            user = _take_in(realm, given, groups, call)
        name = given["username"]
        results.append(
            {"action": action, "resourceType": "USER", "resourceName": name, "id": user.id}
        )
    counts = dict.fromkeys(("overwritten", "added", "skipped"), 0)
    for _, _, action, _ in planned:
        counts[_ACTIONS[action]] += 1
    return answer({**counts, "results": results})


def _plan(realm: Realm, rep: JSON, policy: str) -> Planned:
    """What is to be done with a user; whatever stands against it is said before anything is done."""
    name = rep.get("username")
    if not name:
        raise unknown_error()
    there = realm.user_named(name)
    if there is not None and policy == "SKIP":
        return rep, there, "SKIPPED", []
    if there is not None and policy == "FAIL":
        raise exists(f"User with user name {name} already exists.")
    holder = realm.users.get(rep.get("id") or "")
    if holder is not None and holder is not there:
        raise duplicate()
    email = rep.get("email")
    other = realm.user_with_email(email) if email else None
    doubled = other not in (None, there) and not realm.settings["duplicateEmailsAllowed"]
    paths = rep.get("groups") or ()
    found = [realm.group_at(path.split("/")) for path in paths]
    groups = [group for group in found if group is not None]
    clients = (realm.client_named(client) for client in rep.get("clientRoles") or ())
    if doubled or len(groups) < len(paths) or None in clients:
        raise unknown_error()
    return rep, there, "ADDED" if there is None else "OVERWRITTEN", groups


def _take_in(realm: Realm, rep: JSON, groups: list[Group], call: Call) -> User:
    given = list(rep.get("realmRoles") or ())
    roles = [role for role in given if role != realm.default_role]
    more: JSON = {
        "roles": roles,
        "has_default_role": realm.default_role in given,
        "client_roles": {name: list(held) for name, held in (rep.get("clientRoles") or {}).items()},
    }
    if rep.get("createdTimestamp"):
        more["created"] = rep["createdTimestamp"]
    user = user_of(realm, rep, rep.get("id") or new_id(), call, **more)
    for role in roles:
        realm.roles.setdefault(role, new_id())
    for name, held in user.client_roles.items():
        known = realm.client_roles.setdefault(name, {})
        for role in held:
            known.setdefault(role, new_id())
    take_in(realm, user, rep, groups)
    return user
