"""The project metadata of Harbor 2.15.2: the known keys, and the calls for one key."""

from starlette.responses import Response

from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, done

_BOOLEANS = (
    "public",
    "enable_content_trust",
    "enable_content_trust_cosign",
    "prevent_vul",
    "auto_scan",
    "auto_sbom_generation",
    "reuse_sys_cve_allowlist",
)
KEYS = (*_BOOLEANS, "severity", "retention_id", "proxy_speed_kb", "max_upstream_conn")
_SEVERITIES = ("none", "low", "medium", "high", "critical")


def known(metadata: dict[str, str | None] | None) -> dict[str, str]:
    """Return the known keys. Harbor silently drops all others."""
    return {k: v for k, v in (metadata or {}).items() if k in KEYS and v is not None}


@routes.api("GET", "/projects/{project}/metadatas")
def list_metadata(call: Call) -> Response:
    """Return all keys."""
    return answer(call.project("read", "metadata").metadata)


@routes.api("POST", "/projects/{project}/metadatas")
def add_metadata(call: Call) -> Response:
    """Add a key that does not exist."""
    body = call.body("metadata", {"*": str})
    project = call.project("create", "metadata")
    key, value = _single_entry(body)
    if key in project.metadata:
        raise Refusal(409, f"metadata {key} already exists for project {project.id}")
    project.metadata[key] = value
    return done()


@routes.api("GET", "/projects/{project}/metadatas/{key}")
def get_metadata(call: Call) -> Response:
    """Return one key, or an empty object if it does not exist."""
    metadata, key = call.project("read", "metadata").metadata, call.path["key"]
    return answer({key: metadata[key]} if key in metadata else {})


@routes.api("PUT", "/projects/{project}/metadatas/{key}")
def update_metadata(call: Call) -> Response:
    """Set a key."""
    body = call.body("metadata", {"*": str})
    project = call.project("update", "metadata")
    name = call.path["key"]
    key, value = _single_entry({name: body.get(name) or ""})
    project.metadata[key] = value
    return done()


@routes.api("DELETE", "/projects/{project}/metadatas/{key}")
def delete_metadata(call: Call) -> Response:
    """Remove a key. It need not exist."""
    call.project("delete", "metadata").metadata.pop(call.path["key"], None)
    return done()


def _single_entry(body: dict[str, str]) -> tuple[str, str]:
    if len(body) != 1:
        raise Refusal(400, "only allow one key/value pair")
    [(key, value)] = body.items()
    if key not in KEYS or key == "retention_id":
        raise Refusal(400, f"invalid key: {key}")
    kept = value.lower()
    if key in _BOOLEANS:
        kept = {"1": "true", "t": "true", "0": "false", "f": "false"}.get(kept, kept)
    allowed = ("true", "false") if key in _BOOLEANS else _SEVERITIES if key == "severity" else None
    if allowed and kept not in allowed:
        raise Refusal(400, f"invalid value: {value}")
    return key, kept
