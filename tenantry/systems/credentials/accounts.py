"""The image pull secrets of ServiceAccounts. Secrets that others have attached are kept."""

import time
from collections.abc import Collection, Iterator
from typing import Any

from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile, SystemUnavailable
from tenantry.plan import Change
from tenantry.resources import Id, Live, Resource
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.kubernetes.kinds import PULL_SECRET, SECRET, SERVICE_ACCOUNT

ACCOUNT = "default"
"""The ServiceAccount of pods that name no ServiceAccount."""
_WAIT_FOR_ACCOUNT = 20.0


def secret_id(namespace: str, name: str) -> Id:
    """Return the id of a Secret."""
    return objects.id_of(SECRET, name, namespace)


def attachments(team: Team) -> Iterator[Resource]:
    """Yield the desired image pull secrets in the team's namespaces."""
    names = [
        team.secret_name(purpose) for purpose, robot in team.active_robots.items() if robot.attach
    ]
    for namespace in team.namespaces if names else ():
        yield Resource(
            objects.id_of(SERVICE_ACCOUNT, ACCOUNT, namespace),
            {"imagePullSecrets": dict.fromkeys(names, "attached")},
            depends_on=tuple(secret_id(namespace, name) for name in names),
            parts=tuple(_part(namespace, name) for name in names),
        )


def _part(namespace: str, name: str) -> Id:
    return Id(PULL_SECRET, f"{namespace}/{ACCOUNT}/{name}")


def still_attached(
    team: Team, account: Object, created: Collection[str]
) -> Iterator[tuple[Id, Live]]:
    """Yield the references to Secrets of robots that the team no longer attaches.

    The references to the Secrets of removed purposes stay until rotation has retired the robots.

    Args:
        team: the team.
        account: the ServiceAccount.
        created: the keys of the references that Tenantry has added.
    """
    namespace = account["metadata"]["namespace"]
    for purpose, robot in team.active_robots.items():
        id = _part(namespace, team.secret_name(purpose))
        entry = {"name": team.secret_name(purpose)}
        is_attached = entry in (account.get("imagePullSecrets") or [])
        if not robot.attach and is_attached and id.key in created:
            yield id, Live({}, marked=True, team=team.name)


def attached(account: Object) -> dict[str, Any]:
    """Return the image pull secrets of a ServiceAccount in the form of the desired fields."""
    listed = account.get("imagePullSecrets") or []
    return {"imagePullSecrets": {entry["name"]: "attached" for entry in listed}}


def attach(client: KubernetesClient, change: Change) -> None:
    """Add Secrets to imagePullSecrets. The list is atomic, so entries of others are sent, too.

    A controller creates the ServiceAccount shortly after the namespace.

    Raises:
        SystemUnavailable: the ServiceAccount does not exist after some seconds.
        ChangedMeanwhile: the ServiceAccount was changed concurrently, several times.
    """
    namespace = change.id.key.split("/")[0]
    names = list(change.resource.fields["imagePullSecrets"])
    deadline = time.monotonic() + _WAIT_FOR_ACCOUNT
    while True:
        account = client.get("ServiceAccount", ACCOUNT, namespace)
        if account is not None:
            listed = account.get("imagePullSecrets") or []
            missing = [{"name": name} for name in names if {"name": name} not in listed]
            version = {"resourceVersion": account["metadata"]["resourceVersion"]}
            body = {"metadata": version, "imagePullSecrets": listed + missing}
            try:
                client.merge("ServiceAccount", ACCOUNT, namespace, body)
            except ChangedMeanwhile:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        elif time.monotonic() > deadline:
            raise SystemUnavailable(
                "kubernetes",
                f"GET /api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}",
                f"it does not exist after {_WAIT_FOR_ACCOUNT:.0f} s",
                advice="Check whether the cluster's controller manager is running.",
            )
        else:
            time.sleep(0.2)


def detach(client: KubernetesClient, namespace: str, *names: str) -> None:
    """Remove Secrets from imagePullSecrets. It is no error if they are not attached.

    Raises:
        ChangedMeanwhile: the ServiceAccount was changed concurrently, several times.
    """
    deadline = time.monotonic() + _WAIT_FOR_ACCOUNT
    while (account := client.get("ServiceAccount", ACCOUNT, namespace)) is not None:
        listed = account.get("imagePullSecrets") or []
        left = [entry for entry in listed if entry.get("name") not in names]
        if left == listed:
            return
        version = {"resourceVersion": account["metadata"]["resourceVersion"]}
        try:
            body = {"metadata": version, "imagePullSecrets": left}
            client.merge("ServiceAccount", ACCOUNT, namespace, body)
        except ChangedMeanwhile:
            if time.monotonic() > deadline:
                raise
        else:
            return
