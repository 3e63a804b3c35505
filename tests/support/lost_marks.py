"""Removes Tenantry's marks from the sandbox, as a restore from a backup without them does."""

import copy
from collections.abc import Iterator
from typing import Any

from tenantry.marks import PRODUCT
from tenantry.resources import MARK_PREFIXES
from tenantry.sandbox import Sandbox

_MARKED = ("labels", "annotations", "attributes")
_DESCRIBED = "Managed by Tenantry"


def lose_marks(sandbox: Sandbox) -> int:
    """Remove all marks of Tenantry: labels, annotations, attributes, and descriptions of robots.

    Kubernetes also forgets which fields Tenantry has set. Nothing else is changed.

    Returns:
        The number of removed marks.
    """
    removed = 0
    for system in (sandbox.harbor, sandbox.keycloak, sandbox.kubernetes):
        state = copy.deepcopy(system.dump())
        for found in list(_mappings(state)):
            removed += _unmark(found)
        system.load(state)
    return removed


def count_marks(sandbox: Sandbox) -> int:
    """Return the number of Tenantry's marks, without removing them."""
    systems = (sandbox.harbor, sandbox.keycloak, sandbox.kubernetes)
    states = [copy.deepcopy(system.dump()) for system in systems]
    return sum(_unmark(found) for state in states for found in list(_mappings(state)))


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in items:
        yield from _mappings(each)


def _unmark(found: dict[str, Any]) -> int:
    removed = 0
    for part in _MARKED:
        attributes = found.get(part)
        if isinstance(attributes, dict):
            marks = [key for key in attributes if key.startswith(MARK_PREFIXES)]
            removed += len(marks)
            for key in marks:
                del attributes[key]
    if str(found.get("description")).startswith(_DESCRIBED):
        found["description"] = ""
        removed += 1
    fields = found.get("managedFields")
    if isinstance(fields, list):
        found["managedFields"] = [each for each in fields if each.get("manager") != PRODUCT]
    return removed
