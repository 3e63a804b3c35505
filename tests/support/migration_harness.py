"""A bench for migrations to another external identity provider."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tenantry import declared
from tenantry.connections import KeycloakAccount
from tenantry.files import FolderStore
from tenantry.migration import identities, planning, preview
from tenantry.migration.consequences import IN_HARBOR
from tenantry.migration.inspection import Inspection
from tenantry.migration.kinds import AnyMigration
from tenantry.migration.options import Options
from tenantry.migration.planning import Target
from tenantry.migration.provider import ProviderMigration
from tenantry.migration.snapshot import Identity
from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor.users import sign_in
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.sandbox.keycloak.state import User, new_id
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.harness import REALM, Bench, Data
from tests.support.migration_store import begin

OLD, NEW = "corp", "login"
OPTIONS = Options(pilot=("user00",), soak_hours=24)
RECREATE = replace(OPTIONS, recreate=True, max_wave_percent=100)


def providers(base: str, old: str = "corp-old", new: str = "corp-new") -> dict[str, Any]:
    """Return the declared providers, the old one and the new one."""
    secret = {"namespace": "tenantry", "name": "providers", "key": "secret"}
    shared = {"client_id": "broker", "client_secret": secret}
    return {
        OLD: {"connection": {"issuer": f"{base}/realms/{old}", **shared}},
        NEW: {
            "connection": {"issuer": f"{base}/realms/{new}", "hidden": True, **shared},
            "replaces": OLD,
        },
    }


def put_secret(bench: Bench) -> None:
    """Create the Secret with the realm's client secret for both providers."""
    names = {"name": "providers", "namespace": "tenantry"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenantry"}}
    data = {"secret": base64.b64encode(b"broker-secret").decode()}
    bench.sandbox.kubernetes.put(namespace)
    bench.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Secret", "metadata": names, "data": data}
    )


def harbor_rights(sandbox: Sandbox) -> dict[str, Any]:
    """Return the rights of all users in Harbor, by name."""
    names = {user.id: user.username for user in sandbox.harbor.users.values()}
    return {
        "members": {
            project.name: sorted(
                (names.get(member.entity_id, "gone"), member.role_id)
                for member in project.members.values()
                if member.entity_type == "u"
            )
            for project in sandbox.harbor.projects.values()
        },
        "people": {user.username: user.sysadmin for user in sandbox.harbor.users.values()},
    }


def give_harbor_rights(bench: Bench) -> None:
    """Give rights that no group gives: direct memberships, an administrator, an owner."""
    with bench.process() as systems:
        for name, role in (("user00", 1), ("user01", 4)):
            body = {"role_id": role, "member_user": {"username": name}}
            systems.harbor_client.post("/projects/team-t1/members", body)
    harbor_user(bench.sandbox, "user01").sysadmin = True
    owner = harbor_user(bench.sandbox, "user00")
    bench.sandbox.harbor.projects["team-t0"].owner_id = owner.id


def give_role(bench: Bench, name: str, project: str, role: int) -> None:
    """Make a user a direct member of a project, or change the role of a member."""
    held = bench.sandbox.harbor.projects[project]
    id = harbor_user(bench.sandbox, name).id
    for member in held.members.values():
        if (member.entity_type, member.entity_id) == ("u", id):
            member.role_id = role
            return
    with bench.process() as systems:
        body = {"role_id": role, "member_user": {"username": name}}
        systems.harbor_client.post(f"/projects/{project}/members", body)


def take_role(bench: Bench, name: str, project: str) -> None:
    """Remove a direct membership."""
    held = bench.sandbox.harbor.projects[project]
    id = harbor_user(bench.sandbox, name).id
    held.members = {
        key: member
        for key, member in held.members.items()
        if (member.entity_type, member.entity_id) != ("u", id)
    }


def harbor_user(sandbox: Sandbox, name: str) -> Any:
    """Return a user of Harbor."""
    return next(user for user in sandbox.harbor.users.values() if user.username == name)


