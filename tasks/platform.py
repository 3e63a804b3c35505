"""The tasks of configuring the platform, and of checking that its systems work together."""

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from tasks.locks import TeamLock
from tasks.step import is_retry, step
from tenantry import checks, explain, onboarding
from tenantry.checks import Finding, tell
from tenantry.onboarding import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Observed, Stage
from tenantry.systems import LOOKS_AT_PLATFORM, Systems


class Look:
    """What a run has seen of the platform, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(self, systems: Systems) -> None:
        self.systems = systems
        self.observed = Observed()

    def plan(self) -> Plan:
        """What it takes to bring the platform to what is declared."""
        return self.systems.plan_platform(self.observed)


@step("look at", "look at {system}")
def look_at(system: str, look: Look) -> None:
    """Reads what one system holds of the platform's own."""
    LOOKS_AT_PLATFORM[system](look.systems, look.observed)


@step("look again", "look again, under the lock")
def look_again(look: Look) -> Plan:
    """The plan, now that nobody else changes the platform."""
    look.observed = look.systems.observe_platform()
    plan = look.plan()
    if not plan.changes:
        get_run_logger().info("Another run has done it meanwhile: nothing is left to do.")
    return plan


@step("configure", "{stage}")
def apply_stage(stage: Stage, look: Look, plan: Plan, lock: TeamLock) -> None:
    """Makes the planned changes of one stage. A retry looks and plans anew before it writes."""
    observed = look.observed
    if is_retry():
        lock.hold()
        observed = look.systems.observe_platform()
        plan = look.systems.plan_platform(observed)
    onboarding.apply(look.systems, plan, observed, [stage], lock, _log_change)


def publish_plan(plan: Plan) -> None:
    """The changes as a table artifact."""
    told = explain.summary([Outcome(plan.team, plan)])
    refused = "".join(f"\n\n{refusal.id}: {refusal.reason}" for refusal in plan.refusals)
    waiting = "".join(f"\n\n{wait.id} waits: {wait.reason}" for wait in plan.waiting)
    create_table_artifact(
        key="plan-platform", table=explain.rows(plan.changes), description=told + refused + waiting
    )


@step("check that the systems work together")
def check_all(systems: Systems) -> list[Finding]:
    """Reads what a login and a pull depend on; each finding is a line of the log."""
    found = checks.check_all(systems)
    for finding in found:
        get_run_logger().warning("%s: %s: %s", finding.check, finding.resource, finding.cause)
    return found


def publish_findings(found: Sequence[Finding]) -> None:
    """The findings as a table artifact."""
    create_table_artifact(
        key="platform-checks", table=tell.document(found), description=tell.summary(found)
    )


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
