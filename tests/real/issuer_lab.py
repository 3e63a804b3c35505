"""A real Keycloak with two realms: the one that Harbor trusts, and the one that it is to trust.

Harbor is the sandbox's, or the one that is given if its provider may be replaced. People log in
through it by posting forms, as a browser does.
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

PASSWORD = "wonderland"


class IssuerLab:
    """Harbor trusts the first realm; what is declared by now is the second.

    Teams and people have the lab's mark in their names, as has what comes of them in Harbor.

    Attributes:
        ids: everybody's id in Harbor, by the first realm.
        refused: the words in which Tenantry refused to let Harbor trust the second.
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
        """Makes all of it, and everybody logs in by the first realm."""
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
        """Takes the realms away, and what was made in Harbor."""
        with ExitStack() as stack:  # each of them, whatever becomes of the others
            for realm in (self.old, self.new):
                stack.callback(self.admin.delete_realm, realm)
            self.harbor.close(self.mark)

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
        self.harbor.settle()
        return self._log_in(name)

    def all_log_in(self, names: list[str]) -> dict[str, int]:
        """Everybody's id in Harbor, after a login at the first try."""
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
        """A migration as a process has it that starts now."""
        clock = self.sandbox.clock.now
        return begin(IssuerMigration, systems, self.store, self.folder, clock=clock)

    def inspect(self, options: Options) -> Inspection:
        """The look, by the new realm's own admin API."""
        with self.systems() as systems:
            there = identities.from_realm(systems.keycloak_client)
            return inspect(systems, *find_issuers(systems), there, options)

    def plan(self, options: Options) -> None:
        """Looked at, exported and approved."""
        found = self.inspect(options)
        with self.systems() as systems:
            migration, (old, new) = self.migration(systems), find_issuers(systems)
            migration.approve(migration.export(found, old, new, options, "issuer"), "Ann")
