"""What became of a team, or of the platform, in a run."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tenantry.declared import Declaration
from tenantry.errors import DeclarationError, TenantryError
from tenantry.plan import Change, Plan
from tenantry.resources import PLATFORM


@dataclass(frozen=True)
class Outcome:
    """What became of one team, or of the platform."""

    team: str
    """The team's name, or PLATFORM."""
    plan: Plan | None = None
    """What was planned; None if the team could not be read."""
    done: tuple[Change, ...] = ()
    """The changes that were made."""
    error: TenantryError | None = field(default=None, compare=False)
    """What stopped it."""

    @property
    def is_done(self) -> bool:
        """Whether the team is as declared, but for what it waits for."""
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
