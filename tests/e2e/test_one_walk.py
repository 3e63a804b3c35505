"""Every flow calls the systems through the functions that the sweeps kill and inject faults into.

A flow and the procedure of its sweep run in this process, with a real Prefect server. Of each request
to a system, the functions of `tenantry` on the stack are recorded. The outermost one is the function
that the flow called. A flow with a copy of a walk would call functions that are called within the walk.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml
from prefect import flow
from prefect.filesystems import LocalFileSystem

from demo.blocks import save_blocks
from demo.processes import ROOT
from flows.configure import configure_platform
from flows.drift import detect_drift
from flows.migrate import (
    continue_migration,
    finish_migration,
    follow_up_migration,
    plan_migration,
    roll_back_migration,
)
from flows.offboard import offboard_team, remove_offboarded_teams
from flows.onboard import onboard_team, onboard_teams
from flows.rotate import rotate_robots
from tenantry.systems.settle import connect
from tenantry.walk import apply_stages, observe_owners
from tests.core.test_crash import neighbours, onboarding_of, onboarding_of_all
from tests.drift.test_crash import driver as remediation_driver
from tests.drift.watch import Watched
from tests.offboarding import land
from tests.offboarding.test_crash import ready, removal, revocation
from tests.support import migration_crash
from tests.support.harness import SHOP, Data, FaultySandbox, connections, prepare
from tests.support.interleaving import in_calling_thread
from tests.support.migration_harness import MigrationBench
from tests.support.rotation_crash import due, rotate
from tests.support.rotation_harness import PULL
from tests.support.wire import Request, Send, Wire, no_delays, one_worker
from tests.systems.test_outages import configure

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BLOCK = "one-walk"
STORAGE = {"report_storage": f"local-file-system/{BLOCK}"}
TEAMS: tuple[Data, ...] = ({"name": "shop"}, {"name": "data"})
ONLY_READ = frozenset(
    (
        "tenantry.migration.inspection.check_versions",
        "tenantry.migration.report.compare",
        "tenantry.offboarding.vanished.vanished_teams",
        "tenantry.systems.health.check_harbor",
        "tenantry.systems.health.check_kubernetes",
        "tenantry.systems.settle.connect",
        "tenantry.systems.settle.settle",
        "tenantry.systems.systems.Systems.check",
        "tenantry.systems.systems.Systems.not_applied",
    )
)
"""Functions that flows call before or after a walk, and that change nothing."""


class Call(NamedTuple):
    """A request to a system, with the functions of the core on the stack, the innermost first."""

    request: str
    functions: tuple[str, ...]
    writes: bool


@dataclass
class Recorder:
    """Records the requests to a sandbox."""

    sandbox: FaultySandbox
    calls: list[Call] = field(default_factory=list)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the requests in this context, each of which is sent in the thread of its caller."""
        with no_delays(), one_worker(), in_calling_thread(), Wire(self._handle):
            yield

    def _handle(self, request: Request, send: Send) -> Any:
        sandbox = self.sandbox
        urls = (sandbox.harbor.ext_endpoint, sandbox.keycloak.url, sandbox.kubernetes.url)
        if request.system in {urlsplit(url).netloc for url in urls}:
            path = urlsplit(request.url).path
            writes = request.method != "GET" and not path.endswith(("/token", "/c/login"))
            self.calls.append(Call(f"{request.method} {path}", tuple(_functions()), writes))
        return send()


def _functions() -> Iterator[str]:
    """Yield the functions of the core on the stack, the innermost first."""
    for frame, _ in traceback.walk_stack(None):
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("tenantry.") and not name.startswith("tenantry.sandbox"):
            yield f"{name}.{frame.f_code.co_qualname.partition('.<locals>')[0]}"


@dataclass
class Made:
    """A sandbox with a declared state, blocks with which flows connect to it, and its recorder."""

    bench: Watched
    recorder: Recorder

    def run(self, flow: Any, **parameters: Any) -> None:
        """Run a flow, record its requests, and assert that it completed."""
        with self.recorder.recording():
            state = flow(platform=BLOCK, **parameters, return_state=True)
        assert state.is_completed(), state.message

    def run_procedure(self, procedure: Callable[[], object]) -> None:
        """Run the procedure of a sweep, and record its requests."""
        with self.recorder.recording():
            procedure()


