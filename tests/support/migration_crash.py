"""The procedures of a migration, each of which is killed at each of its requests."""

import shutil
from collections.abc import Callable
from dataclasses import replace

from tenantry.sandbox.keycloak.state import new_id
from tests.support.crash import Driver, Snapshot
from tests.support.harness import REALM, Bench
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_harness import (
    NEW,
    OLD,
    OPTIONS,
    RECREATE,
    MigrationBench,
    give_role,
    preview_and_finish,
    preview_and_roll_back,
    take_role,
)

Made = MigrationBench | IssuerBench


class MigrationSnapshot:
    """The state of a sandbox, a declared state and a store at one moment, which can be restored."""

    def __init__(self, made: Made) -> None:
        self._sandbox = Snapshot(made.sandbox)
        folder = made.bench.folder
        self._folders = [folder, folder.parent / "store"]
        self._kept = folder.parent / f"kept-{len(list(folder.parent.iterdir()))}"
        for each in self._folders:
            if each.exists():
                shutil.copytree(each, self._kept / each.name)

    def restore(self) -> None:
        """Restore the state."""
        self._sandbox.restore()
        for each in self._folders:
            shutil.rmtree(each, ignore_errors=True)
            if (self._kept / each.name).exists():
                shutil.copytree(self._kept / each.name, each)


class MigrationDriver(Driver):
    """A driver that also restores the declared state and the store before each crash."""

    def __init__(
        self,
        made: Made,
        procedure: Callable[[], object],
        check: Callable[[], None],
    ) -> None:
        super().__init__(made.sandbox, procedure, check)
        self._start = MigrationSnapshot(made)  # type: ignore[assignment]


def _moved(made: MigrationBench, *, hidden: dict[str, bool]) -> Callable[[], None]:
    """Return a check that each user exists, is linked once, and has the same rights."""
    rights, old = made.rights(), made.links(OLD)
    there = {each.external_username: each.external_id for each in made.identities()}

    def check() -> None:
        assert made.rights() == rights
        assert made.hidden() == hidden
        assert made.links(NEW) == {name: there[name] for name in old}
        assert made.links(OLD) == (old if OLD in hidden else {})
        assert made.configure() == []

    return check


def migrate(made: MigrationBench) -> MigrationDriver:
    """Migrate, from the inspection to the switch."""
    return MigrationDriver(made, made.migrate, _moved(made, hidden={OLD: True, NEW: False}))


def reimport(made: MigrationBench) -> MigrationDriver:
    """Migrate, where all users but the pilot are deleted and imported with the same id."""
    made.give_rights()
    options = replace(OPTIONS, reimport_users=tuple(sorted(made.links(OLD)))[1:])
    return MigrationDriver(
        made, lambda: made.migrate(options), _moved(made, hidden={OLD: True, NEW: False})
    )


def finish(made: MigrationBench) -> MigrationDriver:
    """Finish: remove the old provider."""
    made.migrate()
    made.sandbox.clock.move(25 * 3600)

    def procedure() -> None:
        with made.process() as migration:
            if migration.is_on:
                preview_and_finish(migration)

    return MigrationDriver(made, procedure, _moved(made, hidden={NEW: False}))


def roll_back(made: MigrationBench) -> MigrationDriver:
    """Roll back after the switch."""
    rights, links, hidden = made.rights(), made.links(OLD), made.hidden()
    made.migrate()

    def procedure() -> None:
        with made.process() as migration:
            if migration.is_on:
                preview_and_roll_back(migration)

    def check() -> None:
        assert made.rights() == rights
        assert (made.links(OLD), made.links(NEW), made.hidden()) == (links, {}, hidden)
        assert made.configure() == []

    return MigrationDriver(made, procedure, check)


def turn_back(made: MigrationBench) -> MigrationDriver:
    """Migrate and roll back; the run after a crash rolls back."""
    rights, links, hidden = made.rights(), made.links(OLD), made.hidden()
    begun = False

    def procedure() -> None:
        nonlocal begun
        with made.process() as migration:
            on = migration.is_on
            if begun and on:
                preview_and_roll_back(migration)
                return
        begun = True
        made.migrate()
        with made.process() as migration:
            preview_and_roll_back(migration)

    def check() -> None:
        nonlocal begun
        begun = False
        with made.process() as migration:
            if migration.is_on:
                preview_and_roll_back(migration)
        assert made.rights() == rights
        assert (made.links(OLD), made.links(NEW), made.hidden()) == (links, {}, hidden)

    return MigrationDriver(made, procedure, check)


