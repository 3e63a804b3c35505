"""Runbook: bring teams in sync with their declaration on all four systems."""

from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from flows.parameters import BlockName, Commit, TeamForm
from tasks import offboarding_report, proposals
from tasks import onboarding as tasks
from tasks.active import active_locks
from tasks.connections import (
    check_connections,
    connected,
    finish,
    load_platform,
    read_declared_state,
)
from tasks.locks import TeamLock
from tasks.names import run_name
from tasks.pages import artifact_key
from tasks.states import complete, fail
from tenantry import explain
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.declared import IfDeclared
from tenantry.errors import TenantryError
from tenantry.outcomes import Outcome, left_out
from tenantry.plan import Plan, refuse


@flow(
    name="onboard-team",
    flow_run_name=run_name("onboard {team[name]}", options=("if_declared", "dry_run")),
    retries=0,
)
def onboard_team(
    team: TeamForm,
    if_declared: IfDeclared = "refuse",
    require_approval: bool = True,
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Declare one team and onboard it on all four systems.

    Args:
        team: The team. Empty fields get their values from the team's profile and the platform.
        if_declared: What to do if the team is already declared with other values. "refuse" shows the
            difference and changes nothing. "merge" adds the given fields to the team's file.
            "replace" reduces the file to the given fields.
        require_approval: Require an approval in the UI before a changed declaration deletes resources,
            or a new team adopts resources of a removed team. If this is off, the run deletes
            without an approval, and fails instead of adopting resources.
        dry_run: Show the changes without making them. The declared state does not change either.
        platform: Name of the Platform block.
    """
    try:
        blocks = load_platform(platform)
        proposal = proposals.check_declaration(blocks, team, if_declared)
        declared = proposal.team
        with connected(proposal.declaration, blocks) as systems:
            if declared.name not in systems.state.teams:  # another team holds what it claims
                return fail("\n".join(systems.state.faults_of([declared.name])))
            check_connections(systems)
            walk = tasks.walk_of(systems, declared)
            plan = walk.plan()
            outcome = Outcome(declared.name, plan)
            tasks.publish_plan(artifact_key("plan", declared.name), [outcome])
            if dry_run:
                return complete(f"Dry run: {explain.summary([outcome])}")
            taken = proposals.taken_over(proposal, walk.observed)
            if not require_approval:
                proposals.refuse_unattended(declared.name, taken)
            elif proposals.needs_approval(proposal, plan, taken):
                proposals.approve(proposal, plan, taken)

            def save(final: Plan) -> None:
                if require_approval and proposal.writes:
                    proposals.refuse_other(plan, final)
                proposals.save_team(blocks, proposal)

            outcome = walk.apply(TeamLock([declared.name]), save)
            if proposal.restores:
                offboarding_report.emit_step("restored", declared.name)
            tasks.publish_guide(systems, declared, walk.planned)
            refuse(walk.planned)
            return complete(explain.summary([outcome], applied=True))
    except TenantryError as error:
        return fail(str(error))


@flow(
    name="onboard-teams",
    flow_run_name=run_name("onboard {scope} teams", about="teams", options=("commit", "dry_run")),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
)
def onboard_teams(
    scope: Literal["changed", "all"] = "changed",
    teams: list[str] | None = None,
    commit: Commit | None = None,
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Onboard the declared teams: observe all systems once, then change the teams in batches.

    Args:
        scope: "changed" selects the teams whose declaration is new or has changed since it was
            applied. "all" selects all teams, and also corrects manual changes in the systems.
        teams: Names of the teams to onboard; all teams if empty.
        commit: Full hash of a commit of the declared state's branch that declares the teams; the
            latest commit if empty.
        dry_run: Show the changes without making them.
        platform: Name of the Platform block.
    """
    try:
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks, commit)
        declaration.pick(teams)
        with connected(declaration, blocks) as systems:
            declaration = systems.state
            check_connections(systems)
            batch = tasks.Batch(systems, declaration.pick(teams), active_locks(blocks))
            if scope == "changed":
                batch.teams = tasks.find_changed(batch)
            if not batch.teams:
                text = "No team is new or changed."
                return finish(complete(text), declaration, teams)
            outcomes = batch.plan()
            tasks.publish_plan("all-teams-plan", outcomes)
            if dry_run:
                text = f"Dry run: {explain.summary(outcomes)}"
                return finish(complete(text), declaration, teams)
            outcomes = tasks.onboard_all(batch, outcomes)
            return tasks.conclude([*outcomes, *left_out(declaration, teams)])
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
