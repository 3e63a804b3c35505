"""A real Keycloak with two realms: the one that Harbor trusts, and the one that it is to trust.

Harbor is the sandbox's. People log in through it by posting forms, as a browser does.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tenantry import declared, onboarding
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.errors import NotOurs
from tenantry.migration import identities
from tenantry.migration.inspect_issuer import inspect, issuers
from tenantry.migration.inspection import Inspection
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.order import Order
from tenantry.sandbox import Sandbox
from tenantry.systems import Systems
from tests.bench import write
from tests.migration_store import FolderStore, begin
from tests.real.conftest import Keycloak
from tests.real.servers import browser
from tests.real.test_servers import QUICK_PASSWORDS, connected, unique
from tests.sandbox.calls import Caller

PASSWORD = "wonderland"


class IssuerLab:
    """Harbor trusts the first realm; what is declared by now is the second."""

    def __init__(
        self, keycloak: Keycloak, sandbox: Sandbox, folder: Path, people: int, teams: int
    ) -> None:
        self.old, self.new = unique("old"), unique("new")
        self.url, self.sandbox, self.folder = keycloak.url, sandbox, folder / "state"
        self.store = FolderStore(folder / "store")
        self.admin = connected(keycloak)
        harbor = sandbox.addresses()["harbor"]
        self.harbor = harbor["url"]
        self.caller = Caller(self.harbor, harbor["username"], harbor["password"])
        self.connections = Connections(
            harbor=HarborAccount.model_validate(harbor),
            keycloak=KeycloakAccount.model_validate(vars(keycloak)),
            kubernetes=Cluster.model_validate(sandbox.addresses()["kubernetes"]),
        )
        self.teams = [f"t{number}" for number in range(teams)]
        self.names = [f"user{number:02}" for number in range(people)]
        for realm in (self.old, self.new):
            self._make_realm(realm)
            self._declare(realm)
            with self.systems() as systems:
                self.refused = self._configure(systems)
                for team in systems.state.teams.values():
                    onboarding.onboard(systems, team)
            self._fill(realm)
            if realm == self.old:
                self.ids = self.all_log_in(self.names)

    def close(self) -> None:
        """Takes the realms away."""
        for realm in (self.old, self.new):
            self.admin.delete_realm(realm)

    def _configure(self, systems: Systems) -> str:
        """Configures the platform, and gives the words in which it was refused."""
        try:
            onboarding.configure(systems)
        except NotOurs as error:
            return str(error)
        return ""

    def _make_realm(self, realm: str) -> None:
        self.admin.create_realm(
            {
                "realm": realm,
                "enabled": True,
                "passwordPolicy": QUICK_PASSWORDS,
                "duplicateEmailsAllowed": True,
                "loginWithEmailAllowed": False,
            }
        )

    def _fill(self, realm: str) -> None:
        self.admin.change_current_realm(realm)
        # Who is imported has no role by default, and without it no offline token.
        roles = {"realmRoles": [f"default-roles-{realm}"]}
        users = [
            self._user(name, f"/team-{self.teams[number % len(self.teams)]}") | roles
            for number, name in enumerate(self.names)
        ]
        self.admin.partial_import_realm(realm, {"ifResourceExists": "FAIL", "users": users})

    def _user(self, name: str, group: str | None = None) -> dict[str, Any]:
        return {
            "username": name,
            "enabled": True,
            "email": f"{name}@example.test",
            "emailVerified": True,
            "firstName": name.title(),
            "lastName": "Example",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            "groups": [group] if group else [],
        }

    def add_at(self, realm: str, name: str, **changes: Any) -> str:
        """Somebody more in a realm; the id."""
        self.admin.change_current_realm(realm)
        id: str = self.admin.create_user({**self._user(name), **changes})
        return id

    def remove_at(self, realm: str, username: str) -> None:
        """Takes somebody away."""
        self.admin.change_current_realm(realm)
        self.admin.delete_user(self.admin.get_user_id(username))

    def _declare(self, realm: str) -> None:
        platform = {
            "name": "Issuers",
            "harbor": {"single_sign_on": {}},
            "keycloak": {"realm": realm},
        }
        write(self.folder, *({"name": team} for team in self.teams), platform=platform)

    def systems(self) -> Systems:
        """The systems, for what is declared now."""
        return Systems(self.connections, declared.load(self.folder))

    # Logins

    def log_in(self, name: str) -> tuple[int, str, int]:
        """Status and text of Harbor's answer to a login, and the id of whoever is in then."""
        self.sandbox.harbor.provider = None  # what Harbor remembers of its settings for 3 s
        login, back = (f"{self.harbor}/c/oidc/{step}" for step in ("login", "callback"))
        client, answer = browser.log_in_at(login, back, name, PASSWORD)
        id = 0
        if answer.status_code == 302:
            id = client.get(f"{self.harbor}/api/v2.0/users/current").json()["user_id"]
        client.close()
        return answer.status_code, answer.text, id

    def all_log_in(self, names: list[str]) -> dict[str, int]:
        """Everybody's id in Harbor, after a login at the first try."""
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(self.log_in, names))
        assert {status for status, _, _ in found} == {302}, found
        return {name: id for name, (_, _, id) in zip(names, found, strict=True)}

    # The migration

    def migration(self, systems: Systems) -> IssuerMigration:
        """A migration as a process has it that starts now."""
        clock = self.sandbox.clock.now
        return begin(IssuerMigration, systems, self.store, self.folder, clock=clock)

    def inspect(self, order: Order) -> Inspection:
        """The look, by the new realm's own admin API."""
        with self.systems() as systems:
            there = identities.of_realm(systems.keycloak_client)
            return inspect(systems, *issuers(systems), there, order)

    def plan(self, order: Order) -> None:
        """Looked at, exported and approved."""
        found = self.inspect(order)
        with self.systems() as systems:
            migration, (old, new) = self.migration(systems), issuers(systems)
            migration.approve(migration.export(found, old, new, order, "issuer"), "Ann")
