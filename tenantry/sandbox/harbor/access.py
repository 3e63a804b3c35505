"""Who is asking a simulated Harbor 2.15.2, and what they may do.

Simulated: basic auth of local users, of robots and by CLI secrets, sessions, roles in projects,
the grants of robots with their surprises, the lock after a wrong password. The IdP's ID tokens are
in oidc.py. Not simulated: that a CLI secret needs a living IdP, LDAP and UAA.
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


# Where a user's CLI secret is honoured; anywhere else it is but a wrong password.
_FOR_CLI = re.compile(
    r"\w+ /v2(/.*)?|GET /service/token|POST /api/v2\.0/projects/?"
    r"|GET /api/v2\.0/(projects|systeminfo|labels|repositories)/?"
    r"|GET /api/v2\.0/projects/[^/]+/repositories(/.*)?"
    r"|DELETE /api/v2\.0/projects/[^/]+/repositories/.+/artifacts/[^/]+/tags/[^/]+"
)


@dataclass(frozen=True)
class Caller:
    """Whoever asks: a user, a robot, or nobody."""

    name: str = ""
    user: User | None = None
    robot: Robot | None = None

    @property
    def known(self) -> bool:
        """Whether it is somebody."""
        return self.user is not None or self.robot is not None

    @property
    def admin(self) -> bool:
        """Whether it may do everything."""
        return self.user is not None and mighty(self.user)


NOBODY = Caller()


# --- Who is it -----------------------------------------------------------------------------------


def basic(header: str) -> tuple[str, str] | None:
    """Name and password of an Authorization header."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


async def authenticated(harbor: "SimulatedHarbor", request: Request) -> Caller:
    """Whoever the Authorization header proves: robots before users. Nobody if it is wrong."""
    credentials = basic(request.headers.get("authorization", ""))
    if credentials is None:
        return NOBODY
    name, password = credentials
    if user := _cli_user(harbor, name, password, f"{request.method} {request.scope['path']}"):
        return Caller(user.username, user=user)
    if robot := _robot(harbor, name, password):
        return Caller(name, robot=robot)
    # With OIDC only the admin's password is tried here, so all others are refused at once.
    if harbor.configuration["auth_mode"] == "oidc_auth" and name != ADMIN:
        return NOBODY
    user = await logged_in(harbor, name, password)
    return Caller(user.username, user=user) if user else NOBODY


async def logged_in(harbor: "SimulatedHarbor", name: str, password: str) -> User | None:
    """The local user of a right password. A wrong one takes its time and locks the name so long."""
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
            right = secrets.compare_digest(hashed(password, user.salt), user.password_hash)
            return user if right else None
    return None


def hashed(secret: str, salt: str) -> str:
    """A robot's secret, or a user's password, as it is stored."""
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


def _cli_user(harbor: "SimulatedHarbor", name: str, secret: str, asked: str) -> User | None:
    if harbor.configuration["auth_mode"] != "oidc_auth" or not _FOR_CLI.fullmatch(asked):
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
            right = secrets.compare_digest(hashed(secret, robot.salt), robot.secret_hash)
            return robot if right and not expired and not robot.disabled else None
    return None


# --- What may it do ------------------------------------------------------------------------------


def roles(harbor: "SimulatedHarbor", user: User, project: Project) -> list[int]:
    """A user's roles in a project, its own and its groups', the mightiest first."""
    if mighty(user):
        return [PROJECT_ADMIN]
    groups = {g.id for g in harbor.groups.values() if g.name in user.groups}
    found = {
        member.role_id
        for member in project.members.values()
        if (member.entity_type == "u" and member.entity_id == user.id)
        or (member.entity_type == "g" and member.entity_id in groups)
    }
    return [r for r in (PROJECT_ADMIN, MAINTAINER, DEVELOPER, GUEST, LIMITED_GUEST) if r in found]


def mighty(user: User) -> bool:
    """Whether a user is an admin, by birth, by flag or by the IdP's word."""
    return user.id == ADMIN_ID or user.sysadmin or user.admin_in_auth


def may(
    harbor: "SimulatedHarbor", caller: Caller, action: str, project: Project, resource: str
) -> bool:
    """Whether the caller may do this in the project."""
    if caller.admin:
        return True
    if project.public and action in PUBLIC.get(resource, ()):
        return True
    if caller.robot:
        return _granted(caller.robot, action, _path(project.id, resource))
    if caller.user:
        held = roles(harbor, caller.user, project)
        return any(action in ROLES[role].get(resource, ()) for role in held)
    return False


def may_system(caller: Caller, action: str, resource: str) -> bool:
    """Whether the caller may do this to the whole installation."""
    if caller.robot:
        return _granted(caller.robot, action, _path("/", resource))
    return caller.admin


def require_known(caller: Caller) -> None:
    """Refuse whoever is nobody."""
    if not caller.known:
        raise Refusal(401, "unauthorized")


def require_system(caller: Caller, action: str, resource: str) -> None:
    """Refuse whoever may not. The message is the name of the refused, as Harbor has it."""
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
    """The project, if it is there and the caller may; that it is missing only an admin learns."""
    if project is None and caller.admin:
        raise Refusal(404, f"project {called} not found")
    if project is None or not may(harbor, caller, action, project, resource):
        require_known(caller)
        raise Refusal(403, "forbidden")
    return project


def _path(namespace: int | str, resource: str) -> str:
    """A resource as a path: in Harbor's policies a project's own is the project's path itself."""
    if namespace == "/":
        return f"/system/{resource}"
    return f"/project/{namespace}" + ("" if resource == "project" else f"/{resource}")


def _granted(robot: Robot, action: str, path: str) -> bool:
    # A namespace `*` matches as a pattern of paths: project:update on `*` reaches all that lies
    # below any project, its robots and members too. It looks like an accident; it is a fact.
    for permission in robot.permissions:
        for resource, granted in permission.access:
            pattern = re.escape(_path(permission.namespace, resource)).replace(r"\*", ".*")
            if granted == action and re.fullmatch(pattern, path):
                return True
    return False


def within(robot: Robot, wanted: Robot) -> bool:
    """Whether all that one robot is to be granted is granted to the other, its maker."""
    held = {(p.kind, p.namespace, *access) for p in robot.permissions for access in p.access}
    return all(
        (p.kind, p.namespace, *access) in held or (p.kind, "*", *access) in held
        for p in wanted.permissions
        for access in p.access
    )
