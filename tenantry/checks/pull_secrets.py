"""The check of image pull secrets that others have attached to the teams' ServiceAccounts.

Tenantry leaves them attached, since pods may depend on them. Once their credential no longer works,
nothing does.
"""

from collections.abc import Callable, Collection, Iterator

from tenantry.checks.login import Login
from tenantry.declared import Team
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.credentials.accounts import ACCOUNT
from tenantry.systems.credentials.contents import DOCKER, content
from tenantry.systems.credentials.foreign import SystemRobots
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import works
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.kinds import SECRET, SERVICE_ACCOUNT

CHECK = "pull secrets"


def pull_secrets(login: Login) -> Iterator[Finding]:
    """Check that the attached image pull secrets of others exist, and that their robots work."""
    teams = login.systems.state.teams.values()
    system = SystemRobots(login.harbor)

    def check(team: Team) -> Iterator[Finding]:
        yield from _of_team(login, team, system)

    yield from login.check_items(CHECK, teams, check, _describe)


def _describe(team: Team) -> tuple[Id, str]:
    return Id(SERVICE_ACCOUNT, f"{team.home_namespace}/{ACCOUNT}"), team.name


def _of_team(login: Login, team: Team, system: SystemRobots) -> Iterator[Finding]:
    cluster = login.systems.home_cluster
    own = {team.secret_name(purpose) for purpose in team.active_robots}
    project_robots: dict[str, Row] | None = None

    def find(name: str) -> Row | None:
        nonlocal project_robots
        if f"{team.project}+" not in name:
            return system.find(name)
        if project_robots is None:
            project = login.harbor.find(f"/projects/{team.project}", by_name=True)
            number = project["project_id"] if project else 0
            query = f"Level=project,ProjectID={number}"
            rows = login.harbor.pages("/robots", q=query) if project else ()
            project_robots = {row["name"]: row for row in rows}
        return project_robots.get(name)

    for namespace in team.namespaces:
        account = cluster.get("ServiceAccount", ACCOUNT, namespace) or {}
        names = {entry["name"] for entry in account.get("imagePullSecrets") or []}
        for name in sorted(names - own):
            secret = cluster.get("Secret", name, namespace)
            why = _why_unused(login, team, secret, find)
            if why:
                yield login.finding(
                    CHECK,
                    "info",
                    objects.id_of(SECRET, name, namespace),
                    f"ServiceAccount '{ACCOUNT}' refers to it, and {why}",
                    "Nothing uses it. Remove it from 'imagePullSecrets': kubectl edit serviceaccount "
                    f"{ACCOUNT} --namespace {namespace}. Then delete the Secret.",
                    team.name,
                )


def _why_unused(
    login: Login, team: Team, secret: Object | None, find: Callable[[str], Row | None]
) -> str:
    """Return why no pod can use an image pull secret; empty if one may."""
    if secret is None:
        return "it does not exist"
    if secret.get("type") != DOCKER:
        return ""
    registry = login.systems.credentials.registry
    held = content(secret, "docker", registry, lambda name: False)
    if held.credential is None or held.registry != registry or held.others.get("auths"):
        return ""
    name = held.credential.username
    if not _is_robot(name, str(login.settings["robot_name_prefix"]), [team.project]):
        return ""
    row = find(name)
    if row is None:
        return f"its robot '{name}' does not exist"
    return "" if works(row, login.systems.clock()) else f"its robot '{name}' is disabled or expired"


def _is_robot(name: str, prefix: str, projects: Collection[str]) -> bool:
    """Return whether a user name is that of a robot of the system level, or of one of these projects.

    Without a prefix, only the name of a project shows that an account is a robot.
    """
    rest = name.removeprefix(prefix)
    if "+" in rest:
        return rest.partition("+")[0] in projects
    return bool(prefix) and rest != name
