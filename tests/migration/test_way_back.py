"""The way back: rights given meanwhile are kept, and it ends though some people stay away."""

from collections.abc import Callable
from typing import Any

import pytest

from tenantry.errors import TenantryError
from tenantry.migration import report
from tenantry.migration.harbor_rights import HarborStatus
from tenantry.migration.harbor_rollback import HarborRollback
from tenantry.migration.snapshot import Wave
from tenantry.sandbox.keycloak.state import User, new_id
from tests.support.harness import REALM
from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_harness import (
    NEW,
    RECREATE,
    MigrationBench,
    give_role,
    harbor_user,
    take_role,
)

DEVELOPER, GUEST = 2, 3


@pytest.fixture
def issuer(issuer_platform: Callable[[], IssuerBench], no_waiting: None) -> IssuerBench:
    return issuer_platform()


@pytest.fixture
def users(provider_platform: Callable[[], MigrationBench], no_waiting: None) -> MigrationBench:
    made = provider_platform()
    made.give_rights()
    return made


def log_in(made: MigrationBench, *names: str) -> None:
    for name in names or sorted(user.username for user in made.users()):
        made.log_in(name)


def members(rights: dict[str, Any], project: str) -> dict[str, int]:
    return {name: role for name, role in rights["members"][project] if name != "admin"}


@pytest.mark.demand(
    "migrate", "rights granted during a migration survive a roll back: another issuer"
)
def test_a_rollback_of_the_issuer_keeps_rights_granted_since_the_return(
    issuer: IssuerBench,
) -> None:
    issuer.migrate()
    issuer.log_in_again(TO, ["user00", "user01", "user02"])
    with issuer.process() as migration:
        migration.follow_up()
    issuer.log_in_again(TO, ["user03"])  # its rights are not restored yet
    give_role(issuer.bench, "user02", "team-t1", DEVELOPER)  # a new one
    give_role(issuer.bench, "user00", "team-t1", GUEST)  # another role
    take_role(issuer.bench, "user01", "team-t1")  # taken away
    issuer.user("user01").sysadmin = False
    issuer.user("user02").sysadmin = True
    give_role(issuer.bench, "user03", "team-t0", GUEST)  # before the restore

    with issuer.process() as migration:
        migration.roll_back()
    issuer.log_in_again(REALM)
    with issuer.process() as migration:
        assert str(migration.follow_up()) == (
            "5 people have logged in to Harbor again, 4 rights granted during the migration kept"
        )
        assert not migration.is_on

    rights = issuer.rights()
    assert members(rights, "team-t1") == {"user02": DEVELOPER, "user00": GUEST}
    assert members(rights, "team-t0") == {"user03": GUEST}
    assert rights["people"]["user02"]
    assert not rights["people"]["user01"]


@pytest.mark.demand(
    "migrate", "rights granted during a migration survive a roll back: users with other ids"
)
def test_a_rollback_of_re_created_users_keeps_rights_granted_since_the_return(
    users: MigrationBench,
) -> None:
    was = {user.username: user.id for user in users.users()}
    users.migrate(RECREATE)
    log_in(users)
    with users.process() as migration:
        migration.follow_up()
    give_role(users.bench, "user02", "team-t1", DEVELOPER)
    take_role(users.bench, "user00", "team-t1")
    group = next(each for each in users.realm.groups.values() if each.name == "team-t1")
    users.realm.join(users.person("user02"), group)
    users.realm.roles["reviewer"] = new_id()
    users.person("user02").roles.append("reviewer")
    users.person("user00").roles.remove("auditor")
    users.person("user03").enabled = False

    with users.process() as migration:
        undone = migration.roll_back()
    assert undone == "0 links removed, 2 groups and roles granted since kept; 0 people have " + (
        "logged in to Harbor again, 1 right granted during the migration kept"
    )
    log_in(users)
    with users.process() as migration:
        migration.follow_up()
        assert not migration.is_on

    assert {user.username: user.id for user in users.users()} == was
    rights = users.rights_by_name()
    assert members(rights, "team-t1") == {"user01": 4, "user02": DEVELOPER}
    groups, roles, *_ = rights["realm"]["user02"]
    assert (groups, roles) == (["team-t0", "team-t1"], ["reviewer"])
    assert "auditor" not in rights["realm"]["user00"][1], "taken away meanwhile"
    assert not users.person("user03").enabled, "disabled meanwhile"


