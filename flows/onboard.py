"""Runbook: bring teams to what is declared for them, on all four systems."""

from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from tasks import onboarding as tasks
from tasks.locks import TeamLock
from tasks.pages import artifact_key
from tenantry import explain
from tenantry.calls import WIDTH
from tenantry.declared import Team
from tenantry.errors import TenantryError
from tenantry.onboarding import Outcome, refuse
from tenantry.resources import STAGES
from tenantry.systems import LOOKS

BlockName = Annotated[str, Field(min_length=1)]
StoreName = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


@flow(name="onboard-team", flow_run_name="onboard {team.name}", retries=0)
def onboard_team(
    team: Team,
    dry_run: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Declare one team and onboard it on all four systems.

    Args:
        team: The whole team, as its file would say it. What is left out comes from the platform.
        dry_run: Show the changes and make none; nothing is written to the declared state either.
        declared_state: Name of the Declared State block that the team is saved to.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        declaration = tasks.save_team(declared_state, team, dry_run)
        team = declaration.teams[team.name]
        with tasks.connected(declaration, harbor, keycloak, cluster) as systems:
            tasks.check_connections(systems)
            walk = tasks.Walk(systems, [team])
            for system in LOOKS:
                tasks.look_at(system, walk)
            plan = systems.plan(team, walk.observed)
            outcome = Outcome(team.name, plan)
            tasks.publish_plan(artifact_key("plan", team.name), [outcome])
            if dry_run:
                return Completed(message=f"Dry run: {explain.summary([outcome])}")
            if plan.changes:
                with TeamLock([team.name]) as lock:
                    plan = left = tasks.look_again(walk)
                    for stage in STAGES:
                        if left.in_stage(stage):
                            left = tasks.apply_stage(stage, walk, left, lock)
            tasks.publish_guide(walk, team, plan)
            refuse(plan)
            return Completed(message=explain.summary([Outcome(team.name, plan)]))
    except TenantryError as error:
        return Failed(message=str(error))


@flow(
    name="onboard-teams",
    flow_run_name="onboard {which} teams",
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=WIDTH),  # type: ignore[arg-type]
)
def onboard_teams(
    which: Literal["new", "all"] = "new",
    teams: list[str] | None = None,
    commit: Commit | None = None,
    dry_run: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Onboard the declared teams: one look at everything, then shards of teams, each a task.

    Args:
        which: "new" takes the teams whose declaration is new or has changed since they were
            applied; "all" looks at every team and mends what differs.
        teams: Names of teams, to take no others.
        commit: Full hash of a commit of the declared state's branch, to take the teams as that
            commit declares them; the latest if not given.
        dry_run: Show the changes and make none.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        declaration = tasks.read_declared_state(declared_state, commit)
        chosen = declaration.pick(teams)
        with tasks.connected(declaration, harbor, keycloak, cluster) as systems:
            tasks.check_connections(systems)
            walk = tasks.Walk(systems, chosen)
            if which == "new":
                walk.teams = tasks.find_new(walk)
            if not walk.teams:
                return Completed(message="No team is new or changed.")
            for system in LOOKS:
                tasks.look_at(system, walk)
            outcomes = tasks.plan_all(walk)
            tasks.publish_plan("plan-all-teams", outcomes)
            if dry_run:
                return Completed(message=f"Dry run: {explain.summary(outcomes)}")
            outcomes = tasks.onboard_all(walk, outcomes)
            return tasks.conclude(outcomes)
    except TenantryError as error:
        get_run_logger().error(str(error))
        return Failed(message=str(error))
