"""The robot accounts of Harbor 2.15.2, of system and project level.

Harbor reads the whole row of a robot, changes it, and writes the whole row back. The simulation does
the same: of two concurrent writers the last one wins, and an update can restore a secret that a
refresh has replaced.
"""

import asyncio
import copy
import random
import secrets
from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.access import hash_secret
from tenantry.sandbox.harbor.grants import CATALOGUE
from tenantry.sandbox.harbor.model import Permission, Robot
from tenantry.sandbox.harbor.projects import NAME
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.users import STRONG, generate_secret
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, compact, done, stamp

_DAY = 86_400
_MAX_DURATION = 2**31 - 2
_SHAPE: Shape = {
    "name": str,
    "description": str,
    "level": str,
    "disable": bool,
    "duration": int,
    "secret": str,
    "permissions": [{"kind": str, "namespace": str, "access": [{"resource": str, "action": str}]}],
}


def stored_name(call: Call, robot: Robot) -> str:
    """Return the name in the database, with the project but without the prefix."""
    project = call.harbor.state.project(robot.project_id)
    return f"{project.name}+{robot.name}" if project else robot.name


def full_name(call: Call, robot: Robot) -> str:
    """Return the name for display and login, with the current prefix."""
    return f"{call.harbor.configuration['robot_name_prefix']}{stored_name(call, robot)}"


def _robot_json(call: Call, robot: Robot) -> dict[str, Any]:
    return {
        "creation_time": stamp(robot.created),
        "creator_ref": robot.creator_ref,
        "creator_type": robot.creator_type,
        **({"description": robot.description} if robot.description else {}),
        "disable": robot.disabled,
        "duration": robot.duration,
        "editable": True,
        "expires_at": robot.expires_at,
        "id": robot.id,
        "level": "project" if robot.project_id else "system",
        "name": full_name(call, robot),
        "permissions": _permissions_json(call, robot),
        "update_time": stamp(robot.updated),
    }


def _permissions_json(call: Call, robot: Robot) -> list[dict[str, Any]]:
    """Return the permissions by namespace, in random order as from a Go map.

    In each, the access is in the order in which Harbor first used it. The permissions of deleted
    projects are omitted.
    """
    groups = []
    for permission in robot.permissions:
        namespace: str = str(permission.namespace)
        if isinstance(permission.namespace, int):
            project = call.harbor.state.project(permission.namespace)
            if project is None:
                continue
            namespace = project.name
        order = call.harbor.state.policies
        groups.append(
            {
                "access": [
                    {"action": action, "resource": resource}
                    for resource, action in sorted(
                        permission.access, key=lambda a: order[_policy(permission, *a)]
                    )
                ],
                "kind": permission.kind,
                "namespace": namespace,
            }
        )
    random.shuffle(groups)
    return groups


def _policy(permission: Permission, resource: str, action: str) -> str:
    return f"{permission.kind} {permission.namespace} {resource} {action}"


# --- The request ---------------------------------------------------------------------------------


def _check(body: dict[str, Any], duration: int) -> None:
    level, permissions = body.get("level") or "", body.get("permissions") or []
    if duration != -1 and not 0 < duration <= _MAX_DURATION:
        raise Refusal(
            400,
            f"bad request error duration input: {duration}, duration must be either -1(Never) or a "
            "positive integer",
        )
    if level not in ("project", "system"):
        raise Refusal(400, f"bad request error level input: {level}")
    if not permissions:
        raise Refusal(400, "bad request empty permission")
    if not all(permission.get("access") for permission in permissions):
        raise Refusal(400, "bad request empty access")
    if level == "project" and len(permissions) > 1:
        raise Refusal(400, "bad request permission")
    for permission in permissions:
        kind = permission.get("kind") or ""
        if kind not in CATALOGUE or (kind == "system" and level == "project"):
            raise Refusal(400, f"bad request permission level: {kind}")
        for item in permission["access"]:
            resource, action = item.get("resource"), item.get("action")
            if action not in CATALOGUE[kind].get(resource, ()):
                raise Refusal(400, f"bad request permission: {resource}:{action}")


