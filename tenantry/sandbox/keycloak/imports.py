"""Users that come with all that they have: partial import, of users only."""

from typing import Any

from starlette.responses import Response

from .answers import JSON, Call, Refused, Routes, answer, duplicate, exists, unknown_error
from .state import Realm, User, new_id
from .users import link_of, set_credentials, user_of

routes = Routes()

_OTHERS = ("groups", "clients", "identityProviders", "roles")
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
    for given, there, action in planned:
        user = there
        if action != "SKIPPED":
            if there is not None:
                realm.remove_user(there)
            user = _take_in(realm, given, call)
        name = given["username"]
        results.append(
            {"action": action, "resourceType": "USER", "resourceName": name, "id": user.id}
        )
    counts = dict.fromkeys(("overwritten", "added", "skipped"), 0)
    for _, _, action in planned:
        counts[_ACTIONS[action]] += 1
    return answer({**counts, "results": results})


def _plan(realm: Realm, rep: JSON, policy: str) -> tuple[JSON, Any, str]:
    """What is to be done with a user; whatever stands against it is said before anything is done."""
    name = rep.get("username")
    if not name:
        raise unknown_error()
    there = realm.user_named(name)
    if there is not None and policy == "SKIP":
        return rep, there, "SKIPPED"
    if there is not None and policy == "FAIL":
        raise exists(f"User with user name {name} already exists.")
    holder = realm.users.get(rep.get("id") or "")
    if holder is not None and holder is not there:
        raise duplicate()
    email = rep.get("email")
    other = realm.user_with_email(email) if email else None
    doubled = other not in (None, there) and not realm.settings["duplicateEmailsAllowed"]
    groups = (realm.group_at(_parts(path)) for path in rep.get("groups") or ())
    clients = (realm.client_named(client) for client in rep.get("clientRoles") or ())
    if doubled or None in groups or None in clients:
        raise unknown_error()
    return rep, there, "ADDED" if there is None else "OVERWRITTEN"


def _take_in(realm: Realm, rep: JSON, call: Call) -> User:
    default = f"default-roles-{realm.name.lower()}"
    given = list(rep.get("realmRoles") or ())
    roles = [role for role in given if role != default]
    more: JSON = {
        "roles": roles,
        "has_default_role": default in given,
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
    realm.add_user(user)
    set_credentials(user, rep)
    for link in rep.get("federatedIdentities") or ():
        user.links[link["identityProvider"]] = link_of(link)
    for path in rep.get("groups") or ():
        group = realm.group_at(_parts(path))
        if group is not None:
            realm.join(user, group)
    return user


def _parts(path: str) -> list[str]:
    return [name for name in path.split("/") if name]
