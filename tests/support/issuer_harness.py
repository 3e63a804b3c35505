"""A bench for migrations of the issuer: Harbor shall trust another realm."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tenantry import declared
from tenantry.connections import KeycloakAccount
from tenantry.files import FolderStore
from tenantry.migration import identities
from tenantry.migration.inspect_issuer import find_issuers, inspect
from tenantry.migration.inspection import Inspection
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.options import Options
from tenantry.migration.snapshot import Identity
from tenantry.sandbox.harbor.users import sign_in
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.sandbox.keycloak.state import User, new_id
from tenantry.walk import observe_owners
from tests.real.servers import browser
from tests.support.harness import REALM, Bench, Data
from tests.support.migration_harness import give_harbor_rights, harbor_rights, harbor_user
from tests.support.migration_store import begin

TO = "people"
OPTIONS = Options(pilot=("user00",), wave_percent=100, max_wave_percent=100, soak_hours=24)


class IssuerBench:
    """Harbor trusts the realm `platform`; the declared realm is `people`."""

    def __init__(self, bench: Bench, people: int = 5, teams: int = 2) -> None:
        self.bench, self.sandbox = bench, bench.sandbox
        self.teams = [f"t{number}" for number in range(teams)]
        self.base = self.sandbox.addresses()["keycloak"]["url"]
        self.harbor = self.sandbox.addresses()["harbor"]["url"]
        self.store = FolderStore(bench.folder.parent / "store")
        self.sandbox.keycloak.realms[TO] = new_realm(TO, {"enabled": True})
        for realm in (REALM, TO):
            self.declare(realm)
            self.configure()
            for team in bench.teams:
                bench.onboard(team.name)
            for number in range(people):
                self.add_person(realm, f"user{number:02}", self.teams[number % teams])
        give_harbor_rights(bench)

    def declare(self, realm: str) -> None:
        """Declare a realm."""
        platform: Data = {
            "name": "Test platform",
            "harbor": {"single_sign_on": {}},
            "keycloak": {"realm": realm},
        }
        self.bench.declare(*({"name": name} for name in self.teams), platform=platform)

    def configure(self) -> list[str]:
        """Configure the platform as declared, and return what was refused, with the reasons."""
        self.bench.state = declared.load(self.bench.folder)
        with self.bench.process() as systems:
            observed = observe_owners(systems.platform_adapters, [systems.state.platform])
            plan = systems.plan_platform(observed)
            systems.apply(plan, observed)
        return [f"{refusal.id}: {refusal.reason}" for refusal in plan.refusals]

    def issuer(self, realm: str) -> str:
        """Return the issuer of a realm."""
        return f"{self.base}/realms/{realm}"

    # People

    def add_person(self, realm: str, name: str, team: str) -> str:
        """Add a user to a realm, and return the id; users of the first realm log in to Harbor."""
        held = self.sandbox.keycloak.realms[realm]
        user = User(new_id(), name, 1_700_000_000_000, enabled=True, email=f"{name}@corp.test")
        user.first_name, user.last_name, user.password = name.title(), "Person", name
        held.add_user(user)
        group = next(group for group in held.groups.values() if group.name == f"team-{team}")
        held.join(user, group)
        if realm == REALM:
            issuer = self.issuer(realm)
            sign_in(self.sandbox.harbor, name, user.email, user.id, issuer, [group.name])
        return user.id

    def user(self, name: str) -> Any:
        """Return a user of Harbor."""
        return harbor_user(self.sandbox, name)

    def log_in(self, name: str) -> int:
        """Log in through the login pages, and return the status of Harbor's answer."""
        login, back = (f"{self.harbor}/c/oidc/{step}" for step in ("login", "callback"))
        self.sandbox.harbor.provider = None  # it caches the provider for 3 s
        client, answer = browser.log_in_at(login, back, name, name)
        client.close()
        return answer.status_code

    @property
    def names(self) -> list[str]:
        """The names of all users of the first realm."""
        return sorted(user.username for user in self.sandbox.keycloak.realms[REALM].users.values())

    def log_in_again(self, realm: str, names: Sequence[str] | None = None) -> None:
        """Log users in to Harbor, without the login pages; by default all of the first realm."""
        held = self.sandbox.keycloak.realms[realm]
        for name in self.names if names is None else names:
            user = held.user_named(name)
            assert user is not None
            groups = [held.groups[group].name for group in user.groups]
            issuer = self.issuer(realm)
            sign_in(self.sandbox.harbor, name, user.email, user.id, issuer, groups)

    def rights(self) -> dict[str, Any]:
        """Return the rights of all users in Harbor, by name."""
        return harbor_rights(self.sandbox)

    @property
    def trusted(self) -> str:
        """The issuer that Harbor trusts."""
        return str(self.sandbox.harbor.configuration["oidc_endpoint"])

    # The migration

    @contextmanager
    def process(self) -> Iterator[IssuerMigration]:
        """Return the migration in a new process."""
        self.bench.state = declared.load(self.bench.folder)
        with self.bench.process() as systems:
            clock = self.sandbox.clock.now
            yield begin(IssuerMigration, systems, self.store, self.bench.folder, clock=clock)

    def identities(self) -> list[Identity]:
        """Return all users of the new realm, read through its admin API."""
        account = KeycloakAccount.model_validate(self.sandbox.addresses()["keycloak"])
        return identities.from_keycloak(account, self.issuer(TO))

    def inspect(
        self, options: Options = OPTIONS, found: Sequence[Identity] | None = None
    ) -> Inspection:
        """Return the inspection."""
        with self.bench.process() as systems:
            old, new = find_issuers(systems)
        return self.inspect_between(old, new, options, found)

    def inspect_between(
        self,
        old: str,
        new: str,
        options: Options = OPTIONS,
        found: Sequence[Identity] | None = None,
    ) -> Inspection:
        """Return the inspection for a change from one issuer to another, declared or not."""
        self.bench.state = declared.load(self.bench.folder)
        with self.bench.process() as systems:
            there = identities.from_realm(systems.keycloak_client) if found is None else found
            return inspect(systems, old, new, there, options)

    def migrate(self, options: Options = OPTIONS, until: str = "moved") -> None:
        """Run the migration up to a phase; continue if a process has begun it."""
        with self.process() as migration:
            on = migration.is_on
        if not on:
            found = self.inspect(options)
            with self.process() as migration:
                old, new = self.issuer(REALM), self.issuer(TO)
                migration.export(found, old, new, options, "issuer")
        if until == "exported":
            return
        with self.process() as migration:
            migration.approve(migration.entry.plan, "Ann")
            if until == "approved":
                return
            migration.switch()
            if until == "switched":
                return
            migration.move(1 if until == "moving" else None)