def _permissions(call: Call, body: dict[str, Any]) -> list[Permission]:
    """Return the requested permissions as they are stored, without duplicates."""
    stored: dict[tuple[str, int | str], Permission] = {}
    for requested in body["permissions"]:
        permission = Permission(requested["kind"], _namespace(call, requested, body["level"]), [])
        permission = stored.setdefault((permission.kind, permission.namespace), permission)
        for item in requested["access"]:
            granted = (item["resource"], item["action"])
            if granted not in permission.access:
                permission.access.append(granted)
            policies = call.harbor.state.policies
            policies.setdefault(_policy(permission, *granted), len(policies))
    return list(stored.values())


def _namespace(call: Call, requested: dict[str, Any], level: str) -> Any:
    namespace = requested.get("namespace") or ""
    if requested["kind"] == "system":
        return "/"
    if namespace == "*" and level == "system":
        return "*"
    if namespace not in call.harbor.projects:  # an id is not accepted
        raise Refusal(404, f"project {namespace} not found")
    return call.harbor.projects[namespace].id


def _require(call: Call, action: str, project_id: int) -> None:
    """Raise Refusal if the caller may not do this to the robots of a project, or of the system (0)."""
    if not project_id:
        call.require(action, "robot")
        return
    harbor = call.harbor
    access.require_project(
        harbor, call.caller, action, harbor.state.project(project_id), "robot", str(project_id)
    )


def _find_robot(call: Call, action: str) -> Robot:
    robot_id = call.number("robot_id")
    access.require_known(call.caller)
    robot = call.harbor.robots.get(robot_id)
    if robot is None:  # all authenticated callers get this answer
        raise Refusal(404, f"robot {robot_id} not found")
    _require(call, action, robot.project_id)
    return robot


def _set_secret(robot: Robot, secret: str) -> None:
    robot.salt = secrets.token_hex(16)
    robot.secret_hash = hash_secret(secret, robot.salt)


# --- Endpoints -----------------------------------------------------------------------------------


@routes.api("GET", "/robots")
def list_robots(call: Call) -> Response:
    """Return the system robots, or those of one project."""
    listing = call.listing
    keywords = listing.keywords
    access.require_known(call.caller)
    project_id = 0
    if keywords.get("Level", "system") not in ("project", "system"):
        raise Refusal(400, "bad request error level input")
    if keywords.get("Level") == "project":
        if "ProjectID" not in keywords:
            raise Refusal(400, "must with project ID when to query project robots")
        if not keywords["ProjectID"].isdigit():
            raise Refusal(400, "Project ID must be int type.")
        project_id = int(keywords["ProjectID"])
    if not call.caller.admin:  # an admin gets an empty list for a missing project
        _require(call, "list", project_id)
    fields = {
        "name": lambda robot: stored_name(call, robot),
        "id": lambda robot: robot.id,
        "creation_time": lambda robot: robot.created,
        "expires_at": lambda robot: robot.expires_at,
        "disabled": lambda robot: robot.disabled,
        "description": lambda robot: robot.description,
    }
    found = [r for r in call.harbor.robots.values() if r.project_id == project_id]
    found.sort(key=lambda r: r.name)
    return listing.answer(listing.select(found, fields), lambda robot: _robot_json(call, robot))


