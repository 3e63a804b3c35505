"""The projects of Harbor 2.15.2, with their metadata and summary.

Not simulated: proxy-cache projects.
"""

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access, metadata
from tenantry.sandbox.harbor.grants import (
    DEVELOPER,
    GUEST,
    LIMITED_GUEST,
    MAINTAINER,
    PROJECT_ADMIN,
)
from tenantry.sandbox.harbor.model import ADMIN_ID, Member, Project, Quota
from tenantry.sandbox.harbor.quotas import check_limit
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, invalid, stamp

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_SHAPE: Shape = {
    "project_name": str,
    "public": bool,
    "metadata": dict.fromkeys(metadata.KEYS, str),
    "cve_allowlist": {"items": [{"cve_id": str}], "expires_at": int, "project_id": int},
    "storage_limit": int,
    "registry_id": int,
}
_LONGEST_NAME = 255
_LOG_SIZE = 10_000  # the latest entries of the log, which are kept
_COUNTS = {
    PROJECT_ADMIN: "project_admin_count",
    MAINTAINER: "maintainer_count",
    DEVELOPER: "developer_count",
    GUEST: "guest_count",
    LIMITED_GUEST: "limited_guest_count",
}
_FIELDS = {
    "name": lambda p: p.name,
    "project_id": lambda p: p.id,
    "owner_id": lambda p: p.owner_id,
    "creation_time": lambda p: p.created,
    "update_time": lambda p: p.updated,
    "public": lambda p: p.public,
}


def _parse_project(call: Call) -> Any:
    """Return the body that describes a project; raise Refusal if it does not match the schema."""
    body = call.body("project", _SHAPE)
    if len(body.get("project_name") or "") > _LONGEST_NAME:
        # Harbor repeats the prefix for faults of a model.
        fault = f"project_name in body should be at most {_LONGEST_NAME} chars long"
        raise invalid(f"validation failure list:\n{fault}")
    return body


def add_project(
    harbor: "SimulatedHarbor", name: str, owner_id: int, keys: dict[str, str], limit: int
) -> Project:
    """Add a project to the state, with its owner as member and its quota, and return it."""
    state, now = harbor.state, harbor.clock.now()
    project_id = state.next_id("project")
    if name in state.projects:  # the id is used up
        raise Refusal(409, f"The project named {name} already exists")
    project = Project(project_id, name, owner_id, now, now, {"public": "false", **keys})
    member_id = state.next_id("member")
    project.members[member_id] = Member(member_id, owner_id, "u", PROJECT_ADMIN)
    if harbor.configuration["quota_per_project_enable"]:
        project.quota = Quota(state.next_id("quota"), limit, 0, now, now)
    state.projects[name] = project
    return project


def add_library(harbor: "SimulatedHarbor") -> None:
    """Add the project that every installation has."""
    add_project(harbor, "library", ADMIN_ID, {"public": "true"}, -1)


def project_json(call: Call, project: Project, detail: bool = True) -> dict[str, Any]:
    """Return a project as JSON values, as shown to the caller."""
    user = call.caller.user
    roles = access.roles(call.harbor, user, project) if user else []
    owner = call.harbor.users.get(project.owner_id)
    values = {
        "creation_time": stamp(project.created),
        **({"current_user_role_id": roles[0]} if roles else {}),
        "current_user_role_ids": roles or None,
        "cve_allowlist": {
            "creation_time": stamp(None),
            **(
                {"id": project.id, "items": [], "project_id": project.id}
                if detail
                else {"items": None}
            ),
            "update_time": stamp(None),
            **(project.cve_allowlist if detail else {}),
        },
        "name": project.name,
        "owner_id": project.owner_id,
        "project_id": project.id,
        "repo_count": len(project.repositories),
        "update_time": stamp(project.updated),
    }
    if detail:
        values["metadata"] = project.metadata
        if owner:
            values["owner_name"] = owner.username
    return values


@routes.api("GET", "/projects")
def list_projects(call: Call) -> Response:
    """Return the projects that the caller may see. Anonymous callers see the public ones."""
    listing, query = call.listing, call.query
    found = [p for p in call.harbor.projects.values() if _visible(call, p)]
    if name := query.get("name"):
        found = [p for p in found if name in p.name]
    if public := query.get("public"):
        found = [p for p in found if p.public == (public.lower() in ("true", "1"))]
    if owner := query.get("owner"):
        ids = [u.id for u in call.harbor.users.values() if u.username == owner]
        found = [p for p in found if p.owner_id in ids]
    found.sort(key=lambda p: p.name)
    found = listing.select(found, _FIELDS)
    detail = query.get("with_detail", "true").lower() != "false"
    return listing.answer(found, lambda p: project_json(call, p, detail))


def _visible(call: Call, project: Project) -> bool:
    caller = call.caller
    if project.public or access.may_system(caller, "list", "project"):
        return True
    if caller.robot:
        return any(p.namespace in (project.id, "*") for p in caller.robot.permissions)
    return caller.user is not None and bool(access.roles(call.harbor, caller.user, project))


