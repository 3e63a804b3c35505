"""Authentication and authorization of a simulated Harbor 2.15.2.

Simulated: basic auth of local users, of robots and by CLI secrets, sessions, project roles, robot
grants with their unexpected effects, and the lock after a wrong password. The IdP's ID tokens are in
oidc.py. Not simulated: a CLI secret's need for a reachable IdP, LDAP and UAA.
"""

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request

from tenantry.sandbox.harbor.grants import (
    DEVELOPER,
    GUEST,
    LIMITED_GUEST,
    MAINTAINER,
    PROJECT_ADMIN,
    PUBLIC,
    ROLES,
)
from tenantry.sandbox.harbor.model import ADMIN_ID, Project, Robot, User
from tenantry.sandbox.harbor.wire import Refusal

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

ADMIN = "admin"
ADMIN_PASSWORD = "Harbor12345"


# The requests that accept a user's CLI secret. All others treat it as a wrong password.
_FOR_CLI = re.compile(
    r"\w+ /v2(/.*)?|GET /service/token|POST /api/v2\.0/projects/?"
    r"|GET /api/v2\.0/(projects|systeminfo|labels|repositories)/?"
    r"|GET /api/v2\.0/projects/[^/]+/repositories(/.*)?"
    r"|DELETE /api/v2\.0/projects/[^/]+/repositories/.+/artifacts/[^/]+/tags/[^/]+"
)


@dataclass(frozen=True)
class Caller:
    """The caller of a request: a user, a robot, or an anonymous client."""

    name: str = ""
    user: User | None = None
    robot: Robot | None = None

    @property
    def known(self) -> bool:
        """Whether the caller is authenticated."""
        return self.user is not None or self.robot is not None

    @property
    def admin(self) -> bool:
        """Whether the caller may do everything."""
        return self.user is not None and is_admin(self.user)


ANONYMOUS = Caller()


# --- Authentication ------------------------------------------------------------------------------


