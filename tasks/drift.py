"""The tasks of drift detection and of remediation."""

from collections.abc import Sequence
from functools import partial

from prefect import get_run_logger
from prefect.futures import PrefectFuture

from tasks.active import Locks
from tasks.approval import bullets, request_approval
from tasks.batches import Shard, in_shards, run_shards
from tasks.step import retry_unread, submit_as_task
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import drift
from tenantry.drift import Detected, Order, Remediated, Remediation, Remedy, SystemName
from tenantry.systems.systems import Systems
from tenantry.text import markdown
from tenantry.wording import count


class Detection:
    """The drift detection of a run. A system that cannot be read costs its own findings only.

    It is not a dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(
        self,
        systems: Systems,
        asked: Sequence[SystemName],
        names: Sequence[str] | None,
        lock: Locks,
    ) -> None:
        """
        Args:
            systems: the systems.
            asked: the systems to observe.
            names: the teams; all if not given.
            lock: returns the lock of some teams, for remediation.
        """
        self.systems = systems
        self.lock = lock
        self._asked = tuple(asked)
        self._names = names

    def find(self, *, again: bool = False) -> Detected:
        """Observe the systems, a task for each, and return their drift.

        Args:
            again: whether it is not the run's first observation, for the names of the tasks.
        """
        log = get_run_logger()
        return drift.find_drift(
            self.systems,
            self._names,
            self._asked,
            submit=submit_as_task,
            check_unread=retry_unread,
            report_failure=lambda error: log.error(str(error)),
            again=again,
        )


def remediate(
    detection: Detection, detected: Detected, order: Order, *, require_approval: bool
) -> Remediation:
    """Publish the changes, have them approved if something is removed, and make them."""

    def approve(remedy: Remedy) -> bool:
        _publish(remedy)
        if not (remedy.removals and require_approval):
            return False
        _approve(remedy)
        return True

    def remediate_teams(remedy: Remedy, order: Order, *, approved: bool) -> list[Remediated]:
        return _remediate_all(detection, remedy, order, approved=approved)

    return drift.remediate(
        detected,
        order,
        detect_again=lambda: detection.find(again=True),
        remediate_teams=remediate_teams,
        approve=approve,
    )


def _publish(remedy: Remedy) -> None:
    text = markdown("{}. Plan {}.", _counted(remedy), remedy.hash)
    publish_table("drift-remedy", remedy.rows, text, PLAN_WIDTHS)
    get_run_logger().info(text)


def _counted(remedy: Remedy) -> str:
    changes, removals = len(remedy.changes), len(remedy.removals)
    return f"{count(changes, 'change')}, including {count(removals, 'removal')}"


def _approve(remedy: Remedy) -> None:
    """Have a user approve this plan.

    Raises:
        NotApproved: it was rejected.
    """
    changes = sorted(remedy.changes, key=lambda change: change.action != "delete")
    text = markdown(
        "**{}.** All fields are in the artifact *drift-remedy*.\n\n{}",
        _counted(remedy),
        bullets(changes),
    )
    request_approval(text, remedy.hash)


def _remediate_all(
    detection: Detection, remedy: Remedy, order: Order, *, approved: bool
) -> list[Remediated]:
    """Remediate all teams, a task for each shard, and return the results.

    One shard follows the other: the first team's changes include those that the teams share.
    """
    systems = detection.systems
    declared = [team for team in remedy.teams if team in systems.state.teams]
    others = [team for team in remedy.teams if team not in systems.state.teams]
    shards = [
        Shard([Remediated(team) for team in teams])
        for teams in (*in_shards(declared), *in_shards(others))
    ]

    def remediate_shard(shard: Shard[Remediated], retry: bool) -> None:
        """Remediate some teams, under their locks; another try does those that are left."""

        def work(left: Sequence[Remediated]) -> None:
            teams = [result.team for result in left]
            drift.remediate_teams(
                systems,
                remedy.of(teams),
                order,
                detection.lock(teams),
                approved=approved,
                resumed=retry,
                finished=finished,
            )

        log = get_run_logger()

        def finished(result: Remediated) -> None:
            shard.keep(result)
            for change in result.done:
                log.info("%s: %s %s", result.name, change.action, change.id)
            if result.error is not None:
                log.error("%s: %s", result.name, result.error)

        shard.run(work, finished)
        shard.check()

    def submit(shard: Shard[Remediated]) -> PrefectFuture[None]:
        return submit_as_task(f"remediate {shard.name}", partial(remediate_shard, shard))

    return list(run_shards(shards, 1, submit).values())
