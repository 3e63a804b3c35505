"""Harbor 2.15.2's list of other registries. Not simulated: whether they answer, replication.

Recorded of the real one: a duplicate is a 409, and ``access_secret`` is read back as ``*****``. The
words are those of its source.
"""

from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, stamp

_MASK = "*****"
_KEPT = ("name", "description", "type", "url", "insecure")
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
_FIELDS = {"id": lambda each: each["id"], "name": lambda each: each["name"]}


@routes.api("GET", "/registries")
def list_registries(call: Call) -> Response:
    """All of them."""
    listing = call.listing
    call.require("list", "registry")
    name = call.query.get("name", "")
    found = [each for each in call.harbor.state.registries.values() if name in each["name"]]
    return listing.answer(listing.select(found, _FIELDS), _shown)


@routes.api("POST", "/registries")
def create_registry(call: Call) -> Response:
    """Add one; its name is taken once."""
    body = call.body("registry", _SHAPE)
    call.require("create", "registry")
    state, now = call.harbor.state, stamp(call.harbor.clock.now())
    kept: dict[str, Any] = {key: body[key] for key in _KEPT if body.get(key) is not None}
    if not kept.get("name") or not kept.get("url"):
        raise Refusal(400, "bad request: name or url cannot be empty")
    registry_id = state.next_id("registry")
    _require_free(call, kept["name"])
    state.registries[registry_id] = {
        "insecure": False,
        **kept,
        "credential": dict(body.get("credential") or {}),
        "id": registry_id,
        "status": "healthy",
        "creation_time": now,
        "update_time": now,
    }
    _note(call, registry_id)
    return created(f"/api/v2.0/registries/{registry_id}")


@routes.api("GET", "/registries/{id}")
def get_registry(call: Call) -> Response:
    """One of them, its secret masked."""
    return answer(_shown(_found(call, "read")))


@routes.api("PUT", "/registries/{id}")
def update_registry(call: Call) -> Response:
    """Set what is sent: here the parts of the credential are keys of the body."""
    body = call.body("registry", _SHAPE)
    held = _found(call, "update")
    if (name := body.get("name")) not in (None, held["name"]):
        _require_free(call, str(name))
    held.update({key: body[key] for key in _KEPT if body.get(key) is not None})
    sent = {own: body[key] for key, own in _CREDENTIAL.items() if body.get(key) is not None}
    held["credential"] = {**held["credential"], **sent}
    held["update_time"] = stamp(call.harbor.clock.now())
    _note(call, held["id"])
    return done()


@routes.api("DELETE", "/registries/{id}")
def delete_registry(call: Call) -> Response:
    """Remove one."""
    del call.harbor.state.registries[_found(call, "delete")["id"]]
    return done()


def _require_free(call: Call, name: str) -> None:
    if any(each["name"] == name for each in call.harbor.state.registries.values()):
        raise Refusal(409, f"registry {name} already exists")


def _note(call: Call, registry_id: int) -> None:
    if secret := call.harbor.state.registries[registry_id]["credential"].get("access_secret"):
        call.harbor.issued_secrets.append(secret)


def _found(call: Call, action: str) -> dict[str, Any]:
    registry_id = call.number("id")
    call.require(action, "registry")
    if registry_id not in call.harbor.state.registries:
        raise Refusal(404, f"registry {registry_id} not found")
    return call.harbor.state.registries[registry_id]


def _shown(held: dict[str, Any]) -> dict[str, Any]:
    credential = held["credential"]
    if credential.get("access_secret"):
        credential = {**credential, "access_secret": _MASK}
    return {**held, "credential": credential}