@contextmanager
def make(folder: Path) -> Iterator[Made]:
    """Return a new sandbox with its bench and blocks."""
    with FaultySandbox() as sandbox, Watched(prepare(sandbox), folder / "state") as bench:
        bench.folder.mkdir(parents=True)
        save_blocks(sandbox.addresses(), bench.folder, BLOCK)
        LocalFileSystem(basepath=str(folder / "store")).save(BLOCK, overwrite=True)
        yield Made(bench, Recorder(sandbox))


class Case(NamedTuple):
    """A flow and its sweeps.

    Attributes:
        functions: The functions of the core through which both call the systems.
        flow: Runs the flow.
        sweeps: Each runs the procedure of a sweep, in a new sandbox.
    """

    functions: set[str]
    flow: Callable[[Made], object]
    sweeps: tuple[Callable[[Made], object], ...]


WALK = {"tenantry.walk.Walk.plan", "tenantry.walk.Walk.apply"}
BATCH = {"tenantry.onboarding.plan_all", "tenantry.onboarding.onboard_many"}
DRIFT = {"tenantry.drift.observations.observe", "tenantry.drift.run.remediate_teams"}
ROTATION = {f"tenantry.rotation.run.RotationRun.{name}" for name in ("plan", "rotate")}
MIGRATION = {
    "tenantry.migration.planning.read_identities",
    "tenantry.migration.planning.inspect",
    "tenantry.migration.machine.Migration.move",
    "tenantry.migration.provider.ProviderMigration.switch",
}
FINISH = {
    "tenantry.migration.preview.preview_finish",
    "tenantry.migration.provider.ProviderMigration.finish",
}
ROLL_BACK = {
    "tenantry.migration.preview.preview_rollback",
    "tenantry.migration.provider.ProviderMigration.roll_back",
}
REVOKE = {"tenantry.offboarding.revocation.revoke"}
REMOVE = {
    "tenantry.offboarding.removal_plan.plan_removal",
    "tenantry.offboarding.removal.remove",
}
FOLLOW_UP = {"tenantry.migration.provider.ProviderMigration.follow_up"}


def onboard_one(made: Made) -> None:
    made.bench.declare({"name": "data"})
    made.run(onboard_team, team={"name": "shop"})


def sweep_onboarding(made: Made) -> None:
    neighbours(made.bench)
    made.bench.declare(SHOP)
    made.run_procedure(onboarding_of(made.bench, "shop"))


def onboard_batch(made: Made) -> None:
    made.bench.declare(*TEAMS)
    made.run(onboard_teams)


def sweep_batch(made: Made) -> None:
    made.bench.declare(*TEAMS)
    made.run_procedure(onboarding_of_all(made.bench))


def configure_by_flow(made: Made) -> None:
    configure(made.bench)
    made.run(configure_platform)


def remediate(made: Made) -> None:
    made.bench.declare(*TEAMS).onboard("shop")
    made.bench.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-default-deny", "team-shop")
    made.run(detect_drift, remediate="all")


def sweep_remediation(made: Made) -> None:
    numbers = [3, 44, 77, 120, 180, 239, 244, 251]
    made.run_procedure(remediation_driver(made.bench.onboarded(), numbers).procedure)


def rotate_by_flow(made: Made) -> None:
    made.bench.declare(PULL).onboard()
    made.run(rotate_robots, force=True)


def sweep_rotation(made: Made) -> None:
    due(made.bench, PULL)
    made.run_procedure(rotate(made.bench).procedure)


def migrate(made: Made, then: Any = None) -> None:
    """Plan and continue a migration; with a flow given, record only that flow, which runs after it."""
    MigrationBench(made.bench, people=2)
    made.run(plan_migration, new_keycloak=BLOCK, soak_hours=0, **STORAGE)
    made.run(continue_migration, **STORAGE)
    if then is not None:
        made.recorder.calls.clear()
        made.run(then, **STORAGE)


def sweep_migration(way: str) -> Callable[[Made], None]:
    """Return a function that runs a procedure of the sweeps of migration."""

    def sweep(made: Made) -> None:
        procedure = getattr(migration_crash, way)(MigrationBench(made.bench, people=2)).procedure
        made.run_procedure(procedure)

    return sweep


def offboard(made: Made) -> None:
    made.bench.declare(*TEAMS).onboard("shop")
    made.run(offboard_team, team="shop", confirm="shop", grace_days=0)


def sweep_revocation(made: Made) -> None:
    made.bench.declare(*TEAMS).onboard("shop")
    made.run_procedure(revocation(made.bench))


def remove(made: Made) -> None:
    """Record the run that removes the team, and not the one before it."""
    offboard(made)
    made.recorder.calls.clear()
    made.run(remove_offboarded_teams)


