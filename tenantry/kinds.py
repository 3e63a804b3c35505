"""A kind of resource as a value, with all that planner, drift detection and reports need to know
about it.

The package of each system defines its kinds in the module `kinds`. No other code lists kinds by
name, so a new kind changes only the package that observes and applies it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tenantry.declared import Team
    from tenantry.declared.faults import Place

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


def _no_place(team: "Team", key: str, field: str) -> "Place":
    return ()


def _no_platform_place(key: str) -> "Place":
    return ()


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of resource. Two kinds are equal if their system and name are.

    Attributes:
        system: the system that keeps resources of this kind, in lower case.
        name: its name, as plans, reports and ignore rules show it.
        stage: the stage that creates and updates it; None if Tenantry only observes it.
        deletion_stage: the stage that deletes it, if it is another one.
        prunable: whether Tenantry deletes a resource with its mark that is no longer declared. Only
            for kinds that hold no data and whose deletion does not revoke access.
        removable: whether drift remediation can delete an undeclared resource. Projects, groups and
            namespaces are not removable: they hold a team's data, and drift remediation does not
            remove teams.
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
        place: returns the place in a team's file where a resource is declared, given the team, the
            key of the resource and one of its fields (empty for the whole resource).
        platform_place: returns the place in `platform.yaml`, given the key.
    """

    system: str
    name: str
    stage: Stage | None = field(default=None, compare=False)
    deletion_stage: Stage | None = field(default=None, compare=False, kw_only=True)
    prunable: bool = field(default=False, compare=False, kw_only=True)
    removable: bool = field(default=False, compare=False, kw_only=True)
    needed_for_access: bool = field(default=False, compare=False, kw_only=True)
    grants_access: bool = field(default=False, compare=False, kw_only=True)
    access_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    is_record: bool = field(default=False, compare=False, kw_only=True)
    immutable_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    mark_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    health_fields: tuple[str, ...] = field(default=(), compare=False, kw_only=True)
    place: Callable[["Team", str, str], "Place"] = field(
        default=_no_place, compare=False, kw_only=True, repr=False
    )
    platform_place: Callable[[str], "Place"] = field(
        default=_no_platform_place, compare=False, kw_only=True, repr=False
    )

    def __str__(self) -> str:
        return self.name
