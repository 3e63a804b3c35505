"""Harbor's issuer changes: everybody comes back by logging in, with all that they had."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import report
from tenantry.sandbox.keycloak.state import User, new_id
from tests.support.harness import REALM
from tests.support.issuer_harness import OPTIONS, TO, IssuerBench
from tests.support.narrowing import present


@pytest.fixture
def made(issuer_platform: Callable[[], IssuerBench], no_waiting: None) -> IssuerBench:
    return issuer_platform()


@pytest.mark.demand(
    "migrate",
    "another issuer: configure-platform refuses the naive switch, and by hand it ends in 409",
)
def test_the_naive_switch_is_refused_and_ends_in_409(made: IssuerBench) -> None:
    assert [refused.split(":")[0] for refused in made.configure()] == [
        "harbor/configuration/single sign-on"
    ]
    assert made.trusted == made.issuer(REALM)
    assert made.log_in("user01") == 302

    with made.process() as migration:  # what somebody does by hand
        systems = migration.systems
        systems.harbor_platform.switch(made.issuer(TO))
    assert made.log_in("user01") == 409


@pytest.mark.demand(
    "migrate",
    "another issuer: all users return with memberships, roles and the administrator's flag",
)
def test_all_users_log_in_again_with_their_former_rights(made: IssuerBench) -> None:
    before = made.rights()

    made.migrate()
    assert made.rights()["people"] == {"admin": True}
    assert [made.log_in(name) for name in made.names] == [302] * 5
    with made.process() as migration:
        assert str(migration.follow_up()) == (
            "5 logged in again, 0 pending, 0 in later waves, 5 of them restored now"
        )
        rights = report.compare(migration)
        differing = [right for right in rights if not right.is_equal]
        assert [right.right for right in differing] == ["owner of team-t0"], "said beforehand"
        made.sandbox.clock.move(25 * 3600)
        migration.finish()

    assert made.rights() == before
    assert made.configure() == []
    assert [made.log_in(name) for name in made.names] == [302] * 5


@pytest.mark.demand(
    "migrate", "another issuer: users who do not return are pending until they are excluded by name"
)
def test_a_user_who_does_not_log_in_again_is_pending_until_excluded(made: IssuerBench) -> None:
    made.migrate()
    made.log_in_again(TO, ["user00", "user02", "user03", "user04"])
    made.sandbox.clock.move(25 * 3600)
    with made.process() as migration:
        standing = migration.follow_up()
        assert len(standing.pending) == 1
        teams = list(made.bench.state.teams.values())
        stands = (migration.snapshot, migration.entry, standing.incomplete, teams)
        report.write_people(made.store, *stands)
        assert report.count_by_team(*stands)[1] == {
            "team": "t1",
            "people": 2,
            "moved": 1,
            "scheduled": 0,
            "pending": 1,
            "excluded": 0,
        }
        kept = made.store.read(f"migration/{migration.entry.id}/people.csv") or b""
        assert b"t1,user01,user01@corp.test,pending" in kept.splitlines()
        with pytest.raises(TenantryError, match="1 person has not logged in again"):
            migration.finish()
        migration.finish(("user01",))
        assert not migration.is_on


@pytest.mark.demand("migrate", "rights are restored once")
def test_rights_are_restored_once(made: IssuerBench) -> None:
    made.migrate()
    made.log_in_again(TO)
    with made.process() as migration:
        migration.follow_up()
    project = made.sandbox.harbor.projects["team-t1"]
    user = made.user("user00")
    project.members = {k: m for k, m in project.members.items() if m.entity_id != user.id}
    after = made.rights()

    with made.process() as migration:
        assert migration.follow_up().restored == 0

    assert made.rights() == after, "somebody took it away since: it stays away"


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.demand(
    "migrate", "no user is deleted before the switch, or without being in the snapshot"
)
def test_no_user_is_deleted_before_the_switch_or_without_an_export(
    made: IssuerBench,
) -> None:
    made.migrate(until="approved")
    with made.process() as migration, pytest.raises(TenantryError, match="before the switch"):
        migration.move()
    made.log_in_again(REALM)
    made.migrate(until="switched")
    made.add_person(REALM, "late", "t0")
    made.migrate()

    assert set(made.rights()["people"]) == {"admin", "late"}


def test_a_first_login_with_the_old_issuer_after_the_export_blocks_the_switch(
    made: IssuerBench,
) -> None:
    made.migrate(until="approved")
    made.add_person(REALM, "late", "t0")

    with made.process() as migration, pytest.raises(TenantryError, match="after the export: 1"):
        migration.switch()

    assert made.trusted == made.issuer(REALM)


def test_rights_granted_between_export_and_deletion_are_restored(made: IssuerBench) -> None:
    made.migrate(until="switched")
    with made.bench.process() as systems:
        body = {"role_id": 3, "member_user": {"username": "user04"}}
        systems.harbor_client.post("/projects/team-t1/members", body)
    before = made.rights()
    made.migrate()
    made.log_in_again(TO)
    with made.process() as migration:
        migration.follow_up()

    assert made.rights() == before


@pytest.mark.demand("migrate", "rolled back from every phase")
@pytest.mark.parametrize("until", ["exported", "approved", "switched", "moving", "moved", "back"])
def test_it_is_rolled_back_from_any_phase(until: str, made: IssuerBench) -> None:
    before = made.rights()
    made.migrate(until="moved" if until == "back" else until)
    if until == "back":
        made.log_in_again(TO, ["user00", "user01"])
        with made.process() as migration:
            migration.follow_up()
        made.log_in_again(TO, ["user02"])  # nobody has noticed yet

    with made.process() as migration:
        migration.roll_back()
    assert made.trusted == made.issuer(REALM)
    assert [made.log_in(name) for name in made.names] == [302] * 5
    with made.process() as migration:
        if migration.is_on:
            migration.follow_up()
        assert not migration.is_on

    assert made.rights() == before
    if until not in ("exported", "approved"):
        assert made.bench.state.platform.keycloak.realm == REALM
        assert made.configure() == []


def test_an_impossible_rollback_does_not_affect_the_migration(made: IssuerBench) -> None:
    made.migrate()
    made.log_in_again(TO, ["user00"])
    old = made.sandbox.keycloak.realms.pop(REALM)
    with made.process() as migration, pytest.raises(TenantryError, match="cannot roll back"):
        migration.roll_back()

    made.sandbox.keycloak.realms[REALM] = old
    made.log_in_again(TO)
    with made.process() as migration:
        assert str(migration.follow_up()).startswith("5 logged in again, 0 pending")
        made.sandbox.clock.move(25 * 3600)
        migration.finish()


def test_a_switch_that_harbor_rejects_is_repeated_and_locks_no_user_out(
    made: IssuerBench,
) -> None:
    made.migrate(until="approved")
    made.bench.sandbox.fault_for = lambda system, method, path: (
        400 if path == "/api/v2.0/system/oidc/ping" else None
    )
    with made.process() as migration, pytest.raises(SystemRefused):
        migration.switch()
    made.bench.sandbox.fault_for = lambda system, method, path: None
    made.add_person(REALM, "late", "t0")
    made.add_person(TO, "late", "t0")
    with made.process() as migration, pytest.raises(TenantryError, match="after the export: 1"):
        migration.switch()
    with made.process() as migration:
        old, new = made.issuer(REALM), made.issuer(TO)
        migration.export(made.inspect(), old, new, OPTIONS, "issuer")
    made.migrate()
    assert [made.log_in(name) for name in (*made.names, "late")] == [302] * len(made.names) + [302]


def test_a_user_of_the_new_issuer_only_logs_in_with_the_old_after_a_rollback(
    made: IssuerBench,
) -> None:
    made.migrate()
    for realm in (TO, REALM):
        held = made.sandbox.keycloak.realms[realm]
        user = User(new_id(), "fresh", 1_700_000_000_000, enabled=True, email="fresh@corp.test")
        user.first_name, user.last_name, user.password = "Fresh", "Person", "fresh"
        held.add_user(user)
    assert made.log_in("fresh") == 302
    with made.process() as migration:
        migration.roll_back()
    assert made.log_in("fresh") == 302


def test_user_names_in_options_are_case_insensitive(made: IssuerBench) -> None:
    made.user("user01").username = "User01"
    options = replace(OPTIONS, pilot=("USER00",), exclude_users=("uSer01",))
    found = made.inspect(options)
    assert {person.username: person.wave for person in found.people if person.wave != 1} == {
        "user00": 0,
        "User01": None,
    }
    with pytest.raises(TenantryError, match="listed in both pilot and exclude_users"):
        replace(options, pilot=("user01",))


@pytest.mark.demand(
    "migrate",
    "no more than the declared share of users is deleted at once without explicit confirmation",
)
def test_a_wave_that_is_too_large_needs_an_explicit_option(made: IssuerBench) -> None:
    found = made.inspect(replace(OPTIONS, max_wave_percent=50))
    assert [each.what for each in found.blocking] == ["large wave"]


@pytest.mark.demand("migrate", "the mesh must accept both issuers first")
def test_a_rule_that_accepts_only_the_old_issuers_tokens_is_blocking(made: IssuerBench) -> None:
    rule = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "jwt", "namespace": "team-t0"},
        "spec": {"jwtRules": [{"issuer": made.issuer(REALM)}]},
    }
    made.sandbox.kubernetes.put(rule)
    assert [each.what for each in made.inspect().blocking] == ["mesh"]

    rule["spec"] = {"jwtRules": [{"issuer": made.issuer(REALM)}, {"issuer": made.issuer(TO)}]}
    made.sandbox.kubernetes.put(rule)
    assert made.inspect().blocking == []


def leave_groups(made: IssuerBench, *names: str) -> None:
    """What a realm has whose people come by a provider, before their first login."""
    for name in names:
        present(made.sandbox.keycloak.realms[TO].user_named(name)).groups.clear()


def map_group(made: IssuerBench, group: str) -> None:
    realm = made.sandbox.keycloak.realms[TO]
    realm.providers["corp"] = {"alias": "corp", "providerId": "oidc", "config": {}}
    id = new_id()
    realm.provider_mappers[id] = {
        "id": id,
        "name": group,
        "identityProviderAlias": "corp",
        "config": {"group": group},
    }


@pytest.mark.demand("migrate", "another issuer: reports know the teams before the first login")
def test_the_teams_of_people_are_known_before_their_first_login(made: IssuerBench) -> None:
    map_group(made, "/team-t0")
    leave_groups(made, "user00", "user01")
    found = made.inspect(replace(OPTIONS, groups=("team-t1",)))

    notices = {each.what: each.who for each in found.notices}
    assert notices["groups at login"] == ("user00",)
    assert notices["groups missing"] == ("user01",), "no mapper fills team-t1"
    assert "no group" not in notices
    assert {p.username: p.wave for p in found.people}["user01"] == 1, "the wave of its team"
    made.migrate()
    with made.process() as migration:
        teams = list(made.bench.state.teams.values())
        rows = report.count_by_team(migration.snapshot, migration.entry, frozenset(), teams)
    assert [(row["team"], row["people"]) for row in rows] == [("t0", 3), ("t1", 2)]


def test_people_without_a_group_in_both_realms_are_reported(made: IssuerBench) -> None:
    for realm in (REALM, TO):
        present(made.sandbox.keycloak.realms[realm].user_named("user04")).groups.clear()
    notices = {each.what: each.who for each in made.inspect().notices}
    assert notices["no group"] == ("user04",)


@pytest.mark.parametrize(
    ("mapped", "said"),
    [(True, "providers' mappers add them to groups"), (False, "do not have the rights of a team")],
)
def test_groups_that_cannot_be_read_are_reported_as_unknown(
    mapped: bool, said: str, made: IssuerBench
) -> None:
    if mapped:
        map_group(made, "/team-t0")
    leave_groups(made, "user00")
    made.sandbox.keycloak.realms.pop(REALM)
    found = {each.what: each for each in made.inspect().notices}
    assert found["groups unknown"].who == ("user00",)
    assert said in found["groups unknown"].text
    assert "no rollback" in found


def test_the_local_administrator_and_other_users_are_not_moved(made: IssuerBench) -> None:
    found = made.inspect()
    assert [person.username for person in found.people] == made.names
    assert "admin" not in made.names


def test_no_secret_is_kept(made: IssuerBench) -> None:
    made.migrate()
    kept = "".join(
        path.read_text() for path in (made.bench.folder.parent / "store").rglob("*.json")
    )
    secrets = [*made.sandbox.harbor.issued_secrets]
    secrets.append(str(made.sandbox.harbor.configuration["oidc_client_secret"]))
    assert not any(secret in kept for secret in secrets if secret)
