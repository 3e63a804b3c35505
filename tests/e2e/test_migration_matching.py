"""Each way to give the new provider's users, through the flows of each situation."""

from typing import Any

import pytest

from tests.support.issuer_harness import TO, IssuerBench
from tests.support.migration_flows import Flows, flows, issuers, plan_of
from tests.support.migration_harness import NEW, OLD, MigrationBench
from tests.support.migration_sources import SOURCES, Source, every_source

__all__ = ["flows", "issuers"]
pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

DECLARED_REALM = "the declared realm"


@pytest.mark.demand("migrate", "matched and moved to the end through the flows: A-{id}")
@every_source
def test_a_provider_is_replaced_through_the_flows(flows: Flows, source: Source) -> None:
    made = flows.made
    made.give_rights()
    before = made.rights(), made.rights_by_name()
    there = links(made)

    plan(flows, "provider", named(flows, source))
    said = flows.done("continue", approved_plan=plan_of(made))
    assert said.startswith(f"Switched from '{OLD}' to '{NEW}'. No one is locked out."), said
    for user in made.users():
        made.log_in(user.username)
    said = flows.done("follow-up")
    assert said.startswith(f"Switched from '{OLD}' to '{NEW}'. 5 linked, 0 in later waves"), said
    assert "; rights that differ: 0." in said
    finish(flows)

    assert made.links(NEW) == there
    assert made.links(OLD) == {}
    assert made.hidden() == {NEW: False}
    assert (made.rights(), made.rights_by_name()) == before


@pytest.mark.demand("migrate", "matched and moved to the end through the flows: B-{id}")
@every_source
def test_users_are_re_created_through_the_flows(flows: Flows, source: Source) -> None:
    made = flows.made
    made.give_rights()
    before, ids = made.rights_by_name(), {user.id for user in made.users()}
    there = links(made)

    plan(flows, "users", named(flows, source))
    said = flows.done("continue", approved_plan=plan_of(made))
    assert said.startswith(f"Switched from '{OLD}' to '{NEW}'. No one is locked out."), said
    for user in made.users():
        made.log_in(user.username)
    said = flows.done("follow-up")
    assert said.startswith(f"Switched from '{OLD}' to '{NEW}'. 5 linked, 0 in later waves"), said
    assert "in Harbor: 5 logged in again, 0 pending" in said
    finish(flows, differing=1)  # a project's owner, which Harbor has no call for

    assert made.links(NEW) == there
    assert made.links(OLD) == {}
    assert not ids & {user.id for user in made.users()}
    assert made.rights_by_name() == before


@pytest.mark.demand("migrate", "matched and moved to the end through the flows: C-{id}")
@pytest.mark.parametrize("source", [*SOURCES.values(), None], ids=[*SOURCES, DECLARED_REALM])
def test_the_issuer_is_changed_through_the_flows(issuers: Flows, source: Source | None) -> None:
    flows, made = issuers, issuers.made
    before = made.rights()
    old, new = made.issuer("platform"), made.issuer(TO)

    plan(flows, "issuer", named(flows, source) if source else {})
    said = flows.done("continue", approved_plan=plan_of(made))
    assert said.startswith(f"Switched from '{old}' to '{new}'. No one is locked out."), said
    assert made.rights()["people"] == {"admin": True}
    assert [made.log_in(name) for name in made.names] == [302] * 5
    said = flows.done("follow-up")
    assert said.startswith(f"Switched from '{old}' to '{new}'. 5 logged in again, 0 pending"), said
    finish(flows, differing=1)  # a project's owner, which Harbor has no call for

    assert made.trusted == new
    there = {each.external_username: each.external_id for each in made.identities()}
    assert {name: made.user(name).subiss for name in made.names} == {
        name: f"{id}{new}" for name, id in there.items()
    }
    assert made.rights() == before


def named(flows: Flows, source: Source) -> dict[str, Any]:
    """Return the parameters that give the new provider's users. A file of them is in the store."""
    if not source.file:
        return {"match": source.match, "new_keycloak": flows.block}
    made: MigrationBench | IssuerBench = flows.made
    made.store.write(source.file, source.content(made.identities()))
    return {"match": source.match, "identities_file": source.file}


def plan(flows: Flows, situation: str, asked: dict[str, Any]) -> None:
    """Plan the move of all five people in one wave, and check that all of them are matched."""
    order = {"situation": situation, "max_wave_percent": 100, "soak_hours": 0}
    run = flows.run("plan", **order, **asked)
    said = str(run["state"]["message"])
    assert run["state_type"] == "COMPLETED", said
    assert said.startswith("Planned: 5 people in 1 wave. Plan "), said
    with flows.made.process() as migration:
        found = migration.snapshot.people
    assert [person.wave for person in found] == [0] * 5, "all users are matched and moved"


def finish(flows: Flows, differing: int = 0) -> None:
    """Finish the migration after an approval.

    Args:
        flows: the flows.
        differing: the number of rights that are reported as different.
    """
    with flows.made.process() as migration:
        label = migration.entry.label
    asked, said = flows.approved("finish")
    assert "A rollback is not possible afterwards." in asked
    assert said.startswith(f"Finished the {label}. "), said
    assert (
        f" rights compared, {differing} different; approved by Ann. No one is locked out." in said
    )


def links(made: MigrationBench) -> dict[str, str]:
    """Return the ids of the new provider's users by username."""
    return {each.external_username: each.external_id for each in made.identities()}
