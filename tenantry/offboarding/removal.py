"""The removal of a team: the last part of an offboarding, which cannot be undone."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from tenantry.kinds import REMOVAL_STEPS, RemovalStep
from tenantry.locks import Lock
from tenantry.offboarding.plan import Blocked, Deletion, RemovalPlan, Removed
from tenantry.offboarding.removal_plan import plan_removal
from tenantry.outcomes import NotApproved
from tenantry.resources import Observed
from tenantry.systems.systems import Systems
from tenantry.text import logger
from tenantry.walk import Step, run_directly

_log = logger(__name__)
WAIT = 120.0
"""How many seconds a run waits until the namespaces are gone."""
_POLL = 1.0
_LONGEST, _MOST = 300, 10
"""The longest text and the number of texts about what blocks a namespace: a tenant chooses them."""
_NAMES: dict[RemovalStep, str] = {
    "Harbor": "remove from Harbor",
    "Keycloak": "remove from Keycloak",
    "Kubernetes": "remove Secrets and roles",
    "Namespaces": "remove namespaces",
    "Group": "remove the group",
}


def remove(
    systems: Systems,
    plan: RemovalPlan,
    step: Step = run_directly,
    lock: Lock | None = None,
    *,
    wait: float = WAIT,
    report: Callable[[Deletion], None] = lambda deletion: None,
) -> Removed:
    """Delete what an approved plan contains, and return what was deleted and what is left.

    The team is observed again under the lock. What was removed meanwhile is no longer in the plan. An
    earlier run may have been killed: this one does what is left.

    Args:
        systems: the systems. They need not probe credentials.
        plan: the approved plan.
        step: runs a step.
        lock: keeps other processes from changing the team. Without one, no other process may be at
            work on it.
        wait: how many seconds to wait until the namespaces are gone. A namespace that is not is in
            the outcome, with what blocks it. The next run waits for it again.
        report: called after each deletion. A namespace is reported when it is gone.

    Raises:
        NotApproved: the team has changed, and the current plan deletes more than the approved one.
            Nothing was deleted since.
        TenantryError: a call failed, or the lock was lost. Running again does what is left.
    """
    removal = _Removal(systems, plan, lock, wait, report)
    with lock or nullcontext():
        step("observe again, under the lock", removal.observe_again)
        for name in REMOVAL_STEPS:
            if removal.deletions(name):
                step(_NAMES[name], partial(removal.run, name))
    return Removed(
        plan.team.name, tuple(removal.done), removal.current.kept, tuple(removal.blocked)
    )


class _Removal:
    """A removal under the lock.

    Attributes:
        current: the plan of what is left, as it was observed last.
        done: the deletions so far.
        blocked: the namespaces that were not deleted in time.
    """

    def __init__(
        self,
        systems: Systems,
        approved: RemovalPlan,
        lock: Lock | None,
        wait: float,
        report: Callable[[Deletion], None],
    ) -> None:
        self._systems = systems
        self._approved = approved
        self._lock = lock
        self._wait = wait
        self._report = report
        self.current = approved
        self.done: list[Deletion] = []
        self.blocked: list[Blocked] = []

    def observe_again(self, retry: bool) -> None:
        """Observe the team, and plan what is left.

        Raises:
            NotApproved: the plan deletes more than the approved one.
        """
        if retry and self._lock is not None:
            self._lock.hold()
        approved = self._approved
        self.current = plan_removal(
            self._systems,
            approved.team,
            delete_images=approved.delete_images,
            adopted=approved.adopted,
        )
        if not self.current.is_approved(approved.approval):
            raise NotApproved(
                f"The resources of team '{approved.team.name}' have changed since removal plan "
                f"{approved.digest} was approved: the current plan is {self.current.digest}, and "
                "deletes more. Nothing else was deleted. Read and approve the current plan."
            )

    def deletions(self, step: RemovalStep) -> list[Deletion]:
        """Return what is left to delete in a step."""
        return [each for each in self.current.removed if each.step == step]

    def run(self, step: RemovalStep, retry: bool) -> None:
        """Delete what is left in a step.

        Raises:
            TenantryError: a call failed, or the lock was lost. The deletions before it are made.
        """
        if retry:
            self.observe_again(retry)
        ending: list[Deletion] = []
        for deletion in self.deletions(step):
            self._check()
            if deletion.change is not None:
                self._systems.apply_change(deletion.change, Observed())
            if step == "Namespaces":
                ending.append(deletion)
            else:
                self._record(deletion)
        if ending:
            self._wait_for(ending)

    def _wait_for(self, ending: list[Deletion]) -> None:
        """Wait until namespaces are gone, and record those that are not with what blocks them."""
        deadline = time.monotonic() + self._wait
        names = ", ".join(each.id.key for each in ending)
        _log.info("Waiting up to %.0f s until namespaces are gone: %s", self._wait, names)
        while True:
            left: list[Deletion] = []
            blocked: list[Blocked] = []
            for deletion in ending:
                cluster = self._systems.clusters.of(deletion.id)
                reasons = cluster.what_blocks(deletion.id.key)
                if reasons is None:
                    self._record(deletion)
                    continue
                left.append(deletion)
                texts = [text[:_LONGEST] for text in reasons[:_MOST]]
                unknown = "the cluster does not report what blocks it"
                blocked.append(Blocked(deletion.id.key, tuple(texts) or (unknown,)))
            if not left or time.monotonic() > deadline:
                self.blocked = blocked
                return
            ending = left
            self._check()
            time.sleep(_POLL)

    def _check(self) -> None:
        """Check that the lock is held.

        Raises:
            TenantryError: it was lost.
        """
        if self._lock is not None:
            self._lock.check()

    def _record(self, deletion: Deletion) -> None:
        self.done.append(deletion)
        self._report(deletion)
