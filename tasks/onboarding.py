"""The tasks of onboarding: each looks at a system, or brings one to what is declared."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.states import Completed, Failed

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection
from tasks.step import is_retry, step
from tenantry import explain, onboarding, welcome
from tenantry.connections import Connections
from tenantry.declared import Declaration, Team, check_alone
from tenantry.errors import TenantryError
from tenantry.onboarding import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Observed, Stage
from tenantry.systems import LOOKS, Systems


class Walk:
    """One run's way through the systems, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(self, systems: Systems, teams: Sequence[Team]) -> None:
        self.systems = systems
        self.teams = list(teams)
        self.observed = Observed()


@contextmanager
def connected(
    declaration: Declaration, harbor: str, keycloak: str, cluster: str
) -> Iterator[Systems]:
    """The systems that the blocks of these names lead to."""
    connections = Connections(
        harbor=_load(HarborConnection, harbor).account(),
        keycloak=_load(KeycloakConnection, keycloak).account(),
        kubernetes=_load(ClusterConnection, cluster).cluster(),
    )
    with Systems(connections, declaration) as systems:
        yield systems


def _load(block: Any, name: str) -> Any:
    """A block by its name.

    Raises:
        TenantryError: there is none of that name.
    """
    try:
        return block.load(name)
    except ValueError as error:
        if "Unable to find block document" not in str(error):
            raise
        text = (
            f"There is no block '{block._block_type_name}' named '{name}'. "
            "Create it in the UI under Blocks, or name another in the run's parameters."
        )
        raise TenantryError(text) from None


@step("read declared state")
def read_declared_state(block: str) -> Declaration:
    """Reads and checks the declared state; every fault is named."""
    declaration: Declaration = _load(DeclaredState, block).read()
    get_run_logger().info("%d teams are declared.", len(declaration.teams))
    return declaration


@step("save team to declared state")
def save_team(block: str, team: Team, dry_run: bool) -> Declaration:
    """Checks the team beside all others, and writes it to the declared state before any call."""
    state = _load(DeclaredState, block)
    declaration = check_alone(state.read(), team)
    if not dry_run:
        get_run_logger().info("Declared in %s.", state.write(team))
    return declaration


@step("check connections")
def check_connections(systems: Systems) -> None:
    """Whether addresses, versions and credentials work."""
    for sentence in systems.check():
        get_run_logger().info(sentence)


@step("find new teams")
def find_new(systems: Systems, teams: Sequence[Team]) -> list[Team]:
    """The teams that are not applied as they are declared now."""
    new = systems.not_applied(teams)
    get_run_logger().info("%d of %d teams are new or changed.", len(new), len(teams))
    return new


@step("look at", "look at {system}")
def look_at(system: str, walk: Walk) -> None:
    """Reads what one system holds of the teams."""
    LOOKS[system](walk.systems, walk.teams, walk.observed)


@step("apply", "{stage}")
def apply_stage(stage: Stage, walk: Walk, plan: Plan) -> None:
    """Makes the planned changes of one stage. A retry looks and plans anew before it writes."""
    observed = walk.observed
    if is_retry():
        observed = walk.systems.observe(walk.teams)
        plan = walk.systems.plan(walk.teams[0], observed)
    walk.systems.apply(plan, observed, [stage], report=_log_change)


@step("onboard", "onboard {team.name}")
def onboard(team: Team, walk: Walk, plan: Plan) -> Outcome:
    """Onboards one team of many. A retry looks and plans anew before it writes."""
    planned = None if is_retry() else (walk.observed, plan)
    return onboarding.onboard(walk.systems, team, planned, report=_log_change)


def plan_all(walk: Walk) -> list[Outcome]:
    """A plan for each team; a team that can't be read, or planned, has its reason instead."""
    return onboarding.plan_all(walk.systems, walk.teams, walk.observed)


def onboard_all(walk: Walk, planned: Sequence[Outcome]) -> list[Outcome]:
    """A task for each team that has something to do, and a progress artifact over them."""
    teams = {team.name: team for team in walk.teams}
    started = {
        onboard.submit(teams[outcome.team], walk, outcome.plan): outcome
        for outcome in planned
        if outcome.plan is not None and not outcome.plan.is_empty
    }
    results = {outcome.team: outcome for outcome in planned}
    first = _progress(0, len(started))
    progress = cast(UUID, create_progress_artifact(0.0, "onboarding-progress", first))
    shown = 0
    for count, future in enumerate(as_completed(list(started)), start=1):
        before = started[future]
        result = future.result(raise_on_failure=False)
        if isinstance(result, Exception):
            error = result if isinstance(result, TenantryError) else TenantryError(repr(result))
            result = Outcome(before.team, before.plan, error=error)
        results[before.team] = result
        if (percent := 100 * count // len(started)) > shown:
            update_progress_artifact(progress, percent, _progress(count, len(started)))
            shown = percent
    return list(results.values())


def _progress(done: int, total: int) -> str:
    return f"{done} of {total} teams are done."


def conclude(walk: Walk, outcomes: Sequence[Outcome]) -> State[Any]:
    """The batch's last word: a table of what became of each team, and the state that follows."""
    failed = [outcome for outcome in outcomes if not outcome.is_done]
    rows = [
        {
            "team": outcome.team,
            "result": "done" if outcome.is_done else "FAILED",
            "changes": len(outcome.done) if outcome.is_done else "see its task",
            "why": str(outcome.error or ""),
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.is_done)
    ]
    changed = sum(bool(outcome.done) for outcome in outcomes)
    message = f"{changed} of {len(outcomes)} teams changed, {len(failed)} failed."
    create_table_artifact(key="onboarding-result", table=rows, description=message)
    teams = {team.name: team for team in walk.teams}
    for outcome in outcomes:
        if outcome.is_done and outcome.done and outcome.plan is not None:
            publish_guide(walk, teams[outcome.team], outcome.plan)
    if not failed:
        return Completed(message=message)
    reasons = "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)
    return Failed(message=f"{message}\n{reasons}")


def publish_plan(key: str, outcomes: Sequence[Outcome]) -> None:
    """The changes as a table artifact."""
    rows = [
        {"team": outcome.team, **row}
        for outcome in outcomes
        if outcome.plan is not None
        for row in explain.rows(outcome.plan.changes)
    ]
    create_table_artifact(key=key, table=rows, description=explain.summary(outcomes))


def publish_guide(walk: Walk, team: Team, plan: Plan) -> None:
    """What the team is told, as a Markdown artifact."""
    systems = walk.systems
    realm = systems.state.platform.keycloak.realm
    text = welcome.guide(team, systems.credentials.registry, realm, plan)
    create_markdown_artifact(key=artifact_key("welcome", team.name), markdown=text)


def artifact_key(*parts: str) -> str:
    """A stable key, so that the UI shows an artifact's history."""
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(parts))


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
