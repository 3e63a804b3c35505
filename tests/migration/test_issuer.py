"""Harbor's issuer changes: everybody comes back by logging in, with all that they had."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tenantry.errors import TenantryError
from tenantry.migration import report
from tenantry.systems.keycloak.harbors_client import secret_of
from tests.bench import REALM
from tests.issuer_bench import ORDER, TO, IssuerBench


@pytest.fixture
def made(issuer_platform: Callable[[], IssuerBench], no_waiting: None) -> IssuerBench:
    return issuer_platform()


def test_the_naive_switch_is_refused_and_ends_in_409(made: IssuerBench) -> None:
    assert [refused.split(":")[0] for refused in made.configure()] == [
        "harbor/configuration/single sign-on"
    ]
    assert made.trusted == made.issuer(REALM)
    assert made.log_in("user01") == 302

    with made.process() as migration:  # what somebody does by hand
        systems = migration.systems
        secret = partial(secret_of, systems.keycloak_client)
        systems.harbor_configuration.switch(made.issuer(TO), secret)
    assert made.log_in("user01") == 409


def test_everybody_comes_back_with_all_that_they_had(made: IssuerBench) -> None:
    before = made.rights()

    made.migrate()
    assert made.rights()["people"] == {"admin": True}
    assert [made.log_in(name) for name in made.names] == [302] * 5
    with made.process() as migration:
        assert str(migration.follow_up()) == (
            "5 returned, 0 pending, 0 to come, 5 of them restored now"
        )
        rights = report.compare(migration)
        differing = [right for right in rights if not right.is_equal]
        assert [right.right for right in differing] == ["owner of team-t0"], "said beforehand"
        made.sandbox.clock.move(25 * 3600)
        migration.finish()

    assert made.rights() == before
    assert made.configure() == []
    assert [made.log_in(name) for name in made.names] == [302] * 5


def test_whoever_does_not_come_back_is_pending_until_let_go(made: IssuerBench) -> None:
    made.migrate()
    made.come_back(TO, ["user00", "user02", "user03", "user04"])
    made.sandbox.clock.move(25 * 3600)
    with made.process() as migration:
        standing = migration.follow_up()
        assert len(standing.pending) == 1
        teams = list(made.bench.state.teams.values())
        stands = (migration.snapshot, migration.entry, standing.lacking, teams)
        report.write_people(made.store, *stands)
        assert report.by_team(*stands)[1] == {
            "team": "t1",
            "people": 2,
            "moved": 1,
            "to come": 0,
            "pending": 1,
            "let go": 0,
        }
        kept = made.store.read(f"migration/{migration.entry.id}/people.csv") or b""
        assert b"t1,user01,user01@corp.test,pending" in kept.splitlines()
        with pytest.raises(TenantryError, match="Not come back yet: 1"):
            migration.finish()
        migration.finish(("user01",))
        assert not migration.is_on


def test_what_is_given_back_is_given_once(made: IssuerBench) -> None:
    made.migrate()
    made.come_back(TO)
    with made.process() as migration:
        migration.follow_up()
    project = made.sandbox.harbor.projects["team-t1"]
    user = made.user("user00")
    project.members = {k: m for k, m in project.members.items() if m.entity_id != user.id}
    after = made.rights()

    with made.process() as migration:
        assert migration.follow_up().restored == 0

    assert made.rights() == after, "somebody took it away since: it stays away"


def test_nobody_is_deleted_before_the_switch_nor_without_being_exported(
    made: IssuerBench,
) -> None:
    made.migrate(until="approved")
    with made.process() as migration, pytest.raises(TenantryError, match="before the switch"):
        migration.move()
    made.come_back(REALM)
    made.migrate(until="switched")
    made.add_person(REALM, "late", "t0")
    made.migrate()

    assert set(made.rights()["people"]) == {"admin", "late"}


def test_whoever_comes_by_the_old_issuer_after_the_export_stops_the_switch(
    made: IssuerBench,
) -> None:
    made.migrate(until="approved")
    made.add_person(REALM, "late", "t0")

    with made.process() as migration, pytest.raises(TenantryError, match="after the export: 1"):
        migration.switch()

    assert made.trusted == made.issuer(REALM)


def test_what_was_given_between_export_and_deletion_comes_back_too(made: IssuerBench) -> None:
    made.migrate(until="switched")
    with made.bench.process() as systems:
        body = {"role_id": 3, "member_user": {"username": "user04"}}
        systems.harbor_client.post("/projects/team-t1/members", body)
    before = made.rights()
    made.migrate()
    made.come_back(TO)
    with made.process() as migration:
        migration.follow_up()

    assert made.rights() == before


@pytest.mark.parametrize("until", ["exported", "approved", "switched", "moving", "moved", "back"])
def test_it_is_undone_from_any_phase(until: str, made: IssuerBench) -> None:
    before = made.rights()
    made.migrate(until="moved" if until == "back" else until)
    if until == "back":
        made.come_back(TO, ["user00", "user01"])
        with made.process() as migration:
            migration.follow_up()
        made.come_back(TO, ["user02"])  # nobody has noticed yet

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


def test_a_wave_that_is_too_large_needs_a_further_word(made: IssuerBench) -> None:
    found = made.inspect(replace(ORDER, largest_wave=50))
    assert [each.what for each in found.blocking] == ["large wave"]


def test_a_rule_that_takes_the_old_issuers_tokens_only_stops_it(made: IssuerBench) -> None:
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


def test_the_local_administrator_and_strangers_are_left_alone(made: IssuerBench) -> None:
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
