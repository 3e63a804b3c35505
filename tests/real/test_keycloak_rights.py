"""Every flow succeeds on a real Keycloak with the realm roles that docs/security.md lists.

Without any one of these roles, a flow must fail. Harbor and the cluster are simulated.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tenantry import checks, declared, drift, onboarding
from tenantry.connections import KeycloakAccount
from tenantry.errors import SystemRefused, TenantryError
from tenantry.locks import NoLock
from tenantry.migration import report
from tenantry.migration.options import Options
from tenantry.rotation import RotationRequest as Rotation
from tenantry.rotation import rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.drift.watch import remediate
from tests.real.conftest import Keycloak
from tests.real.lab_harbor import LabHarbor
from tests.real.migration_lab import MigrationLab
from tests.support.migration_harness import OLD
from tests.support.narrowing import present

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.demand("isolation", "all of tests/real/test_keycloak_rights.py"),
]

ROLES = ("manage-users", "manage-clients", "manage-identity-providers")
"""The roles of the client `realm-management` that every platform needs."""
MORE = ("manage-realm",)
"""The additional role for `keycloak.realm_settings` and for migrations that re-create users."""
PASSWORD = "only-these-roles"


class Limited:
    """A platform whose flows log in to Keycloak with an account of the realm."""

    def __init__(self, lab: MigrationLab) -> None:
        self.lab = lab
        self._users = 0

    def log_in_with(self, *roles: str) -> None:
        """Create an account with exactly these roles, and use it from now on."""
        admin, realm = self.lab.admin, self.lab.realm
        admin.change_current_realm(realm)
        self._users += 1
        name = f"tenantry{self._users}"
        user: Any = admin.create_user(
            {
                "username": name,
                "enabled": True,
                "firstName": "A",
                "lastName": "B",
                "email": f"{name}@example.test",
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            }
        )
        client = present(admin.get_client_id("realm-management"))
        given = [admin.get_client_role(client, role) for role in roles]
        if given:
            admin.assign_client_role(user, client, given)
        account = KeycloakAccount(
            url=self.lab.url, username=name, password=SecretStr(PASSWORD), realm=realm
        )
        self.lab.connections = self.lab.connections.model_copy(update={"keycloak": account})

    def systems(self, *, extras: bool = False) -> Systems:
        state = declared.load(self.lab.folder)
        return Systems(self.lab.connections, state, extras=extras, clock=self.lab.sandbox.clock.now)

    # The flows

    def onboard_team(self) -> None:
        """Onboard a team with all kinds of objects that a team can have in Keycloak."""
        self._users += 1
        name = f"n{self._users}-{self.lab.mark}"
        text = (
            f"name: {name}\nmembers: [{self.lab.names[0]}]\n"
            "oidc_clients: {app: {redirect_uris: [https://app.example.com/cb]}}\n"
            f"external_groups: {{{OLD}: [of-{name}]}}\n"
        )
        (self.lab.folder / "teams" / f"{name}.yaml").write_text(text)
        with self.systems() as systems:
            systems.check()
            onboarding.onboard(systems, systems.state.teams[name])

    def detect_drift(self) -> None:
        """Change objects by hand, and find and remediate all of the drift."""
        admin, team = self.lab.admin, self.lab.teams[0]
        admin.change_current_realm(self.lab.realm)
        for group in admin.get_groups({"search": f"team-{team}"}):  # none after a failed run
            admin.delete_group(group["id"])
        with self.systems(extras=True) as systems:
            teams = list(systems.state.teams.values())
            seen = drift.observe(systems, teams, drift.SYSTEMS)
            detected = drift.detect(systems, teams, seen, drift.SYSTEMS)
            refuse_unreadable(detected.report.findings)
            assert any(each.resource.kind.name == "group" for each in detected.report.findings)
            remediate(systems, detected)

    def rotate_robots(self) -> None:
        with self.systems() as systems:
            self.lab.sandbox.clock.move(3600)
            now = self.lab.sandbox.clock.now()
            teams = list(systems.state.teams.values())[:1]
            for outcome in rotate(systems, teams, Rotation(now, force=True), now, NoLock()):
                if outcome.error:
                    raise outcome.error

    def configure_platform(self) -> None:
        """Change Harbor's client, a provider and a mapper by hand, and configure the platform."""
        admin = self.lab.admin
        admin.change_current_realm(self.lab.realm)
        client = admin.get_client(present(admin.get_client_id("harbor")))
        for mapper in client["protocolMappers"]:
            admin.remove_client_mapper(client["id"], mapper["id"])
        admin.update_client(client["id"], {**client, "redirectUris": ["https://else.test/*"]})
        admin.update_idp(OLD, {**admin.get_idp(OLD), "trustEmail": False})
        with self.systems() as systems:
            done = onboarding.configure(systems).done
        assert {"client", "identity provider"} <= {change.id.kind.name for change in done}

    def check_platform(self) -> None:
        with self.systems() as systems:
            found = checks.check_all(systems)
        keycloaks = [each for each in found if each.resource.system == "keycloak"]
        refuse_unreadable(keycloaks)

    def migrate(self, **changes: Any) -> None:
        """Migrate users to the other provider, and roll back."""
        lab = self.lab
        options = Options(soak_hours=24, **changes)
        lab.plan(options)
        with self.systems() as systems:
            migration = lab.migration(systems)
            migration.move()
            migration.switch()
        with self.systems() as systems:
            migration = lab.migration(systems)
            report.compare(migration)
            migration.roll_back()

    @property
    def flows(self) -> list[Callable[[], None]]:
        return [
            self.onboard_team,
            self.detect_drift,
            self.rotate_robots,
            self.configure_platform,
            self.check_platform,
            self.migrate,
        ]


