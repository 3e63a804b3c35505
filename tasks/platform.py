"""The tasks of configuring the platform, and of checking that its systems work together."""

from prefect import get_run_logger

from tasks.pages import publish_pages
from tasks.step import step
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import checks, explain
from tenantry.declared import Platform
from tenantry.drift import Finding, Report
from tenantry.onboarding import Outcome
from tenantry.plan import Plan
from tenantry.resources import Observed
from tenantry.systems.adapter import Adapter
from tenantry.systems.systems import Systems, observe
from tenantry.text import joined, markdown


class Look:
    """What a run has seen of the platform, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(self, systems: Systems) -> None:
        self.systems = systems
        self.observed = Observed()

    def observe_by(self, adapter: Adapter[Platform], seen: Observed) -> None:
        """Add what an adapter observes of the platform's own to what is known."""
        observe(adapter, [self.systems.state.platform], seen)

    def look(self) -> Observed:
        """All that the systems hold of the platform's own now."""
        return self.systems.observe_platform()

    def plan(self, observed: Observed) -> Plan:
        """What it takes to bring the platform to what is declared."""
        return self.systems.plan_platform(observed)


def publish_plan(plan: Plan) -> None:
    """The changes as a table artifact."""
    parts = [
        markdown("{}", explain.summary([Outcome(plan.team, plan)])),
        *(markdown("{}: {}", str(refusal.id), refusal.reason) for refusal in plan.refusals),
        *(markdown("{} waits: {}", str(wait.id), wait.reason) for wait in plan.waiting),
    ]
    rows = explain.rows(plan.changes)
    publish_table("platform-plan", rows, joined("\n\n", parts), PLAN_WIDTHS)


@step("check that the systems work together")
def check_all(systems: Systems) -> list[Finding]:
    """Reads what a login and a pull depend on; each finding is a line of the log."""
    found = checks.check_all(systems)
    for finding in found:
        get_run_logger().warning(
            "%s: %s. %s", finding.resource, finding.words.rstrip("."), finding.advice
        )
    return found


def publish_report(report: Report) -> None:
    """The findings as a table artifact, and as a page whose lines no UI cuts off."""
    from tenantry.drift.reports import summary  # with pandas, which configuring can do without

    rows = [summary.row(finding, {}, report.time) for finding in report.findings]
    publish_table("platform-checks", rows, markdown("{}", report.summary), summary.WIDTHS)
    publish_pages([("platform-summary", summary.checks(report))])
