"""The tasks of rotation: looks at the robots, and walks those that have something to do."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from tasks import tables
from tasks.approval import recall, remember, require_approval
from tasks.locks import LockUnusable, TeamLock
from tasks.pages import artifact_key, publish_pages
from tasks.prefect_api import emit, needed
from tasks.shards import named, parts, run_all
from tasks.states import complete, fail
from tasks.step import RETRIED, TeamsFailed, TeamsLeft, look_again_after, step
from tasks.store import BlockStore
from tenantry import rotation
from tenantry.declared import Declaration, Team
from tenantry.errors import TenantryError
from tenantry.explain import plan_hash
from tenantry.rotation import Outcome, RotationRequest, report
from tenantry.rotation.audit import Trail
from tenantry.systems.health import check_harbor, check_kubernetes
from tenantry.systems.systems import Systems
from tenantry.text import Markdown, markdown
from tenantry.wording import count

ROTATED = "tenantry.robot.rotated"
FAILED = "tenantry.robot.rotation_failed"
_APPROVED = "approved-credentials"
"""The key by which a run keeps the credentials that it may delete."""
_NEWEST = "newest-robots"
"""The key by which a run keeps the numbers of the robots that its order is about."""


class Rotation:
    """One run, handed from task to task in memory. It is no dataclass: see `tasks.onboarding.Walk`."""

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        order: RotationRequest,
        names: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            systems: the systems.
            teams: the declared teams that the run is about.
            order: what was asked for.
            names: the names of the teams that it is about; all if not given.
        """
        self.systems = systems
        self.declared = list(teams)
        self.teams = list(teams)
        """With those that are left out, and the robots that they have."""
        self.unnamed: list[str] = []
        """The teams among them that no file names, since a file gives no name of its team."""
        self.names = names
        self.order = order
        self.now = datetime.now(UTC)
        self.token_lifetime = timedelta()
        self.trail: Trail


def who() -> str:
    """Who started the run, as far as Prefect knows."""
    with needed("read the flow run"), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    if run.auto_scheduled:
        return "the schedule"
    return (run.created_by and run.created_by.display_value) or "the API"


@step("check Harbor and the cluster")
def check_connections(systems: Systems) -> None:
    """Whether they answer, and whether Harbor's account may rotate: no robot may."""
    for sentence in (
        check_harbor(systems.harbor_client),
        check_kubernetes(systems.home_cluster),
    ):
        get_run_logger().info(sentence)


def pick(declaration: Declaration, names: Sequence[str] | None) -> list[Team]:
    """Return the declared teams of these names, or all.

    While a file gives no name of its team, it may declare a team that no other file names: such a
    name is accepted here, and checked by `look`.

    Raises:
        DeclarationError: a name that no team can have.
    """
    if names is None or declaration.knows_all_names:
        return declaration.pick(names)
    return declaration.pick([name for name in names if name in declaration.names])


def refuse_unknown(
    purposes: Sequence[str] | None, teams: Sequence[Team], declaration: Declaration
) -> None:
    """Refuses a purpose that none of these teams has.

    The robots of teams that are left out are not known yet: if there are such teams, nothing is refused.

    Raises:
        TenantryError: and which there are.
    """
    if declaration.left_out:
        return
    known = dict.fromkeys(purpose for team in teams for purpose in team.active_robots)
    unknown = [purpose for purpose in purposes or () if purpose not in known]
    if unknown:
        raise TenantryError(
            f"No team has a robot '{unknown[0]}'; declared: {', '.join(known) or 'none'}."
        )


@step("look at robots")
def look(run: Rotation, purposes: Sequence[str] | None) -> list[Outcome]:
    """How all pairs stand, their credentials tried, and what is to be done for each."""
    run.now = datetime.now(UTC)
    run.token_lifetime = run.systems.harbor_client.token_lifetime()
    kept = rotation.left_out_teams(run.systems, run.names)
    run.unnamed = [each.team.name for each in kept if not each.is_named]
    run.systems.state.pick(name for name in run.names or () if name not in run.unnamed)
    run.teams = [*run.declared, *(each.team for each in kept)]
    unread = [part for each in kept for part in each.unread]
    found = [*rotation.observe(run.systems, run.teams, run.now, purposes), *unread]
    look_again_after(part.error for part in found if isinstance(part, rotation.Unread))
    most = run.systems.state.platform.rotation.most_per_run
    return rotation.choose(found, run.order, run.now, most)


