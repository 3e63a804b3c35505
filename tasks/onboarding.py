"""The tasks of onboarding and configuring: the walk of one owner, and of a batch of teams."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from tasks.locks import LockUnusable, TeamLock
from tasks.pages import artifact_key, publish_pages, publish_progress, update_progress
from tasks.shards import named, parts, run_all
from tasks.states import complete, fail
from tasks.step import (
    RETRIED,
    TeamsFailed,
    TeamsLeft,
    look_again_after,
    run_as_task,
    step,
)
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import explain, onboarding, welcome
from tenantry.declared import Team
from tenantry.errors import TenantryError
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Observed
from tenantry.systems.adapter import Owner
from tenantry.systems.systems import Systems
from tenantry.text import Markdown, markdown
from tenantry.walk import Walk, observe_owners
from tenantry.wording import count


class Batch:
    """The teams of a run, handed from task to task in memory.

    It is not a dataclass on purpose: Prefect looks into those, and this one holds secrets. Into a
    task's lists and models it looks too, which takes half a second for 300 teams.
    """

    def __init__(self, systems: Systems, teams: Sequence[Team]) -> None:
        self.systems = systems
        self.teams = list(teams)

    def pick(self, outcomes: Iterable[Outcome]) -> list[Team]:
        """Return the teams of these outcomes, in the same order."""
        by_name = {team.name: team for team in self.teams}
        return [by_name[outcome.team] for outcome in outcomes]

    def observe(self) -> Observed:
        """Return what the systems hold of the teams, a task for each system."""
        adapters = self.systems.team_adapters
        return observe_owners(adapters, self.teams, run_as_task, look_again_after)


def walk_of(systems: Systems, owner: Owner) -> Walk[Owner]:
    """Return the walk of a team, or of the platform, each of whose steps is a task."""
    return Walk(systems, owner, run_as_task, look_again_after, _log_change)


@step("find new teams")
def find_new(batch: Batch) -> list[Team]:
    """The teams that are not applied as they are declared now."""
    new = batch.systems.not_applied(batch.teams)
    get_run_logger().info("%d of %d teams are new or changed.", len(new), len(batch.teams))
    return new


class Shard:
    """Teams of a batch that one task onboards, and what became of them so far."""

    def __init__(self, planned: Sequence[Outcome]) -> None:
        self.outcomes = {outcome.team: outcome for outcome in planned}
        self._left = dict.fromkeys(self.outcomes)

    @property
    def name(self) -> str:
        """Which teams they are."""
        return named(list(self.outcomes))

    @property
    def left(self) -> list[Outcome]:
        """The teams that are not done, and whose failure, if they failed, may pass."""
        return [self.outcomes[team] for team in list(self._left)]

    @property
    def ended(self) -> int:
        """How many teams are done, or failed for good."""
        return len(self.outcomes) - len(self._left)

    def keep(self, outcome: Outcome) -> None:
        """Takes down what became of a team; safe from many threads."""
        before = self.outcomes[outcome.team]
        self.outcomes[outcome.team] = replace(outcome, done=before.done + outcome.done)
        if not isinstance(outcome.error, RETRIED):
            self._left.pop(outcome.team, None)

    def give_up(self, error: TenantryError) -> None:
        """Takes down why the rest was not onboarded, where a team has no reason of its own."""
        for outcome in self.left:
            self.keep(replace(outcome, done=(), error=outcome.error or error))

    def check(self) -> None:
        """Whether all teams are done.

        Raises:
            TeamsLeft: some are not, and it may pass.
            TeamsFailed: some failed for good.
        """
        failed = [outcome for outcome in self.outcomes.values() if not outcome.is_done]
        if failed:
            reasons = "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)
            kind = TeamsLeft if self._left else TeamsFailed
            alone = len(self.outcomes) == 1
            head = f"{len(failed)} of {len(self.outcomes)} teams failed.\n"
            raise kind(str(failed[0].error) if alone else head + reasons)


@step("onboard", "onboard {shard.name}")
def onboard_shard(shard: Shard, batch: Batch) -> None:
    """Onboards some teams of many, under their locks; a retry does those that are left."""
    log = get_run_logger()

    def finished(outcome: Outcome) -> None:
        shard.keep(outcome)
        if outcome.error is None:
            log.info("%s: %d changes made.", outcome.team, len(outcome.done))
        else:
            log.error("%s: %s", outcome.team, outcome.error)

    while shard.left:
        left = shard.left
        names = [outcome.team for outcome in left if outcome.has_changes]
        try:
            onboarding.onboard_many(
                batch.systems, batch.pick(left), left, TeamLock(names), finished
            )
            break
        except LockUnusable as error:  # these teams' failure; the others go on
            for team in error.teams:
                finished(replace(shard.outcomes[team], done=(), error=error))
    publish_guides(batch, shard)
    shard.check()


def onboard_all(batch: Batch, planned: Sequence[Outcome]) -> list[Outcome]:
    """A task for each shard of the teams that have something to do, and a progress artifact."""
    work = [each for each in planned if each.plan is not None and not each.plan.is_empty]
    divided, alone = parts(work)
    shards = [Shard(part) for part in divided]
    progress = Progress(len(work))
    run_all(
        shards,
        alone,
        lambda shard: onboard_shard.submit(shard, batch),
        lambda: progress.show(sum(shard.ended for shard in shards)),
    )
    results = {outcome.team: outcome for outcome in planned}
    for shard in shards:
        results |= shard.outcomes
    return list(results.values())


class Progress:
    """A progress artifact that counts teams."""

    _KEY = "onboarding-progress"
    EVERY = 2.0
    """Seconds between two updates: each costs the server as much as a task's run."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = 0
        self._shown_at = time.monotonic()
        self._id = publish_progress(self._KEY, 0.0 if total else 100.0, self._text(0))

    def show(self, done: int) -> None:
        """Says how many are done, if it is more than two seconds ago, or all."""
        now = time.monotonic()
        due = done == self._total or now > self._shown_at + self.EVERY
        if due and done > self._shown:
            update_progress(self._id, self._KEY, 100 * done / self._total, self._text(done))
            self._shown, self._shown_at = done, now

    def _text(self, done: int) -> Markdown:
        if not self._total:
            return markdown("No team has changes to make.")
        return markdown("{} of {} done.", done, count(self._total, "team"))