def test_a_rollback_restores_groups_that_the_new_providers_mapper_removed(
    users: MigrationBench,
) -> None:
    before = users.rights_by_name()["realm"]["user00"]
    users.migrate(RECREATE)
    person = users.person("user00")
    assert any(
        mapper["config"].get("group") == "/team-t0"
        for mapper in users.realm.provider_mappers.values()
        if mapper["identityProviderAlias"] == NEW
    )
    person.groups.clear()  # the provider's fault: its token named no group

    with users.process() as migration:
        migration.roll_back()

    assert users.rights_by_name()["realm"]["user00"] == before


def test_users_of_the_new_issuer_only_are_counted_before_their_deletion(
    issuer: IssuerBench,
) -> None:
    issuer.migrate()
    held = issuer.sandbox.keycloak.realms[TO]
    user = User(new_id(), "fresh", 1_700_000_000_000, enabled=True, email="fresh@corp.test")
    held.add_user(user)
    issuer.log_in_again(TO, ["fresh", "user00"])
    give_role(issuer.bench, "fresh", "team-t1", DEVELOPER)

    with issuer.process() as migration:
        found = {
            user.username: user.members
            for user in HarborRollback(migration.harbor_users).users_to_delete()
        }
        assert found == {"fresh": {"team-t1": DEVELOPER}, "user00": {}}
        migration.roll_back()
        [record] = migration.rollback_records()
    assert {user.username for user in record.users} == {"fresh", "user00"}


def test_no_more_users_are_deleted_than_were_approved(issuer: IssuerBench) -> None:
    issuer.migrate()
    issuer.log_in_again(TO, ["user00", "user01"])
    users, trusted = set(issuer.sandbox.harbor.users), issuer.trusted

    with issuer.process() as migration:
        with pytest.raises(TenantryError, match="would now delete 2 users in Harbor, and 1 were"):
            migration.roll_back(approved=1)
        assert not migration.entry.rolling_back
    assert (set(issuer.sandbox.harbor.users), issuer.trusted) == (users, trusted)

    with issuer.process() as migration:
        migration.roll_back(approved=2)
        assert migration.entry.may_delete == 0
    issuer.log_in_again(TO, ["user02"])  # a login that was under way
    users = set(issuer.sandbox.harbor.users)
    refused = pytest.raises(TenantryError, match="Run roll-back-migration, which asks")
    with issuer.process() as migration, refused:
        migration.follow_up()
    assert set(issuer.sandbox.harbor.users) == users
    with issuer.process() as migration:
        migration.roll_back(approved=1)
    assert len(issuer.sandbox.harbor.users) == len(users) - 1
    issuer.log_in_again(REALM)
    standing(issuer)
    with issuer.process() as migration:
        assert not migration.is_on


def test_an_allowance_counts_users_that_a_killed_run_has_recorded(issuer: IssuerBench) -> None:
    issuer.migrate()
    issuer.log_in_again(TO, ["user00", "user01"])
    with issuer.process() as migration, migration.locked():
        migration.record_rollback(
            Wave(users=HarborRollback(migration.harbor_users).users_to_delete())
        )
        assert HarborRollback(migration.harbor_users).allowance(2) == 0
        assert HarborRollback(migration.harbor_users).allowance(3) == 1


# People who stay away


def standing(made: IssuerBench) -> HarborStatus:
    with made.process() as migration:
        return migration.follow_up()


@pytest.mark.demand("migrate", "a roll back ends although a user is absent: another issuer")
def test_a_rollback_completes_without_excluded_people(issuer: IssuerBench) -> None:
    issuer.migrate()
    with issuer.process() as migration:
        migration.roll_back()
    issuer.log_in_again(REALM, ["user00", "user01", "user02"])
    assert len(standing(issuer).pending) == 2

    with issuer.process() as migration:
        with pytest.raises(TenantryError, match="roll-back-migration with their"):
            migration.finish(("user03", "user04"), now=True)
        with pytest.raises(
            TenantryError, match="exclude_users: no exported user has the name 'nobody'"
        ):
            migration.roll_back(("nobody",))
        migration.roll_back(("USER03",))
        assert migration.is_on
    issuer.log_in_again(REALM, ["user04"])
    with issuer.process() as migration:
        assert migration.follow_up().returned == 4
        assert not migration.is_on, "the exclusion is remembered"

    issuer.declare(TO)
    issuer.migrate()
    with issuer.process() as migration:
        assert migration.entry.phase == "moved", "a later migration is not blocked"


