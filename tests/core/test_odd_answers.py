"""An unexpected or missing member of an answer causes a finding or a message, and never ends the run."""

import logging
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tenantry import checks, drift, onboarding
from tenantry.answers import not_understood
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tests.checks.faults import prepare as prepare_platform
from tests.core.odd_answers import CHANGES, OddAnswers, Place
from tests.drift.extras import provider
from tests.drift.watch import DATA, PLATFORM, SHOP
from tests.support.harness import Bench, Prepare
from tests.support.issuer_harness import IssuerBench
from tests.support.migration_crash import MigrationSnapshot
from tests.support.migration_harness import MigrationBench
from tests.support.rotation_harness import ROTATED, pass_time, run
from tests.systems.test_platform import whole as declare_platform

pytestmark = pytest.mark.demand("reality", "all of tests/core/test_odd_answers.py")

SAMPLES = [3, pytest.param(60, marks=pytest.mark.long)]
"""The number of cases of each procedure in `make test` and `make test-long`; `--whole` runs all."""
SEED = 17
"""The seed that selects the cases of a sample."""


class Procedure(NamedTuple):
    """A procedure that runs while an answer is unexpected.

    Attributes:
        prepare: prepares the sandbox.
        run: runs the procedure, and returns the errors of the failed teams by name.
    """

    prepare: Prepare
    run: Callable[[Bench], dict[str, TenantryError]]


def onboard(bench: Bench) -> dict[str, TenantryError]:
    outcomes: dict[str, Outcome] = {}
    with bench.process() as systems:
        systems.check()
        planned = onboarding.plan_all(systems, bench.teams)
        onboarding.onboard_many(
            systems,
            bench.teams,
            planned,
            NoLock(),
            lambda outcome: outcomes.update({outcome.team: outcome}),
        )
    assert outcomes.keys() == {team.name for team in bench.teams}
    return {name: done.error for name, done in outcomes.items() if done.error is not None}


def configure(bench: Bench) -> dict[str, TenantryError]:
    with bench.process() as systems:
        onboarding.configure(systems)
    return {}


def detect_drift(bench: Bench) -> dict[str, TenantryError]:
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        report = drift.detect(systems, bench.teams, seen, drift.SYSTEMS).report
    return {finding.team: TenantryError(finding.detail) for finding in report.findings}


def check(bench: Bench) -> dict[str, TenantryError]:
    with bench.process() as systems:
        found = checks.check_all(systems)
    return {finding.team: TenantryError(finding.detail) for finding in found}


def rotate(bench: Bench) -> dict[str, TenantryError]:
    with bench.process() as systems:
        outcomes = run(bench, systems=systems)
    return {done.team: done.error for done in outcomes.values() if done.error is not None}


def declared(bench: Bench) -> None:
    """Declare two teams with a resource of each kind."""
    for name in ("ann", "bob"):
        bench.sandbox.keycloak.add_user("platform", name)
    bench.declare(SHOP, DATA, platform=PLATFORM)
    bench.systems.keycloak_client.post("identity-provider/instances", provider("corp"))


def onboarded(bench: Bench) -> None:
    declared(bench)
    assert onboard(bench) == {}


def due(bench: Bench) -> None:
    robots = {"pull": {"expiry_days": 30, "rotation": ROTATED}}
    bench.declare({"name": "shop", "robots": robots}, {"name": "data", "robots": robots})
    assert onboard(bench) == {}
    pass_time(bench, days=21)


def configured(bench: Bench) -> None:
    bench.declare({"name": "shop"}, platform=declare_platform(bench))
    configure(bench)


PROCEDURES = {
    "onboard new teams": Procedure(declared, onboard),
    "onboard teams again": Procedure(onboarded, onboard),
    "configure": Procedure(
        lambda bench: bench.declare({"name": "shop"}, platform=declare_platform(bench)) and None,
        configure,
    ),
    "configure again": Procedure(configured, configure),
    "drift": Procedure(onboarded, detect_drift),
    "drift of the platform": Procedure(configured, detect_drift),
    "checks": Procedure(prepare_platform, check),
    "rotate": Procedure(due, rotate),
}