def conclude(outcomes: Sequence[Outcome]) -> State[Any]:
    """The batch's last word: a table of what became of each team, and the state that follows."""
    failed = [outcome for outcome in outcomes if not outcome.is_done]
    rows = [
        {
            "team": outcome.team,
            "result": "done" if outcome.is_done else "FAILED",
            "changes": len(outcome.done),
            "why": str(outcome.error or ""),
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.is_done)
    ]
    changed = sum(bool(outcome.done) and outcome.is_done for outcome in outcomes)
    message = f"{changed} of {len(outcomes)} teams changed, {len(failed)} failed."
    publish_table("onboarding-result", rows, markdown("{}", message), {"why": 60})
    if not failed:
        return complete(message)
    reasons = "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)
    return fail(f"{message}\n{reasons}")


def publish_plan(key: str, outcomes: Sequence[Outcome]) -> None:
    """The changes as a table artifact."""
    rows = [
        {"team": outcome.team, **row}
        for outcome in outcomes
        if outcome.plan is not None
        for row in explain.rows(outcome.plan.changes)
    ]
    publish_table(key, rows, markdown("{}", explain.summary(outcomes)), PLAN_WIDTHS)


def publish_guide(systems: Systems, team: Team, plan: Plan) -> None:
    """Publish a team's guide."""
    publish_pages([_guide(systems, team, plan)])


def publish_guides(batch: Batch, shard: Shard) -> None:
    """Publish the guides of a shard's teams that changed.

    Each team has a page of its own: a page that a team is sent shows no text of another team.
    """
    changed = [each for each in shard.outcomes.values() if each.is_done and each.done and each.plan]
    pairs = zip(batch.pick(changed), changed, strict=True)
    publish_pages(_guide(batch.systems, team, cast(Plan, outcome.plan)) for team, outcome in pairs)


def _guide(systems: Systems, team: Team, plan: Plan) -> tuple[str, Markdown]:
    realm = systems.state.platform.keycloak.realm
    text = welcome.guide(team, systems.credentials.registry, realm, plan)
    return artifact_key("welcome", team.name), text


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
