"""The quotas of Harbor 2.15.2: the storage of projects. storage.py counts its usage."""

from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor.model import Project, Quota
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, done, stamp

MAXIMUM = 1024**5  # 1024 TB
_FIELDS = {"id": lambda pair: pair[1].id, "hard.storage": lambda pair: pair[1].hard}


def check_limit(limit: int, prefix: str = "") -> None:
    """Raise Refusal for an invalid limit."""
    if limit != -1 and limit <= 0:
        raise Refusal(400, f"{prefix}invalid non-positive value for quota limit, value={limit}")
    if limit > MAXIMUM:
        raise Refusal(400, f"{prefix}exceeded 1024TB, which is {MAXIMUM} Bytes, value={limit}")


@routes.api("GET", "/quotas")
def list_quotas(call: Call) -> Response:
    """Return the quotas of all projects or of one."""
    listing = call.listing
    call.require("list", "quota")
    found = sorted(_quotas(call), key=lambda pair: pair[1].id)
    if call.query.get("reference", "project") != "project":
        found = []
    if reference := call.query.get("reference_id"):
        found = [pair for pair in found if str(pair[0].id) == reference]
    return listing.answer(listing.select(found, _FIELDS), lambda pair: _quota_json(*pair))


@routes.api("GET", "/quotas/{id}")
def get_quota(call: Call) -> Response:
    """Return one quota. Unlike in a list, it has no update time."""
    quota_id = call.number("id")
    call.require("read", "quota")
    return answer({**_quota_json(*_find_quota(call, quota_id)), "update_time": stamp(None)})


@routes.api("PUT", "/quotas/{id}")
def update_quota(call: Call) -> Response:
    """Set the limit."""
    quota_id = call.number("id")
    body = call.body("hard", {"hard": {"*": int}})
    call.require("update", "quota")
    if not body.get("hard"):
        raise Refusal(400, "hard required in body")
    quota = _find_quota(call, quota_id)[1]
    for resource, limit in body["hard"].items():
        if resource != "storage":
            raise Refusal(400, f"resource {resource} not support")
        check_limit(limit)
    quota.hard, quota.updated = body["hard"]["storage"], call.harbor.clock.now()
    return done()


def _quotas(call: Call) -> Iterator[tuple[Project, Quota]]:
    return ((p, p.quota) for p in call.harbor.projects.values() if p.quota)


def _find_quota(call: Call, quota_id: int) -> tuple[Project, Quota]:
    for pair in _quotas(call):
        if pair[1].id == quota_id:
            return pair
    raise Refusal(404, f"quota {quota_id} not found")


def _quota_json(project: Project, quota: Quota) -> dict[str, Any]:
    return {
        "creation_time": stamp(quota.created),
        "hard": {"storage": quota.hard},
        "id": quota.id,
        "ref": {"id": project.id, "name": project.name, "owner_name": ""},
        "update_time": stamp(quota.updated),
        "used": {"storage": quota.used},
    }
