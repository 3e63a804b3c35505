"""Users of the realm are made anew for another provider: they come back with all that they had."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import report
from tenantry.sandbox.harbor.wire import Refusal
from tests.support.migration_harness import NEW, OLD, OPTIONS, RECREATE, MigrationBench


@pytest.fixture
def made(provider_platform: Callable[[], MigrationBench], no_waiting: None) -> MigrationBench:
    bench = provider_platform()
    bench.give_rights()
    return bench


def names(made: MigrationBench) -> list[str]:
    return sorted(user.username for user in made.users())


def ids(made: MigrationBench) -> dict[str, str]:
    return {user.username: user.id for user in made.users()}


def follow_up(made: MigrationBench) -> str:
    with made.process() as migration:
        return str(migration.follow_up())


@pytest.mark.demand("migrate", "a user who is re-created by hand: 409")
def test_harbor_rejects_a_user_that_was_re_created_by_hand(made: MigrationBench) -> None:
    old = made.person("user00")
    made.realm.remove_user(old)
    made.add_person_to_realm("user00", "t0")
    with pytest.raises(Refusal) as raised:
        made.log_in("user00")
    assert raised.value.status == 409


@pytest.mark.demand(
    "migrate", "re-created users: another id, and all rights at once or after the next login"
)
def test_all_users_get_another_id_and_keep_their_rights(made: MigrationBench) -> None:
    before, was = made.rights_by_name(), ids(made)

    made.migrate(RECREATE)

    assert made.hidden() == {OLD: True, NEW: False}
    there = {each.external_username: each.external_id for each in made.identities()}
    assert made.links(NEW) == there
    assert set(made.links(OLD)) == set(there), "the way back"
    assert not {*ids(made).values()} & {*was.values()}
    assert made.rights_by_name()["realm"] == before["realm"], "at once"
    assert made.rights_by_name()["people"] == {"admin": True}

    for name in names(made):
        made.log_in(name)
    assert follow_up(made) == (
        "5 linked, 0 in later waves; in Harbor: 5 logged in again, 0 pending, 0 in later waves, 5 of them restored now"
    )
    assert made.rights_by_name() == before
    with made.process() as migration:
        rights = report.compare(migration)
    differing = [right.right for right in rights if not right.is_equal]
    assert differing == ["owner of team-t0"], "said beforehand"
    assert {"realm role auditor", "project team-t1"} < {right.right for right in rights}

    made.finish()
    assert made.links(OLD) == {}
    assert made.rights_by_name() == before
    assert made.configure() == []


@pytest.mark.demand(
    "migrate", "re-created users who do not log in are waited for until they are excluded by name"
)
def test_the_finish_waits_for_users_until_they_are_excluded(made: MigrationBench) -> None:
    made.migrate(RECREATE)
    for name in names(made)[1:]:
        made.log_in(name)
    made.sandbox.clock.move(25 * 3600)
    with made.process() as migration:
        with pytest.raises(TenantryError, match="1 person has not logged in again"):
            migration.finish()
        standing = migration.follow_up()
        teams = list(made.bench.state.teams.values())
        by_team = report.count_by_team(
            migration.snapshot, migration.entry, standing.incomplete, teams
        )
        assert [(row["team"], row["pending"]) for row in by_team] == [("t0", 1), ("t1", 0)]
        migration.finish(("user00",))
        assert not migration.is_on


@pytest.mark.demand("migrate", "rolled back from every phase")
@pytest.mark.parametrize("until", ["exported", "approved", "moving", "moved", "switched", "back"])
def test_it_is_rolled_back_from_any_phase(until: str, made: MigrationBench) -> None:
    before, was, links, hidden = made.rights_by_name(), ids(made), made.links(OLD), made.hidden()
    made.migrate(RECREATE, until="switched" if until == "back" else until)
    if until == "back":
        for name in ("user00", "user01"):
            made.log_in(name)
        follow_up(made)
        made.log_in("user02")  # nobody has noticed yet

    with made.process() as migration:
        migration.roll_back()

    assert ids(made) == was, "everybody has the former id"
    assert (made.links(OLD), made.links(NEW), made.hidden()) == (links, {}, hidden)
    for name in names(made):
        made.log_in(name)
    with made.process() as migration:
        if migration.is_on:
            migration.follow_up()
        assert not migration.is_on
    assert made.rights_by_name() == before
    assert made.configure() == []


def test_an_interrupted_rollback_must_be_continued(
    made: MigrationBench,
) -> None:
    made.migrate(RECREATE)
    with made.process() as migration:
        migration.update_journal(rolling_back=True)
    with pytest.raises(TenantryError, match="roll-back-migration again"):
        follow_up(made)
    with made.process() as migration, pytest.raises(TenantryError, match="being rolled back"):
        migration.switch()


def test_a_user_created_between_export_and_wave_logs_in_afterwards(
    made: MigrationBench,
) -> None:
    made.add_identity("bare", made.add_person_to_realm("bare", "t0").email or "")
    before = ids(made)
    made.migrate(RECREATE, until="approved")
    made.log_in("bare")
    made.migrate(RECREATE)
    for name in names(made):
        made.log_in(name)
    assert "6 logged in again, 0 pending" in follow_up(made)
    with made.process() as migration:
        migration.roll_back()
    assert ids(made) == before
    for name in names(made):
        made.log_in(name)
    follow_up(made)


def test_a_user_created_after_the_wave_logs_in_after_a_rollback(
    made: MigrationBench,
) -> None:
    made.add_identity("bare", made.add_person_to_realm("bare", "t0").email or "")
    made.migrate(RECREATE)
    made.log_in("bare")
    with made.process() as migration:
        migration.roll_back()
    for name in names(made):
        made.log_in(name)


def test_a_truncated_record_of_a_wave_is_written_again(made: MigrationBench) -> None:
    made.migrate(RECREATE, until="approved")
    with made.process() as migration:
        name = f"migration/{migration.entry.id}/wave-0.json"
    made.store.write(name, b'{"sealed": ')
    made.migrate(RECREATE)
    made.store.write(name, b'{"sealed": ')
    with pytest.raises(TenantryError, match="truncated"):
        follow_up(made)


def test_a_wave_is_as_large_as_what_it_deletes_in_harbor(made: MigrationBench) -> None:
    for number in range(30):
        made.add_person_to_realm(f"bare{number}")
        made.add_identity(f"bare{number}", f"bare{number}@corp.test")
    found = made.inspect(replace(RECREATE, max_wave_percent=100))
    assert "large wave" not in {notice.what for notice in found.notices}


def test_after_a_user_is_re_created_the_plan_is_final(made: MigrationBench) -> None:
    made.migrate(RECREATE, until="moving")
    with pytest.raises(TenantryError, match="cannot be planned again"):
        made.plan(RECREATE)
    made.migrate(RECREATE)
    assert made.hidden() == {OLD: True, NEW: False}


@pytest.mark.demand("migrate", "no user is deleted before it is certain that importing is allowed")
def test_no_user_is_deleted_without_the_right_to_import(made: MigrationBench) -> None:
    made.migrate(RECREATE, until="approved")
    was = ids(made)
    # The account may manage users, and not the realm.
    made.sandbox.controls.fail(403, system="keycloak", path="*/partialImport")
    with made.process() as migration, pytest.raises(SystemRefused, match="lacks this right"):
        migration.move()
    assert ids(made) == was


@pytest.mark.demand("migrate", "a group that was deleted during the migration locks no user out")
def test_a_group_deleted_meanwhile_locks_no_user_out(made: MigrationBench) -> None:
    made.migrate(RECREATE, until="moving")
    with made.process() as migration:
        number = migration.entry.waves_done
        people = migration.snapshot.wave(number)
        migration.recreation.record(
            number, people, partial(migration.harbor_users.wave_users, number)
        )
    group = next(group for group in made.realm.groups.values() if group.name == "team-t1")
    made.realm.remove_group(group)

    made.migrate(RECREATE)

    assert set(made.links(NEW)) == set(names(made))


def test_a_login_during_the_re_creation_is_reported_and_the_others_continue(
    made: MigrationBench,
) -> None:
    made.migrate(RECREATE, until="moving")
    with made.process() as migration:
        number = migration.entry.waves_done
        people = migration.snapshot.wave(number)
        migration.recreation.record(
            number, people, partial(migration.harbor_users.wave_users, number)
        )
    made.realm.remove_user(made.person("user03"))
    stray = made.add_person_to_realm("user03", "t1")
    with (
        made.process() as migration,
        pytest.raises(SystemRefused, match="between the deletion and the import"),
    ):
        migration.move()
    made.realm.remove_user(stray)

    made.migrate(RECREATE)

    assert set(made.links(NEW)) == {f"user{number:02}" for number in range(5)}


# By the same id


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.demand(
    "migrate",
    "the fallback: a user who cannot be linked is deleted and imported with the "
    "same id; Harbor needs no change",
)
def test_users_that_cannot_be_linked_are_imported_with_the_same_id(made: MigrationBench) -> None:
    before = made.rights()
    options = replace(OPTIONS, reimport_users=("user01", "User02"))
    [told] = [each for each in made.inspect(options).notices if each.what == "re-created"]
    assert told.who == ("user01", "user02")

    made.migrate(options)

    there = {each.external_username: each.external_id for each in made.identities()}
    assert made.links(NEW) == there
    assert made.rights() == before, "Harbor needs nothing"
    assert made.person("user01").password is None
    with made.process() as migration:
        assert [right for right in report.compare(migration) if not right.is_equal] == []

    with made.process() as migration:
        migration.roll_back()
        assert not migration.is_on
    assert made.links(NEW) == {}
    assert made.rights() == before


def test_users_of_a_user_federation_are_not_deleted(made: MigrationBench) -> None:
    made.person("user01").federation = "ldap"
    found = made.inspect(replace(OPTIONS, reimport_users=("user01",)))
    assert [(each.what, each.who) for each in found.blocking] == [("user federation", ("user01",))]
    assert made.inspect(OPTIONS).blocking == []


def test_contradictory_options_are_rejected(made: MigrationBench) -> None:
    with pytest.raises(TenantryError, match="no user named 'nobody'"):
        made.inspect(replace(OPTIONS, reimport_users=("nobody",)))
    with pytest.raises(TenantryError, match="keeps the ids of users"):
        replace(RECREATE, reimport_users=("user01",))
    with pytest.raises(TenantryError, match="listed in both reimport_users and exclude_users"):
        replace(OPTIONS, reimport_users=("user01",), exclude_users=("user01",))


def test_the_notices_name_what_is_lost(made: MigrationBench) -> None:
    found = {each.what: each for each in made.inspect(RECREATE).notices}
    assert found["credentials"].who == tuple(names(made))
    assert found["ownership"].who == ("user00",)
    assert "CLI secrets" in found
    [large] = made.inspect(replace(RECREATE, max_wave_percent=50)).blocking
    assert large.what == "large wave"


def test_people_with_another_user_name_are_reported(made: MigrationBench) -> None:
    there = [
        each.model_copy(update={"external_username": "Smith"})
        if each.external_username == "user01"
        else each
        for each in made.identities()
    ]
    found = {each.what: each.who for each in made.inspect(found=there).notices}
    assert found["other names"] == ("user01",)
    assert "other names" not in {each.what for each in made.inspect().notices}
