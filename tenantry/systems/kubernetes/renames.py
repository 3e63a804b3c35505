"""Refusals of changed names: an onboarded team keeps its first namespace and its project.

Under a new name, Tenantry would create a second, empty object. Workloads and images would stay in
the old one.
"""

from collections.abc import Collection, Iterable

from tenantry.declared import Team
from tenantry.declared.policy_text import renaming
from tenantry.marks import Marks
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.intents import PROJECT
from tenantry.systems.kubernetes.namespaces import HOSTS


def changed_namespace(team: Team, namespaces: Iterable[Object], marks: Marks) -> str:
    """Return why a team's missing first namespace must not be created; empty if it may.

    Args:
        team: the team.
        namespaces: the namespaces with Tenantry's mark.
        marks: the platform's marks.
    """
    for found in namespaces:
        metadata, mark = found["metadata"], objects.mark_of(found)
        is_first = PROJECT in (metadata.get("annotations") or {})
        is_own = mark is not None and mark.team == team.name and marks.is_own(mark)
        ends = found["status"].get("phase") == "Terminating"
        if is_first and is_own and not ends and metadata["name"] != team.home_namespace:
            return _text(team, "namespace", metadata["name"], team.home_namespace)
    return ""


def changed_project(team: Team, recorded: str) -> str:
    """Return why a team's project must not be created.

    Args:
        team: the team.
        recorded: its existing project, which its namespace records.
    """
    return _text(team, "project", recorded, team.project)


def _text(team: Team, field: str, old: str, new: str) -> str:
    return (
        f"the {field} of team '{team.name}' is '{old}', by the marks of Tenantry, and the names of "
        f"an onboarded team cannot change. Keep the name: names: {{{field}: {old}}} in the team's "
        f"file. To move to '{new}', declare a new team, move workloads and images to it, and then "
        f"offboard team '{team.name}'"
    )


def held_host(
    team: Team, namespaces: Iterable[Object], marks: Marks, names: Collection[str]
) -> str:
    """Return why a new team must not get its hosts; empty if it may.

    A team whose file was renamed would otherwise take the hosts of the team that it was, while the
    routes and workloads of that team are still there.

    Args:
        team: a team without a first namespace.
        namespaces: the namespaces with Tenantry's mark.
        marks: the platform's marks.
        names: the names of all declared teams.
    """
    hosts = {route.host for route in team.routes.values()}
    for found in namespaces if hosts else ():
        mark, annotations = objects.mark_of(found), found["metadata"].get("annotations") or {}
        if mark is None or not mark.team or mark.team in names or not marks.is_own(mark):
            continue
        for host in sorted(hosts & set(str(annotations.get(HOSTS, "")).split(","))):
            return (
                f"team '{mark.team}', which is no longer declared, has the host '{host}'. "
                f"{renaming(team.name, mark.team)}"
            )
    return ""
