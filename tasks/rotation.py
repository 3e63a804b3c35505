"""The tasks of rotation: observe the robots, have deletions approved, and rotate in shards of teams."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from tasks.active import Locks
from tasks.approval import recall, remember, request_approval
from tasks.batches import Shard, divide, run_shards
from tasks.prefect_api import needed
from tasks.rotation_report import emit_events, publish_pages_of
from tasks.step import retry_unread, step
from tasks.store import BlockStore
from tenantry.explain import plan_hash
from tenantry.rotation import Outcome, RotationRequest, RotationRun
from tenantry.rotation.audit import Trail
from tenantry.systems.health import check_harbor, check_kubernetes
from tenantry.systems.systems import Systems
from tenantry.text import markdown
from tenantry.wording import count

_APPROVED = "approved-credentials"
"""The key under which a run stores the credentials that it may delete."""
_NEWEST = "newest-robots"
"""The key under which a run stores the numbers of the robots that were the newest at its start."""


def who() -> str:
    """Return the user or schedule that started the run, as far as Prefect knows."""
    with needed("read the flow run"), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    if run.auto_scheduled:
        return "the schedule"
    return (run.created_by and run.created_by.display_value) or "the API"


@step("check Harbor and the cluster")
def check_connections(systems: Systems) -> None:
    """Check that both answer, and that Harbor's account may rotate robots: no robot account may."""
    for sentence in (
        check_harbor(systems.harbor_client),
        check_kubernetes(systems.home_cluster),
    ):
        get_run_logger().info(sentence)


@step("observe robots")
def observe_robots(run: RotationRun) -> list[Outcome]:
    """Return the state of all pairs, their credentials tried, with what is to be done for each."""
    return run.plan(datetime.now(UTC), retry_unread)


def recall_order(order: RotationRequest) -> RotationRequest:
    """Return a request with the robots that an earlier process of the run stored with it.

    So a run that is restarted does not rotate a credential a second time.
    """
    if order.force or order.compromised:
        order.newest_robots.update(recall(_NEWEST) or {})
    return order


def keep_order(order: RotationRequest) -> None:
    """Store the newest robots of the request with the run."""
    if order.force or order.compromised:
        remember(_NEWEST, dict(order.newest_robots))


def begin_trail(run: RotationRun, block: str | None, by: str) -> Trail:
    """Begin the audit trail. A store that can't be written stops the run before the first change."""
    store = BlockStore(block) if block else None
    return Trail(store, str(flow_run.id), by, run.request, run.now)


def approve(outcomes: Sequence[Outcome], token_lifetime: timedelta) -> str:
    """Have a user approve that old credentials are deleted before new ones are in place.

    The approval is stored with the run. A run that is restarted after a crash asks again only if it
    would delete a credential that was not approved before.

    Returns:
        The name of the user, as given; empty if no credential is left to delete.

    Raises:
        NotApproved: it was rejected.
    """
    dying = [o for o in outcomes if o.why == "compromised" or "kill" in o.steps]
    due = [outcome.name for outcome in dying]
    if not due:
        return ""
    if (before := recall(_APPROVED)) and set(due) <= set(before["credentials"]):
        get_run_logger().info(
            "%s approved these deletions before the run was restarted.", before["by"]
        )
        return str(before["by"])
    minutes = token_lifetime.total_seconds() / 60
    by = request_approval(
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


@step("rotate", "rotate {shard.name}")
def rotate_shard(shard: Shard[Outcome], run: RotationRun, trail: Trail, lock: Locks) -> None:
    """Rotate some pairs, under their teams' locks; another try does those that are left."""
    log = get_run_logger()
    ended: list[Outcome] = []

    def finished(outcome: Outcome) -> None:
        kept = shard.keep(outcome)
        trail.add(outcome, datetime.now(UTC))
        ended.append(kept)
        if outcome.error is not None:
            log.error("%s: %s", outcome.name, outcome.error)

    def work(left: Sequence[Outcome]) -> None:
        held = lock({outcome.team for outcome in left})
        run.rotate(left, datetime.now(UTC), held, on_outcome=finished, report=log.info)

    shard.run(work, finished)
    publish_pages_of(ended, datetime.now(UTC))
    shard.check()


def rotate_all(
    run: RotationRun, trail: Trail, chosen: Sequence[Outcome], lock: Locks
) -> list[Outcome]:
    """Rotate the pairs that have something to do, a task for each shard of teams; return all outcomes."""
    work: dict[str, list[Outcome]] = {}
    for outcome in chosen:
        if outcome.steps:
            work.setdefault(outcome.team, []).append(outcome)
    parts, at_once = divide(list(work.values()))
    shards = [Shard([outcome for pairs in part for outcome in pairs]) for part in parts]
    results = run_shards(
        shards, at_once, lambda shard: rotate_shard.submit(shard, run, trail, lock)
    )
    outcomes = [results.get(outcome.name, outcome) for outcome in chosen]
    emit_events(outcomes)
    return outcomes
