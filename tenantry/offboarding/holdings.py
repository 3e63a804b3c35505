"""What the systems hold of a team, and whether it is Tenantry's to revoke and remove.

A tenant can write labels and annotations in its namespaces, and descriptions of robots in its project.
So a resource in a container, such as a robot in a project, is Tenantry's only if the container belongs
to the team by a mark that the tenant cannot write.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tenantry.declared import Team
from tenantry.errors import TenantryError
from tenantry.offboarding.leftovers import Leftovers
from tenantry.resources import Id, Live, Observed
from tenantry.systems.credentials.pairs import pair
from tenantry.systems.harbor.kinds import PROJECT, SYSTEM_ROBOT
from tenantry.systems.harbor.robots import robot_id
from tenantry.systems.keycloak.kinds import MAPPER
from tenantry.systems.kubernetes.intents import project_intent
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.kubernetes.record import recorded
from tenantry.systems.systems import Systems
from tenantry.walk import Step, accept_unread, observe_owners, run_directly

_NOT_OURS = "Tenantry did not create it"
_ADOPTED = "it existed before, and Tenantry adopted it"


@dataclass(frozen=True)
class Holding:
    """A resource of a team."""

    id: Id
    live: Live
    """The resource as it was observed."""
    is_inside: bool
    """Whether it is in the team's own project or namespaces."""
    why_kept: str
    """Why it must not be changed; empty if it is the team's."""
    is_only_recorded: bool = False
    """Whether its mark is lost, and only the record of the first namespace names it."""

    @property
    def container(self) -> Id | None:
        """The resource that contains it."""
        return _container(self.id)


def observe(
    systems: Systems,
    team: Team,
    step: Step = run_directly,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> Observed:
    """Return what the systems hold of a team, including what it no longer declares.

    Args:
        systems: the systems.
        team: the team.
        step: runs a step.
        check_unread: as in `tenantry.walk.observe_owners`.
    """
    adapters = (*systems.team_adapters, Leftovers(systems))
    return observe_owners(adapters, [team], step, check_unread)


def holdings(
    systems: Systems, team: Team, observed: Observed, *, adopted: bool
) -> Iterator[Holding]:
    """Yield the resources that belong to a team by their name, their mark, or their container.

    Args:
        systems: the systems.
        team: the team.
        observed: what was observed of it.
        adopted: whether resources that Tenantry has adopted may be changed.
    """
    secrets = recorded(team, observed, SECRET)
    has_intent = project_intent(team, observed) is not None
    names = {resource.id for resource in systems.desired(team, observed)} | set(_robots(team))
    for id, live in observed.live.items():
        kind, container = id.kind, _container(id)
        if kind.revocation is None and kind.removal_step is None and not kind.grants_access:
            continue
        # The name of a mapper is its mark, and the names of the team's mappers are declared.
        is_marked = live.marked and live.team == team.name and kind != MAPPER
        around = observed.live.get(container) if container else None
        is_inside = container in names or (around is not None and _is_of(around, team))
        is_only_recorded = kind == SECRET and id.key in secrets and not (live.ours or live.foreign)
        is_found = is_only_recorded or (kind == SYSTEM_ROBOT and live.team == team.name)
        if not (id in names or is_marked or is_inside or is_found):
            continue
        if live.foreign:
            why = live.foreign
        elif _was_kept(team, id, live):
            why = ""
        elif kind == SYSTEM_ROBOT:
            why = f"{_NOT_OURS}, and it works in project '{team.project}' only"
        elif is_only_recorded and not is_inside:
            why = f"{_NOT_OURS}, or its mark was removed. It may hold a credential of the team"
        elif container and is_inside and (around is None or not around.ours):
            why = f"Tenantry did not create the {container.kind} that contains it"
        elif PROJECT in (kind, kind.container) and not (has_intent or is_marked):
            # The descriptions of robots alone do not prove who created the project.
            why = "no namespace of the team records that Tenantry created the project"
        elif not live.ours or not (id in names or is_marked):
            why = _NOT_OURS
        else:
            why = _ADOPTED if live.adopted and not adopted else ""
        yield Holding(id, live, is_inside, why, is_only_recorded and not is_inside)


def _was_kept(team: Team, id: Id, live: Live) -> bool:
    """Return whether it is the project that an earlier removal of the team kept, by its number.

    That removal deleted everything that recorded the owner of the project. Harbor never uses a number
    again.
    """
    kept = team.offboarding.kept_projects if team.offboarding else {}
    is_project = id.kind == PROJECT and id.key == team.project
    return is_project and live.handle["project_id"] == kept.get(team.project)


def _container(id: Id) -> Id | None:
    kind = id.kind.container
    return Id(kind, id.key.partition("/")[0], id.cluster) if kind else None


def _is_of(live: Live, team: Team) -> bool:
    return live.marked and live.team == team.name


def _robots(team: Team) -> Iterator[Id]:
    """Yield the robots of the declared purposes: also a robot from which the mark was removed."""
    for purpose in team.active_robots:
        for short in pair(purpose):
            yield robot_id(team.project, short)
