"""Checks of the mesh's token rules: they ignore docker's tokens, and name the realm's issuer."""

from collections.abc import Iterator
from typing import Any

from tenantry.checks.mesh import Mesh
from tenantry.drift.findings import Finding
from tenantry.systems.istio.kinds import REQUEST_AUTHENTICATION
from tenantry.systems.kubernetes import objects


def docker_tokens(mesh: Mesh) -> Iterator[Finding]:
    """Check that no token rule reads the token that docker sends to Harbor."""
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
                f"it reads the Authorization header {where}. docker sends Harbor's own token in that "
                "header, which no rule accepts, so every pull and push fails with 401. Excluded "
                "paths in an AuthorizationPolicy have no effect, since they are evaluated later",
                "Select only the portal, or read the token from another header (fromHeaders).",
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
    """Return where a policy applies to docker's requests, for messages; empty if it does not."""
    targets = [*(spec.get("targetRefs") or ()), *filter(None, [spec.get("targetRef")])]
    if targets:
        kinds = {(target.get("kind"), target.get("name")) for target in targets}
        if any(kind == "Gateway" for kind, _ in kinds):
            return "at the gateway"
        is_core = namespace == mesh.harbor and ("Service", mesh.core) in kinds
        return "in front of Harbor's core" if is_core else ""
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
    return "in front of Harbor's core" if in_core else ""


def issuers(mesh: Mesh) -> Iterator[Finding]:
    """Check that rules for the realm's tokens name its issuer exactly."""
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
                    f"it names the issuer '{named}', but the realm's issuer is '{realm.issuer}'",
                    "Write the issuer exactly as the realm does.",
                    mesh.team(metadata["namespace"]),
                )


def _means(one: str, other: str) -> bool:
    def bare(issuer: str) -> str:
        rest = issuer.partition("://")[2].rstrip("/").lower()
        return rest.replace("/auth/realms/", "/realms/")

    return bare(one) == bare(other)
