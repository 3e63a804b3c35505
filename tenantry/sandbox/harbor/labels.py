"""The labels of Harbor 2.15.2, global and of projects. Not simulated: labels on images.

Recorded from a real Harbor: a duplicate is answered with 409. The messages are from its source.
"""

from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import Label
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, stamp

_GLOBAL, _PROJECT = "g", "p"
_SHAPE: Shape = {"name": str, "description": str, "color": str, "scope": str, "project_id": int}
_FIELDS = {"id": lambda label: label.id, "name": lambda label: label.name}


@routes.api("GET", "/labels")
def list_labels(call: Call) -> Response:
    """Return the global labels, for all callers, or those of a project."""
    listing, scope = call.listing, call.query.get("scope", "")
    if scope not in (_GLOBAL, _PROJECT):
        raise Refusal(400, f"invalid scope: {scope}")
    project_id = 0
    if scope == _PROJECT:
        text = call.query.get("project_id", "")
        project_id = int(text) if text.isdigit() else 0
        if not project_id:
            raise Refusal(400, "must with project ID when to query project labels")
        _require(call, "list", project_id)
    name = call.query.get("name", "")
    found = [
        label
        for label in call.harbor.state.labels.values()
        if label.project_id == project_id and name in label.name
    ]
    return listing.answer(listing.select(found, _FIELDS), _label_json)


@routes.api("POST", "/labels")
def create_label(call: Call) -> Response:
    """Create a label. Its name must be unique in its scope."""
    body = call.body("label", _SHAPE)
    if (scope := body.get("scope")) not in (_GLOBAL, _PROJECT):
        raise Refusal(400, "unsupported label scope")
    project_id = (body.get("project_id") or 0) if scope == _PROJECT else 0
    _require(call, "create", project_id, system=scope == _GLOBAL)
    state, now = call.harbor.state, call.harbor.clock.now()
    name = body.get("name") or ""
    label_id = state.next_id("label")
    if any(
        label.name == name and label.project_id == project_id for label in state.labels.values()
    ):
        raise Refusal(409, f"label {name} already exists")
    description, color = body.get("description") or "", body.get("color") or ""
    state.labels[label_id] = Label(label_id, name, project_id, now, now, description, color)
    return created(f"/api/v2.0/labels/{label_id}")


@routes.api("GET", "/labels/{label_id}")
def get_label(call: Call) -> Response:
    """Return one label."""
    return answer(_label_json(_find_label(call, "read")))


@routes.api("PUT", "/labels/{label_id}")
def update_label(call: Call) -> Response:
    """Replace name, description and color."""
    body = call.body("label", _SHAPE)
    label = _find_label(call, "update")
    label.name, label.updated = body.get("name") or "", call.harbor.clock.now()
    label.description, label.color = body.get("description") or "", body.get("color") or ""
    return done()


@routes.api("DELETE", "/labels/{label_id}")
def delete_label(call: Call) -> Response:
    """Delete a label."""
    del call.harbor.state.labels[_find_label(call, "delete").id]
    return done()


def _find_label(call: Call, action: str) -> Label:
    label_id = call.number("label_id")
    label = call.harbor.state.labels.get(label_id)
    if label is None:
        raise Refusal(404, f"label {label_id} not found")
    _require(call, action, label.project_id, system=not label.project_id)
    return label


def _require(call: Call, action: str, project_id: int, system: bool = False) -> None:
    if system:
        call.require(action, "label")
        return
    project = call.harbor.state.project(project_id)
    access.require_project(call.harbor, call.caller, action, project, "label", str(project_id))


def _label_json(label: Label) -> dict[str, Any]:
    return {
        **({"color": label.color} if label.color else {}),
        "creation_time": stamp(label.created),
        **({"description": label.description} if label.description else {}),
        "id": label.id,
        "name": label.name,
        **({"project_id": label.project_id} if label.project_id else {}),
        "scope": _PROJECT if label.project_id else _GLOBAL,
        "update_time": stamp(label.updated),
    }
