"""Refusals of changed names: the Secret with the credential of an existing robot keeps its name."""

from typing import Any

from tenantry.declared import Team
from tenantry.marks import TEAM, Marks
from tenantry.resources import Live, Observed
from tenantry.systems.credentials.foreign import FOREIGN
from tenantry.systems.credentials.pairs import ROBOT, pair
from tenantry.systems.credentials.places import Place, places
from tenantry.systems.harbor.robots import robot_id
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient


def has_robot(place: Place, observed: Observed) -> bool:
    """Return whether a robot of Tenantry exists whose credential a Secret must hold."""
    robots = (robot_id(place.team.project, short) for short in pair(place.purpose))
    return any((live := observed.live.get(id)) is not None and live.ours for id in robots)


def refused(place: Place, why: str) -> Live:
    """Return a missing Secret that must not be created, in the form of an observed one."""
    fields: dict[str, Any] = {"metadata": {"labels": {}, "annotations": {}}, "type": None}
    handle: dict[str, Any] = {
        "uid": "",
        "credential": None,
        "others": {},
        "immutable": False,
        "finalizers": [],
        "sizes": {},
        "place": place,
        FOREIGN: None,
    }
    return Live(fields, ours=False, foreign=why, handle=handle)


def changed_secret(place: Place, cluster: KubernetesClient, marks: Marks) -> str:
    """Return why a missing first Secret of a robot must not be created; empty if it may.

    A new Secret would need a new secret of the robot, which breaks the pulls with the old Secret.
    """
    team = place.team
    declared = {(each.namespace, each.name) for p in team.active_robots for each in places(team, p)}
    selector = f"{objects.OURS},{TEAM}={team.name}"
    listed = list(cluster.list("Secret", labelSelector=selector, content=False))
    listed.sort(key=lambda found: found["metadata"]["namespace"] != team.home_namespace)
    for found in listed:
        metadata = found["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        robot = (metadata.get("annotations") or {}).get(ROBOT)
        if (namespace, name) in declared or robot not in pair(place.purpose):
            continue
        if namespace not in team.namespaces and not _is_own(team, namespace, cluster, marks):
            continue  # a team can write any mark into its own namespaces
        return (
            f"the credential of robot '{place.purpose}' is in Secret '{namespace}/{name}', which "
            f"Tenantry wrote for team '{team.name}'. The names of an onboarded team cannot change: "
            f"keep the names that it has in 'names' of its file, such as secrets: "
            f"{{{place.purpose}: {name}}}. If nothing uses that Secret, delete it"
        )
    return ""


def _is_own(team: Team, namespace: str, cluster: KubernetesClient, marks: Marks) -> bool:
    found = cluster.get("Namespace", namespace)
    mark = objects.mark_of(found) if found else None
    return mark is not None and mark.team == team.name and marks.is_own(mark)
