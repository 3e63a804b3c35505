"""A real Keycloak with two realms: the old issuer, which Harbor trusts, and the new issuer.

Harbor is simulated, or the given one if its OIDC provider may be replaced. Users log in to Harbor
by posting forms, as a browser does.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tenantry import declared, onboarding
from tenantry.connections import Cluster, Connections, KeycloakAccount
from tenantry.errors import NotOurs
from tenantry.files import FolderStore
from tenantry.migration import identities
from tenantry.migration.inspect_issuer import find_issuers, inspect
from tenantry.migration.inspection import Inspection
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.options import Options
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.real.conftest import Keycloak
from tests.real.lab_harbor import LabHarbor, new_mark
from tests.real.test_servers import QUICK_PASSWORDS, connected
from tests.support.harness import write
from tests.support.migration_store import begin
from tests.support.narrowing import present

PASSWORD = "wonderland"


class IssuerLab:
    """A Harbor that trusts the first realm, while the declared state already names the second.

    The names of teams and users, and of the objects derived from them in Harbor, contain the lab's
    mark.

    Attributes:
        ids: the id of each user in Harbor, after a login through the first realm.
        refused: the message with which Tenantry refused to make Harbor trust the second realm.
    """

    def __init__(
        self,
        keycloak: Keycloak,
        sandbox: Sandbox,
        harbor: LabHarbor,
        folder: Path,
        people: int,
        teams: int,
    ) -> None:
        self.mark = new_mark()
        self.old, self.new = f"old-{self.mark}", f"new-{self.mark}"
        self.url, self.sandbox, self.folder = keycloak.url, sandbox, folder / "state"
        self.harbor = harbor
        self.store = FolderStore(folder / "store")
        self.admin = connected(keycloak)
        self.connections = Connections(
            harbor=harbor.account,
            keycloak=KeycloakAccount.model_validate(vars(keycloak)),
            kubernetes=Cluster.model_validate(sandbox.addresses()["kubernetes"]),
        )
        self.teams = [f"t{number}-{self.mark}" for number in range(teams)]
        self.names = [f"user{number:02}-{self.mark}" for number in range(people)]
        self.ids: dict[str, int] = {}
        self.refused = ""

    def set_up(self) -> None:
        """Create both realms and the teams, and log all users in through the first realm."""
        self.harbor.forget_provider()
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
        """Remove the realms, and the lab's objects in Harbor."""
        with ExitStack() as stack:  # a failure in one cleanup does not prevent the others
            for realm in (self.old, self.new):
                stack.callback(self.admin.delete_realm, realm)
            self.harbor.close(self.mark)

    def _configure(self, systems: Systems) -> str:
        """Configure the platform, and return the message of the refusal."""
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
        # An imported user has no default role, and gets no offline token without it.
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
        """Create a user in a realm, and return the id."""
        self.admin.change_current_realm(realm)
        id: str = self.admin.create_user({**self._user(name), **changes})
        return id

    def remove_at(self, realm: str, username: str) -> None:
        """Delete a user from a realm."""
        self.admin.change_current_realm(realm)
        self.admin.delete_user(present(self.admin.get_user_id(username)))

    def _declare(self, realm: str) -> None:
        platform = {
            "name": "Issuers",
            "harbor": {"single_sign_on": {}},
            "keycloak": {"realm": realm},
        }
        write(self.folder, *({"name": team} for team in self.teams), platform=platform)

    def systems(self) -> Systems:
        """Return the systems for the current declared state."""
        return Systems(self.connections, declared.load(self.folder))

    # Logins

    def log_in(self, name: str) -> tuple[int, str, int]:
        """Log in to Harbor, and return the status and text of its response and the user's id."""
        self.harbor.settle()
        return self._log_in(name)

    def all_log_in(self, names: list[str]) -> dict[str, int]:
        """Log users in, assert that each first attempt succeeds, and return their ids in Harbor."""
        self.harbor.settle()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(self._log_in, names))
        assert {status for status, _, _ in found} == {302}, found
        return {name: id for name, (_, _, id) in zip(names, found, strict=True)}

    def _log_in(self, name: str) -> tuple[int, str, int]:
        client, answer = self.harbor.log_in(name, PASSWORD)
        id = self.harbor.current(client)["user_id"] if answer.status_code == 302 else 0
        client.close()
        return answer.status_code, answer.text, id

    # The migration

    def migration(self, systems: Systems) -> IssuerMigration:
        """Return a migration without any state of earlier calls, as in a new process."""
        clock = self.sandbox.clock.now
        return begin(IssuerMigration, systems, self.store, self.folder, clock=clock)

    def inspect(self, options: Options) -> Inspection:
        """Inspect the platform, with the identities from the admin API of the new realm."""
        with self.systems() as systems:
            there = identities.from_realm(systems.keycloak_client)
            return inspect(systems, *find_issuers(systems), there, options)

    def plan(self, options: Options) -> None:
        """Inspect, export the rights, and approve the plan."""
        found = self.inspect(options)
        with self.systems() as systems:
            migration, (old, new) = self.migration(systems), find_issuers(systems)
            migration.approve(migration.export(found, old, new, options, "issuer"), "Ann")