def basic(header: str) -> tuple[str, str] | None:
    """Return name and password of an Authorization header, or None if it has no valid basic auth."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


async def authenticate(harbor: "SimulatedHarbor", request: Request) -> Caller:
    """Return the caller that the Authorization header identifies, robots first.

    The caller is anonymous if the credentials are wrong.
    """
    credentials = basic(request.headers.get("authorization", ""))
    if credentials is None:
        return ANONYMOUS
    name, password = credentials
    if user := _cli_user(harbor, name, password, f"{request.method} {request.scope['path']}"):
        return Caller(user.username, user=user)
    if robot := _robot(harbor, name, password):
        return Caller(name, robot=robot)
    # With OIDC, Harbor checks only the admin's password, so others are rejected without delay.
    if harbor.configuration["auth_mode"] == "oidc_auth" and name != ADMIN:
        return ANONYMOUS
    user = await check_password(harbor, name, password)
    return Caller(user.username, user=user) if user else ANONYMOUS


async def check_password(harbor: "SimulatedHarbor", name: str, password: str) -> User | None:
    """Return the local user with this password, or None.

    A wrong password takes a while, and locks the name during that time.
    """
    if name in harbor.locked:
        return None
    if name == ADMIN and secrets.compare_digest(password.encode(), ADMIN_PASSWORD.encode()):
        return harbor.users[ADMIN_ID]
    if user := _local_user(harbor, name, password):
        return user
    harbor.locked[name] += 1
    try:
        await asyncio.sleep(harbor.login_delay)
    finally:
        harbor.locked[name] -= 1
        if not harbor.locked[name]:
            del harbor.locked[name]
    return None


def _local_user(harbor: "SimulatedHarbor", name: str, password: str) -> User | None:
    for user in harbor.users.values():
        if user.password_hash and name in (user.username, user.email):
            correct = secrets.compare_digest(hash_secret(password, user.salt), user.password_hash)
            return user if correct else None
    return None


def hash_secret(secret: str, salt: str) -> str:
    """Return the stored form of a robot's secret or a user's password."""
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


def _cli_user(harbor: "SimulatedHarbor", name: str, secret: str, endpoint: str) -> User | None:
    if harbor.configuration["auth_mode"] != "oidc_auth" or not _FOR_CLI.fullmatch(endpoint):
        return None
    for user in harbor.users.values():
        if user.username == name and user.cli_secret == secret and secret:
            return user
    return None


def _robot(harbor: "SimulatedHarbor", name: str, secret: str) -> Robot | None:
    prefix = harbor.configuration["robot_name_prefix"]
    if not name.startswith(prefix):
        return None
    project, plus, short = name[len(prefix) :].rpartition("+")
    project_id = 0
    if plus:
        if project not in harbor.projects:
            return None
        project_id = harbor.projects[project].id
    for robot in harbor.robots.values():
        if robot.name == short and robot.project_id == project_id:
            expired = 0 <= robot.expires_at <= harbor.clock.now().timestamp()
            correct = secrets.compare_digest(hash_secret(secret, robot.salt), robot.secret_hash)
            return robot if correct and not expired and not robot.disabled else None
    return None


# --- Authorization -------------------------------------------------------------------------------


def roles(harbor: "SimulatedHarbor", user: User, project: Project) -> list[int]:
    """Return the roles of a user and its groups in a project, the most powerful first."""
    if is_admin(user):
        return [PROJECT_ADMIN]
    groups = {g.id for g in harbor.groups.values() if g.name in user.groups}
    found = {
        member.role_id
        for member in project.members.values()
        if (member.entity_type == "u" and member.entity_id == user.id)
        or (member.entity_type == "g" and member.entity_id in groups)
    }
    return [r for r in (PROJECT_ADMIN, MAINTAINER, DEVELOPER, GUEST, LIMITED_GUEST) if r in found]


def is_admin(user: User) -> bool:
    """Return whether a user is the built-in admin, has the admin flag, or is an admin by the IdP."""
    return user.id == ADMIN_ID or user.sysadmin or user.admin_in_auth


def may(
    harbor: "SimulatedHarbor", caller: Caller, action: str, project: Project, resource: str
) -> bool:
    """Return whether the caller may perform the action on a resource of the project."""
    if caller.admin:
        return True
    if project.public and action in PUBLIC.get(resource, ()):
        return True
    if caller.robot:
        return _granted(caller.robot, action, _path(project.id, resource))
    if caller.user:
        user_roles = roles(harbor, caller.user, project)
        return any(action in ROLES[role].get(resource, ()) for role in user_roles)
    return False


def may_system(caller: Caller, action: str, resource: str) -> bool:
    """Return whether the caller may perform the action on a resource of the installation."""
    if caller.robot:
        return _granted(caller.robot, action, _path("/", resource))
    return caller.admin


def require_known(caller: Caller) -> None:
    """Raise Refusal if the caller is anonymous."""
    if not caller.known:
        raise Refusal(401, "unauthorized")


def require_system(caller: Caller, action: str, resource: str) -> None:
    """Raise Refusal if the caller may not do this. The message is the caller's name, as in Harbor."""
    require_known(caller)
    if not may_system(caller, action, resource):
        raise Refusal(403, caller.name)


def require_project(
    harbor: "SimulatedHarbor",
    caller: Caller,
    action: str,
    project: Project | None,
    resource: str,
    called: str,
) -> Project:
    """Return the project.

    Raises:
        Refusal: the caller may not do this, or the project does not exist. Only an admin gets
            different answers for the two.
    """
    if project is None and caller.admin:
        raise Refusal(404, f"project {called} not found")
    if project is None or not may(harbor, caller, action, project, resource):
        require_known(caller)
        raise Refusal(403, "forbidden")
    return project


def _path(namespace: int | str, resource: str) -> str:
    """Return a resource as a path, as in Harbor's policies."""
    if namespace == "/":
        return f"/system/{resource}"
    return f"/project/{namespace}" + ("" if resource == "project" else f"/{resource}")


def _granted(robot: Robot, action: str, path: str) -> bool:
    # A namespace `*` matches as a path pattern: project:update on `*` also covers everything below
    # any project, including robots and members. Harbor 2.15.2 behaves like this.
    for permission in robot.permissions:
        for resource, granted in permission.access:
            pattern = re.escape(_path(permission.namespace, resource)).replace(r"\*", ".*")
            if granted == action and re.fullmatch(pattern, path):
                return True
    return False


def within(robot: Robot, wanted: Robot) -> bool:
    """Return whether a robot has all permissions of the robot that it wants to create."""
    granted = {(p.kind, p.namespace, *access) for p in robot.permissions for access in p.access}
    return all(
        (p.kind, p.namespace, *access) in granted or (p.kind, "*", *access) in granted
        for p in wanted.permissions
        for access in p.access
    )
