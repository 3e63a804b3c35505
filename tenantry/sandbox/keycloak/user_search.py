"""The search for users."""

import re
from collections.abc import Callable

from .answers import Call
from .state import Realm, User

_FILTERS: dict[str, Callable[[User], str | None]] = {
    "username": lambda user: user.username,
    "email": lambda user: user.email,
    "firstName": lambda user: user.first_name,
    "lastName": lambda user: user.last_name,
}
_FLAGS = {"enabled": "enabled", "emailVerified": "email_verified"}


def search_users(realm: Realm, call: Call) -> list[User]:
    """Return the users that match the query parameters, by username."""
    query, exact = call.query, call.flag("exact")
    filters = {key: query[key].lower() for key in _FILTERS if query.get(key)}
    users = _candidates(realm, filters if exact else {})
    if query.get("search"):
        users = [user for user in users if _matches_search(user, query["search"].strip())]
    for key, wanted in filters.items():
        value_of = _FILTERS[key]
        if exact:
            users = [user for user in users if (value_of(user) or "").lower() == wanted]
        else:
            users = [user for user in users if wanted in (value_of(user) or "").lower()]
    users = _filter_by_link(users, query.get("idpAlias"), query.get("idpUserId"))
    for key, field in _FLAGS.items():
        if key in query:
            users = [user for user in users if getattr(user, field) == call.flag(key)]
    for pair in query.get("q", "").split():
        name, _, value = pair.partition(":")
        users = [user for user in users if value in user.attributes.get(name, ())]
    return sorted(users, key=lambda user: user.username)


def _candidates(realm: Realm, exact_filters: dict[str, str]) -> list[User]:
    """Return the users to filter. An exact username or email is found without a search."""
    if not {"username", "email"} & exact_filters.keys():
        return [user for user in realm.users.values() if not user.service_account_of]
    user = None
    if "username" in exact_filters:
        user = realm.user_named(exact_filters["username"])
    elif not realm.settings["duplicateEmailsAllowed"]:
        user = realm.user_with_email(exact_filters["email"])
    return [user] if user else []


def _filter_by_link(users: list[User], alias: str | None, external_id: str | None) -> list[User]:
    if alias:
        users = [user for user in users if alias in user.links]
    if external_id:
        users = [
            user
            for user in users
            if any(
                link.get("userId") == external_id
                for provider, link in user.links.items()
                if alias in (None, provider)
            )
        ]
    return users


def _matches_search(user: User, search: str) -> bool:
    """Return whether `search` is a prefix of a name.

    `*` in it matches any text; in quotes, the whole name must be equal.
    """
    if search.startswith("id:"):
        return user.id == search[3:].strip()
    values = [(value_of(user) or "").lower() for value_of in _FILTERS.values()]
    if len(search) > 1 and search[0] == search[-1] == '"':
        return search[1:-1].lower() in values
    pattern = re.compile(".*".join(re.escape(part) for part in search.lower().split("*")))
    return any(pattern.match(value) for value in values if value)
