"""The state of a Keycloak: realms with their users, groups, clients, scopes and providers.

Clients, client scopes, identity providers and mappers are stored as the JSON objects of the admin
API, because only their representation matters here. Users and groups have relations, and are classes.
"""

import secrets
import string
import uuid
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from .answers import JSON

Assigned = Literal["default", "optional"]

_MAX_SESSIONS = 5000
_LETTERS = string.ascii_letters + string.digits


def new_id() -> str:
    """Return a new id in Keycloak's format."""
    return str(uuid.uuid4())


def new_secret() -> str:
    """Return a new client secret in Keycloak's format."""
    return "".join(secrets.choice(_LETTERS) for _ in range(86))


@dataclass
class Group:
    """A group. Its path is computed from its ancestors."""

    id: str
    name: str
    parent: str | None = None
    description: str | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)


@dataclass
class User:
    """A user of a realm, or the service account of one of its clients."""

    id: str
    username: str
    created: int
    enabled: bool = False
    email: str | None = None
    email_verified: bool = False
    first_name: str | None = None
    last_name: str | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    required_actions: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    has_default_role: bool = True
    client_roles: dict[str, list[str]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    password: str | None = None
    service_account_of: str | None = None
    federation: str | None = None


@dataclass(frozen=True)
class Login:
    """A user who is expected at the login page, and the claims that its tokens then have."""

    user: str
    claims: JSON


@dataclass
class Realm:
    """A realm. `settings` is its representation, `profile` that of its user profile."""

    name: str
    id: str
    settings: JSON
    profile: JSON
    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    clients: dict[str, JSON] = field(default_factory=dict)
    scopes: dict[str, JSON] = field(default_factory=dict)
    default_scopes: dict[str, Assigned] = field(default_factory=dict)
    client_scopes: dict[str, dict[str, Assigned]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    client_roles: dict[str, dict[str, str]] = field(default_factory=dict)
    providers: dict[str, JSON] = field(default_factory=dict)
    provider_mappers: dict[str, JSON] = field(default_factory=dict)
    client_policies: dict[str, list[JSON]] = field(
        default_factory=lambda: {"profiles": [], "policies": []}
    )
    sessions: dict[str, str] = field(default_factory=dict)
    # The additional claims of a session, and the users who are expected at the login page.
    session_claims: dict[str, JSON] = field(default_factory=dict)
    expected_logins: list["Login"] = field(default_factory=list)
    private_key: str | None = None

    def __post_init__(self) -> None:
        """Build the indexes that keep a realm with thousands of users fast."""
        self._by_username = {user.username: user.id for user in self.users.values()}
        self._by_email = {user.email: user.id for user in self.users.values() if user.email}
        self._children: dict[str | None, dict[str, str]] = {}
        for group in self.groups.values():
            self._children.setdefault(group.parent, {})[group.name] = group.id

    def dump(self) -> JSON:
        """Return the whole state of the realm as JSON values."""
        return asdict(self)

    @classmethod
    def load(cls, state: JSON) -> Self:
        """Return the realm of an earlier dump."""
        names = [field.name for field in fields(cls) if field.name in state]
        known: dict[str, Any] = {name: deepcopy(state[name]) for name in names}
        logins = known.get("expected_logins", ())
        known["expected_logins"] = [Login(**value) for value in logins]
        known["users"] = {key: User(**value) for key, value in known["users"].items()}
        known["groups"] = {key: Group(**value) for key, value in known["groups"].items()}
        return cls(**known)

    # Users

    def user_named(self, username: str) -> User | None:
        """Return the user of this name, or None."""
        found = self._by_username.get(username.lower())
        return self.users[found] if found else None

    def user_with_email(self, email: str) -> User | None:
        """Return the user with this email address, or None."""
        found = self._by_email.get(email.lower())
        return self.users[found] if found else None

    @property
    def default_role(self) -> str:
        """The role that new users get."""
        return f"default-roles-{self.name.lower()}"

    def roles_of(self, user: User) -> list[str]:
        """Return the realm roles of a user."""
        return [*([self.default_role] if user.has_default_role else []), *user.roles]

    def add_user(self, user: User) -> None:
        """Add a user."""
        self.users[user.id] = user
        self._by_username[user.username] = user.id
        if user.email:
            self._by_email[user.email] = user.id

    def set_email(self, user: User, email: str | None) -> None:
        """Change or remove the email address of a user."""
        if user.email and self._by_email.get(user.email) == user.id:
            del self._by_email[user.email]
        user.email = email.lower() if email else None
        if user.email:
            self._by_email[user.email] = user.id

    def remove_user(self, user: User) -> None:
        """Remove a user, its memberships and its links."""
        for group in list(user.groups):
            self.leave(user, self.groups[group])
        self.set_email(user, None)
        del self._by_username[user.username]
        del self.users[user.id]

    def join(self, user: User, group: Group) -> None:
        """Make a user a direct member. A repetition has no effect."""
        if group.id not in user.groups:
            user.groups.append(group.id)
            group.members.append(user.id)

    def leave(self, user: User, group: Group) -> None:
        """End the direct membership of a user. It need not exist."""
        if group.id in user.groups:
            user.groups.remove(group.id)
            group.members.remove(user.id)

    # Sessions

    def begin_session(self, user: User, claims: JSON | None = None) -> str:
        """Start a session for a user, and return its id. The oldest sessions over the limit end."""
        session = new_id()
        self.sessions[session] = user.id
        if claims:
            self.session_claims[session] = claims
        while len(self.sessions) > _MAX_SESSIONS:
            self.end_session(next(iter(self.sessions)))
        return session

    def end_session(self, session: str) -> None:
        """End a session. It need not exist."""
        self.sessions.pop(session, None)
        self.session_claims.pop(session, None)

    # Groups

    def children(self, group: str | None) -> list[Group]:
        """Return the direct children of a group, or the top-level groups, by name."""
        below = self._children.get(group, {})
        return [self.groups[below[name]] for name in sorted(below)]

    def child_named(self, parent: str | None, name: str) -> Group | None:
        """Return the direct child of this name, or None."""
        found = self._children.get(parent, {}).get(name)
        return self.groups[found] if found else None

    def child_count(self, group: str) -> int:
        """Return the number of direct children of a group."""
        return len(self._children.get(group, ()))

    def add_group(self, group: Group) -> None:
        """Add a group."""
        self.groups[group.id] = group
        self._children.setdefault(group.parent, {})[group.name] = group.id

    def place_group(self, group: Group, parent: str | None, name: str) -> None:
        """Rename or move a group."""
        del self._children[group.parent][group.name]
        group.parent, group.name = parent, name
        self._children.setdefault(parent, {})[name] = group.id

    def remove_group(self, group: Group) -> None:
        """Remove a group and everything below it."""
        for child in self.children(group.id):
            self.remove_group(child)
        for user in list(group.members):
            self.leave(self.users[user], group)
        del self._children[group.parent][group.name]
        del self.groups[group.id]

    def path(self, group: Group) -> str:
        """Return the path of a group, with a slash before each name."""
        above = self.path(self.groups[group.parent]) if group.parent else ""
        return f"{above}/{group.name}"

    def group_at(self, path: list[str]) -> Group | None:
        """Return the group at the path of these names, or None. Empty names are ignored."""
        found: Group | None = None
        for name in filter(None, path):
            found = self.child_named(found.id if found else None, name)
            if found is None:
                return None
        return found

    # Clients

    def client_named(self, client_id: str) -> JSON | None:
        """Return the client with this clientId, or None."""
        for client in self.clients.values():
            if client["clientId"] == client_id:
                return client
        return None

    def scope_named(self, name: str) -> JSON | None:
        """Return the client scope of this name, or None."""
        for scope in self.scopes.values():
            if scope["name"] == name:
                return scope
        return None
