"""The parts of SARIF 2.1.0 that all reports share. Code hosts show them on the lines of the files."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def document(
    name: str, rules: Sequence[Any], results: Sequence[Any], **more: Any
) -> dict[str, Any]:
    """Return a document with one run of Tenantry.

    Args:
        name: tells the runs of one report from those of others.
        rules: the rules.
        results: the results.
        more: further members of the run.
    """
    driver = {"name": "Tenantry", "version": version("tenantry"), "rules": rules}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"tenantry/{name}/"},
        "columnKind": "utf16CodeUnits",
        **more,
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def locations(path: str, line: int) -> list[dict[str, Any]]:
    """Return the place of a result, by a path that code hosts resolve from the repository's root."""
    place = {"artifactLocation": {"uri": quote(path)}, "region": {"startLine": line}}
    return [{"physicalLocation": place}]