def refuse_unreadable(findings: Any) -> None:
    unread = [each.detail for each in findings if each.class_ == "unreadable"]
    if unread:
        raise SystemRefused("keycloak", "read", "; ".join(unread), status=403)


@pytest.fixture(scope="module")
def limited(real_keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    with Sandbox() as sandbox, ExitStack() as stack:
        harbor = LabHarbor(sandbox, None)
        folder = tmp_path_factory.mktemp("keycloak-rights")
        lab = MigrationLab(real_keycloak, sandbox, harbor, folder, people=2, teams=2)
        stack.callback(lab.close)
        lab.set_up()
        lab.all_log_in(lab.names, lab.old)
        without_realm_settings(lab.folder)
        yield Limited(lab)


def without_realm_settings(folder: Path) -> None:
    """Remove `realm_settings` from the platform, because they need one more role."""
    file = folder / "platform.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "realm_settings" not in line))


@pytest.mark.demand(
    "isolation", "real Keycloak: every flow runs with exactly the documented realm roles"
)
@pytest.mark.parametrize("number", range(6))
def test_every_flow_runs_with_exactly_these_roles(limited: Limited, number: int) -> None:
    limited.log_in_with(*ROLES)
    limited.flows[number]()


@pytest.mark.demand("isolation", "real Keycloak: without any one of them, a flow fails")
@pytest.mark.parametrize("role", ROLES)
def test_without_one_of_them_a_flow_fails(limited: Limited, role: str) -> None:
    limited.log_in_with(*(each for each in ROLES if each != role))
    failed = []
    for flow in (limited.onboard_team, limited.detect_drift, limited.configure_platform):
        try:
            flow()
        except TenantryError as error:
            failed.append(str(error))

    assert any("Keycloak" in text and "403" in text for text in failed), failed


def test_realm_settings_and_recreated_users_need_one_role_more(limited: Limited) -> None:
    lab = limited.lab
    file = lab.folder / "platform.yaml"
    before = file.read_text()
    declared_settings = "keycloak:\n  realm_settings: {access_token_minutes: 7}\n"
    file.write_text(before.replace("keycloak:\n", declared_settings))
    try:
        limited.log_in_with(*ROLES)
        with pytest.raises(SystemRefused), limited.systems() as systems:
            onboarding.configure(systems)
        with pytest.raises(TenantryError):
            limited.migrate(recreate=True, max_wave_percent=100)
        limited.log_in_with(*ROLES, *MORE)
        with limited.systems() as systems:
            assert onboarding.configure(systems).done
            assert onboarding.configure(systems).done == ()
    finally:
        file.write_text(before)


def test_an_account_without_a_role_gets_a_message_that_names_the_cause(limited: Limited) -> None:
    limited.log_in_with()
    with pytest.raises(SystemRefused) as refused:
        limited.onboard_team()
    assert "The account of the Keycloak connection lacks this right" in str(refused.value)
