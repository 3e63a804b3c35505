"""Rules about tokens: none may read docker's, and the realm's issuer is named as it is."""

from collections.abc import Iterator
from typing import Any

from tenantry.checks.mesh import Mesh
from tenantry.drift.findings import Finding
from tenantry.systems.istio.kinds import REQUEST_AUTHENTICATION
from tenantry.systems.kubernetes import objects


def docker_tokens(mesh: Mesh) -> Iterator[Finding]:
    """No rule about tokens reads the one that docker sends to Harbor."""
    core = _labels_of_core(mesh)
    for found in mesh.authentications:
        metadata, spec = found["metadata"], found.get("spec") or {}
        namespace = metadata["namespace"]
        if not any(map(_reads_authorization, spec.get("jwtRules") or ())):
            continue
        where = _selects(mesh, namespace, spec, core)
        if where:
            yield mesh.finding(
                "docker tokens",
                "critical",
                objects.id_of(REQUEST_AUTHENTICATION, metadata["name"], namespace),
                f"it reads Authorization {where}: docker sends Harbor's own token there, which no "
                "rule of it knows, so that every pull and push is refused with 401; excluded "
                "paths in an AuthorizationPolicy come too late",
                "Let it select the portal only, or read the token from a header of its own "
                "(fromHeaders).",
            )


def _reads_authorization(rule: dict[str, Any]) -> bool:
    headers, parameters = rule.get("fromHeaders") or [], rule.get("fromParams") or []
    cookies = rule.get("fromCookies") or []
    if not (headers or parameters or cookies):
        return True
    return any(header.get("name", "").lower() == "authorization" for header in headers)


def _labels_of_core(mesh: Mesh) -> dict[str, str] | None:
    for service in mesh.services:
        metadata = service["metadata"]
        if (metadata["name"], metadata["namespace"]) == (mesh.core, mesh.harbor):
            return (service.get("spec") or {}).get("selector") or {}
    return None


def _selects(mesh: Mesh, namespace: str, spec: dict[str, Any], core: dict[str, str] | None) -> str:
    """Where a policy catches docker's requests, in words; empty if it does not."""
    targets = [*(spec.get("targetRefs") or ()), *filter(None, [spec.get("targetRef")])]
    if targets:
        kinds = {(target.get("kind"), target.get("name")) for target in targets}
        if any(kind == "Gateway" for kind, _ in kinds):
            return "at the gateway"
        caught = namespace == mesh.harbor and ("Service", mesh.core) in kinds
        return "before Harbor's core" if caught else ""
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    if namespace == mesh.systems.state.platform.mesh.control_plane_namespace and not labels:
        return "in the whole mesh"
    if namespace in (
        mesh.gateway_namespace,
        mesh.systems.state.platform.mesh.control_plane_namespace,
    ):
        return "at the gateway"
    if namespace != mesh.harbor:
        return ""
    in_core = not labels or (core is not None and labels.items() <= core.items())
    return "before Harbor's core" if in_core else ""


def issuers(mesh: Mesh) -> Iterator[Finding]:
    """Rules about the realm's tokens name its issuer letter for letter."""
    realm = mesh.systems.keycloak_client
    for found in mesh.authentications:
        metadata = found["metadata"]
        for rule in (found.get("spec") or {}).get("jwtRules") or ():
            named = str(rule.get("issuer", ""))
            if named != realm.issuer and _means(named, realm.issuer):
                yield mesh.finding(
                    "issuer",
                    "critical",
                    objects.id_of(REQUEST_AUTHENTICATION, metadata["name"], metadata["namespace"]),
                    f"it names the issuer '{named}', and the realm calls itself '{realm.issuer}'",
                    "Write it letter for letter as the realm does.",
                    mesh.team(metadata["namespace"]),
                )


def _means(one: str, other: str) -> bool:
    def bare(issuer: str) -> str:
        rest = issuer.partition("://")[2].rstrip("/").lower()
        return rest.replace("/auth/realms/", "/realms/")

    return bare(one) == bare(other)
