"""The external registries of Harbor 2.15.2. Not simulated: their health checks, replication.

Recorded from a real Harbor: a duplicate is answered with 409, and ``access_secret`` is shown as
``*****``. The messages are from its source.
"""

from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, stamp

_MASK = "*****"
_STORED = ("name", "description", "type", "url", "insecure")
_CREDENTIAL = {
    "credential_type": "type",
    "access_key": "access_key",
    "access_secret": "access_secret",
}
_SHAPE: Shape = {
    "name": str,
    "description": str,
    "type": str,
    "url": str,
    "insecure": bool,
    "credential": {"type": str, "access_key": str, "access_secret": str},
    **dict.fromkeys(_CREDENTIAL, str),
}
_FIELDS = {"id": lambda row: row["id"], "name": lambda row: row["name"]}


@routes.api("GET", "/registries")
def list_registries(call: Call) -> Response:
    """Return all registries."""
    listing = call.listing
    call.require("list", "registry")
    name = call.query.get("name", "")
    found = [row for row in call.harbor.state.registries.values() if name in row["name"]]
    return listing.answer(listing.select(found, _FIELDS), _registry_json)


@routes.api("POST", "/registries")
def create_registry(call: Call) -> Response:
    """Create a registry. Its name must be unique."""
    body = call.body("registry", _SHAPE)
    call.require("create", "registry")
    state, now = call.harbor.state, stamp(call.harbor.clock.now())
    stored: dict[str, Any] = {key: body[key] for key in _STORED if body.get(key) is not None}
    if not stored.get("name") or not stored.get("url"):
        raise Refusal(400, "bad request: name or url cannot be empty")
    registry_id = state.next_id("registry")
    _require_free(call, stored["name"])
    state.registries[registry_id] = {
        "insecure": False,
        **stored,
        "credential": dict(body.get("credential") or {}),
        "id": registry_id,
        "status": "healthy",
        "creation_time": now,
        "update_time": now,
    }
    _record_secret(call, registry_id)
    return created(f"/api/v2.0/registries/{registry_id}")


@routes.api("GET", "/registries/{id}")
def get_registry(call: Call) -> Response:
    """Return one registry, with a masked secret."""
    return answer(_registry_json(_find_registry(call, "read")))


@routes.api("PUT", "/registries/{id}")
def update_registry(call: Call) -> Response:
    """Change the given fields. The parts of the credential are top-level fields here."""
    body = call.body("registry", _SHAPE)
    registry = _find_registry(call, "update")
    if (name := body.get("name")) not in (None, registry["name"]):
        _require_free(call, str(name))
    registry.update({key: body[key] for key in _STORED if body.get(key) is not None})
    sent = {own: body[key] for key, own in _CREDENTIAL.items() if body.get(key) is not None}
    registry["credential"] = {**registry["credential"], **sent}
    registry["update_time"] = stamp(call.harbor.clock.now())
    _record_secret(call, registry["id"])
    return done()


@routes.api("DELETE", "/registries/{id}")
def delete_registry(call: Call) -> Response:
    """Delete a registry."""
    del call.harbor.state.registries[_find_registry(call, "delete")["id"]]
    return done()


def _require_free(call: Call, name: str) -> None:
    if any(row["name"] == name for row in call.harbor.state.registries.values()):
        raise Refusal(409, f"registry {name} already exists")


def _record_secret(call: Call, registry_id: int) -> None:
    if secret := call.harbor.state.registries[registry_id]["credential"].get("access_secret"):
        call.harbor.issued_secrets.append(secret)


def _find_registry(call: Call, action: str) -> dict[str, Any]:
    registry_id = call.number("id")
    call.require(action, "registry")
    if registry_id not in call.harbor.state.registries:
        raise Refusal(404, f"registry {registry_id} not found")
    return call.harbor.state.registries[registry_id]


def _registry_json(registry: dict[str, Any]) -> dict[str, Any]:
    credential = registry["credential"]
    if credential.get("access_secret"):
        credential = {**credential, "access_secret": _MASK}
    return {**registry, "credential": credential}