def recall_order(order: RotationRequest) -> RotationRequest:
    """Return an order with what an earlier process of the run kept of it.

    So a run that is started again exchanges nothing that it has exchanged before.
    """
    if order.force or order.compromised:
        order.newest_robots.update(recall(_NEWEST) or {})
    return order


def keep_order(order: RotationRequest) -> None:
    """Keep with the run which robots its order is about."""
    if order.force or order.compromised:
        remember(_NEWEST, dict(order.newest_robots))


def begin_trail(run: Rotation, block: str | None, by: str) -> None:
    """Begins the audit trail: a store that can't be written stops the run before all changes."""
    store = BlockStore(block) if block else None
    run.trail = Trail(store, str(flow_run.id), by, run.order, run.now)


def approve(outcomes: Sequence[Outcome], token_lifetime: timedelta) -> str:
    """Have a person approve that old credentials die before new ones are in place.

    What was approved is kept with the run. So a run that crashed and is started again asks only if
    it is about to delete a credential that was not approved before.

    Returns:
        The person's name, as given; empty if no credential is left to delete.

    Raises:
        NotApproved: it was refused.
    """
    dying = [o for o in outcomes if o.why == "compromised" or "kill" in o.steps]
    due = [outcome.name for outcome in dying]
    if not due:
        return ""
    if (before := recall(_APPROVED)) and set(due) <= set(before["credentials"]):
        get_run_logger().info("%s approved this before the run was restarted.", before["by"])
        return str(before["by"])
    minutes = token_lifetime.total_seconds() / 60
    by = require_approval(
        markdown(
            "**{} to delete before new ones are in place**: {}{}.\n\nPulls and pushes fail until the "
            "clients have loaded the new credential. Tokens that Harbor has issued may still be used "
            "for up to {}. All credentials are in the artifact *robots*.",
            count(len(due), "credential"),
            ", ".join(due[:20]),
            " …" if len(due) > 20 else "",
            count(round(minutes), "minute"),
        ),
        plan_hash(f"{o.name}: {o.robot} {', '.join(o.steps)}" for o in dying),
    )
    remember(_APPROVED, {"credentials": due, "by": by})
    return by


class Shard:
    """Pairs of some teams that one task walks, and what became of them so far."""

    def __init__(self, chosen: Sequence[Outcome]) -> None:
        self.outcomes = {outcome.name: outcome for outcome in chosen}
        self._left = dict.fromkeys(self.outcomes)

    @property
    def name(self) -> str:
        """Which teams they are."""
        return named(list(dict.fromkeys(outcome.team for outcome in self.outcomes.values())))

    @property
    def left(self) -> list[Outcome]:
        """The pairs that are not done, and whose failure, if they failed, may pass."""
        return [self.outcomes[name] for name in list(self._left)]

    def keep(self, outcome: Outcome) -> Outcome:
        """Takes down what became of a pair, beside what was done before; safe from many threads."""
        before = self.outcomes[outcome.name]
        kept = replace(
            outcome,
            why=before.why or outcome.why,
            done=before.done + outcome.done,
            rotated=before.rotated or outcome.rotated,
        )
        self.outcomes[outcome.name] = kept
        if not isinstance(outcome.error, RETRIED):
            self._left.pop(outcome.name, None)
        return kept

    def give_up(self, error: TenantryError) -> None:
        """Takes down why the rest was not done, where a pair has no reason of its own."""
        for outcome in self.left:
            known = outcome.error or error
            self.keep(replace(outcome, done=(), state="failed", note=str(known), error=known))

    def check(self) -> None:
        """Whether all pairs are done.

        Raises:
            TeamsLeft: some are not, and it may pass.
            TeamsFailed: some failed for good.
        """
        failed = [outcome for outcome in self.outcomes.values() if outcome.error is not None]
        if failed:
            reasons = "\n".join(f"{outcome.name}: {outcome.error}" for outcome in failed)
            raise (TeamsLeft if self._left else TeamsFailed)(reasons)


