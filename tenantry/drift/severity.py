"""The severity of findings: critical if users or programs lose access, or have too much."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tenantry.drift.findings import FindingClass, Severity
from tenantry.resources import MARK_PREFIXES, Difference, Id


def severity(class_: FindingClass, id: Id, fields: Sequence[Difference] = ()) -> Severity:
    """Return the severity of a finding by its class, resource and differing fields."""
    if class_ == "unreadable":
        return "warning"
    if id.kind.is_record:
        return "info"
    match class_:
        case "missing":
            is_critical = id.kind.needed_for_access
        case "extra":
            is_critical = id.kind.grants_access
        case "broken":
            is_critical = not all(_is_soon(field) for field in fields)
        case "changed":
            return _of_changed(id, fields)
    return "critical" if is_critical else "warning"


def _of_changed(id: Id, fields: Sequence[Difference]) -> Severity:
    if any(fnmatchcase(f.field, glob) for f in fields for glob in id.kind.access_fields):
        return "critical"
    return "info" if all(_is_decoration(f.field) for f in fields) else "warning"


def _is_decoration(field: str) -> bool:
    """Return whether a field is a label or annotation, except Tenantry's marks, and so harmless."""
    described = field.startswith(("metadata.labels", "metadata.annotations"))
    return described and not any(mark in field for mark in MARK_PREFIXES)


def _is_soon(found: Difference) -> bool:
    """Return whether a credential still works, but expires soon."""
    return found.field == "expiry" and str(found.old).startswith("in ")
