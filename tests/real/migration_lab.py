"""A platform on a real Keycloak: its realm, the old identity provider, and the new one.

Harbor is simulated, or the given one if its OIDC provider may be replaced. Users log in to Harbor
by posting forms, as a browser does.
"""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tenantry import declared, onboarding
from tenantry.connections import Cluster, Connections, KeycloakAccount
from tenantry.files import FolderStore
from tenantry.migration import identities
from tenantry.migration.inspect_provider import inspect
from tenantry.migration.inspection import Inspection
from tenantry.migration.options import Options
from tenantry.migration.provider import ProviderMigration
from tenantry.migration.snapshot import Situation
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.real.conftest import Keycloak
from tests.real.lab_harbor import LabHarbor, new_mark
from tests.real.test_servers import QUICK_PASSWORDS, connected
from tests.support.harness import write
from tests.support.migration_harness import NEW, OLD
from tests.support.migration_store import begin
from tests.support.narrowing import present

PASSWORD = "wonderland"
SECRET = "the-brokers-secret"
_CLAIMS = ("id.token.claim", "access.token.claim", "userinfo.token.claim")


class MigrationLab:
    """Users in teams, both providers, and a migration between them.

    The names of teams and users, and of the objects derived from them in Harbor, contain the lab's
    mark.
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
        self.realm, self.old, self.new = (
            f"{name}-{self.mark}" for name in ("platform", "old", "new")
        )
        self.url, self.sandbox, self.folder = keycloak.url, sandbox, folder / "state"
        self.harbor = harbor
        self.store = FolderStore(folder / "store")
        self.admin = connected(keycloak)
        self.account = KeycloakAccount.model_validate(vars(keycloak))
        self.connections = Connections(
            harbor=harbor.account,
            keycloak=self.account,
            kubernetes=Cluster.model_validate(sandbox.addresses()["kubernetes"]),
        )
        self.teams = [f"t{number}-{self.mark}" for number in range(teams)]
        self.names = [f"user{number:02}-{self.mark}" for number in range(people)]

    def set_up(self) -> None:
        """Create the realms, the providers, the users and the teams."""
        self._put_secret()
        for realm, alias, group in ((self.old, OLD, "old-{}"), (self.new, NEW, "new-{}")):
            self._make_provider(realm, alias, group)
        self._declare()
        self.harbor.forget_provider()
        with self.systems() as systems:
            onboarding.configure(systems)
            for team in systems.state.teams.values():
                onboarding.onboard(systems, team)

    def close(self) -> None:
        """Remove the realms, and the lab's objects in Harbor."""
        with ExitStack() as stack:  # a failure in one cleanup does not prevent the others
            for realm in (self.realm, self.old, self.new):
                stack.callback(self.admin.delete_realm, realm)
            self.harbor.close(self.mark)

    def _put_secret(self) -> None:
        names = {"name": "broker", "namespace": "sso"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sso"}}
        data = {"client-secret": base64.b64encode(SECRET.encode()).decode()}
        self.sandbox.kubernetes.put(namespace)
        self.sandbox.kubernetes.put(
            {"apiVersion": "v1", "kind": "Secret", "metadata": names, "data": data}
        )

    def _make_provider(self, realm: str, alias: str, group: str) -> None:
        """Create a provider with all users; the new one has other names and ids for them."""
        mapper = {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {
                "claim.name": "groups",
                "full.path": "false",
                **dict.fromkeys(_CLAIMS, "true"),
            },
        }
        client = {
            "clientId": "broker",
            "secret": SECRET,
            "redirectUris": [f"{self.url}/realms/{self.realm}/broker/{alias}/endpoint"],
            "protocolMappers": [mapper],
        }
        self.admin.create_realm(
            {
                "realm": realm,
                "enabled": True,
                "passwordPolicy": QUICK_PASSWORDS,
                "duplicateEmailsAllowed": True,
                "loginWithEmailAllowed": False,
                "groups": [{"name": group.format(f"team-{team}")} for team in self.teams],
                "clients": [client],
                "users": [
                    self._user(name, realm, group.format(f"team-{self.team_of(number)}"))
                    for number, name in enumerate(self.names)
                ],
            }
        )

    def _user(self, name: str, realm: str, group: str | None = None) -> dict[str, Any]:
        return {
            "username": self.name_at(realm, name),
            "enabled": True,
            "email": f"{name}@example.test",
            "emailVerified": True,
            "firstName": name.title(),
            "lastName": "Example",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            "groups": [f"/{group}"] if group else [],
        }

    def team_of(self, number: int) -> str:
        """Return the team of the user with this number."""
        return self.teams[number % len(self.teams)]

    def name_at(self, realm: str, name: str) -> str:
        """Return the name of a user at a provider."""
        return f"{name}.new" if realm == self.new else name

    def add_at(self, realm: str, name: str, **changes: Any) -> str:
        """Create a user at a provider, and return the id."""
        self.admin.change_current_realm(realm)
        id: str = self.admin.create_user({**self._user(name, realm), **changes})
        return id

    def remove_at(self, realm: str, username: str) -> None:
        """Delete a user from a realm."""
        self.admin.change_current_realm(realm)
        self.admin.delete_user(present(self.admin.get_user_id(username)))

    def _declare(self) -> None:
        reference = {"namespace": "sso", "name": "broker"}
        shared = {"client_id": "broker", "client_secret": reference, "trust_email": True}
        providers = {
            OLD: {
                "group_name": "old-{group}",
                "connection": {"issuer": f"{self.url}/realms/{self.old}", **shared},
            },
            NEW: {
                "group_name": "new-{group}",
                "connection": {
                    "issuer": f"{self.url}/realms/{self.new}",
                    "hidden": True,
                    **shared,
                },
                "replaces": OLD,
            },
        }
        platform = {
            "name": "Migration",
            "harbor": {"single_sign_on": {"redirect_parameters": {"kc_idp_hint": OLD}}},
            "keycloak": {
                "realm": self.realm,
                "realm_settings": {},
                "external_providers": providers,
            },
        }
        write(self.folder, *({"name": team} for team in self.teams), platform=platform)

    def systems(self) -> Systems:
        """Return the systems for the current declared state."""
        return Systems(self.connections, declared.load(self.folder))

    # Logins

    def log_in(self, name: str, realm: str) -> dict[str, Any]:
        """Log a user in through the provider that Harbor redirects to; return Harbor's user."""
        self.harbor.settle()
        return self._log_in(name, realm)

    def refused(self, name: str, realm: str) -> tuple[int, str]:
        """Log a user in whom Harbor rejects, and return the status and text of the response."""
        self.harbor.settle()
        client, answer = self._walk(name, realm)
        client.close()
        return answer.status_code, answer.text

    def all_log_in(self, names: list[str], realm: str) -> dict[str, int]:
        """Log users in, assert that each first attempt succeeds, and return their ids in Harbor."""
        self.harbor.settle()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda name: self._log_in(name, realm), names))
        return {name: each["user_id"] for name, each in zip(names, found, strict=True)}

    def _log_in(self, name: str, realm: str) -> dict[str, Any]:
        client, answer = self._walk(name, realm)
        assert answer.status_code == 302, f"{answer.status_code}: {answer.text}"
        current = self.harbor.current(client)
        client.close()
        return current

    def _walk(self, name: str, realm: str) -> tuple[httpx.Client, httpx.Response]:
        return self.harbor.log_in(self.name_at(realm, name), PASSWORD)

    def send_to(self, alias: str) -> None:
        """Make Harbor redirect logins to a provider, as an operator without Tenantry would."""
        self.harbor.set(oidc_extra_redirect_parms=json.dumps({"kc_idp_hint": alias}))

    # The migration

    def migration(self, systems: Systems) -> ProviderMigration:
        """Return a migration without any state of earlier calls, as in a new process."""
        clock = self.sandbox.clock.now
        return begin(ProviderMigration, systems, self.store, self.folder, clock=clock)

    def inspect(self, options: Options) -> Inspection:
        """Inspect the platform, with the identities from the admin API of the new provider."""
        there = identities.from_keycloak(self.account, f"{self.url}/realms/{self.new}")
        with self.systems() as systems:
            return inspect(systems, OLD, NEW, there, options)

    def plan(self, options: Options) -> None:
        """Inspect, export the rights, and approve the plan."""
        found = self.inspect(options)
        with self.systems() as systems:
            migration = self.migration(systems)
            situation: Situation = "users" if options.recreate else "provider"
            migration.approve(migration.export(found, OLD, NEW, options, situation), "Ann")
