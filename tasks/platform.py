"""The tasks of configuring the platform, and of checking that its systems work together."""

from prefect import get_run_logger

from tasks.pages import publish_pages
from tasks.step import step
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import checks, explain
from tenantry.drift import Finding, Report
from tenantry.outcomes import Outcome
from tenantry.plan import Plan
from tenantry.systems.systems import Systems
from tenantry.text import joined, markdown


def publish_plan(plan: Plan) -> None:
    """Publish the changes as a table artifact."""
    parts = [
        markdown("{}", explain.summary([Outcome(plan.team, plan)])),
        *(markdown("{}: {}", str(refusal.id), refusal.reason) for refusal in plan.refusals),
        *(markdown("{} waits: {}", str(wait.id), wait.reason) for wait in plan.waiting),
    ]
    rows = explain.plan_rows(plan)
    publish_table("platform-plan", rows, joined("\n\n", parts), PLAN_WIDTHS)


@step("check systems together")
def check_all(systems: Systems) -> list[Finding]:
    """Check what a login and a pull depend on, log each finding, and return the findings."""
    found = checks.check_all(systems)
    for finding in found:
        get_run_logger().warning(
            "%s: %s. %s", finding.resource, finding.description.rstrip("."), finding.advice
        )
    return found


def publish_report(report: Report) -> None:
    """Publish the findings as a table artifact, and as a page whose lines the UI does not truncate."""
    from tenantry.drift.reports import summary  # it imports pandas, which configuring does not need

    rows = [summary.row(finding, {}, report.time) for finding in report.findings]
    publish_table("platform-checks", rows, markdown("{}", report.summary), summary.WIDTHS)
    publish_pages([("platform-summary", summary.checks(report))])