def recreate(made: MigrationBench) -> MigrationDriver:
    """Re-create all users, log them in to Harbor, and remove the old provider."""
    made.give_rights()
    rights, names = made.rights_by_name(), sorted(made.links(OLD))
    there = {each.external_username: each.external_id for each in made.identities()}

    def procedure() -> None:
        made.migrate(RECREATE)
        for name in names:
            made.log_in(name)
        made.sandbox.clock.move(25 * 3600)
        with made.process() as migration:
            preview_and_finish(migration)

    def check() -> None:
        with made.process() as migration:
            assert not migration.is_on
        assert made.rights_by_name() == rights
        assert (made.links(OLD), made.links(NEW)) == ({}, there)
        assert made.configure() == []

    return MigrationDriver(made, _once(made, procedure), check)


def recreate_back(made: MigrationBench) -> MigrationDriver:
    """Roll back after two users logged in again and got more rights, one of them unobserved."""
    made.give_rights()
    links, names = made.links(OLD), sorted(made.links(OLD))
    for name in names[:2]:
        give_role(made.bench, name, "team-t0", 2)
    made.person(names[0]).roles.append("reviewer")
    made.realm.roles["reviewer"] = new_id()
    rights = made.rights_by_name()
    for name in names[:2]:
        take_role(made.bench, name, "team-t0")
    made.person(names[0]).roles.remove("reviewer")
    ids = {user.username: user.id for user in made.users()}
    made.migrate(RECREATE)
    made.log_in(names[0])
    with made.process() as migration:
        migration.follow_up()
    made.log_in(names[1])
    for name in names[:2]:
        give_role(made.bench, name, "team-t0", 2)
    made.person(names[0]).roles.append("reviewer")

    def procedure() -> None:
        with made.process() as migration:
            preview_and_roll_back(migration)
        for name in names:
            made.log_in(name)
        with made.process() as migration:
            if migration.is_on:
                migration.follow_up()

    def check() -> None:
        with made.process() as migration:
            assert not migration.is_on
        assert {user.username: user.id for user in made.users()} == ids
        assert made.rights_by_name() == rights
        assert (made.links(OLD), made.links(NEW)) == (links, {})
        assert made.configure() == []

    return MigrationDriver(made, _once(made, procedure), check)


def _back_with_all(made: IssuerBench) -> Callable[[], None]:
    """Return a check that no user is lost, and that all rights are restored once."""
    rights = made.rights()

    def check() -> None:
        with made.process() as migration:
            assert not migration.is_on
        assert made.rights() == rights
        assert made.configure() == []

    return check


def change_issuer(made: IssuerBench) -> MigrationDriver:
    """Migrate from the inspection to the end: switch, deletion, logins, restored rights."""

    def procedure() -> None:
        made.migrate()
        made.log_in_again(TO)
        made.sandbox.clock.move(25 * 3600)
        with made.process() as migration:
            migration.follow_up()
            preview_and_finish(migration)

    return MigrationDriver(made, _once(made, procedure), _back_with_all(made))


def change_issuer_back(made: IssuerBench) -> MigrationDriver:
    """Roll back after two users logged in again and got more rights, one of them unobserved."""
    for name in made.names[:2]:
        give_role(made.bench, name, "team-t0", 2)
    check = _back_with_all(made)
    for name in made.names[:2]:
        take_role(made.bench, name, "team-t0")
    made.migrate()
    made.log_in_again(TO, made.names[:1])
    with made.process() as migration:
        migration.follow_up()
    made.log_in_again(TO, made.names[1:2])
    for name in made.names[:2]:
        give_role(made.bench, name, "team-t0", 2)

    def procedure() -> None:
        with made.process() as migration:
            preview_and_roll_back(migration)
        made.log_in_again(REALM)
        with made.process() as migration:
            if migration.is_on:
                migration.follow_up()

    return MigrationDriver(made, _once(made, procedure), check)


def _once(made: Made, procedure: Callable[[], None]) -> Callable[[], None]:
    """Return the procedure; once the migration is over, it does nothing and begins no other."""

    def unless_ended() -> None:
        with made.process() as migration:
            entry = migration.journal
            if entry is not None and not entry.is_on:
                return
        procedure()

    return unless_ended


def _provider(way: Callable[[MigrationBench], MigrationDriver]) -> "Way":
    return lambda bench, people: way(MigrationBench(bench, people))


def _issuer(way: Callable[[IssuerBench], MigrationDriver]) -> "Way":
    return lambda bench, people: way(IssuerBench(bench, people))


Way = Callable[[Bench, int], MigrationDriver]
_PROVIDER = (migrate, reimport, finish, roll_back, turn_back, recreate, recreate_back)

WAYS: dict[str, Way] = {
    **{each.__name__: _provider(each) for each in _PROVIDER},
    **{each.__name__: _issuer(each) for each in (change_issuer, change_issuer_back)},
}