@routes.api("POST", "/robots")
def create_robot(call: Call) -> Response:
    """Create a robot. A secret or ``disable`` in the body is ignored."""
    body = call.body("robot", _SHAPE)
    harbor, creator, name = call.harbor, call.caller.robot, body.get("name") or ""
    if not NAME.fullmatch(name):
        raise Refusal(400, "robot name is not in lower case or contains illegal characters")
    duration = body.get("duration") or 0
    _check(body, duration)
    project_id = 0
    if body["level"] == "project":
        namespace = body["permissions"][0].get("namespace") or ""
        project = harbor.projects.get(namespace)
        access.require_project(harbor, call.caller, "create", project, "robot", namespace)
        assert project is not None
        project_id = project.id
    else:
        call.require("create", "robot")
    permissions = _permissions(call, body)
    now = harbor.clock.now()
    robot = Robot(
        id=0,
        name=name,
        project_id=project_id,
        duration=duration,
        expires_at=-1 if duration == -1 else int(now.timestamp()) + duration * _DAY,
        salt="",
        secret_hash="",
        created=now,
        updated=now,
        creator_type="robot" if creator else "local",
        creator_ref=creator.id if creator else call.caller.user.id if call.caller.user else 0,
        permissions=permissions,
        description=body.get("description") or "",
    )
    if creator and not access.within(creator, robot):
        raise Refusal(
            403,
            "permission scope is invalid. It must be equal to or more restrictive than the "
            f"creator robot's permissions: {call.caller.name}",
            code="DENIED",
        )
    stored = stored_name(call, robot)
    if len(stored) > 255:
        raise Refusal(500, "the name does not fit its column")
    robot_id = robot.id = harbor.state.next_id("robot")
    if any(r.name == name and r.project_id == project_id for r in harbor.robots.values()):
        raise Refusal(409, f"robot account {project_id}:{stored} already exists")
    secret = generate_secret(harbor)
    _set_secret(robot, secret)
    harbor.robots[robot_id] = robot
    values = {
        "creation_time": stamp(now),
        "expires_at": robot.expires_at,
        "id": robot_id,
        "name": full_name(call, robot),
        "secret": secret,
    }
    headers = {"location": f"/api/v2.0/robots/{robot_id}", "content-type": "application/json"}
    return Response(compact(values) + "\n", 201, headers=headers)


@routes.api("GET", "/robots/{robot_id}")
def get_robot(call: Call) -> Response:
    """Return one robot. Only ``expires_at`` shows whether it has expired."""
    return answer(_robot_json(call, _find_robot(call, "read")))


@routes.api("PUT", "/robots/{robot_id}")
async def update_robot(call: Call) -> Response:
    """Replace a robot. A missing field is reset, so a disabled robot may become enabled."""
    body = call.body("robot", _SHAPE)
    robot = copy.copy(_find_robot(call, "update"))
    duration = body.get("duration")
    _check(body, robot.duration if duration is None else duration)
    permissions = _permissions(call, body)
    if robot.project_id and permissions[0].namespace != robot.project_id:
        raise Refusal(400, "cannot update the project id of robot")
    level = "project" if robot.project_id else "system"
    if body["level"] != level or body.get("name") != full_name(call, robot):
        raise Refusal(400, "cannot update the level or name of robot")
    robot.permissions = permissions
    robot.description = body.get("description") or ""
    robot.disabled = body.get("disable") or False
    if duration is not None and duration != robot.duration:
        robot.duration = duration
        # Counted from the creation, not from now.
        created = int(robot.created.timestamp())
        robot.expires_at = -1 if duration == -1 else created + duration * _DAY
    await _write_back(call, robot)
    return done()


@routes.api("PATCH", "/robots/{robot_id}")
async def refresh_secret(call: Call) -> Response:
    """Set the given secret, or generate and return one. Nothing else changes."""
    body = call.body("robotSec", {"secret": str})
    robot = copy.copy(_find_robot(call, "update"))
    given = body.get("secret") or ""
    if given and not STRONG.fullmatch(given):
        raise Refusal(
            400,
            "the secret must be 8-128, inclusively, characters long with at least 1 uppercase "
            "letter, 1 lowercase letter and 1 number",
        )
    if given:
        call.harbor.issued_secrets.append(given)
    secret = given or generate_secret(call.harbor)
    _set_secret(robot, secret)
    await _write_back(call, robot)
    return answer({} if given else {"secret": secret})


async def _write_back(call: Call, robot: Robot) -> None:
    await asyncio.sleep(call.harbor.race_window)
    robot.updated = call.harbor.clock.now()
    if robot.id in call.harbor.robots:
        call.harbor.robots[robot.id] = robot


@routes.api("DELETE", "/robots/{robot_id}")
def delete_robot(call: Call) -> Response:
    """Delete a robot. Its name can be used again immediately."""
    del call.harbor.robots[_find_robot(call, "delete").id]
    return done()
