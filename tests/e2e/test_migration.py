"""Migrations through a real Prefect server: plan, approval, follow-up, finish and rollback."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.support.approvals import next_approval, wait_for_approval
from tests.support.browser import answer_approval, open_approval, open_ui
from tests.support.issuer_harness import TO
from tests.support.migration_flows import Flows, flows, issuers, plan_of
from tests.support.migration_harness import NEW, OLD

__all__ = ["flows", "issuers"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.demand("migrate", "all of tests/e2e/test_migration.py"),
]


@pytest.mark.demand(
    "migrate", "a suspended run keeps no process, is resumed by a form, and continues to the end"
)
@pytest.mark.long
def test_a_person_approves_a_plan_for_days_and_the_run_goes_on(flows: Flows) -> None:
    made = flows.made
    before = made.rights()
    there = {"new_keycloak": flows.block, "pilot": ["user00"], "soak_hours": 0}

    assert flows.done("follow-up") == "No migration is in progress."

    planned = flows.run("plan", **there)
    text = planned["state"]["message"]
    assert text.startswith("Planned: 5 people in 2 waves. Plan "), text
    assert text.endswith("Next: run continue-migration, which asks for an approval of the plan.")
    assert "user01" not in flows.artifact("migration-inspection", planned)

    id = flows.start("continue")
    asked = wait_for_approval(flows, id)
    assert made.links(NEW) == {}
    assert "No user is deleted in Harbor" in asked.description
    followed = flows.done("follow-up")  # the waiting run holds no lock
    assert "0 linked, 5 in later waves; rights that differ: 0." in followed

    flows.resume(id, asked.plan)
    run = flows.platform.wait_for_run(id)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    text = run["state"]["message"]
    assert text.startswith(f"Switched from '{OLD}' to '{NEW}'. No one is locked out."), text
    assert "Next: run finish-migration, from " in text
    assert made.hidden() == {OLD: True, NEW: False}
    assert len(made.links(NEW)) == 5
    refused = flows.run("plan", replan=True, **there)["state"]["message"]
    assert "cannot be planned again: people already log in with 'login'" in refused

    followed_up = flows.run("follow-up")
    assert "5 linked, 0 in later waves; rights that differ: 0." in followed_up["state"]["message"]
    assert "user01" not in flows.artifact("migration-by-team", followed_up)
    asked_to_finish, done = flows.approved("finish")
    assert "No user is deleted in Harbor" in asked_to_finish
    assert "A rollback is not possible afterwards." in asked_to_finish
    assert "rights compared, 0 different; approved by Ann." in done
    assert made.hidden() == {NEW: False}
    assert made.rights() == before
    nothing = flows.run("continue")
    assert nothing["state"]["message"].endswith("Next: run plan-migration.")


@pytest.mark.long
def test_users_are_re_created_where_that_is_asked_for(flows: Flows) -> None:
    made = flows.made
    made.give_rights()
    before = made.rights_by_name()

    planned = flows.run(
        "plan", situation="users", new_keycloak=flows.block, max_wave_percent=100, soak_hours=0
    )
    assert "re-created" in flows.artifact("migration-inspection", planned)
    moved = flows.done("continue", approved_plan=plan_of(made))
    assert moved.startswith(f"Switched from '{OLD}' to '{NEW}'.")
    assert made.rights_by_name()["people"] == {"admin": True}

    for user in made.users():
        made.log_in(user.username)
    back = flows.done("follow-up")
    assert "in Harbor: 5 logged in again, 0 pending" in back
    assert "; rights that differ: 1." in back, "a project's owner"
    assert made.rights_by_name() == before
    flows.approved("finish")


@pytest.mark.demand(
    "migrate",
    "the approval of another issuer says who is deleted and locked out; a roll "
    "back deletes only after an approval that stated the number",
)
@pytest.mark.long
def test_the_approvals_of_another_issuer_say_whom_they_lock_out_and_delete(
    issuers: Flows,
) -> None:
    flows, made = issuers, issuers.made
    before = made.rights()
    flows.done("plan", pilot=["user00"], max_wave_percent=100, soak_hours=0)

    asked, moved = flows.approved("continue", waves=1)

    said = (
        *("are deleted, wave by wave", "cannot log in again until their wave is done"),
        *("The CLI secrets of 5 people become invalid", "User names for docker login"),
        "For a rollback, run",
    )
    places = [asked.replace("\\", "").index(text) for text in said]
    assert places == sorted(places), asked
    assert "1 of 2 waves done. Pilots log in to Harbor: http" in moved
    assert moved.endswith(
        "4 people cannot log in until their wave is done. Next: run continue-migration."
    )
    assert made.trusted == made.issuer(TO)
    early = flows.run("finish")
    assert early["state_type"] == "FAILED", "some people have not returned yet"

    moved = flows.done("continue")
    assert "No one is locked out. Next: run finish-migration" in moved
    made.log_in_again(TO, ["user00", "user01"])
    flows.done("follow-up")

    users = set(made.sandbox.harbor.users)
    shown = flows.run("roll-back", approved_plan="0" * 64)["state"]["message"]
    assert "2 users are deleted in Harbor." in shown
    assert set(made.sandbox.harbor.users) == users, "no user was deleted without an approval"
    asked, undone = flows.approved("roll-back")
    assert "2 users are deleted in Harbor." in asked
    assert "The CLI secrets of 2 people become invalid" in asked
    assert "Rolling back: 5 people have not logged in yet." in undone
    assert made.trusted != made.issuer(TO)

    refused = flows.run("continue")
    assert "is being rolled back" in refused["state"]["message"]
    made.log_in_again("platform")
    assert flows.done("follow-up").endswith("No one is locked out. No further step is needed.")
    assert made.rights() == before


@pytest.mark.demand("migrate", "an approval does not hold for more users than it stated")
@pytest.mark.long
def test_an_approval_does_not_hold_for_more_people_than_it_named(issuers: Flows) -> None:
    flows, made = issuers, issuers.made
    flows.done("plan", max_wave_percent=100)
    flows.done("continue", approved_plan=plan_of(made))
    made.log_in_again(TO, ["user00"])
    id = flows.start("roll-back")
    asked = wait_for_approval(flows, id)
    assert "1 user is deleted in Harbor." in asked.description
    made.log_in_again(TO, ["user01"])
    users = set(made.sandbox.harbor.users)

    flows.resume(id, asked.plan)

    second = next_approval(flows, id, asked)
    assert "2 users are deleted in Harbor." in second.description
    assert set(made.sandbox.harbor.users) == users
    flows.resume(id, second.plan)
    run = flows.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]


@pytest.mark.long
def test_different_deployments_at_once_leave_one_migration_that_is_whole(flows: Flows) -> None:
    made = flows.made
    before = made.rights()
    plan = made.plan()

    started = [
        flows.start("continue", approved_plan=plan, waves=1),
        flows.start("follow-up"),
        flows.start("plan", new_keycloak=flows.block),
        flows.start("follow-up"),
    ]

    ended = [flows.platform.wait_for_run(id) for id in started]
    states = [run["state_type"] for run in ended]
    assert states[1] == states[3] == "COMPLETED", [run["state"]["message"] for run in ended]
    # Depending on the order, the plan was approved and is kept, or was replaced and needs an approval.
    assert sorted(states[::2]) == ["COMPLETED", "FAILED"], [
        run["state"]["message"] for run in ended
    ]
    moved = flows.done("continue", approved_plan=plan_of(made))
    assert moved.startswith(f"Switched from '{OLD}' to '{NEW}'.")
    assert len(made.links(NEW)) == 5
    assert made.rights() == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Set identities_file or new_keycloak"),
        ({"identities_file": "none.csv"}, "the file does not exist"),
        ({"situation": "users", "reimport_users": ["user01"]}, "keeps the ids of users"),
        ({"new_keycloak": "none"}, "There is no block 'Keycloak Connection'"),
        ({"report_storage": "local-file-system/none"}, "There is no block"),
    ],
)
def test_what_is_asked_wrongly_is_refused_and_nothing_is_changed(
    flows: Flows, asked: dict[str, Any], said: str
) -> None:
    flows.made.sandbox.requests.reset()

    run = flows.run("plan", **asked)

    assert run["state_type"] == "FAILED"
    assert said in run["state"]["message"]
    assert flows.made.sandbox.requests.writes() == 0


@pytest.mark.long
def test_a_plan_is_approved_by_its_hash_and_undone_through_the_flow(flows: Flows) -> None:
    made = flows.made
    plan = made.plan()

    refused = flows.run("continue", approved_plan="0" * 64)
    assert "the current plan is" in refused["state"]["message"]
    run = flows.run("continue", approved_plan=plan, waves=1)
    moved = run["state"]["message"]
    assert moved.startswith("1 of 2 waves done. Pilots log in with the new provider: http"), moved
    assert moved.endswith(". No one is locked out. Next: run continue-migration.")
    realm, harbor = re.findall(r"https?://[^ ]+[^ .]", moved)
    assert "kc_idp_hint=login" in realm
    assert httpx.get(realm).status_code == 200, "the realm accepts the link"
    assert httpx.get(harbor).status_code == 302
    shown = flows.artifact("migration-pilot-links", run)
    assert realm in shown
    assert harbor in shown
    again = flows.run("plan", new_keycloak=flows.block)["state"]["message"]
    assert "is already approved" in again
    assert "replan: true" in again
    asked, back = flows.approved("roll-back")
    assert "0 users are deleted in Harbor." in asked
    assert back.startswith("Rolled back the migration from 'corp' to 'login'")
    assert made.links(NEW) == {}


@pytest.mark.demand("migrate", "the approvals' texts in a browser")
@pytest.mark.long
def test_a_person_reads_the_approval_of_another_issuer_in_the_ui(
    issuers: Flows, page: Page
) -> None:
    flows, made = issuers, issuers.made
    flows.done("plan", pilot=["user00"], max_wave_percent=100)
    id = flows.start("continue", waves=1)
    wait_for_approval(flows, id)

    dialog = open_approval(page, flows.platform.url, id)

    dialog.get_by_text("in Harbor are deleted, wave by wave").wait_for()
    shown = dialog.inner_text()
    for text in (
        "cannot log in again until their wave is done",
        "The CLI secrets of 5 people become invalid",
        "User names for docker login",
        "For a rollback, run roll-back-migration before finish-migration",
    ):
        assert text in shown, shown
    answer_approval(page, dialog)
    assert flows.platform.wait_for_run(id)["state_type"] == "COMPLETED"
    made.log_in_again(TO, ["user00"])
    flows.done("follow-up")

    id = flows.start("roll-back")
    wait_for_approval(flows, id)
    dialog = open_approval(page, flows.platform.url, id)
    dialog.get_by_text("1 user is deleted in Harbor.").wait_for()
    assert "The CLI secrets of 1 person become invalid" in dialog.inner_text()
    assert len(made.sandbox.harbor.users) == 6, "no user is deleted before the answer"
    answer_approval(page, dialog)
    assert "Rolling back" in flows.platform.wait_for_run(id)["state"]["message"]


# All is measured at once: the page may render the table anew between two calls.
MEASURED = """text => {
    const holds = element => element.textContent.includes(text);
    const shown = [...document.querySelectorAll("body *")].find(
        each => holds(each) && each.getClientRects().length && ![...each.children].some(holds)
    );
    const tables = [...document.querySelectorAll("table")];
    return shown && {
        right: shown.getBoundingClientRect().right,
        cut: Math.max(0, ...tables.map(t => t.scrollWidth - t.parentElement.clientWidth)),
    };
}"""


@pytest.mark.demand(
    "migrate",
    "the reason that stops a migration is shown with its remedy, not cut off, in a browser",
)
@pytest.mark.long
def test_what_stops_a_migration_is_shown_with_its_remedy(flows: Flows, page: Page) -> None:
    made = flows.made
    made.realm.providers[NEW]["hideOnLogin"] = False
    run = flows.run("plan", new_keycloak=flows.block, pilot=["user00"])
    assert run["state_type"] == "FAILED"

    shown = (
        ("artifacts", "migration-inspection-summary"),
        ("v2/artifacts", "migration-inspection-summary"),
        ("artifacts", "migration-inspection"),
    )
    for ui, key in shown:
        id = flows.artifact_of(key, run)["id"]
        page.goto(f"{flows.platform.url}/{ui}/artifact/{id}")
        measured = page.wait_for_function(MEASURED, arg="Declare it hidden").json_value()
        assert measured["cut"] <= 0, f"{key}: the table is cut at the right"
        assert measured["right"] <= 1280, f"{key}: the remedy is cut"
        if folder := os.environ.get("TENANTRY_TEST_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{key}.png", full_page=True)


@pytest.fixture
def page() -> Iterator[Page]:
    with open_ui() as page:
        yield page
