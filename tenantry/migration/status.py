"""The status of a migration in words: its position, who cannot log in now, and the next step.

The text holds no user names: all users who may see runs can read results.
"""

from dataclasses import dataclass
from datetime import timedelta

from tenantry.migration.journal import Journal
from tenantry.migration.parameters import (
    CONTINUE,
    EXCLUDE_USERS,
    FINISH,
    FOLLOW_UP,
    PLAN,
    REPLAN,
    ROLL_BACK,
)
from tenantry.migration.snapshot import Snapshot
from tenantry.wording import count


@dataclass(frozen=True)
class LockedOut:
    """The numbers of people who cannot log in to Harbor because of the migration."""

    until_wave: int = 0
    """People whose wave is not done yet."""
    excluded: int = 0
    """People whom the plan excludes."""

    def __str__(self) -> str:
        parts = []
        if self.until_wave:
            parts.append(f"{people(self.until_wave)} cannot log in until their wave is done.")
        if self.excluded:
            parts.append(f"{people(self.excluded)} cannot log in because the plan excludes them.")
        return " ".join(parts) or "No one is locked out."


def locked_out(snapshot: Snapshot, entry: Journal) -> LockedOut:
    """Return how many people cannot log in now because of the migration.

    If Harbor's issuer changes, a person whose user in Harbor still has the old issuer gets 409 at the
    next login. Existing sessions continue. If an external provider is replaced, it is only hidden
    until the finish, and all people who were moved have both links.
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
    """Return the deployment to run next, with its most important parameters.

    Args:
        entry: the journal.
        pending: the number of people who have not logged in since their deletion in Harbor.
    """
    if entry.phase == "finished":
        if entry.situation == "issuer":
            return "Next: remove the old issuer from your RequestAuthentications."
        return "No further step is needed."
    if entry.phase == "rolled back":
        return "No further step is needed."
    if entry.finishing:
        return f"Next: run {FINISH} again."
    if entry.rolling_back:
        if not entry.undone:
            return f"Next: run {ROLL_BACK} again."
        return (
            f"Next: wait until they have logged in. {FOLLOW_UP} restores their rights every hour, and "
            f"then completes the rollback. For people who will not return, run {ROLL_BACK} with their "
            f"user names in {EXCLUDE_USERS}."
        )
    if entry.phase == "exported":
        return f"Next: run {CONTINUE}, which asks for an approval of the plan."
    if entry.waves_done < entry.waves or entry.switched_at is None:
        return f"Next: run {CONTINUE}."
    until = f"{entry.switched_at + timedelta(hours=entry.soak_hours):%Y-%m-%d %H:%M} UTC"
    if pending:
        return (
            f"Next: wait until they have logged in, then run {FINISH}, from {until} on. For people "
            f"who will not return, set its {EXCLUDE_USERS} to their user names."
        )
    return f"Next: run {FINISH}, from {until} on."


def describe(snapshot: Snapshot, entry: Journal, pending: int = 0, result: str = "") -> str:
    """Return where the migration is, who is locked out now, and the next step.

    Args:
        snapshot: the plan.
        entry: the journal.
        pending: the number of people who have not logged in since their deletion in Harbor.
        result: what a run did, added after the position.
    """
    said = (_position(snapshot, entry, pending), result, str(locked_out(snapshot, entry)))
    return " ".join(part for part in (*said, next_step(entry, pending)) if part)


def _position(snapshot: Snapshot, entry: Journal, pending: int) -> str:
    done = f"{entry.waves_done} of {count(entry.waves, 'wave')} done."
    if entry.phase == "finished":
        return f"Finished the {entry.label}."
    if entry.phase == "rolled back":
        return f"Rolled back the {entry.label}."
    if entry.rolling_back:
        if not entry.undone:
            return f"The rollback of the {entry.label} has begun and is not complete."
        return f"Rolling back: {people(pending)} {have(pending)} not logged in yet."
    if entry.phase == "exported":
        moved = people(len(snapshot.moving))
        return f"Planned: {moved} in {count(entry.waves, 'wave')}. Plan {entry.plan}."
    if entry.switched_at is not None:
        switched = f"Switched from '{entry.old}' to '{entry.new}'."
        return f"{switched} {done}" if entry.waves_done < entry.waves else switched
    if entry.waves_done < entry.waves:
        return done
    return "All waves are done. The switch is not done yet."


def explain_replan(entry: Journal) -> str:
    """Return why an approved plan is not replaced by default, and what a replacement does."""
    return (
        f"The plan of the {entry.label} is already approved, and {entry.waves_done} of "
        f"{count(entry.waves, 'wave')} done. A new plan replaces it: people who are linked to "
        f"'{entry.new}' stay linked, all others are planned with the new parameters, and the new "
        f"plan needs its own approval. Nothing was changed. To replace the plan, run {PLAN} with "
        f"{REPLAN}: true. Otherwise, run {CONTINUE}."
    )


def explain_no_replan(entry: Journal) -> str:
    """Return why a migration cannot be planned again."""
    if entry.rolling_back:
        why = f"it is being rolled back. {next_step(entry)}"
    elif entry.finishing:
        why = f"it is being finished. {next_step(entry)}"
    elif entry.switching:
        why = f"people already log in with '{entry.new}'. {next_step(entry)}"
    else:
        why = (
            f"users were already re-created. {next_step(entry)} To start from the beginning, run "
            f"{ROLL_BACK} first."
        )
    return f"The {entry.label} cannot be planned again: {why}"


def explain_no_rollback(entry: Journal) -> str:
    """Return why a migration that is being finished cannot be rolled back."""
    return f"The {entry.label} is being finished, so it cannot be rolled back. {next_step(entry)}"


def people(number: int) -> str:
    """Return a number of people: `1 person`, `2 people`."""
    return count(number, "person", "people")


def have(number: int) -> str:
    """Return `has` or `have`, for a number of people."""
    return "has" if number == 1 else "have"
