"""The tasks of drift detection: each looks at a system, or mends some teams."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prefect import get_run_logger

from tasks.approval import NotApproved, bullets, require_approval
from tasks.locks import LockUnusable, TeamLock
from tasks.shards import SHARD, named
from tasks.step import RETRIED, TeamsFailed, TeamsLeft, is_retry, look_again_after, step
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import drift
from tenantry.declared import Team
from tenantry.drift import Detected, Mended, Order, Remedy, SystemName
from tenantry.drift.observations import adapter_groups, begin, observe_one, record_failure
from tenantry.errors import TenantryError
from tenantry.resources import PLATFORM, Observed
from tenantry.systems.adapter import Adapter
from tenantry.systems.systems import Systems
from tenantry.text import markdown
from tenantry.wording import count

ROUNDS = 3
"""How often a plan is made and approved anew while something else changes the systems."""


class Watch:
    """What a run looks at, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        asked: Sequence[SystemName],
        again: str = "",
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            systems: the systems.
            teams: the teams to look at.
            asked: the systems to tell of.
            again: what the names of the tasks say, where it is not the first look.
            names: the teams that the run is about; all if not given.
        """
        self.systems = systems
        self.teams = list(teams)
        self.asked = tuple(asked)
        self.again = again
        self.names = names
        self.observed: Observed = begin(self.asked, systems, self.teams)


@step("observe", "observe {adapter.name}{watch.again}")
def observe_system(adapter: Adapter[Team], watch: Watch) -> None:
    """Read what one system holds of the teams, again if a part of it could not be read."""
    observe_one(adapter, watch.systems, watch.teams, watch.observed, look_again_after)


def detect(watch: Watch) -> Detected:
    """Looks at the systems and judges them; one that can't be read costs its own findings."""
    for group in adapter_groups(watch.systems, watch.asked):
        futures = [(adapter, observe_system.submit(adapter, watch)) for adapter in group]
        for adapter, future in futures:
            try:
                future.result()
            except TenantryError as error:
                get_run_logger().error(str(error))
                record_failure(adapter, error, watch.observed)
    return drift.detect(watch.systems, watch.teams, watch.observed, watch.asked, names=watch.names)


@dataclass
class Outcome:
    """What remediation came to."""

    teams: list[Mended] = field(default_factory=list)
    """What became of each team that was to be mended."""
    note: str = ""
    """What else there is to say."""
    error: TenantryError | None = None
    """Why nothing was done."""


def remediate(watch: Watch, detected: Detected, order: Order, *, ask: bool) -> Outcome:
    """Shows what is to be done, asks if something is removed, and does it."""
    outcome = Outcome()
    if order.remediate == "none" and not order.remove:
        return outcome
    for _ in range(ROUNDS):
        try:
            remedy = drift.choose(detected, order.remediate, order.remove)
        except TenantryError as error:  # what was found is to be told all the same
            outcome.error = error
            return outcome
        if not remedy.plans:
            outcome.note = "" if outcome.teams else "There is nothing to mend."
            return outcome
        _show(remedy)
        approved = bool(remedy.removals) and ask
        if approved:
            try:
                _approve(remedy)
            except NotApproved as error:
                outcome.note = str(error)
                return outcome
        done = _mend_all(watch, remedy, order, approved=approved)
        outcome.teams += [each for each in done if not each.differs]
        differing = [each.team for each in done if each.differs]
        if not differing:
            return outcome
        get_run_logger().warning("Changed meanwhile, and left alone: %s.", ", ".join(differing))
        look = Watch(watch.systems, watch.teams, watch.asked, " again", names=watch.names)
        detected = detect(look)
        there = {str(id) for id in detected.extras}
        order = Order(order.remediate, tuple(there.intersection(order.remove)), order.systems)
    outcome.note = f"It changed {ROUNDS} times while it was being approved; run it again."
    return outcome


def _show(remedy: Remedy) -> None:
    text = markdown("{}. Plan {}.", _counted(remedy), remedy.hash)
    publish_table("drift-remedy", remedy.rows, text, PLAN_WIDTHS)
    get_run_logger().info(text)


def _counted(remedy: Remedy) -> str:
    changes, removals = len(remedy.changes), len(remedy.removals)
    return f"{count(changes, 'change')}, {count(removals, 'removal')} among them"


def _approve(remedy: Remedy) -> None:
    """Have a person approve this very plan.

    Raises:
        NotApproved: it was refused.
    """
    changes = sorted(remedy.changes, key=lambda change: change.action != "delete")
    text = markdown(
        "**{}.** All fields are in the artifact *drift-remedy*.\n\n{}",
        _counted(remedy),
        bullets(changes),
    )
    require_approval(text, remedy.hash)


class Shard:
    """Teams that one task mends, and what became of them so far."""

    def __init__(self, remedy: Remedy, order: Order, *, approved: bool) -> None:
        self.remedy = remedy
        self.order = order
        self.approved = approved
        self.results: dict[str, Mended] = {}

    @property
    def name(self) -> str:
        """Which teams they are."""
        return named([_told(team) for team in self.remedy.teams])

    @property
    def left(self) -> Remedy:
        """What is not done, and may be yet."""
        over = {
            team
            for team, each in self.results.items()
            if each.error is None or not isinstance(each.error, RETRIED)
        }
        return self.remedy.of(set(self.remedy.teams) - over)

    def keep(self, each: Mended) -> None:
        """Takes down what became of a team."""
        before = self.results.get(each.team, Mended(each.team))
        self.results[each.team] = Mended(
            each.team, before.done + each.done, each.error, each.differs and not before.done
        )

    def check(self) -> None:
        """Whether all teams are done.

        Raises:
            TeamsLeft: some are not, and it may pass.
            TeamsFailed: some failed for good.
        """
        failed = [each for each in self.results.values() if each.error is not None]
        if failed:
            text = "\n".join(f"{_told(each.team)}: {each.error}" for each in failed)
            raise (TeamsLeft if self.left.plans else TeamsFailed)(text)


@step("mend", "mend {shard.name}")
def mend_shard(shard: Shard, systems: Systems) -> None:
    """Mends some teams, under their locks and after another look; a retry does those left."""
    log = get_run_logger()
    while (left := shard.left).plans:
        lock = TeamLock(left.teams)
        try:
            done = drift.mend(
                systems, left, shard.order, lock, approved=shard.approved, resumed=is_retry()
            )
        except LockUnusable as error:  # these teams' failure; the others go on
            done = [Mended(team, error=error) for team in left.teams if team in error.teams]
        for each in done:
            shard.keep(each)
            for change in each.done:
                log.info("%s: %s %s", _told(each.team), change.action, change.id)
        if any(isinstance(each.error, RETRIED) for each in done):
            break
    shard.check()


def _mend_all(watch: Watch, remedy: Remedy, order: Order, *, approved: bool) -> list[Mended]:
    """A task for each shard of teams, one after the other: each makes many calls at once."""
    declared = [team for team in remedy.teams if team in watch.systems.state.teams]
    others = [team for team in remedy.teams if team not in watch.systems.state.teams]
    parts = [declared[first : first + SHARD] for first in range(0, len(declared), SHARD)]
    results: list[Mended] = []
    for teams in [*parts, *([others] if others else [])]:
        shard = Shard(remedy.of(teams), order, approved=approved)
        try:
            mend_shard(shard, watch.systems)
        except TenantryError as error:
            for team in teams:
                if team not in shard.results:
                    shard.keep(Mended(team, error=error))
        results += shard.results.values()
    return results


def _told(team: str) -> str:
    return "the platform" if team == PLATFORM else team
