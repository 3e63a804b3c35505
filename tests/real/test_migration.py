"""Users of a real Keycloak move to another provider, and log in to Harbor meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry import onboarding
from tenantry.errors import TenantryError
from tenantry.migration import pilots, report
from tenantry.migration.options import Options
from tenantry.sandbox import Sandbox
from tests.real.conftest import Keycloak
from tests.real.issuer_lab import IssuerLab
from tests.real.lab_harbor import LabHarbor
from tests.real.migration_lab import PASSWORD, MigrationLab
from tests.real.servers import browser
from tests.real.servers.browser import LoginError
from tests.support.addresses import GivenHarbor
from tests.support.migration_harness import NEW, OLD
from tests.support.narrowing import present

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

Record = Callable[[str, object], None]
Make = Callable[[int, int], MigrationLab]
PEOPLE, TEAMS = 50, 6
ANEW = {"recreate": True, "max_wave_percent": 100}


@pytest.fixture
def make(
    real_keycloak: Keycloak, given_harbor: GivenHarbor | None, tmp_path: Path
) -> Iterator[Make]:
    with Sandbox() as sandbox, ExitStack() as stack:

        def made(people: int, teams: int) -> MigrationLab:
            harbor = LabHarbor(sandbox, given_harbor)
            lab = MigrationLab(real_keycloak, sandbox, harbor, tmp_path, people, teams)
            stack.callback(lab.close)
            lab.set_up()
            return lab

        yield made


def options(lab: MigrationLab, **changes: Any) -> Options:
    """Return migration options with the first user as the pilot."""
    return Options(pilot=(lab.names[0],), soak_hours=24, **changes)


def naive_switch(lab: MigrationLab) -> tuple[str, int, str]:
    """Redirect a user to the new provider without a migration, and return the two failures."""
    name = f"naive-{lab.mark}"
    lab.add_at(lab.old, name)
    lab.add_at(lab.new, name)
    lab.log_in(name, lab.old)
    lab.send_to(NEW)
    with pytest.raises(LoginError) as raised:
        lab.log_in(name, lab.new)
    lab.remove_at(lab.realm, name)
    status, text = lab.refused(name, lab.new)
    lab.send_to(OLD)
    lab.remove_at(lab.realm, f"{name}.new")
    lab.remove_at(lab.old, name)
    lab.remove_at(lab.new, f"{name}.new")
    (user,) = lab.harbor.caller.json(f"/users?q=username%3D~{name}")
    assert lab.harbor.caller("DELETE", f"/users/{user['user_id']}").status_code == 200
    return str(raised.value), status, text


def give_rights(lab: MigrationLab | IssuerLab, ids: dict[str, int]) -> set[str]:
    """Give users direct roles, administrator rights and a project; return the new owners."""
    caller = lab.harbor.caller
    for number, name in enumerate(lab.names[1:6]):
        body = {"role_id": 1 + number % 4, "member_user": {"username": name}}
        answer = caller("POST", f"/projects/team-{lab.teams[-1]}/members", json=body)
        assert answer.status_code == 201, answer.text
    for name in lab.names[6:8]:
        path = f"/users/{ids[name]}/sysadmin"
        assert caller("PUT", path, json={"sysadmin_flag": True}).status_code == 200
    if not lab.harbor.is_simulated:  # Harbor has no API call that changes the owner of a project
        return set()
    owner = lab.names[8]
    lab.sandbox.harbor.projects[f"team-{lab.teams[0]}"].owner_id = ids[owner]
    return {owner}


@pytest.mark.demand("migrate", "another provider: the naive switch before ends in", "naive")
@pytest.mark.demand(
    "migrate",
    "another provider, 50 users in 6 groups, an ambiguous pair, two who never "
    "return: the first login of all others works, no Harbor id changes, each right "
    "is equal",
    "people",
    "rights",
)
def test_fifty_users_are_moved_and_each_first_login_succeeds(
    make: Make, record_property: Record
) -> None:
    lab = make(PEOPLE, TEAMS)
    ids = lab.all_log_in(lab.names, lab.old)
    give_rights(lab, ids)

    message, status, text = naive_switch(lab)
    assert "already exists" in message
    assert (status, "already exists" in text) == (409, True), text

    absent, pair = lab.names[-2:], lab.names[9]
    for name in absent:
        lab.remove_at(lab.new, f"{name}.new")
    lab.add_at(lab.new, "second", email=f"{pair}@example.test")
    with pytest.raises(TenantryError, match="Unmatched at the new provider: 2") as raised:
        lab.inspect(options(lab)).require_no_blocking()
    assert "Ambiguous at the new provider: 1" in str(raised.value)
    lab.remove_at(lab.new, "second.new")

    lab.plan(options(lab, exclude_users=tuple(absent)))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        assert migration.move(1) == 1
    lab.send_to(NEW)  # the pilot, by kc_idp_hint, while the login page shows the old one only
    assert lab.log_in(lab.names[0], lab.new)["user_id"] == ids[lab.names[0]]
    lab.send_to(OLD)
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.move()
        migration.switch()

    staying = [name for name in lab.names if name not in absent]
    after = lab.all_log_in(staying, lab.new)
    assert after == {name: ids[name] for name in staying}
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == (), "no drift is remediated"
        migration = lab.migration(systems)
        rights = report.compare(migration)
        assert [right for right in rights if not right.is_equal] == []
        migration.finish(now=True)
    assert lab.all_log_in(staying[:4], lab.new) == {name: ids[name] for name in staying[:4]}
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == (), "the declared state says the same"
    record_property("people", len(after))
    record_property("rights", len(rights))
    record_property("naive", f"{status}: {text.strip()[:100]}")


@pytest.mark.demand("migrate", "rolled back from every phase, with logins afterwards")
@pytest.mark.parametrize("until", ["approved", "moving", "moved", "switched"])
def test_after_a_roll_back_everybody_logs_in_as_before(until: str, make: Make) -> None:
    lab = make(3, 2)
    ids = lab.all_log_in(lab.names, lab.old)
    lab.plan(options(lab))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        if until != "approved":
            migration.move(1 if until == "moving" else None)
        if until == "switched":
            migration.switch()
    if until == "switched":
        assert lab.all_log_in(lab.names, lab.new) == ids

    with lab.systems() as systems:
        lab.migration(systems).roll_back()

    assert lab.all_log_in(lab.names, lab.old) == ids
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == ()
    lab.send_to(NEW)
    with pytest.raises(LoginError, match="already exists"):
        lab.log_in(lab.names[1], lab.new)


# Users who are re-created


def ids_in_realm(lab: MigrationLab) -> dict[str, str]:
    lab.admin.change_current_realm(lab.realm)
    return {user["username"]: user["id"] for user in lab.admin.get_users({})}


@pytest.mark.demand("migrate", "re-created users: one who is re-created by hand ends in", "naive")
@pytest.mark.demand(
    "migrate",
    "re-created users, the same 50: the first login of all others works, all "
    "rights are back but a project's ownership",
    "people",
    "rights",
)
def test_fifty_users_are_re_created_and_return_with_all_their_rights(
    make: Make, record_property: Record
) -> None:
    lab = make(PEOPLE, TEAMS)
    owners = give_rights(lab, lab.all_log_in(lab.names, lab.old))
    was = ids_in_realm(lab)
    message, status, text = naive_switch(lab)
    assert "already exists" in message
    assert (status, "already exists" in text) == (409, True), text

    absent, pair = lab.names[-2:], lab.names[9]
    lab.add_at(lab.new, "second", email=f"{pair}@example.test")
    with pytest.raises(TenantryError, match="Ambiguous at the new provider: 1"):
        lab.inspect(options(lab, **ANEW)).require_no_blocking()
    lab.remove_at(lab.new, "second.new")

    lab.plan(options(lab, **ANEW))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        assert migration.move(1) == 1
    lab.send_to(NEW)
    lab.log_in(lab.names[0], lab.new)  # the pilot
    lab.send_to(OLD)
    lab.log_in(lab.names[1], lab.old)  # a user of a later wave
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.move()
        migration.switch()

    staying = [name for name in lab.names if name not in absent]
    lab.all_log_in(staying, lab.new)
    now = ids_in_realm(lab)
    assert len(now) == len(was), "users who logged in by the new provider have its user name"
    assert not {*now.values()} & {*was.values()}
    with lab.systems() as systems:
        migration = lab.migration(systems)
        standing = migration.follow_up()
        harbor = present(standing.harbor)
        assert (harbor.returned, len(harbor.pending)) == (PEOPLE - 2, 2)
        rights = report.compare(migration)
        differing = [right for right in rights if not right.is_equal]
        assert {right.person for right in differing} == {*absent, *owners}
        owned = [right.right for right in differing if right.person in owners]
        assert owned == [f"owner of team-{lab.teams[0]}" for _ in owners], "no API call restores it"
        with pytest.raises(TenantryError, match="2 people have not logged in again"):
            migration.finish(now=True)
        migration.finish(tuple(absent), now=True)
    lab.all_log_in(staying[:4], lab.new)
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == ()
    record_property("people", len(staying))
    record_property("rights", len(rights))
    record_property("naive", f"{status}: {text.strip()[:100]}")


@pytest.mark.demand(
    "migrate",
    "rolled back from every phase where users were re-created: the former ids, and logins",
)
@pytest.mark.parametrize("until", ["moving", "moved", "switched", "returned"])
def test_re_created_users_get_their_ids_back(until: str, make: Make) -> None:
    lab = make(3, 2)
    lab.all_log_in(lab.names, lab.old)
    was = ids_in_realm(lab)
    lab.plan(options(lab, **ANEW))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.move(1 if until == "moving" else None)
        if until in ("switched", "returned"):
            migration.switch()
    if until == "returned":
        lab.all_log_in(lab.names[:2], lab.new)
        with lab.systems() as systems:
            lab.migration(systems).follow_up()

    with lab.systems() as systems:
        lab.migration(systems).roll_back()

    assert ids_in_realm(lab) == was
    lab.all_log_in(lab.names, lab.old)
    with lab.systems() as systems:
        migration = lab.migration(systems)
        if migration.is_on:
            migration.follow_up()
        assert not migration.is_on
    with lab.systems() as systems:
        assert onboarding.configure(systems).done == ()


@pytest.mark.demand("migrate", "imported with the same id: no Harbor id changes")
def test_a_user_imported_with_the_same_id_is_the_same_user_in_harbor(make: Make) -> None:
    lab = make(3, 2)
    ids, was = lab.all_log_in(lab.names, lab.old), ids_in_realm(lab)

    lab.plan(options(lab, reimport_users=tuple(lab.names[1:])))
    with lab.systems() as systems:
        migration = lab.migration(systems)
        migration.move()
        migration.switch()

    assert ids_in_realm(lab) == was
    assert lab.all_log_in(lab.names, lab.new) == ids
    with lab.systems() as systems:
        rights = report.compare(lab.migration(systems))
    assert [right for right in rights if not right.is_equal] == []


@pytest.mark.demand("migrate", "a pilot logs in by the printed links, though Harbor sends a hint")
def test_a_pilot_logs_in_by_the_printed_links_though_harbor_sends_a_hint(make: Make) -> None:
    lab = make(2, 1)
    pilot, other = lab.names
    ids = lab.all_log_in(lab.names, lab.old)
    lab.plan(options(lab))
    with lab.systems() as systems:
        lab.migration(systems).move(1)
        links = pilots.make_links(systems, NEW)
    lab.send_to(OLD)
    lab.harbor.settle()
    back = f"{links.harbor.removesuffix('login')}callback"

    with httpx.Client(trust_env=False, timeout=30) as documented:
        hinted = documented.get(links.harbor).headers["location"]
        assert f"kc_idp_hint={OLD}" in hinted
        refused = documented.get(f"{hinted}&kc_idp_hint={NEW}").headers["location"]
        assert "duplicated" in refused, "Harbor responds with 400"
    with httpx.Client(trust_env=False, timeout=30) as client:
        end = browser.begin_session(client, links.realm, lab.name_at(lab.new, pilot), PASSWORD)
        assert end.startswith(f"{lab.url}/realms/{lab.realm}/account/")
        assert client.get(end).status_code == 200
        answer = browser.follow(client, links.harbor, back)
        assert answer.status_code == 302, answer.text
        assert lab.harbor.current(client)["user_id"] == ids[pilot]
    assert lab.log_in(other, lab.old)["user_id"] == ids[other], "all others log in as before"
