"""The outcome of a run for one team, or for the platform."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tenantry.declared import Declaration
from tenantry.errors import DeclarationError, TenantryError
from tenantry.plan import Change, Plan
from tenantry.resources import PLATFORM


class NotApproved(TenantryError):
    """A user rejected a plan, or approved another one: nothing was changed."""


@dataclass(frozen=True)
class Outcome:
    """The outcome for one team, or for the platform."""

    team: str
    """The team's name, or PLATFORM."""
    plan: Plan | None = None
    """What was planned; None if the team could not be read."""
    done: tuple[Change, ...] = ()
    """The changes that were made."""
    error: TenantryError | None = field(default=None, compare=False)
    """What stopped it."""

    @property
    def name(self) -> str:
        """The owner, as messages name it."""
        return self.team or "the platform"

    def after(self, earlier: "Outcome") -> "Outcome":
        """Return this outcome together with that of an earlier try."""
        return replace(self, done=earlier.done + self.done)

    def failed(self, error: TenantryError) -> "Outcome":
        """Return the outcome of a try that failed before the first change."""
        return replace(self, done=(), error=error)

    @property
    def is_done(self) -> bool:
        """Whether the team is in sync, except for what it waits for."""
        return self.error is None

    @property
    def has_changes(self) -> bool:
        """Whether there is something to write."""
        return self.plan is not None and bool(self.plan.changes)


def left_out(state: Declaration, names: Iterable[str] | None) -> list[Outcome]:
    """Return an outcome for each faulty file of the declared state, with its faults.

    Args:
        state: the declared state.
        names: the teams that the run is about; all if not given.
    """
    asked = None if names is None else set(names)
    found = [
        Outcome(each.label, error=DeclarationError([f"{each.file} is left out:", *each.faults]))
        for each in state.left_out
        if asked is None or asked & set(each.names)
    ]
    if asked is None and state.other_faults:
        found.append(Outcome(PLATFORM, error=DeclarationError(list(state.other_faults))))
    return found