@pytest.mark.demand("migrate", "a roll back ends although a user is absent: users with other ids")
def test_a_rollback_of_re_created_users_completes_without_excluded_people(
    users: MigrationBench,
) -> None:
    users.migrate(RECREATE)
    with users.process() as migration:
        migration.roll_back()
    log_in(users, "user00", "user01", "user02", "user03")
    with users.process() as migration:
        assert len(migration.follow_up().incomplete) == 1
        migration.roll_back(("user04",))
        assert not migration.is_on
    users.migrate(RECREATE)


def test_an_excluded_person_who_logs_in_in_time_gets_the_rights_back(
    issuer: IssuerBench,
) -> None:
    before = issuer.rights()
    issuer.migrate()
    with issuer.process() as migration:
        migration.roll_back(("user01",))
    issuer.log_in_again(REALM, ["user01"])
    standing(issuer)
    issuer.log_in_again(REALM)
    standing(issuer)
    assert issuer.rights() == before


@pytest.mark.demand("migrate", "the store names the pending users by team")
def test_the_store_lists_pending_people_by_team(issuer: IssuerBench) -> None:
    issuer.migrate(until="moving")
    issuer.log_in_again(TO, ["user00"])
    with issuer.process() as migration:
        migration.roll_back()
        awaited = migration.follow_up().incomplete
        teams = list(issuer.bench.state.teams.values())
        stands = (migration.snapshot, migration.entry, awaited, teams)
        report.write_people(issuer.store, *stands)
        kept = issuer.store.read(f"migration/{migration.entry.id}/people.csv") or b""
        assert report.count_by_team(*stands)[0] == {
            "team": "t0",
            "people": 3,
            "logged in": 0,
            "not logged in": 1,
            "unchanged": 2,
            "excluded": 0,
        }
    assert kept.splitlines()[1:2] == [b"t0,user00,user00@corp.test,not logged in"]


@pytest.mark.demand("migrate", "no plan is made during a roll back")
@pytest.mark.parametrize("undone", [False, True])
def test_no_inspection_or_plan_during_a_rollback(undone: bool, issuer: IssuerBench) -> None:
    issuer.migrate()
    with issuer.process() as migration:
        if undone:
            migration.roll_back()
        else:
            migration.update_journal(rolling_back=True)
        with pytest.raises(TenantryError, match="is being rolled back"):
            migration.check_not_rolling_back()
        with pytest.raises(TenantryError, match="is being rolled back"):
            migration.move()


def test_a_migration_from_a_realm_to_itself_is_not_inspected(issuer: IssuerBench) -> None:
    issuer.migrate()
    with issuer.process() as migration:
        migration.roll_back()
    with pytest.raises(TenantryError, match="the declared realm's issuer is"):
        issuer.inspect_between(issuer.issuer(REALM), issuer.issuer(TO))


def test_the_report_lists_rights_granted_since_the_export(issuer: IssuerBench) -> None:
    issuer.migrate()
    issuer.log_in_again(TO)
    standing(issuer)
    give_role(issuer.bench, "user02", "team-t1", DEVELOPER)
    give_role(issuer.bench, "user00", "team-t1", GUEST)
    take_role(issuer.bench, "user01", "team-t1")
    with issuer.process() as migration:
        found = report.compare(migration)
        report.write_rights(issuer.store, "rights.csv", found)
    changes = {(right.person, right.right): right.change for right in found if right.change}
    assert changes == {
        ("user00", "project team-t1"): "changed",
        ("user00", "owner of team-t0"): "lost",
        ("user01", "project team-t1"): "lost",
        ("user02", "project team-t1"): "granted since",
    }
    assert b"user02,project team-t1,,developer,NO,granted since" in (
        issuer.store.read("rights.csv") or b""
    )


@pytest.mark.demand(
    "migrate", "an administrator's flag set during a migration survives a roll back"
)
def test_an_administrator_right_granted_meanwhile_is_kept(issuer: IssuerBench) -> None:
    issuer.migrate()
    issuer.log_in_again(TO, ["user04"])
    standing(issuer)
    harbor_user(issuer.sandbox, "user04").sysadmin = True
    with issuer.process() as migration:
        migration.roll_back()
    issuer.log_in_again(REALM)
    standing(issuer)
    assert issuer.user("user04").sysadmin
