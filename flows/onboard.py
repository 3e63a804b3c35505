"""Runbook: bring teams to what is declared for them, on all four systems."""

from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field, WithJsonSchema

from tasks import onboarding as tasks
from tasks import proposals
from tasks.connections import check_connections, connected, finish, read_declared_state
from tasks.locks import TeamLock
from tasks.names import run_name
from tasks.pages import artifact_key
from tasks.states import complete, fail
from tenantry import explain
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.declared import IfDeclared, form_schema
from tenantry.errors import TenantryError
from tenantry.outcomes import Outcome, left_out
from tenantry.plan import Plan, refuse

BlockName = Annotated[str, Field(min_length=1, pattern=r"^[a-z0-9-]+$")]
"""The name of a block, as Prefect allows it: a path in it would reach other calls of its API."""
StoreName = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
TeamForm = Annotated[Any, WithJsonSchema(form_schema())]
"""A team as a caller gives it: its form is for people, and `read_form` says what is wrong."""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


@flow(name="onboard-team", flow_run_name=run_name("onboard {team[name]}"), retries=0)
def onboard_team(
    team: TeamForm,
    if_declared: IfDeclared = "refuse",
    require_approval: bool = True,
    dry_run: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Declare one team and onboard it on all four systems.

    Args:
        team: The team. What is left empty comes from its profile and from the platform.
        if_declared: What to do if a team of this name is declared already, and differently:
            "refuse" shows the difference and changes nothing, "merge" adds the given fields to its
            file, "replace" lets its file hold only the given fields.
        require_approval: Ask in the UI before a changed declaration deletes anything, or a new one
            takes over what is left of a removed team. Turn it off where no person attends the
            runs: such a run deletes without asking, and is refused if it would take over.
        dry_run: Show the changes and make none; nothing is written to the declared state either.
        declared_state: Name of the Declared State block that the team is saved to.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        proposal = proposals.check_declaration(declared_state, team, if_declared)
        declared = proposal.team
        with connected(proposal.declaration, harbor, keycloak, cluster) as systems:
            if declared.name not in systems.state.teams:  # it claims what another team holds
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
                proposals.save_team(declared_state, proposal)

            outcome = walk.apply(TeamLock([declared.name]), save)
            tasks.publish_guide(systems, declared, walk.planned)
            refuse(walk.planned)
            return complete(explain.summary([outcome], applied=True))
    except TenantryError as error:
        return fail(str(error))


@flow(
    name="onboard-teams",
    flow_run_name=run_name("onboard {which} teams"),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
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
        declaration = read_declared_state(declared_state, commit)
        declaration.pick(teams)
        with connected(declaration, harbor, keycloak, cluster) as systems:
            declaration = systems.state
            check_connections(systems)
            batch = tasks.Batch(systems, declaration.pick(teams))
            if which == "new":
                batch.teams = tasks.find_new(batch)
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
