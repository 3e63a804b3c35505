"""Users, what the user profile lets in, and their links to identity providers."""

import re
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid5

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

routes = Routes()

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")
_ACCESS = dict.fromkeys(
    ("manageGroupMembership", "resetPassword", "view", "mapRoles", "impersonate", "manage"), True
)
_ROOT = ("username", "email", "firstName", "lastName")

_FILTERS: dict[str, Callable[[User], str | None]] = {
    "username": lambda user: user.username,
    "email": lambda user: user.email,
    "firstName": lambda user: user.first_name,
    "lastName": lambda user: user.last_name,
}


def shown(realm: Realm, user: User, *, brief: bool = False) -> JSON:
    """A user's representation; attributes the profile doesn't manage only where it lets them be."""
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
        attributes = _visible(realm, user.attributes)
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


def _visible(realm: Realm, attributes: dict[str, list[str]]) -> dict[str, list[str]]:
    if realm.profile.get("unmanagedAttributePolicy") in ("ENABLED", "ADMIN_EDIT", "ADMIN_VIEW"):
        return attributes
    managed = {each["name"] for each in realm.profile["attributes"]}
    return {key: value for key, value in attributes.items() if key in managed}


def _accepted(realm: Realm, given: JSON) -> dict[str, list[str]]:
    """The attributes that stay: what the profile doesn't know is dropped without a word."""
    anything = realm.profile.get("unmanagedAttributePolicy") in ("ENABLED", "ADMIN_EDIT")
    managed = {each["name"] for each in realm.profile["attributes"]}
    return {
        key: [str(each) for each in (value if isinstance(value, list) else [value])]
        for key, value in given.items()
        if value and key not in _ROOT and (anything or key in managed)
    }


def _found(realm: Realm, user_id: str) -> User:
    user = realm.users.get(user_id)
    if user is None:
        raise not_found("User not found")
    return user


@routes("GET", "users")
def list_users(realm: Realm, call: Call) -> Response:
    """Users by username: a hundred of them, unless `max` says otherwise."""
    page = call.page(_matching(realm, call), 100)
    brief = call.flag("briefRepresentation")
    manage = {"access": {"manage": True}}
    return answer([shown(realm, user, brief=brief) | manage for user in page])


@routes("GET", "users/count")
def count_users(realm: Realm, call: Call) -> Response:
    """How many users match: a bare number."""
    return answer(len(_matching(realm, call)))


def _matching(realm: Realm, call: Call) -> list[User]:
    query, exact = call.query, call.flag("exact")
    filters = {key: query[key].lower() for key in _FILTERS if query.get(key)}
    quick = None
    if exact and "username" in filters:
        quick = realm.user_named(filters["username"])
    elif exact and "email" in filters and not realm.settings["duplicateEmailsAllowed"]:
        quick = realm.user_with_email(filters["email"])
    if exact and ("username" in filters or "email" in filters):
        users = [quick] if quick else []
    else:
        users = [each for each in realm.users.values() if not each.service_account_of]
    if query.get("search"):
        users = [user for user in users if _found_by(user, query["search"].strip())]
    for key, wanted in filters.items():
        read = _FILTERS[key]
        if exact:
            users = [user for user in users if (read(user) or "").lower() == wanted]
        else:
            users = [user for user in users if wanted in (read(user) or "").lower()]
    alias, external = query.get("idpAlias"), query.get("idpUserId")
    if alias:
        users = [user for user in users if alias in user.links]
    if external:
        users = [
            user
            for user in users
            if any(
                link.get("userId") == external
                for provider, link in user.links.items()
                if alias in (None, provider)
            )
        ]
    for key in ("enabled", "emailVerified"):
        if key in query:
            field = "enabled" if key == "enabled" else "email_verified"
            users = [user for user in users if getattr(user, field) == call.flag(key)]
    for pair in query.get("q", "").split():
        name, _, value = pair.partition(":")
        users = [user for user in users if value in user.attributes.get(name, ())]
    return sorted(users, key=lambda user: user.username)


