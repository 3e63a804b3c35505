"""A kind of resource as a value, with all that planner, drift detection and reports need to know
about it.

The package of each system defines its kinds in the module `kinds`. No other code lists kinds by
name, so a new kind changes only the package that observes and applies it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tenantry.declared import Platform, Team
    from tenantry.declared.faults import Place
    from tenantry.resources import Live

Stage = Literal[
    "Kubernetes", "Keycloak", "Harbor", "Credentials", "Istio", "Clean up", "Mark as applied"
]
STAGES: tuple[Stage, ...] = (
    "Kubernetes",
    "Keycloak",
    "Harbor",
    "Credentials",
    "Istio",
    "Clean up",
    "Mark as applied",
)
"""The order in which a team is onboarded, and the platform is configured.

The namespace is first, since it holds the intent mark. A project precedes its robots, whose secrets
are stored in the namespace. Objects that logins no longer use are deleted after everything that
used them was changed. The mark that everything is applied is last.
"""

Revocation = Literal["delete"] | Mapping[str, Any]
"""How a resource stops giving access, so that onboarding the team again restores it: it is deleted, or
gets these fields."""

RemovalStep = Literal["Harbor", "Keycloak", "Kubernetes", "Namespaces", "Group"]
REMOVAL_STEPS: tuple[RemovalStep, ...] = (
    "Harbor",
    "Keycloak",
    "Kubernetes",
    "Namespaces",
    "Group",
)
"""The order in which the resources of an offboarded team are removed.

The namespace records that the Harbor project is Tenantry's, so it is deleted after the project.
"""


Removal = Literal["at once", "retired", "on request", "kept"]
"""What happens to a resource of Tenantry that is no longer declared.

- `at once`: the next onboarding deletes it. It grants or limits access, and holds no data.
- `retired`: it stops working, at once or after an overlap, and is deleted later.
- `on request`: it stays, with a finding of drift, until a person names it in `remove`.
- `kept`: it stays, with a finding of drift that names the command which deletes it.
"""


def _no_place(team: "Team", key: str, field: str) -> "Place":
    return ()


def _no_platform_place(key: str) -> "Place":
    return ()


def _unexplained(owner: "Team | Platform", key: str, live: "Live") -> str:
    return ""


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of resource. Two kinds are equal if their system and name are.

    Attributes:
        system: the system that keeps resources of this kind, in lower case.
        name: its name, as plans, reports and ignore rules show it.
        stage: the stage that creates and updates it; None if Tenantry only observes it.
        deletion_stage: the stage that deletes it, if it is another one.
        removal: what happens to a resource with Tenantry's mark that is no longer declared.
        is_recorded: whether the team's first namespace records which ones Tenantry created, because they
            carry no mark, or because no run lists them.
        hashed_in_record: whether that record has a hash in place of a long name. All resources of the kind
            in a container are read anyway, so that the record need not name them.
        retired_fields: the fields that onboarding writes to such a resource of a `retired` kind.
        explain_left: returns what the plan and the finding say about such a resource while it
            exists, given its owner, its key and its observed state. The text is empty if the resource
            is part of a declared one.
        needed_for_access: whether people or workloads lose access if it is missing.
        grants_access: whether an undeclared resource gives access to someone.
        access_fields: globs of the fields that decide who has access.
        is_record: whether it only records what Tenantry did, so that a difference is never urgent.
        immutable_fields: top-level fields that the system does not change in place: the resource is
            replaced instead.
        mark_fields: top-level fields that hold Tenantry's mark, if it is not a label, an annotation or
            an attribute.
        health_fields: top-level fields that show whether it works: if one differs, the resource is
            broken, not changed.
        container: the kind of the resource that contains it, and is deleted with all that it contains.
            The key of the container is the part of the key before the first slash.
        revocation: how a revocation of its team's access changes it; None if it does not.
        removal_step: the step that removes it with its team; None if it is kept, or is removed with its
            container.
        place: returns the place in a team's file where a resource is declared, given the team, the
            key of the resource and one of its fields (empty for the whole resource).
        platform_place: returns the place in `platform.yaml`, given the key.
    """

    system: str
    name: str
    stage: Stage | None = field(default=None, compare=False)
    deletion_stage: Stage | None = field(default=None, compare=False, kw_only=True)
    removal: Removal = field(default="kept", compare=False, kw_only=True)
    is_recorded: bool = field(default=False, compare=False, kw_only=True)
    hashed_in_record: bool = field(default=False, compare=False, kw_only=True)
    retired_fields: Mapping[str, Any] = field(
        default_factory=dict, compare=False, kw_only=True, repr=False
    )
    explain_left: Callable[["Team | Platform", str, "Live"], str] = field(
        default=_unexplained, compare=False, kw_only=True, repr=False
    )
    needed_for_access: bool = field(default=False, compare=False, kw_only=True)
    grants_access: bool = field(default=False, compare=False, kw_only=True)
    access_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    is_record: bool = field(default=False, compare=False, kw_only=True)
    immutable_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    mark_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    health_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    container: "Kind | None" = field(default=None, compare=False, kw_only=True, repr=False)
    revocation: Revocation | None = field(default=None, compare=False, kw_only=True)
    removal_step: RemovalStep | None = field(default=None, compare=False, kw_only=True)
    place: Callable[["Team", str, str], "Place"] = field(
        default=_no_place, compare=False, kw_only=True, repr=False
    )
    platform_place: Callable[[str], "Place"] = field(
        default=_no_platform_place, compare=False, kw_only=True, repr=False
    )

    @property
    def is_removed_unasked(self) -> bool:
        """Whether drift remediation deletes an undeclared resource of Tenantry that `remove` does not
        name."""
        return self.removal in ("at once", "retired")

    @property
    def is_removable(self) -> bool:
        """Whether drift remediation can delete an undeclared resource."""
        return self.removal != "kept"

    def __str__(self) -> str:
        return self.name
