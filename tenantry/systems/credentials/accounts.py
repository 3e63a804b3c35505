"""The ServiceAccounts that pods pull as: Secrets attached beside what else is attached."""

import time
from collections.abc import Iterator
from typing import Any

from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile, SystemUnavailable
from tenantry.plan import Change
from tenantry.resources import Id, Resource
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.kubernetes.kinds import SECRET, SERVICE_ACCOUNT

ACCOUNT = "default"
"""The ServiceAccount of pods that name no other."""
_WAIT_FOR_ACCOUNT = 20.0


def secret_id(namespace: str, name: str) -> Id:
    """How a Secret is known in plans."""
    return objects.id_of(SECRET, name, namespace)


def attachments(team: Team) -> Iterator[Resource]:
    """What is to be attached in the team's namespaces."""
    names = [f"harbor-{purpose}" for purpose, robot in team.active_robots.items() if robot.attach]
    for namespace in team.namespaces if names else ():
        yield Resource(
            objects.id_of(SERVICE_ACCOUNT, ACCOUNT, namespace),
            {"imagePullSecrets": dict.fromkeys(names, "attached")},
            depends_on=tuple(secret_id(namespace, name) for name in names),
        )


def attached(account: Object) -> dict[str, Any]:
    """What is attached to a ServiceAccount, in the same form."""
    listed = account.get("imagePullSecrets") or []
    return {"imagePullSecrets": {entry["name"]: "attached" for entry in listed}}


def attach(client: KubernetesClient, change: Change) -> None:
    """Appends to imagePullSecrets. The list is atomic: what others put there must be sent too.

    The namespace's controller makes the account, a moment after the namespace.
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
                f"there is none after {_WAIT_FOR_ACCOUNT:.0f} s",
                advice="Does the cluster's controller manager run?",
            )
        else:
            time.sleep(0.2)


def detach(client: KubernetesClient, namespace: str, name: str) -> None:
    """Take a Secret out of imagePullSecrets; nothing happens if it is not there.

    Raises:
        ChangedMeanwhile: the account was changed at the same time, again and again.
    """
    deadline = time.monotonic() + _WAIT_FOR_ACCOUNT
    while (account := client.get("ServiceAccount", ACCOUNT, namespace)) is not None:
        listed = account.get("imagePullSecrets") or []
        left = [entry for entry in listed if entry != {"name": name}]
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