def _found_by(user: User, search: str) -> bool:
    """`search` is a prefix of any name; `*` stands for anything, quotes for the exact word."""
    if search.startswith("id:"):
        return user.id == search[3:].strip()
    values = [(read(user) or "").lower() for read in _FILTERS.values()]
    if len(search) > 1 and search[0] == search[-1] == '"':
        return search[1:-1].lower() in values
    pattern = re.compile(".*".join(re.escape(part) for part in search.lower().split("*")))
    return any(pattern.match(value) for value in values if value)


@routes("POST", "users")
def create_user(realm: Realm, call: Call) -> Response:
    """Make a user; an id in the body is ignored and a username is put in lower case."""
    rep = call.body
    username = rep.get("email") if realm.settings["registrationEmailAsUsername"] else None
    username = username or rep.get("username")
    if not isinstance(username, str) or not username.strip():
        raise invalid("User name is missing")
    username = username.lower()
    if realm.user_named(username):
        raise exists("User exists with same username")
    email = rep.get("email") or None
    _refuse_email(realm, email, None)
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
    user = user_of(realm, {**rep, "username": username}, new_id(), call)
    take_in(realm, user, rep, groups)
    return created(f"{call.base}/admin/realms/{realm.name}/users/{user.id}")


def take_in(realm: Realm, user: User, rep: JSON, groups: Iterable[Group]) -> None:
    """Put a user in with the passwords and links of its representation, and into groups."""
    realm.add_user(user)
    _set_credentials(user, rep)
    for link in rep.get("federatedIdentities") or ():
        user.links[link["identityProvider"]] = _link(link)
    for group in groups:
        realm.join(user, group)


def user_of(realm: Realm, rep: JSON, id: str, call: Call, **more: Any) -> User:
    """A user as a representation has it, that is made now unless something else is said."""
    email = rep.get("email")
    made: dict[str, Any] = {"created": int(call.now.timestamp() * 1000), **more}
    return User(
        id=id,
        username=rep["username"].lower(),
        enabled=bool(rep.get("enabled")),
        email=email.lower() if email else None,
        email_verified=bool(rep.get("emailVerified")),
        first_name=rep.get("firstName"),
        last_name=rep.get("lastName"),
        attributes=_accepted(realm, rep.get("attributes") or {}),
        required_actions=list(rep.get("requiredActions") or ()),
        **made,
    )


@routes("GET", "users/profile")
def get_profile(realm: Realm, call: Call) -> Response:
    """The realm's user profile."""
    return answer(realm.profile)


@routes("PUT", "users/profile")
def put_profile(realm: Realm, call: Call) -> Response:
    """Replace the realm's user profile."""
    profile = call.body
    names = [each.get("name") for each in profile.get("attributes") or ()]
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
    """One user."""
    return answer(shown(realm, _found(realm, user_id)) | {"access": _ACCESS})


@routes("PUT", "users/{user}")
def update_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Set what is given. Given attributes replace all there are, e-mail and names included."""
    user, rep = _found(realm, user_id), call.body
    whole = rep.get("attributes") is not None
    username = str(rep.get("username") or user.username).lower()
    if username != user.username and realm.user_named(username):
        raise exists("User exists with same username")
    email = (rep.get("email") or None) if whole or "email" in rep else user.email
    _refuse_email(realm, email, user)
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
        if whole or rep.get(key) is not None:
            setattr(user, field, rep.get(key))
    for key, field in (("enabled", "enabled"), ("emailVerified", "email_verified")):
        if rep.get(key) is not None:
            setattr(user, field, bool(rep[key]))
    if rep.get("requiredActions") is not None:
        user.required_actions = list(rep["requiredActions"])
    if whole:
        user.attributes = _accepted(realm, rep["attributes"])
    if any(credential.get("value") is None for credential in rep.get("credentials") or ()):
        raise invalid("Could not update user!")
    _set_credentials(user, rep)
    return done()


@routes("DELETE", "users/{user}")
def delete_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Remove the user; its id never comes back."""
    realm.remove_user(_found(realm, user_id))
    return done()


@routes("PUT", "users/{user}/reset-password")
def reset_password(realm: Realm, call: Call, user_id: str) -> Response:
    """Set a password."""
    user, rep = _found(realm, user_id), call.body
    if not rep.get("value"):
        raise invalid("Empty password not allowed")
    _set_credentials(user, {"credentials": [rep]})
    return done()