class MigrationBench:
    """Users, teams and both providers in a sandbox, and a migration of them."""

    def __init__(self, bench: Bench, people: int = 5, teams: int = 2) -> None:
        self.bench = bench
        self.sandbox = bench.sandbox
        self.teams = [f"t{number}" for number in range(teams)]
        self.base = self.sandbox.addresses()["keycloak"]["url"]
        self.store = FolderStore(bench.folder.parent / "store")
        for name in ("corp-old", "corp-new"):
            self.sandbox.keycloak.realms[name] = new_realm(name, {"enabled": True})
        put_secret(bench)
        platform: Data = {
            "name": "Test platform",
            "keycloak": {"realm": REALM, "external_providers": providers(self.base)},
        }
        bench.declare(*({"name": name} for name in self.teams), platform=platform)
        self.configure()
        for team in bench.teams:
            bench.onboard(team.name)
        for number in range(people):
            self.add_person(f"user{number:02}", self.teams[number % teams])

    @property
    def realm(self) -> Any:
        """The platform's realm in the sandbox."""
        return self.sandbox.keycloak.realms[REALM]

    @property
    def issuer(self) -> str:
        """The issuer of the platform's realm."""
        return f"{self.base}/realms/{REALM}"

    def configure(self) -> list[str]:
        """Configure the platform as declared, and return the changed resources."""
        self.bench.state = declared.load(self.bench.folder)
        with self.bench.process() as systems:
            observed = observe_owners(systems.platform_adapters, [systems.state.platform])
            plan = systems.plan_platform(observed)
            systems.apply(plan, observed)
        return [str(change.id) for change in plan.changes]

    # People

    def add_person(self, name: str, team: str | None = None, *, there: bool = True) -> User:
        """Add a user of the old provider and of Harbor; if `there`, the new provider, too."""
        user = self.add_person_to_realm(name, team)
        self.log_in(name)
        if there:
            self.add_identity(name, user.email or "")
        return user

    def add_person_to_realm(self, name: str, team: str | None = None) -> User:
        """Add a user who is linked to the old provider."""
        email = f"{name}@corp.test"
        user = User(new_id(), name, 1_700_000_000_000, enabled=True, email=email)
        user.first_name, user.last_name, user.password = name.title(), "Person", name
        user.links[OLD] = {"userId": f"old-{name}", "userName": name}
        self.realm.add_user(user)
        groups = [f"team-{team}"] if team else []
        for group in self.realm.groups.values():
            if group.name in groups:
                self.realm.join(user, group)
        return user

    def add_identity(self, name: str, email: str) -> str:
        """Add a user to the new provider, and return the id."""
        user = User(new_id(), name, 1_700_000_000_000, enabled=True, email=email)
        realm = self.sandbox.keycloak.realms["corp-new"]
        realm.users[user.id] = user
        return user.id

    def person(self, name: str) -> User:
        """Return a user of the realm."""
        found: User = self.realm.user_named(name)
        return found

    def rights(self) -> dict[str, Any]:
        """Return the rights of all users in Harbor and Keycloak, with ids."""
        harbor = self.sandbox.harbor
        users = {
            user.username: (user.id, user.subiss, user.sysadmin) for user in harbor.users.values()
        }
        groups = {user.username: (user.id, sorted(user.groups)) for user in self.users()}
        members = {
            project.name: sorted(
                (member.entity_type, member.entity_id, member.role_id)
                for member in project.members.values()
            )
            for project in harbor.projects.values()
        }
        return {"harbor": users, "keycloak": groups, "members": members}

    def give_rights(self) -> None:
        """Give rights that no group gives, in Harbor and in the realm."""
        give_harbor_rights(self.bench)
        self.realm.roles["auditor"] = new_id()
        self.person("user00").roles.append("auditor")
        client = next(iter(self.realm.clients.values()))["clientId"]
        self.realm.client_roles[client] = {"reader": new_id()}
        self.person("user01").client_roles[client] = ["reader"]

    def rights_by_name(self) -> dict[str, Any]:
        """Return the rights of all users, without ids, to compare when ids have changed."""
        held = {
            user.username: (
                sorted(self.realm.groups[group].name for group in user.groups),
                sorted(user.roles),
                user.has_default_role,
                user.client_roles,
            )
            for user in self.users()
        }
        return {**harbor_rights(self.sandbox), "realm": held}

    def log_in(self, name: str) -> None:
        """Log a user in to Harbor, without the login pages.

        Raises:
            Refusal: Harbor has another subject with this name.
        """
        user = self.person(name)
        groups = [self.realm.groups[group].name for group in user.groups]
        sign_in(self.sandbox.harbor, name, user.email or "", user.id, self.issuer, groups)

    def users(self) -> Sequence[User]:
        """Return all users of the realm."""
        return list(self.realm.users.values())

    def links(self, alias: str) -> dict[str, str]:
        """Return the linked users of a provider: user name to the provider's user id."""
        return {
            user.username: user.links[alias]["userId"]
            for user in self.users()
            if alias in user.links
        }

    def hidden(self) -> dict[str, bool]:
        """Return of each provider whether it is hidden on the login page."""
        return {
            alias: bool(provider.get("hideOnLogin"))
            for alias, provider in self.realm.providers.items()
        }

    # The migration

    @contextmanager
    def process(self, **options: Any) -> Iterator[ProviderMigration]:
        """Return the migration in a new process."""
        self.bench.state = declared.load(self.bench.folder)
        with self.bench.process() as systems:
            yield self.migration(systems, **options)

    def migration(self, systems: Systems, **options: Any) -> ProviderMigration:
        """Return the migration on existing systems."""
        clock, folder = self.sandbox.clock.now, self.bench.folder
        return begin(ProviderMigration, systems, self.store, folder, clock=clock, **options)

    def identities(self) -> list[Identity]:
        """Return all users of the new provider, read through its admin API."""
        account = KeycloakAccount.model_validate(self.sandbox.addresses()["keycloak"])
        return identities.from_keycloak(account, f"{self.base}/realms/corp-new")

    def inspect(
        self, options: Options = OPTIONS, found: Sequence[Identity] | None = None, file: str = ""
    ) -> Inspection:
        """Return the inspection."""
        with self.bench.process() as systems:
            there = self.identities() if found is None else found
            target = Target("users" if options.recreate else "provider", OLD, NEW)
            return planning.inspect(systems, target, there, options, file=file)

    def plan(self, options: Options = OPTIONS) -> str:
        """Inspect and export as the flow does, and return the hash of the plan."""
        account = KeycloakAccount.model_validate(self.sandbox.addresses()["keycloak"])
        with self.bench.process() as systems:
            target = planning.find_target(systems, "users" if options.recreate else "provider")
            there = planning.read_identities(
                systems, self.store, target, options.match, account=account
            )
            found = planning.inspect(systems, target, there, options)
        with self.process() as migration:
            return migration.export(found, target.old, target.new, options, target.situation)

    def migrate(self, options: Options = OPTIONS, until: str = "switched") -> None:
        """Run the migration up to a phase; continue if a process has begun it."""
        with self.process() as migration:
            on = migration.is_on
        if not on:
            self.plan(options)
        if until == "exported":
            return
        with self.process() as migration:
            migration.approve(migration.entry.plan, "Ann")
            if until == "approved":
                return
            migration.move(1 if until == "moving" else None)
            if until in ("moving", "moved"):
                return
            migration.switch()

    def finish(self) -> None:
        """Finish the migration after the soak time."""
        self.sandbox.clock.move(25 * 3600)
        with self.process() as migration:
            preview_and_finish(migration)


def preview_and_finish(migration: AnyMigration) -> None:
    """Finish a migration as the flow does, once its consequences are approved."""
    preview.preview_finish(migration, (), skip_soak=False)
    migration.finish()


def preview_and_roll_back(migration: AnyMigration) -> None:
    """Roll a migration back as the flow does, once its consequences are approved."""
    found = preview.preview_rollback(migration, ())
    migration.roll_back(approved=found.numbers[IN_HARBOR])