def sweep_removal(made: Made) -> None:
    land.prepare(made.bench)
    approved = ready(made.bench)
    made.run_procedure(removal(made.bench, approved.approval))


def sweep_configuration(made: Made) -> None:
    made.run_procedure(configure(made.bench).procedure)


CASES = {
    "onboard-team": Case(WALK, onboard_one, (sweep_onboarding,)),
    "onboard-teams": Case(BATCH, onboard_batch, (sweep_batch,)),
    "configure-platform": Case(WALK, configure_by_flow, (sweep_configuration,)),
    "detect-drift": Case(DRIFT, remediate, (sweep_remediation,)),
    "rotate-robots": Case(ROTATION, rotate_by_flow, (sweep_rotation,)),
    "offboard-team": Case(REVOKE, offboard, (sweep_revocation,)),
    "remove-offboarded-teams": Case(REMOVE, remove, (sweep_removal,)),
    "continue-migration": Case(MIGRATION, migrate, (sweep_migration("migrate"),)),
    "follow-up-migration": Case(
        FOLLOW_UP,
        lambda made: migrate(made, follow_up_migration),
        (sweep_migration("recreate_back"),),
    ),
    "finish-migration": Case(
        FINISH,
        lambda made: migrate(made, finish_migration),
        (sweep_migration("finish"), sweep_migration("recreate_back")),
    ),
    "roll-back-migration": Case(
        ROLL_BACK | FOLLOW_UP,
        lambda made: migrate(made, roll_back_migration),
        (sweep_migration("recreate_back"),),
    ),
}


def compare(functions: set[str], flow: list[Call], sweeps: list[Call]) -> None:
    """Assert that a flow and its sweeps call the systems through the same functions of the core.

    Raises:
        AssertionError: The flow or a sweep makes a request by itself, or without these functions.
    """
    assert any(call.writes for call in flow) or functions == FOLLOW_UP
    for call in flow:
        known = functions if call.writes else functions | ONLY_READ
        assert call.functions, f"{call.request}: not sent by the core"
        assert call.functions[-1] in known, f"{call.request}: {call.functions[-1]} is not the walk"
    within: set[str] = set()
    for call in sweeps:
        walks = functions.intersection(call.functions)
        within |= walks
    used = {call.functions[-1] for call in flow} - ONLY_READ
    assert used <= within, f"no sweep interrupts {used - within}"


def test_every_flow_that_changes_a_system_is_compared() -> None:
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    only_read = {"check-platform", "import-teams", "plan-migration"}

    assert {each["name"] for each in deployed} == {*CASES} | only_read


@pytest.fixture(autouse=True)
def _approved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each approval answered at once."""
    for module in ("tasks.migration_approval", "tasks.removal"):
        monkeypatch.setattr(f"{module}.request_approval", lambda *_, **__: "Ann")


@pytest.mark.demand("structure", "one walk: each flow runs the functions that the sweeps run")
@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("name", CASES)
def test_a_flow_runs_the_functions_that_the_sweeps_run(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    functions, run_flow, sweeps = CASES[name]
    with make(tmp_path / "flow") as made:
        run_flow(made)
        by_flow = made.recorder.calls
    by_sweeps: list[Call] = []
    for number, sweep in enumerate(sweeps):
        with make(tmp_path / f"sweep-{number}") as made:
            sweep(made)
            by_sweeps += made.recorder.calls
    record_property("requests of the flow", len(by_flow))

    compare(functions, by_flow, by_sweeps)


@pytest.mark.demand("structure", "one walk: a flow with a copy of the walk is found")
@pytest.mark.usefixtures("platform")
def test_a_flow_with_a_copy_of_the_walk_is_found(tmp_path: Path) -> None:
    @flow(retries=0)
    def copied() -> None:
        with connect(connections(bench.sandbox), bench.state) as systems:
            team = systems.state.teams["shop"]
            observed = observe_owners(systems.team_adapters, [team])
            apply_stages(systems, systems.plan(team, observed), observed)

    with make(tmp_path / "flow") as made:
        bench = made.bench
        bench.declare({"name": "shop"})
        with made.recorder.recording():
            copied()
        by_flow = made.recorder.calls
    with make(tmp_path / "sweep") as made:
        sweep_onboarding(made)

    with pytest.raises(AssertionError, match=r"observe_owners is not the walk"):
        compare(WALK, by_flow, made.recorder.calls)
    writes = [call for call in by_flow if call.writes]
    with pytest.raises(AssertionError, match=r"apply_stages is not the walk"):
        compare(WALK, writes, made.recorder.calls)
