"""The migration runbook on a real Keycloak and optionally a given Harbor, with all users' logins."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry.sandbox import Sandbox
from tests.real.conftest import Keycloak
from tests.real.issuer_lab import IssuerLab
from tests.real.lab_harbor import LabHarbor
from tests.real.migration_lab import PASSWORD, MigrationLab
from tests.real.servers import browser
from tests.real.test_migration import give_rights
from tests.support.addresses import GivenHarbor
from tests.support.flow_harness import platform
from tests.support.migration_flows import Flows
from tests.support.runbook import Operator

__all__ = ["platform"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(1200), pytest.mark.xdist_group("prefect")]

PEOPLE, TEAMS = 12, 3
Lab = MigrationLab | IssuerLab
Start = Callable[[type[Lab]], tuple[Flows, Any]]


@pytest.fixture
def start(
    platform: Any, real_keycloak: Keycloak, given_harbor: GivenHarbor | None, tmp_path: Path
) -> Iterator[Start]:
    with Sandbox() as sandbox, ExitStack() as stack:

        def begin(kind: type[Lab]) -> tuple[Flows, Lab]:
            lab = kind(
                real_keycloak,
                sandbox,
                LabHarbor(sandbox, given_harbor),
                tmp_path,
                PEOPLE,
                TEAMS,
            )
            stack.callback(lab.close)
            lab.set_up()
            addresses = {
                "harbor": lab.harbor.account.model_dump(),
                "keycloak": vars(real_keycloak),
                "kubernetes": sandbox.addresses()["kubernetes"],
            }
            flows = Flows(platform, lab, f"runbook-{lab.mark}", addresses, lab.folder)
            return flows, lab

        yield begin


def operator(
    flows: Flows, lab: Lab, log_in: Callable[[list[str], str], None], **more: Any
) -> Operator:
    values = {"ann": lab.names[0], "login": flows.block}
    return Operator(flows, lab.store, values, log_in, lab.names, {"soak_hours": 0, **more})


@pytest.mark.demand(
    "migrate",
    "the runbook step by step, real Keycloak, and a given Harbor or the sandbox's: "
    "situation A, with a SIGKILL between waves",
)
def test_the_runbook_replaces_a_provider_though_a_run_is_killed_between_waves(
    start: Start,
) -> None:
    flows, lab = start(MigrationLab)
    ids = lab.all_log_in(lab.names, lab.old)
    give_rights(lab, ids)

    def log_in(people: list[str], message: str) -> None:
        if len(people) > 1:
            assert lab.all_log_in(people, lab.new) == ids
            return
        (pilot,) = people
        realm = message.partition("new provider: ")[2].partition(" and then")[0]
        harbor = message.partition("open Harbor: ")[2].partition(". ")[0]
        lab.harbor.settle()
        with httpx.Client(trust_env=False, timeout=30) as client:
            browser.begin_session(client, realm, lab.name_at(lab.new, pilot), PASSWORD)
            answer = browser.follow(client, harbor, f"{harbor.removesuffix('login')}callback")
            assert answer.status_code == 302, answer.text
            assert lab.harbor.current(client)["user_id"] == ids[pilot]
        other = lab.names[1]
        assert lab.log_in(other, lab.old)["user_id"] == ids[other], "as before"

    operator(flows, lab, log_in).follow("A", kill_at="A3")


@pytest.mark.demand(
    "migrate",
    "the runbook step by step, real Keycloak, and a given Harbor or the sandbox's: "
    "situation C, with a SIGKILL between waves",
)
def test_the_runbook_changes_the_issuer_though_a_run_is_killed_between_waves(
    start: Start,
) -> None:
    flows, lab = start(IssuerLab)
    give_rights(lab, lab.ids)

    def log_in(people: list[str], message: str) -> None:
        found = lab.all_log_in(people)
        assert set(found) == set(people)
        if len(people) == 1:
            status, text, _ = lab.log_in(lab.names[-1])
            assert (status, "already exists" in text) == (409, True), "its wave is still to come"

    steps = operator(flows, lab, log_in, max_wave_percent=100)
    steps.follow("C", kill_at="C3")

    different = int(steps.messages["C5"].partition("compared, ")[2].partition(" ")[0])
    assert different == lab.harbor.is_simulated, "no API call restores the owner of a project"


@pytest.mark.demand(
    "migrate",
    "the runbook step by step, real Keycloak, and a given Harbor or the sandbox's: "
    "situation C, rolled back",
)
def test_the_runbook_goes_back_to_the_old_issuer(start: Start) -> None:
    flows, lab = start(IssuerLab)
    give_rights(lab, lab.ids)

    def log_in(people: list[str], message: str) -> None:
        lab.all_log_in(people)

    steps = operator(flows, lab, log_in, max_wave_percent=100)
    steps.follow("C", until="C4")
    steps.follow("back")