@step("rotate", "rotate {shard.name}")
def rotate_shard(shard: Shard, run: Rotation) -> None:
    """Walks some pairs under their teams' locks; a retry goes on with those that are left."""
    log = get_run_logger()
    ended: list[Outcome] = []

    def finished(outcome: Outcome) -> None:
        kept = shard.keep(outcome)
        run.trail.add(outcome, datetime.now(UTC))
        ended.append(kept)
        if outcome.error is not None:
            log.error("%s: %s", outcome.name, outcome.error)

    while left := shard.left:
        teams = {outcome.team for outcome in left}
        try:
            rotation.rotate_many(
                run.systems,
                left,
                run.order,
                datetime.now(UTC),
                TeamLock(teams),
                token_lifetime=run.token_lifetime,
                on_outcome=finished,
                report=log.info,
                teams=run.teams,
            )
            break
        except LockUnusable as error:  # these teams' failure; the others go on
            for outcome in left:
                if outcome.team in error.teams:
                    finished(
                        replace(outcome, done=(), state="failed", note=str(error), error=error)
                    )
    publish_pages(_pages(ended, datetime.now(UTC)))
    shard.check()


def rotate_all(run: Rotation, chosen: Sequence[Outcome]) -> list[Outcome]:
    """A task for each shard of the teams that have something to do."""
    work: dict[str, list[Outcome]] = {}
    for outcome in chosen:
        if outcome.steps:
            work.setdefault(outcome.team, []).append(outcome)
    divided, alone = parts(list(work.values()))
    shards = [Shard([outcome for pairs in part for outcome in pairs]) for part in divided]
    run_all(shards, alone, lambda shard: rotate_shard.submit(shard, run))
    results = {outcome.name: outcome for outcome in chosen}
    for shard in shards:
        results |= shard.outcomes
    tell(results.values())
    return list(results.values())


def tell(outcomes: Iterable[Outcome]) -> None:
    """Says by an event what was rotated, and what could not be."""
    for outcome in outcomes:
        payload = {"team": outcome.team, "purpose": outcome.purpose, "why": outcome.why}
        resource = {
            "prefect.resource.id": f"tenantry.robot.{outcome.team}.{outcome.purpose}",
            "prefect.resource.name": outcome.name,
        }
        if outcome.rotated:
            until = outcome.until.isoformat() if outcome.until else None
            more = {"robot": outcome.robot, "old_until": until}
            emit(ROTATED, resource, payload | more)
        if outcome.error is not None:
            more = {"error": str(outcome.error)}
            emit(FAILED, resource, payload | more)


def publish_table(outcomes: Sequence[Outcome], now: datetime) -> None:
    """How all pairs stand, as a table artifact."""
    text = markdown("{}", report.summary(outcomes))
    widths = {"robot": 20, "state": 10, "note": 30}
    tables.publish_table("robots", report.rows(outcomes, now), text, widths)


def _pages(outcomes: Iterable[Outcome], now: datetime) -> Iterator[tuple[str, Markdown]]:
    """What was done to each pair, by the key of its artifact."""
    for outcome in outcomes:
        if outcome.done or outcome.error:
            key = artifact_key("rotation", f"{outcome.team}--{outcome.purpose}")
            yield key, report.page(outcome, now)


def conclude(run: Rotation, outcomes: Sequence[Outcome]) -> State[Any]:
    """The run's last word."""
    message = report.summary(outcomes)
    reasons = [f"{outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    if absent := run.systems.state.faults_of(run.names):
        origin = run.systems.state.origin
        reasons += [f"Faulty in {origin}, and rotated as they are:", *absent]
    if run.unnamed:
        reasons.append(
            "Rotated as they are, since a file that gives no name may declare them: "
            f"{', '.join(run.unnamed)}. Give each file the name of its team, or delete the file."
        )
    if run.trail.error is not None:
        reasons.append(str(run.trail.error))
    if not reasons:
        return complete(message)
    return fail("\n".join([message, *reasons]))
