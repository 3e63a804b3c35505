"""The command `tenantry plan`."""

from pathlib import Path

from tenantry import declared, explain, onboarding
from tenantry.commands.exit_status import CHANGES, FAILED, NOTHING_TO_DO
from tenantry.commands.output import give, say_skipped
from tenantry.commands.tables import show
from tenantry.contexts import connections
from tenantry.outcomes import left_out
from tenantry.systems.settle import connect
from tenantry.text import json_text


def run(folder: Path, team: list[str] | None, context: str | None, *, as_json: bool) -> int:
    """Print the changes that onboarding would make, and return the exit status.

    Args:
        folder: the declared state.
        team: the names of the teams; all teams, and the platform, if it is None.
        context: the context of the connection file.
        as_json: print JSON instead of a table.

    Raises:
        TenantryError: the declared state is faulty, or a system cannot be read.
    """
    state = declared.read(folder)
    state.pick(team)
    say_skipped(state, team)
    with_platform = team is None and state.platform.is_managed
    with connect(connections(context), state) as systems:
        state = systems.state
        teams = state.pick(team)
        systems.check(configuring=with_platform)
        outcomes = [onboarding.plan_platform(systems)] if with_platform else []
        outcomes += onboarding.plan_all(systems, teams)
        outcomes += left_out(state, team)
    if as_json:
        give(json_text(explain.document(outcomes)))
    else:
        show(explain.table(outcomes))
    if any(outcome.plan is None or outcome.plan.refusals for outcome in outcomes):
        return FAILED
    planned = any(outcome.plan and outcome.plan.changes for outcome in outcomes)
    return CHANGES if planned else NOTHING_TO_DO
