"""Harbor trusts another realm of a real Keycloak, and its users regain all their rights."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tenantry import onboarding
from tenantry.errors import TenantryError
from tenantry.migration import report
from tenantry.migration.issuer import open_old_realm
from tenantry.migration.options import Options
from tenantry.sandbox import Sandbox
from tenantry.systems.keycloak.harbors_client import secret_of
from tenantry.systems.systems import Systems
from tests.real.conftest import Keycloak
from tests.real.issuer_lab import IssuerLab
from tests.real.lab_harbor import LabHarbor
from tests.real.test_migration import PEOPLE, TEAMS, give_rights
from tests.support.addresses import GivenHarbor

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

Record = Callable[[str, object], None]
Make = Callable[[int, int], IssuerLab]


@pytest.fixture
def make(
    real_keycloak: Keycloak, given_harbor: GivenHarbor | None, tmp_path: Path
) -> Iterator[Make]:
    with Sandbox() as sandbox, ExitStack() as stack:

        def made(people: int, teams: int) -> IssuerLab:
            harbor = LabHarbor(sandbox, given_harbor)
            lab = IssuerLab(real_keycloak, sandbox, harbor, tmp_path, people, teams)
            stack.callback(lab.close)
            lab.set_up()
            return lab

        yield made


def options(lab: IssuerLab, **changes: Any) -> Options:
    """Return migration options with the first user as the pilot."""
    return Options(pilot=(lab.names[0],), wave_percent=50, soak_hours=24, **changes)


def make_developer(systems: Systems, name: str, project: str) -> None:
    """Make a user a developer of a project, as a project administrator could do at any time."""
    body = {"role_id": 2, "member_user": {"username": name}}
    systems.harbor_client.post(f"/projects/{project}/members", body)


def developers(systems: Systems, project: str) -> set[str]:
    """Return the names of the direct members of a project who are developers."""
    rows = systems.harbor_client.pages(f"/projects/{project}/members", by_name=True)
    return {row["entity_name"] for row in rows if row["role_id"] == 2 and row["entity_type"] == "u"}


def naive_switch(lab: IssuerLab) -> tuple[int, str]:
    """Switch the issuer without a migration, and return the status and text of a login."""
    with lab.systems() as systems:
        held = systems.harbor_client.settings()["oidc_endpoint"]
        systems.harbor_platform.switch(systems.keycloak_client.issuer)
        status, text, _ = lab.log_in(lab.names[0])
        old = open_old_realm(systems.keycloak_client, held)
        assert old is not None
        back = {"oidc_endpoint": held, "oidc_client_secret": secret_of(old, "harbor")}
        systems.harbor_client.put("/configurations", back)
        old.close()
    return status, text


@pytest.mark.demand("migrate", "another issuer: the naive switch ends in", "naive")
@pytest.mark.demand(
    "migrate",
    "another issuer, the same users: the first login of all others works, all "
    "rights are back but a project's ownership, for which Harbor has no call",
    "people",
    "rights",
)
def test_fifty_users_return_with_all_their_rights(make: Make, record_property: Record) -> None:
    lab = make(PEOPLE, TEAMS)
    owners = give_rights(lab, lab.ids)
    assert "Run plan-migration" in lab.refused
    status, text = naive_switch(lab)
    assert (status, "already exists" in text) == (409, True), text

    absent, pair = lab.names[-2:], lab.names[9]
    lab.add_at(lab.new, "second", email=f"{pair}@example.test")
    with pytest.raises(TenantryError, match="Ambiguous at the new provider: 1"):
        lab.inspect(options(lab)).require_no_blocking()
    lab.remove_at(lab.new, "second")

    lab.plan(options(lab))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.switch()
        assert migration.move(1) == 2
    assert lab.log_in(lab.names[0])[0] == 302, "the pilot"
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.move()
    staying = [name for name in lab.names if name not in absent]
    assert len(set(lab.all_log_in(staying).values())) == len(staying)
    with lab.systems() as systems:
        migration = lab.migration(systems)
        standing = migration.follow_up()
        assert (standing.returned, len(standing.pending)) == (PEOPLE - 2, 2)
        rights = report.compare(migration)
        differing = [right for right in rights if not right.is_equal]
        assert {right.person for right in differing} == {*absent, *owners}
        owned = [right.right for right in differing if right.person in owners]
        assert owned == [f"owner of team-{lab.teams[0]}" for _ in owners], "no API call restores it"
        with pytest.raises(TenantryError, match="2 people have not logged in again"):
            migration.finish(now=True)
        migration.finish(tuple(absent), now=True)
    lab.all_log_in(staying[:4])
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == ()
    record_property("people", len(staying))
    record_property("rights", len(rights))
    record_property("naive", f"{status}: {text.strip()[:100]}")


@pytest.mark.demand("migrate", "rolled back from every phase, with logins afterwards")
@pytest.mark.parametrize("until", ["approved", "switched", "moving", "moved", "returned"])
def test_after_a_roll_back_everybody_logs_in_as_before(until: str, make: Make) -> None:
    lab = make(4, 2)
    lab.plan(options(lab, max_wave_percent=100))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        if until != "approved":
            migration.switch()
        if until not in ("approved", "switched"):
            migration.move(1 if until == "moving" else None)
        if until == "returned":
            lab.all_log_in(lab.names[:2])
            migration.follow_up()
            make_developer(systems, lab.names[0], f"team-{lab.teams[1]}")

    with lab.systems() as systems:
        lab.migration(systems).roll_back()
    lab.all_log_in(lab.names)
    with lab.systems() as systems:
        migration = lab.migration(systems)
        if migration.is_on:
            assert migration.follow_up().pending == frozenset()
        assert not migration.is_on
        if until == "returned":
            assert lab.names[0] in developers(systems, f"team-{lab.teams[1]}")
    if until != "approved":
        with lab.systems() as systems:
            assert onboarding.configure(systems).done == ()
