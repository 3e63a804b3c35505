"""Harbor projects: desired and observed fields, and the calls that create and update one."""

from typing import Any

from tenantry.declared import Team
from tenantry.declared.types import UNLIMITED, is_whole, storage_bytes
from tenantry.errors import ChangedMeanwhile
from tenantry.plan import Change
from tenantry.resources import Amount, Id, Resource
from tenantry.systems.harbor import kinds
from tenantry.systems.harbor.client import HarborClient, Row
from tenantry.systems.kubernetes.kinds import NAMESPACE

_METADATA = {
    "public": "public",
    "auto_scan": "auto_scan",
    "prevent_vulnerable": "prevent_vul",
    "severity": "severity",
    "require_cosign": "enable_content_trust_cosign",
}
"""The declared fields of a project, with Harbor's keys for them."""


def project_id(name: str) -> Id:
    """Return the id of a project."""
    return Id(kinds.PROJECT, name)


def project(team: Team) -> Resource:
    """Return the desired project of a team."""
    declared = team.harbor
    fields: dict[str, Any] = {
        key: value for key in _METADATA if (value := getattr(declared, key)) is not None
    }
    if declared.storage_quota is not None:
        quota = declared.storage_quota
        if not is_whole(quota):
            quota = str(storage_bytes(quota))  # Harbor stores whole bytes
        fields["storage_quota"] = Amount(quota)
    # A project has no place for a mark: the namespace carries it.
    return Resource(
        project_id(team.project), fields, depends_on=(Id(NAMESPACE, team.home_namespace),)
    )


def observed_fields(client: HarborClient, row: Row) -> dict[str, Any]:
    """Return the fields of a project in the same form as the desired ones.

    Args:
        client: Harbor.
        row: the project, as Harbor lists it.
    """
    metadata = row.get("metadata") or {}
    fields = {
        ours: _as_declared(metadata[theirs])
        for ours, theirs in _METADATA.items()
        if theirs in metadata
    }
    summary = client.get(f"/projects/{row['project_id']}/summary")
    if "quota" in summary:
        fields["storage_quota"] = _storage_text(summary["quota"]["hard"]["storage"])
    return fields


def create_project(client: HarborClient, change: Change) -> int:
    """Create a project and return its number.

    Raises:
        ChangedMeanwhile: the project exists.
    """
    fields = change.resource.fields
    declared = {key: fields[key] for key in _METADATA if key in fields}
    body: Row = {"project_name": change.id.key, "metadata": _as_metadata(declared)}
    if (storage := fields.get("storage_quota")) is not None:
        body["storage_limit"] = storage_bytes(storage)
    answer = client.create("/projects", body)
    return int(answer.headers["Location"].rsplit("/", 1)[-1])


def update_project(client: HarborClient, change: Change, number: int) -> None:
    """Update the metadata and the quota of a project, as far as they differ.

    Raises:
        ChangedMeanwhile: the project was deleted.
    """
    fields = change.resource.fields
    differing = {difference.field for difference in change.differences}
    metadata = {key: fields[key] for key in _METADATA if key in fields and key in differing}
    if metadata:
        client.put(f"/projects/{number}", {"metadata": _as_metadata(metadata)})
    storage = fields.get("storage_quota")
    if "storage_quota" in differing and storage is not None:
        # PUT of the project ignores the limit, and a quota has a number of its own.
        quotas = client.rows("/quotas", reference="project", reference_id=number)
        if not quotas:
            raise ChangedMeanwhile("harbor", "GET /api/v2.0/quotas", "the project is gone")
        body = {"hard": {"storage": storage_bytes(storage)}}
        client.put(f"/quotas/{quotas[0]['id']}", body)


def _as_declared(value: str) -> Any:
    return {"true": True, "false": False}.get(value, value)


def _as_metadata(fields: Row) -> dict[str, str]:
    """Return fields as metadata: Harbor stores all values as text."""
    return {
        _METADATA[key]: str(value).lower() if isinstance(value, bool) else value
        for key, value in fields.items()
    }


def _storage_text(size: int) -> str:
    if size < 0:
        return UNLIMITED
    for unit, factor in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
