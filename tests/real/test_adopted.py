"""Adoption and rotation of other owners' robots on the given Harbor, or a simulated one.

Keycloak and Kubernetes are simulated. The clock of a given Harbor cannot be moved, so the runs get
their time as a parameter.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from tenantry.connections import Connections, HarborAccount
from tenantry.declared import Team, load
from tenantry.locks import NoLock
from tenantry.onboarding import onboard
from tenantry.plan import Plan
from tenantry.rotation import Outcome, RotationRequest, rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.real.servers.given import remove_from_harbor
from tests.support.addresses import GivenHarbor
from tests.support.harness import connections, granted, prepare, write

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.demand(
        "lifecycle",
        "adoption re-issues no credential; robots of others are rotated into ours with an overlap, "
        "on the given Harbor or a simulated one",
        sample=True,
    ),
]
PULL = [{"resource": "repository", "action": "pull"}]


@dataclass
class Site:
    """A project, a namespace, and a robot that another tool created.

    Attributes:
        sandbox: the simulated systems.
        account: the Harbor.
        name: the name of the team.
        folder: the folder of the declared state.
        now: the time of the next run.
        login: the user name and the password of the robot.
    """

    sandbox: Sandbox
    account: HarborAccount
    name: str
    folder: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    login: tuple[str, str] = ("", "")

    @property
    def connections(self) -> Connections:
        return connections(self.sandbox).model_copy(update={"harbor": self.account})

    def systems(self) -> Systems:
        """Return the systems of a new process."""
        return Systems(self.connections, load(self.folder), clock=lambda: self.now)

    def build(self, level: Literal["project", "system"]) -> None:
        """Create the objects as another tool does."""
        project, short = f"team-{self.name}", f"other-team-{self.name}-pull"
        write(self.folder, {"name": self.name})
        with self.systems() as systems:
            harbor = systems.harbor_client
            harbor.post("/projects", {"project_name": project})
            permissions = [{"kind": "project", "namespace": project, "access": PULL}]
            body = {"name": short, "level": level, "duration": -1, "permissions": permissions}
            made = harbor.post("/robots", body).json()
            self.login = made["name"], made["secret"]
            registry = systems.credentials.registry
        auth = base64.b64encode(":".join(self.login).encode()).decode()
        config = json.dumps({"auths": {registry: {"auth": auth}}}, indent=1)
        metadata = {"name": "harbor-pull", "namespace": project}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": project}}
        self.sandbox.kubernetes.put(namespace)
        self.sandbox.kubernetes.put(secret)

    def declare(self) -> None:
        """Declare that the team adopts all of it, and that its robot replaces the other one."""
        name = self.login[0]
        robot = {"replaces": [name], "rotation": {"max_age_days": 60}}
        team = {"name": self.name, "adopt": "yes", "robots": {"pull": robot, "ci": None}}
        write(self.folder, team, platform=granted(self.name, adopt="yes", replaces=[name]))

    def team(self, systems: Systems) -> Team:
        return systems.state.teams[self.name]

    def secret(self) -> Any:
        found = self.sandbox.kubernetes.get("Secret", "harbor-pull", f"team-{self.name}")
        assert found is not None
        return found

    def published(self) -> tuple[str, str]:
        """Return the user name and the password in the Secret."""
        config = json.loads(base64.b64decode(self.secret()["data"][".dockerconfigjson"]))
        ((_, entry),) = config["auths"].items()
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return username, password

    def plan(self) -> Plan:
        with self.systems() as systems:
            team = self.team(systems)
            return systems.plan(team, observe_owners(systems.team_adapters, [team]))

    def rotate(self, **later: float) -> Outcome:
        self.now += timedelta(**later)
        with self.systems() as systems:
            request = RotationRequest(self.now)
            (outcome,) = rotate(systems, [self.team(systems)], request, self.now, NoLock())
        assert outcome.error is None
        return outcome

    def accepts(self, login: tuple[str, str]) -> bool:
        with self.systems() as systems:
            return systems.harbor_client.accepts(*login)


@pytest.fixture
def site(given_harbor: GivenHarbor | None, tmp_path: Path) -> Iterator[Site]:
    mark = uuid.uuid4().hex[:8]
    with Sandbox() as sandbox:
        prepare(sandbox)
        account = given_harbor or HarborAccount.model_validate(sandbox.addresses()["harbor"])
        try:
            yield Site(sandbox, account, f"adopt-{mark}", tmp_path / "state")
        finally:
            remove_from_harbor(account, mark)


@pytest.mark.parametrize("level", ["project", "system"])
def test_a_robot_of_another_tool_is_adopted_and_rotated_into_ours(
    site: Site, level: Literal["project", "system"]
) -> None:
    site.build(level)
    site.declare()
    before = site.secret()["data"]

    plan = site.plan()
    assert not plan.refusals
    assert not [each for each in plan.changes if each.id.kind.name == "robot"]
    with site.systems() as systems:
        onboard(systems, site.team(systems))

    assert site.secret()["data"] == before
    assert site.accepts(site.login)
    assert site.plan() == Plan(site.name)

    outcome = site.rotate()
    assert (outcome.why, outcome.rotated) == ("adopted", True)
    assert site.published()[0].endswith(f"team-{site.name}+pull-a")
    assert site.accepts(site.published())
    assert site.accepts(site.login), "the other robot overlaps"
    assert site.plan() == Plan(site.name)

    site.rotate(hours=25)
    assert not site.accepts(site.login)
    assert site.accepts(site.published())
    site.rotate(days=8)
    with site.systems() as systems:
        names = {row["name"] for row in systems.harbor_client.pages("/robots")}
        assert site.login[0] not in names
    assert site.accepts(site.published())