@routes("GET", "users/{user}/role-mappings/realm")
def list_roles_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """The realm roles given to the user."""
    user = _found(realm, user_id)
    return answer([role(realm, name) for name in realm.roles_of(user)])


@routes("GET", "users/{user}/role-mappings")
def list_all_roles_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """The roles given to the user: the realm's, and those of clients by the client."""
    user = _found(realm, user_id)
    mappings: JSON = {}
    if given := realm.roles_of(user):
        mappings["realmMappings"] = [role(realm, name) for name in given]
    by_client = {}
    for name, roles in user.client_roles.items():
        client = realm.client_named(name)
        if client is not None:
            mapped = [_client_role(realm, client, each) for each in roles]
            by_client[name] = {"id": client["id"], "client": name, "mappings": mapped}
    if by_client:
        mappings["clientMappings"] = by_client
    return answer(mappings)


def _client_role(realm: Realm, client: JSON, name: str) -> JSON:
    return {
        "id": realm.client_roles[client["clientId"]][name],
        "name": name,
        "composite": False,
        "clientRole": True,
        "containerId": client["id"],
    }


@routes("GET", "users/{user}/credentials")
def list_credentials(realm: Realm, call: Call, user_id: str) -> Response:
    """What the user proves itself by; never the secret of it."""
    user = _found(realm, user_id)
    if user.password is None:
        return answer([])
    data = '{"hashIterations":1,"algorithm":"pbkdf2-sha256","additionalParameters":{}}'
    id = str(uuid5(UUID(user.id), "password"))
    made = {"createdDate": user.created, "credentialData": data}
    return answer([{"id": id, "type": "password", **made}])


@routes("POST", "users/{user}/role-mappings/realm")
def give_roles(realm: Realm, call: Call, user_id: str) -> Response:
    """Give the user realm roles."""
    user = _found(realm, user_id)
    for each in _roles(realm, call):
        if each not in user.roles:
            user.roles.append(each)
    return done()


@routes("DELETE", "users/{user}/role-mappings/realm")
def take_roles(realm: Realm, call: Call, user_id: str) -> Response:
    """Take realm roles from the user."""
    user, taken = _found(realm, user_id), _roles(realm, call)
    user.roles = [each for each in user.roles if each not in taken]
    return done()


def _roles(realm: Realm, call: Call) -> list[str]:
    names = [each.get("name") for each in call.anything]
    if any(name not in realm.roles for name in names):
        raise not_found("Could not find role")
    return names


def role(realm: Realm, name: str) -> JSON:
    """A realm role's representation."""
    return {
        "id": realm.roles[name],
        "name": name,
        "composite": name in ("admin", realm.default_role),
        "clientRole": False,
        "containerId": realm.id,
    }


@routes("GET", "users/{user}/federated-identity")
def list_links(realm: Realm, call: Call, user_id: str) -> Response:
    """The user's links, but not those to a provider the realm doesn't have."""
    user = _found(realm, user_id)
    links = [(alias, link) for alias, link in user.links.items() if alias in realm.providers]
    return answer([{"identityProvider": alias, **link} for alias, link in links])


@routes("POST", "users/{user}/federated-identity/{provider}")
def add_link(realm: Realm, call: Call, user_id: str, alias: str) -> Response:
    """Link the user. Neither the provider's existence nor the external id's owner is checked."""
    user, rep = _found(realm, user_id), call.body
    if alias in user.links:
        raise exists("User is already linked with provider")
    user.links[alias] = _link(rep)
    return done()


@routes("DELETE", "users/{user}/federated-identity/{provider}")
def remove_link(realm: Realm, call: Call, user_id: str, alias: str) -> Response:
    """Unlink the user."""
    if _found(realm, user_id).links.pop(alias, None) is None:
        raise not_found("Link not found")
    return done()


def _link(rep: JSON) -> dict[str, str]:
    return {key: rep[key] for key in ("userId", "userName") if rep.get(key) is not None}


def _refuse_email(realm: Realm, email: str | None, owner: User | None) -> None:
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
