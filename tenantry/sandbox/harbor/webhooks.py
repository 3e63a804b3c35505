"""The project webhooks of Harbor 2.15.2. Not simulated: sending messages.

Recorded from a real Harbor: a duplicate is answered with 409, and ``auth_header`` is shown in clear
text. The messages are from its source.
"""

from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, stamp

_POLICIES = "/projects/{project}/webhook/policies"
_SHAPE: Shape = {
    "name": str,
    "description": str,
    "enabled": bool,
    "event_types": [str],
    "targets": [
        {
            "type": str,
            "address": str,
            "auth_header": str,
            "skip_cert_verify": bool,
            "payload_format": str,
        }
    ],
}
_FIELDS = {"id": lambda policy: policy["id"], "name": lambda policy: policy["name"]}


@routes.api("GET", _POLICIES)
def list_policies(call: Call) -> Response:
    """Return the webhooks of a project."""
    listing, project = call.listing, call.project("list", "notification-policy")
    found = listing.select(project.webhooks.values(), _FIELDS)
    return listing.answer(found, lambda policy: policy)


@routes.api("POST", _POLICIES)
def create_policy(call: Call) -> Response:
    """Create a webhook. Its name must be unique in its project."""
    body = call.body("policy", _SHAPE)
    project = call.project("create", "notification-policy")
    values = _parse_policy(call, project, body)
    policy_id = call.harbor.state.next_id("webhook")
    _require_free(project, values["name"])
    now = stamp(call.harbor.clock.now())
    times = {"creation_time": now, "update_time": now}
    project.webhooks[policy_id] = {**values, "id": policy_id, **times}
    return created(f"{call.request.scope['path'].rstrip('/')}/{policy_id}")


@routes.api("GET", f"{_POLICIES}/{{webhook_policy_id}}")
def get_policy(call: Call) -> Response:
    """Return one webhook, including the header with which it authenticates."""
    return answer(_find_policy(call, "read")[1])


@routes.api("PUT", f"{_POLICIES}/{{webhook_policy_id}}")
def update_policy(call: Call) -> Response:
    """Replace a webhook."""
    body = call.body("policy", _SHAPE)
    project, policy = _find_policy(call, "update")
    values = _parse_policy(call, project, body)
    if values["name"] != policy["name"]:
        _require_free(project, values["name"])
    policy.update(values, update_time=stamp(call.harbor.clock.now()))
    return done()


@routes.api("DELETE", f"{_POLICIES}/{{webhook_policy_id}}")
def delete_policy(call: Call) -> Response:
    """Delete a webhook."""
    project, policy = _find_policy(call, "delete")
    del project.webhooks[policy["id"]]
    return done()


def _parse_policy(call: Call, project: Project, body: dict[str, Any]) -> dict[str, Any]:
    name = body.get("name") or ""
    if not body.get("event_types"):
        raise Refusal(400, "empty event type")
    if not body.get("targets"):
        raise Refusal(400, f"empty notification target with policy {name}")
    targets = []
    for target in body["targets"]:
        if (kind := target.get("type") or "") not in ("http", "slack", "teams"):
            raise Refusal(400, f"unsupported target type {kind} with policy {name}")
        if secret := target.get("auth_header"):
            call.harbor.issued_secrets.append(secret)
        targets.append(({"payload_format": "Default"} if kind == "http" else {}) | target)
    optional = {key: body[key] for key in ("description", "event_types") if body.get(key)}
    enabled = bool(body.get("enabled"))
    return {
        "name": name,
        "project_id": project.id,
        "enabled": enabled,
        "targets": targets,
        **optional,
    }


def _require_free(project: Project, name: str) -> None:
    if any(policy["name"] == name for policy in project.webhooks.values()):
        raise Refusal(409, f"notification policy named {name} already exists")


def _find_policy(call: Call, action: str) -> tuple[Project, dict[str, Any]]:
    policy_id = call.number("webhook_policy_id")
    project = call.project(action, "notification-policy")
    if policy_id not in project.webhooks:
        raise Refusal(404, f"notificationPolicy {policy_id} not found")
    return project, project.webhooks[policy_id]