def cases(
    odd: OddAnswers, procedure: Callable[[], object], sample: int, whole: bool
) -> list[tuple[Place, str]]:
    found = [(place, change) for place in odd.places(procedure) for change in CHANGES]
    return found if whole else random.Random(SEED).sample(found, min(sample, len(found)))


@pytest.mark.demand(
    "reality", "each procedure: an odd answer ends in a message, never in a traceback"
)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", PROCEDURES)
def test_an_odd_answer_ends_in_a_message(
    name: str,
    sample: int,
    begin: Callable[[Prepare], Bench],
    whole: bool,
    record_property: Callable[[str, object], None],
) -> None:
    prepare, procedure = PROCEDURES[name]
    bench = begin(prepare)
    odd = OddAnswers(bench)
    chosen = cases(odd, lambda: procedure(bench), sample, whole)
    failed = 0
    for place, change in chosen:
        try:
            failed += bool(odd.run(lambda: procedure(bench), place, change))
        except TenantryError as error:
            failed += 1
            if change == "more":
                raise AssertionError(f"{place}: an unknown member ends in: {error}") from error
        except Exception as error:
            error.add_note(f"{place}: {change}")
            raise
    record_property("cases", len(chosen))
    record_property("failed", failed)


@pytest.mark.demand("reality", "an odd answer about one team costs the other nothing")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", ["onboard new teams", "onboard teams again", "drift", "rotate"])
def test_an_odd_answer_about_one_team_costs_the_other_nothing(
    name: str, sample: int, begin: Callable[[Prepare], Bench], whole: bool
) -> None:
    prepare, procedure = PROCEDURES[name]
    bench = begin(prepare)
    odd = OddAnswers(bench)

    def about(system: str, path: str) -> bool:
        project = bench.sandbox.harbor.projects.get("team-shop")
        numbers = {str(project.id)} if system == "harbor" and project else set()
        return "team-shop" in path or not numbers.isdisjoint(path.split("/"))

    costly = []
    for place, change in cases(odd, lambda: procedure(bench), sample, whole):
        try:
            failed = odd.run(lambda: procedure(bench), place, change, about)
        except TenantryError as error:
            costly.append(f"{place} ({change}): {error}")
        else:
            if "data" in failed:
                costly.append(f"{place} ({change}): {failed['data']}")
    assert costly == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("kind", [MigrationBench, IssuerBench])
def test_an_odd_answer_ends_a_migration_in_a_message(
    kind: type[MigrationBench | IssuerBench], sample: int, bench: Bench, whole: bool
) -> None:
    made = kind(bench, people=2)
    start, odd = MigrationSnapshot(made), OddAnswers(bench)

    def procedure() -> None:
        start.restore()
        made.migrate()

    for place, change in cases(odd, procedure, sample, whole):
        try:
            odd.run(procedure, place, change)
        except TenantryError as error:
            if change == "more":
                raise AssertionError(f"{place}: an unknown member ends in: {error}") from error
        except Exception as error:
            error.add_note(f"{place}: {change}")
            raise


@pytest.mark.parametrize("turn", ["understood", "as_tenantry_error"])
def test_the_text_of_an_error_is_in_no_message_and_no_log(
    turn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        int("hunter2")
    except ValueError as error:
        if turn == "as_tenantry_error":
            message = str(as_tenantry_error(error, "reading"))
        else:
            message = str(not_understood(error, "harbor", "read"))
    assert "ValueError" in message
    assert "test_odd_answers.py" in caplog.text, "the place is logged"
    # The frames show the line of this test, which quotes it in the source.
    assert "hunter2" not in message
    assert "invalid literal" not in caplog.text
