"""The runbook of migrations, executed step by step through a Prefect server."""

import pytest

from tests.support.issuer_harness import TO
from tests.support.migration_flows import Flows, flows, issuers
from tests.support.migration_harness import NEW
from tests.support.runbook import Operator

__all__ = ["flows", "issuers"]
pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


def operator(flows: Flows, *, realm: str = "") -> Operator:
    made = flows.made
    names = [f"user{number:02}" for number in range(5)]

    def log_in(people: list[str], said: str) -> None:
        if realm:
            made.log_in_again(realm, people)
            return
        for name in people:
            made.log_in(name)

    values = {"ann": names[0], "login": flows.block}
    return Operator(flows, made.store, values, log_in, names, {"soak_hours": 0})


@pytest.mark.demand(
    "migrate", "the runbook step by step, sandbox: situation A, with a SIGKILL between waves"
)
def test_the_runbook_replaces_a_provider_though_a_run_is_killed_between_waves(
    flows: Flows,
) -> None:
    made = flows.made
    before = made.rights()
    flows.made.sandbox.controls.delay(0.05)

    operator(flows).follow("A", kill_at="A3")

    assert made.rights() == before
    assert len(made.links(NEW)) == 5
    assert made.hidden() == {NEW: False}


@pytest.mark.demand(
    "migrate", "the runbook step by step, sandbox: situation C, with a SIGKILL between waves"
)
def test_the_runbook_changes_the_issuer_though_a_run_is_killed_between_waves(
    issuers: Flows,
) -> None:
    made = issuers.made
    made.sandbox.controls.delay(0.05)

    operator(issuers, realm=TO).follow("C", kill_at="C3")

    assert made.trusted == made.issuer(TO)
    assert {*made.names} <= {*made.rights()["people"]}


@pytest.mark.demand("migrate", "the runbook step by step, sandbox: situation C, rolled back")
def test_the_runbook_goes_back_to_the_old_issuer(issuers: Flows) -> None:
    made = issuers.made
    before = made.rights()
    operator(issuers, realm=TO).follow("C", until="C4")

    operator(issuers, realm="platform").follow("back")

    assert made.rights() == before
    assert made.trusted == made.issuer("platform")
