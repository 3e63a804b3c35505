"""The tasks of onboarding and configuring: the walk of one owner, and of a batch of teams."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from tasks.active import Locks
from tasks.batches import Shard, divide, run_shards
from tasks.pages import artifact_key, publish_pages, publish_progress, update_progress
from tasks.states import complete, fail
from tasks.step import retry_unread, run_as_task, step
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import explain, onboarding, welcome
from tenantry.declared import Team
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.systems.adapter import Owner
from tenantry.systems.systems import Systems
from tenantry.text import Markdown, markdown
from tenantry.walk import Walk
from tenantry.wording import count


class Batch:
    """The teams of a run, handed from task to task in memory.

    It is not a dataclass on purpose: Prefect looks into those, and this one holds secrets. Into a
    task's lists and models it looks too, which takes half a second for 300 teams.
    """

    def __init__(self, systems: Systems, teams: Sequence[Team], lock: Locks) -> None:
        self.systems = systems
        self.teams = list(teams)
        self.lock = lock

    def pick(self, outcomes: Iterable[Outcome]) -> list[Team]:
        """Return the teams of these outcomes, in the same order."""
        by_name = {team.name: team for team in self.teams}
        return [by_name[outcome.team] for outcome in outcomes]

    def plan(self) -> list[Outcome]:
        """Observe the teams, a task for each system, and return their plans."""
        return onboarding.plan_all(
            self.systems, self.teams, step=run_as_task, check_unread=retry_unread
        )


def walk_of(systems: Systems, owner: Owner) -> Walk[Owner]:
    """Return the walk of a team, or of the platform, each of whose steps is a task."""
    return Walk(systems, owner, run_as_task, retry_unread, _log_change)


@step("find changed teams")
def find_changed(batch: Batch) -> list[Team]:
    """Return the teams whose declaration is new or has changed since it was applied."""
    new = batch.systems.not_applied(batch.teams)
    get_run_logger().info("%d of %d teams are new or changed.", len(new), len(batch.teams))
    return new


@step("onboard", "onboard {shard.name}")
def onboard_shard(shard: Shard[Outcome], batch: Batch) -> None:
    """Onboard some teams of a batch, under their locks; another try does those that are left."""
    log = get_run_logger()

    def finished(outcome: Outcome) -> None:
        shard.keep(outcome)
        if outcome.error is None:
            log.info("%s: %d changes made.", outcome.team, len(outcome.done))
        else:
            log.error("%s: %s", outcome.team, outcome.error)

    def work(left: Sequence[Outcome]) -> None:
        lock = batch.lock([outcome.team for outcome in left if outcome.has_changes])
        onboarding.onboard_many(batch.systems, batch.pick(left), left, lock, finished)

    shard.run(work, finished)
    publish_guides(batch, shard)
    shard.check()


def onboard_all(batch: Batch, planned: Sequence[Outcome]) -> list[Outcome]:
    """Onboard the teams with changes, a task for each shard, and return the outcomes of all."""
    work = [each for each in planned if each.plan is not None and not each.plan.is_empty]
    parts, at_once = divide(work)
    shards = [Shard(part) for part in parts]
    progress = Progress(len(work))
    results = run_shards(
        shards,
        at_once,
        lambda shard: onboard_shard.submit(shard, batch),
        lambda: progress.show(sum(shard.ended for shard in shards)),
    )
    return [results.get(outcome.name, outcome) for outcome in planned]


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
        """Update the number of teams that are done, if all are, or two seconds after the last update."""
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
    """Publish the outcome of each team as a table artifact, and return the final state of the run."""
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
    """Publish the changes as a table artifact."""
    rows = [
        {"team": outcome.team, **row}
        for outcome in outcomes
        if outcome.plan is not None
        for row in explain.plan_rows(outcome.plan)
    ]
    publish_table(key, rows, markdown("{}", explain.summary(outcomes)), PLAN_WIDTHS)


def publish_guide(systems: Systems, team: Team, plan: Plan) -> None:
    """Publish a team's guide."""
    publish_pages([_guide(systems, team, plan)])


def publish_guides(batch: Batch, shard: Shard[Outcome]) -> None:
    """Publish the guides of a shard's teams that changed.

    Each team has its own page: a page that is sent to a team shows no text of another team.
    """
    changed = [each for each in shard.results.values() if each.is_done and each.done and each.plan]
    pairs = zip(batch.pick(changed), changed, strict=True)
    publish_pages(_guide(batch.systems, team, cast(Plan, outcome.plan)) for team, outcome in pairs)


def _guide(systems: Systems, team: Team, plan: Plan) -> tuple[str, Markdown]:
    realm = systems.state.platform.keycloak.realm
    text = welcome.guide(team, systems.credentials.registry, realm, plan)
    return artifact_key("welcome", team.name), text


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
