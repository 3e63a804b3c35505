"""How bad a finding is: critical where access is lost or too wide."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tenantry.drift.findings import FindingClass, Severity
from tenantry.resources import MARKS, Difference, Id

_ACCESS = frozenset(
    {
        *("project", "member", "user member", "robot"),
        *("group", "group member", "client", "identity provider", "identity provider mapper"),
        *("Namespace", "RoleBinding", "ClusterRole", "Secret", "ServiceAccount"),
        *("NetworkPolicy", "VirtualService", "HTTPRoute", "Gateway"),
        *("realm", "claim", "client scopes"),
        *("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"),
    }
)
"""Kinds that let somebody or something in: without one of them access is lost."""

_GIVEN = frozenset(
    {
        *("member", "user member", "robot"),
        *("group member", "client", "identity provider", "identity provider mapper"),
        "RoleBinding",
    }
)
"""Kinds that give access to whoever has one: one too many is access too wide."""

_FIELDS = {
    "project": ("public",),
    "member": ("role",),
    "robot": ("access", "disabled"),
    "client": ("[!a]*",),  # all but the attributes
    "claim": ("*",),
    "configuration": ("auth_mode", "oidc_*", "project_creation_restriction", "self_registration"),
    "identity provider mapper": ("*",),
    **dict.fromkeys(
        ("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"), ("spec*",)
    ),
    "Namespace": ("metadata.labels.pod-security.kubernetes.io/enforce",),
    "RoleBinding": ("roleRef*", "subjects*"),
    "ClusterRole": ("rules*",),
    "NetworkPolicy": ("spec*",),
    "VirtualService": ("spec*",),
    "HTTPRoute": ("spec*",),
    "ServiceAccount": ("imagePullSecrets*",),
    "Secret": ("type", "client_id"),
}
"""Fields, as globs, that decide who has access."""


def severity(class_: FindingClass, id: Id, fields: Sequence[Difference] = ()) -> Severity:
    """How bad a finding of a class is."""
    match class_:
        case "missing":
            found = id.kind in _ACCESS
        case "extra":
            found = id.kind in _GIVEN
        case "broken":
            found = not all(_is_soon(field) for field in fields)
        case "unreadable":
            return "warning"
        case "changed":
            return _of_changed(id, fields)
    if id.kind == "Namespace mark":
        return "info"
    return "critical" if found else "warning"


def _of_changed(id: Id, fields: Sequence[Difference]) -> Severity:
    if any(fnmatchcase(f.field, glob) for f in fields for glob in _FIELDS.get(id.kind, ())):
        return "critical"
    if id.kind == "Namespace mark" or all(_is_decoration(f.field) for f in fields):
        return "info"
    return "warning"


def _is_decoration(field: str) -> bool:
    """Labels and annotations that are not our marks: they give no access."""
    described = field.startswith(("metadata.labels", "metadata.annotations"))
    return described and not any(mark in field for mark in MARKS)


def _is_soon(found: Difference) -> bool:
    """Whether it works still, but not for long."""
    return found.field == "expiry" and str(found.old).startswith("in ")
