"""Where a migration is, who cannot log in at that moment, and what to do next, in words.

No text here holds a user name: results can be read by everybody who may see runs.
"""

from dataclasses import dataclass
from datetime import timedelta

from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import Snapshot
from tenantry.wording import count

PLAN, CONTINUE, FOLLOW_UP, FINISH, ROLL_BACK = (
    *("plan-migration", "continue-migration", "follow-up-migration"),
    *("finish-migration", "roll-back-migration"),
)
"""The deployments, as a message names them."""


@dataclass(frozen=True)
class LockedOut:
    """How many people cannot log in to Harbor at a moment of a migration."""

    until_wave: int = 0
    """People whose wave is not done yet."""
    excluded: int = 0
    """People whom the plan excludes."""

    def __str__(self) -> str:
        parts = []
        if self.until_wave:
            parts.append(f"{people(self.until_wave)} cannot log in until their wave.")
        if self.excluded:
            parts.append(f"{people(self.excluded)}, whom the plan excludes, cannot log in.")
        return " ".join(parts) or "Nobody is locked out."


def locked_out(snapshot: Snapshot, entry: Journal) -> LockedOut:
    """Return how many people cannot log in now because of the migration.

    Where Harbor's issuer changes, a person whose user in Harbor still has the old issuer gets 409 at
    the next login; an existing session continues. Where an external provider is replaced, it is
    only hidden until the end, and everybody who has moved has both links.
    """
    excluded = sum(person.wave is None for person in snapshot.people)
    if entry.phase == "rolled back" or entry.rolling_back:
        return LockedOut()
    if entry.phase == "finished":
        return LockedOut(excluded=excluded)
    if entry.situation != "issuer" or entry.switched_at is None:
        return LockedOut()
    waiting = sum((person.wave or 0) >= entry.waves_done for person in snapshot.moving)
    return LockedOut(waiting, excluded)


def next_step(entry: Journal, pending: int = 0) -> str:
    """Return what to run next, with the parameters that matter.

    Args:
        entry: how far the migration has come.
        pending: how many people were deleted in Harbor and have not logged in since.
    """
    if entry.phase == "finished":
        if entry.situation == "issuer":
            return "Next: remove the old issuer from your RequestAuthentications."
        return "Nothing is left to do."
    if entry.phase == "rolled back":
        return "Nothing is left to do."
    if entry.finishing:
        return f"Next: run {FINISH} again."
    if entry.rolling_back:
        if not entry.undone:
            return f"Next: run {ROLL_BACK} again."
        return (
            f"Next: wait until they have logged in; {FOLLOW_UP} restores their rights every hour. "
            f"Then the roll back is complete. For people who will not return, run {ROLL_BACK} with "
            "exclude_users and their user names."
        )
    if entry.phase == "exported":
        return f"Next: run {CONTINUE}, which asks for an approval of the plan."
    if entry.waves_done < entry.waves or entry.switched_at is None:
        return f"Next: run {CONTINUE}."
    until = f"{entry.switched_at + timedelta(hours=entry.soak_hours):%Y-%m-%d %H:%M} UTC"
    if pending:
        return (
            f"Next: wait until they have logged in, then run {FINISH}, from {until} on. For people "
            "who will not return, name them in its exclude_users."
        )
    return f"Next: run {FINISH}, from {until} on."


def describe(snapshot: Snapshot, entry: Journal, pending: int = 0, more: str = "") -> str:
    """Return where the migration is, who is locked out now, and the next step.

    Args:
        snapshot: the plan.
        entry: how far the migration has come.
        pending: how many people were deleted in Harbor and have not logged in since.
        more: what a run did, said after where the migration is.
    """
    said = (_where(snapshot, entry, pending), more, str(locked_out(snapshot, entry)))
    return " ".join(part for part in (*said, next_step(entry, pending)) if part)


def _where(snapshot: Snapshot, entry: Journal, pending: int) -> str:
    done = f"{entry.waves_done} of {count(entry.waves, 'wave')} done."
    if entry.phase == "finished":
        return f"Finished the {entry.label}."
    if entry.phase == "rolled back":
        return f"Rolled back the {entry.label}."
    if entry.rolling_back:
        if not entry.undone:
            return f"The roll back of the {entry.label} has begun and is not complete."
        return f"Rolling back: {people(pending)} {have(pending)} not logged in yet."
    if entry.phase == "exported":
        moved = people(len(snapshot.moving))
        return f"Planned: {moved} in {count(entry.waves, 'wave')}. Plan {entry.plan}."
    if entry.switched_at is not None:
        where = f"Switched from '{entry.old}' to '{entry.new}'."
        return f"{where} {done}" if entry.waves_done < entry.waves else where
    return done if entry.waves_done < entry.waves else "All waves are done; the switch is left."


def plan_again(entry: Journal) -> str:
    """Return why an approved plan is not replaced without `replan`, and what that does."""
    return (
        f"The plan of the {entry.label} is approved already, and {entry.waves_done} of "
        f"{count(entry.waves, 'wave')} done. Planning again replaces it: whoever is linked to "
        f"'{entry.new}' stays linked, all others are planned by the new parameters, and the new "
        f"plan needs an approval of its own. Nothing was changed. Run {PLAN} with "
        f"replan: true if that is what you want, otherwise run {CONTINUE}."
    )


def no_plan_again(entry: Journal) -> str:
    """Return why a migration cannot be planned again any more."""
    if entry.rolling_back:
        why = f"it is being rolled back. {next_step(entry)}"
    elif entry.finishing:
        why = f"it is being finished. {next_step(entry)}"
    elif entry.switching:
        why = f"people log in by '{entry.new}' already. {next_step(entry)}"
    else:
        why = (
            f"people were deleted and made again by its plan. {next_step(entry)} To start from the "
            f"beginning, run {ROLL_BACK} first."
        )
    return f"The {entry.label} cannot be planned again: {why}"


def no_way_back(entry: Journal) -> str:
    """Return why a migration cannot be rolled back any more."""
    return f"The {entry.label} is being finished, and cannot be rolled back. {next_step(entry)}"


def people(number: int) -> str:
    """Return a number of people: `1 person`, `2 people`."""
    return count(number, "person", "people")


def have(number: int) -> str:
    """Return `has` or `have`, for a number of people."""
    return "has" if number == 1 else "have"
