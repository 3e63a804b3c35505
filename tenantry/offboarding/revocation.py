"""The revocation of a team's access: the first part of an offboarding, which onboarding undoes."""

from collections.abc import Callable, Iterable
from typing import Any

from tenantry.declared import Team
from tenantry.errors import TenantryError
from tenantry.kinds import STAGES
from tenantry.locks import Lock
from tenantry.marks import ProjectMark
from tenantry.offboarding.holdings import Holding, holdings, observe
from tenantry.offboarding.plan import Kept, Revoked
from tenantry.plan import Change, Plan
from tenantry.resources import Observed, Resource, differences
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.systems.harbor.project import project_id
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.systems import Systems
from tenantry.walk import Step, Walk, accept_unread, run_directly


def revoke(
    systems: Systems,
    team: Team,
    step: Step = run_directly,
    lock: Lock | None = None,
    *,
    adopted: bool = False,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    report: Callable[[Change], None] = lambda change: None,
) -> Revoked:
    """Revoke the access of a team, and return what was changed and what was left.

    Robots and OIDC clients are disabled, roles in Harbor and in namespaces and routes are deleted, and
    the credentials in Secrets outside of the team's namespaces are removed. The Secrets in the team's
    namespaces keep the credentials, which are not valid any more: onboarding needs them to restore the
    access. A second revocation writes nothing.

    Args:
        systems: the systems. They need not probe credentials.
        team: the team.
        step: runs a step.
        lock: keeps other processes from changing the team. Without one, no other process may be at
            work on it.
        adopted: whether to revoke access by resources that Tenantry has adopted, too.
        check_unread: as in `tenantry.walk.observe_owners`.
        report: called after each change.

    Raises:
        TenantryError: a call failed, the lock was lost, or part of the team could not be read. Running
            again does what is left.
    """
    walk = Revocation(systems, team, step, check_unread, report, adopted=adopted)
    walk.plan()
    outcome = walk.apply(lock)
    if (failure := walk.observed.failure(team.name)) is not None:
        raise failure
    return Revoked(team.name, outcome.done, walk.kept)


class Revocation(Walk[Team]):
    """The walk that revokes the access of a team.

    Attributes:
        kept: the resources that were observed last and are not changed.
    """

    def __init__(self, *given: Any, adopted: bool) -> None:
        """
        Args:
            given: the arguments of `Walk`.
            adopted: as in `revoke`.
        """
        super().__init__(*given)
        self.kept: tuple[Kept, ...] = ()
        self._adopted = adopted

    def observe(
        self,
        step: Step = run_directly,
        check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    ) -> Observed:
        """Return what the systems hold of the team."""
        return observe(self.systems, self.owner, step, check_unread)

    def make_plan(self) -> Plan:
        """Return the changes that revoke the access, for what was observed last.

        What could not be read is not in the plan.
        """
        changes: list[Change] = []
        kept: list[Kept] = []
        for holding in holdings(self.systems, self.owner, self.observed, adopted=self._adopted):
            change = self._change(holding)
            is_shown = holding.is_only_recorded or _grants_access(holding)
            if holding.why_kept and (change is not None or is_shown):
                access = not holding.is_only_recorded
                kept.append(Kept(holding.id, holding.why_kept, grants_access=access))
            elif change is not None:
                changes.append(change)
        changes.sort(key=lambda change: STAGES.index(change.stage))
        self.kept = tuple(kept)
        return Plan(self.owner.name, tuple(changes))

    def _change(self, holding: Holding) -> Change | None:
        """Return the change that revokes the access by a resource; None if it gives none."""
        id, live, how = holding.id, holding.live, holding.id.kind.revocation
        if how is None or (id.kind == SECRET and holding.is_inside):
            return None
        if how == "delete":
            return Change("delete", Resource(id, {}), (), live)
        found = tuple(differences(how, live.fields))
        if not found:
            return None
        return Change("update", Resource(id, {**how, **self._note(holding)}), found, live)

    def _note(self, holding: Holding) -> dict[str, str]:
        """Return the fields that record a revocation, so that onboarding can undo it."""
        if holding.id.kind != ROBOT or holding.why_kept:
            return {}
        project = self.observed.live[project_id(self.owner.project)]
        mark: ProjectMark = "adopted" if project.adopted else "created"
        return {"description": self.systems.marks.revoked_description(mark, self.owner.name)}


def _grants_access(holding: Holding) -> bool:
    """Return whether a resource that is not changed gives someone access."""
    is_disabled = holding.live.fields.get("disabled") is True
    return holding.id.kind.grants_access and not is_disabled
