"""Labels of a namespace that other fields, or the API server, set."""

from collections.abc import Iterator, Mapping

from tenantry.declared.faults import Place
from tenantry.declared.namespace import Namespace
from tenantry.declared.team import Team

INJECTION = "istio-injection"
REVISION = "istio.io/rev"
POD_SECURITY = "pod-security.kubernetes.io/enforce"
NAME = "kubernetes.io/metadata.name"


def injection(mesh: bool | str) -> dict[str, str]:
    """Return the sidecar injection label for a namespace's `mesh`."""
    if isinstance(mesh, str):
        return {REVISION: mesh}
    return {INJECTION: "enabled" if mesh else "disabled"}


def check(team: Team) -> Iterator[tuple[Place, str]]:
    """Return the labels that contradict other fields; labels that agree with them are allowed."""
    for place, namespace, name in _namespaces(team):
        for label, value in namespace.labels.items():
            if fault := _fault(namespace, name, label, value):
                yield (*place, "labels", label), f"'{value}': {fault}"


def check_unused(team: Team) -> Iterator[tuple[Place, str]]:
    """Return the labels that have no effect."""
    for place, namespace, _ in _namespaces(team):
        revision = namespace.labels.get(REVISION)
        if revision and isinstance(namespace.mesh, bool):
            mesh = str(namespace.mesh).lower()
            yield (
                (*place, "labels", REVISION),
                (
                    f"'{revision}' has no effect: 'mesh' is {mesh}, and Istio follows the label "
                    f"{INJECTION}, which 'mesh' sets. Write mesh: {revision}, or remove the label"
                ),
            )


def _namespaces(team: Team) -> Iterator[tuple[Place, Namespace, str]]:
    yield ("namespace",), team.namespace, team.home_namespace
    for key, namespace in team.further_namespaces.items():
        yield ("further_namespaces", key), namespace, team.further_namespace(key)


def _fault(namespace: Namespace, name: str, label: str, value: str) -> str:
    ours: Mapping[str, str] = injection(namespace.mesh)
    mesh = str(namespace.mesh).lower() if isinstance(namespace.mesh, bool) else namespace.mesh
    if label == NAME and value != name:
        return f"the API server sets this label to '{name}'; remove it"
    if label == POD_SECURITY and value != namespace.pod_security:
        return (
            f"contradicts 'pod_security', which is {namespace.pod_security or 'null'}; write "
            f"pod_security: {value}, or remove the label"
        )
    if label in (INJECTION, REVISION) and label in ours and value != ours[label]:
        return f"contradicts 'mesh', which is {mesh}; change 'mesh', or remove the label"
    if label == INJECTION and label not in ours:
        return f"contradicts 'mesh', the revision {mesh}: Istio would follow this label; remove it"
    return ""