@routes.api("HEAD", "/projects")
def head_project(call: Call) -> Response:
    """Check whether a project of this name exists."""
    name = call.query.get("project_name")
    if not name:
        raise invalid("project_name in query is required")
    access.require_known(call.caller)  # even for a public project
    project = call.harbor.projects.get(name)
    access.require_project(call.harbor, call.caller, "read", project, "project", name)
    return done()


@routes.api("POST", "/projects")
def create_project(call: Call) -> Response:
    """Create a project. Its creator (the admin, if a robot creates it) becomes a project admin."""
    body = _parse_project(call)
    caller, settings = call.caller, call.harbor.configuration
    access.require_known(caller)
    if caller.robot and caller.robot.project_id:
        raise Refusal(403, "Only system level robot can create project")
    may_all = access.may_system(caller, "create", "project")
    if not may_all and (caller.robot or settings["project_creation_restriction"] == "adminonly"):
        raise Refusal(403, "Only system admin can create project")
    if body.get("registry_id"):
        raise Refusal(501, "the sandbox does not simulate proxy-cache projects: see projects.py")
    limit = body.get("storage_limit")
    if not limit or not may_all:
        limit = settings["storage_per_project"]
    wanted = metadata.known(body.get("metadata"))
    wanted.pop("retention_id", None)
    if "public" not in wanted and body.get("public") is not None:
        wanted["public"] = str(body["public"]).lower()
    if (public := wanted.get("public", "false")) not in ("true", "false"):
        raise Refusal(400, f"metadata.public should only be 'true' or 'false', but got: '{public}'")
    check_limit(limit, "bad request: ")
    name = body.get("project_name") or ""
    if not name:
        raise Refusal(400, "Project name  is illegal in length. (greater than 255 or less than 1)")
    if not NAME.fullmatch(name):
        raise Refusal(400, "project name is not in lower case or contains illegal characters")
    owner_id = caller.user.id if caller.user else ADMIN_ID
    project = add_project(call.harbor, name, owner_id, wanted, limit)
    _log(call, "create", name)
    by_name = call.request.headers.get("x-resource-name-in-location", "").lower() == "true"
    return created(f"/api/v2.0/projects/{name if by_name else project.id}")


@routes.api("GET", "/projects/{project}")
def get_project(call: Call) -> Response:
    """Return one project."""
    return answer(project_json(call, call.project("read")))


@routes.api("PUT", "/projects/{project}")
def update_project(call: Call) -> Response:
    """Merge metadata. Name, storage limit and the outer ``public`` have no effect."""
    body = _parse_project(call)
    project = call.project("update")
    changes = metadata.known(body.get("metadata"))
    stored = project.metadata.get("retention_id")
    if changes.get("retention_id", stored) != stored:
        raise Refusal(
            400,
            "the retention_id in the request's payload when updating a project should be omitted, "
            "alternatively passing the one that has already been associated to this project",
        )
    project.metadata.update(changes)
    if allowlist := body.get("cve_allowlist"):
        if (named := allowlist.get("project_id") or project.id) != project.id:
            msg = f"project_id in cve_allowlist must be {project.id} but it's {named}"
            raise Refusal(400, msg)
        kept = ("items", "expires_at")
        project.cve_allowlist = {k: v for k, v in allowlist.items() if k in kept and v is not None}
    return done()


@routes.api("DELETE", "/projects/{project}")
def delete_project(call: Call) -> Response:
    """Delete a project without repositories. Its name can be used again immediately."""
    project, harbor = call.project("delete"), call.harbor
    if message := _obstacle(project):
        raise Refusal(412, f"precondition failed: {message}")
    del harbor.projects[project.name]
    _log(call, "delete", project.name)
    for robot in [r for r in harbor.robots.values() if r.project_id == project.id]:
        del harbor.robots[robot.id]
    return done()


@routes.api("GET", "/projects/{project}/_deletable")
def deletable(call: Call) -> Response:
    """Return whether a project can be deleted. If not, the key is missing instead of false."""
    message = _obstacle(call.project("delete"))
    return answer({"message": message} if message else {"deletable": True})


@routes.api("GET", "/projects/{project}/summary")
def summary(call: Call) -> Response:
    """Return counts and quota, as far as the caller may see them."""
    project, harbor, caller = call.project("read"), call.harbor, call.caller
    values: dict[str, Any] = {"repo_count": len(project.repositories)}
    if project.quota and access.may(harbor, caller, "read", project, "quota"):
        values["quota"] = {
            "hard": {"storage": project.quota.hard},
            "used": {"storage": project.quota.used},
        }
    if access.may(harbor, caller, "list", project, "member"):
        role_ids = [member.role_id for member in project.members.values()]
        for role, key in _COUNTS.items():
            if count := role_ids.count(role):
                values[key] = count
    return answer(values)


def _log(call: Call, operation: str, name: str) -> None:
    state = call.harbor.state
    state.audit.append(
        {
            "id": state.next_id("audit"),
            "op_time": stamp(call.harbor.clock.now()),
            "operation": operation,
            "operation_description": f"{operation} project: {name}",
            "operation_result": True,
            "resource": name,
            "resource_type": "project",
            "username": call.caller.name,
        }
    )
    del state.audit[:-_LOG_SIZE]


def _obstacle(project: Project) -> str:
    if project.repositories:
        return "the project contains repositories, can not be deleted"
    return ""
