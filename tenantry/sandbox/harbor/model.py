"""What the simulated Harbor holds: plain dataclasses, to be read and meddled with by tests.

A deleted project keeps nothing but its id, which is never given again: the real Harbor keeps the
row under another name, invisible to the API.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

ADMIN_ID = 1
OIDC_GROUP = 3


@dataclass
class User:
    """A user: the admin, who is user 1, one that the IdP sent, or one of Harbor's own."""

    id: int
    username: str
    email: str | None
    created: datetime
    updated: datetime
    sysadmin: bool = False
    subiss: str = ""  # subject and issuer, joined without a separator
    cli_secret: str = ""
    groups: list[str] = field(default_factory=list)
    admin_in_auth: bool = False  # the IdP calls it an admin: true of a login, never of the row
    # Of Harbor's own users only.
    realname: str = ""
    comment: str = ""
    salt: str = ""
    password_hash: str = ""


@dataclass
class Label:
    """A label, of all of Harbor (``project_id`` 0) or of a project."""

    id: int
    name: str
    project_id: int
    created: datetime
    updated: datetime
    description: str = ""
    color: str = ""


@dataclass
class Group:
    """A user group; type 3 is OIDC's."""

    id: int
    name: str
    type: int = OIDC_GROUP


@dataclass
class Member:
    """A user's or group's role in a project."""

    id: int
    entity_id: int
    entity_type: Literal["u", "g"]
    role_id: int


@dataclass
class Quota:
    """A project's storage, in bytes; -1 is unlimited."""

    id: int
    hard: int
    used: int
    created: datetime
    updated: datetime


@dataclass
class Tag:
    """A name of an artifact."""

    id: int
    digest: str
    pushed: datetime
    pulled: datetime | None = None


@dataclass
class Artifact:
    """A manifest that was pushed, and what belongs to it."""

    id: int
    media_type: str
    content: str
    size: int  # bytes, its blobs included
    pushed: datetime
    pulled: datetime | None = None


@dataclass
class Repository:
    """A project's repository: its artifacts by digest and its tags by name."""

    id: int
    created: datetime
    updated: datetime
    pull_count: int = 0
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)


@dataclass
class Project:
    """A project and all that goes when it is deleted, its robots excepted."""

    id: int
    name: str
    owner_id: int
    created: datetime
    updated: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    cve_allowlist: dict[str, Any] = field(default_factory=dict)
    # By name, without the project's; blobs have a repository before it is there for the API.
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, dict[str, int]] = field(default_factory=dict)  # repository, digest, bytes
    members: dict[int, Member] = field(default_factory=dict)
    quota: Quota | None = None
    retention: dict[str, Any] | None = None
    retention_runs: list[dict[str, Any]] = field(default_factory=list)
    webhooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    immutable_rules: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def public(self) -> bool:
        """Whether anybody may look."""
        return self.metadata.get("public") == "true"


@dataclass
class Permission:
    """What a robot may do in one namespace: a project, all of them (``*``) or the system (``/``).

    A project is known by its id, so that a new project of an old name inherits nothing.
    """

    kind: Literal["project", "system"]
    namespace: int | Literal["*", "/"]
    access: list[tuple[str, str]]


@dataclass
class Robot:
    """A robot account. ``name`` is without project and prefix; ``project_id`` 0 is system level."""

    id: int
    name: str
    project_id: int
    duration: int
    expires_at: int
    salt: str
    secret_hash: str
    created: datetime
    updated: datetime
    creator_type: str
    creator_ref: int
    permissions: list[Permission]
    description: str = ""
    disabled: bool = False


@dataclass
class Session:
    """A session's record. Without a user it is anonymous, and still a session.

    A login through the IdP leaves the user as it was then, with the groups of that login, and
    ``values``: what such a login needs between its requests, and the ID token afterwards.
    """

    ends: datetime
    user_id: int | None = None
    user: User | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class State:
    """All of it."""

    csrf_key: str
    configuration: dict[str, Any]
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    robots: dict[int, Robot] = field(default_factory=dict)
    labels: dict[int, Label] = field(default_factory=dict)
    registries: dict[int, dict[str, Any]] = field(default_factory=dict)
    # Who made and deleted which projects, the oldest first.
    audit: list[dict[str, Any]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    # The order of first use of each scope, resource and action: what robots' access is shown in.
    policies: dict[str, int] = field(default_factory=dict)
    token_key: str = ""  # signs the registry's tokens; PEM

    def next_id(self, kind: str) -> int:
        """The next of a sequence. What a refused create drew is not given back."""
        self.sequences[kind] = self.sequences.get(kind, 0) + 1
        return self.sequences[kind]

    def project(self, project_id: int) -> Project | None:
        """The live project of an id."""
        return next((p for p in self.projects.values() if p.id == project_id), None)
