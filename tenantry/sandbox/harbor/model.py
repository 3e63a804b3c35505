"""The state of the simulated Harbor: plain dataclasses that tests can read and change.

The id of a deleted project is never used again. A real Harbor keeps its row under another name,
invisible to the API.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

ADMIN_ID = 1
OIDC_GROUP = 3


@dataclass
class User:
    """A user: the admin, who is user 1, a user from the IdP, or a local user."""

    id: int
    username: str
    email: str | None
    created: datetime
    updated: datetime
    sysadmin: bool = False
    subiss: str = ""  # subject and issuer, joined without a separator
    cli_secret: str = ""
    groups: list[str] = field(default_factory=list)
    admin_in_auth: bool = False  # an admin by the IdP: set for a login, never in the stored user
    # For local users only.
    realname: str = ""
    comment: str = ""
    salt: str = ""
    password_hash: str = ""


@dataclass
class Label:
    """A label, global (``project_id`` 0) or of a project."""

    id: int
    name: str
    project_id: int
    created: datetime
    updated: datetime
    description: str = ""
    color: str = ""


@dataclass
class Group:
    """A user group. Type 3 is for groups from OIDC."""

    id: int
    name: str
    type: int = OIDC_GROUP


@dataclass
class Member:
    """The role of a user or group in a project."""

    id: int
    entity_id: int
    entity_type: Literal["u", "g"]
    role_id: int


@dataclass
class Quota:
    """The storage of a project, in bytes; -1 is unlimited."""

    id: int
    hard: int
    used: int
    created: datetime
    updated: datetime


@dataclass
class Tag:
    """A tag of an artifact."""

    id: int
    digest: str
    pushed: datetime
    pulled: datetime | None = None


@dataclass
class Artifact:
    """A pushed manifest with its blobs."""

    id: int
    media_type: str
    content: str
    size: int  # bytes, including its blobs
    pushed: datetime
    pulled: datetime | None = None


@dataclass
class Repository:
    """A repository of a project, with artifacts by digest and tags by name."""

    id: int
    created: datetime
    updated: datetime
    pull_count: int = 0
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)


@dataclass
class Project:
    """A project, with everything that is deleted with it except its robots."""

    id: int
    name: str
    owner_id: int
    created: datetime
    updated: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    cve_allowlist: dict[str, Any] = field(default_factory=dict)
    # By name without the project. A repository can have blobs before the API shows it.
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
        """Whether anonymous callers may read it."""
        return self.metadata.get("public") == "true"


@dataclass
class Permission:
    """The permissions of a robot in one namespace: a project, all projects (``*``), the system (``/``).

    A project is identified by its id, so that a new project of the same name inherits nothing.
    """

    kind: Literal["project", "system"]
    namespace: int | Literal["*", "/"]
    access: list[tuple[str, str]]


@dataclass
class Robot:
    """A robot account. ``name`` has no project and prefix; ``project_id`` 0 means system level."""

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
    """A session. Without a user it is anonymous.

    A login through the IdP stores the user of that time, with the groups of that login. ``values``
    has the data that a login needs between its requests, and the ID token afterwards.
    """

    ends: datetime
    user_id: int | None = None
    user: User | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class State:
    """The whole state."""

    csrf_key: str
    configuration: dict[str, Any]
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    robots: dict[int, Robot] = field(default_factory=dict)
    labels: dict[int, Label] = field(default_factory=dict)
    registries: dict[int, dict[str, Any]] = field(default_factory=dict)
    # The creations and deletions of projects, oldest first.
    audit: list[dict[str, Any]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    # The order of the first use of each scope, resource and action, in which robots' access is shown.
    policies: dict[str, int] = field(default_factory=dict)
    token_key: str = ""  # signs the registry's tokens; PEM

    def next_id(self, kind: str) -> int:
        """Return the next id of a sequence. A rejected create does not return its id."""
        self.sequences[kind] = self.sequences.get(kind, 0) + 1
        return self.sequences[kind]

    def project(self, project_id: int) -> Project | None:
        """Return the existing project with this id, or None."""
        return next((p for p in self.projects.values() if p.id == project_id), None)
