"""Where a migration is, who cannot log in at that moment, and what to do next, in words.

No text here holds a user name: results and artifacts can be read by everybody who may see runs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import HarborUser, Person, Snapshot
from tenantry.migration.store import checksum
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
            parts.append(f"{_people(self.until_wave)} cannot log in until their wave.")
        if self.excluded:
            parts.append(f"{_people(self.excluded)}, whom the plan excludes, cannot log in.")
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
            "exclude and their user names."
        )
    if entry.phase == "exported":
        return f"Next: run {CONTINUE}, which asks for an approval of the plan."
    if entry.waves_done < entry.waves or entry.switched_at is None:
        return f"Next: run {CONTINUE}."
    until = f"{entry.switched_at + timedelta(hours=entry.soak_hours):%Y-%m-%d %H:%M} UTC"
    if pending:
        return (
            f"Next: wait until they have logged in, then run {FINISH}, from {until} on. For people "
            "who will not return, name them in its exclude."
        )
    return f"Next: run {FINISH}, from {until} on."


def position(snapshot: Snapshot, entry: Journal, pending: int = 0, more: str = "") -> str:
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
        return f"Finished the {entry.told}."
    if entry.phase == "rolled back":
        return f"Rolled back the {entry.told}."
    if entry.rolling_back:
        if not entry.undone:
            return f"The roll back of the {entry.told} has begun and is not complete."
        return f"Rolling back: {_people(pending)} {_have(pending)} not logged in yet."
    if entry.phase == "exported":
        moved = _people(len(snapshot.moving))
        return f"Planned: {moved} in {count(entry.waves, 'wave')}. Plan {entry.plan}."
    if entry.switched_at is not None:
        where = f"Switched from '{entry.old}' to '{entry.new}'."
        return f"{where} {done}" if entry.waves_done < entry.waves else where
    return done if entry.waves_done < entry.waves else "All waves are done; the switch is left."


def plan_again(entry: Journal) -> str:
    """Return why an approved plan is not replaced without `plan_again`, and what that does."""
    return (
        f"The plan of the {entry.told} is approved already, and {entry.waves_done} of "
        f"{count(entry.waves, 'wave')} done. Planning again replaces it: whoever is linked to "
        f"'{entry.new}' stays linked, all others are planned by the new parameters, and the new "
        f"plan needs an approval of its own. Nothing was changed. Run {PLAN} with "
        f"plan_again: true if that is what you want, otherwise run {CONTINUE}."
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
    return f"The {entry.told} cannot be planned again: {why}"


@dataclass(frozen=True)
class Consequences:
    """What a step does to people: what a person reads and approves before it."""

    lines: tuple[str, ...]
    """Sentences, the most important first."""
    numbers: dict[str, int]
    """How many people each kind of consequence concerns. None of them may grow after an approval."""
    subject: str
    """The migration and the parameters that the step is for."""

    @property
    def hash(self) -> str:
        """The hash that an approval names."""
        content = {"lines": self.lines, "numbers": self.numbers, "subject": self.subject}
        return checksum(content)

    def is_within(self, approved: dict[str, int]) -> bool:
        """Return whether no number is larger than the approved one."""
        return all(number <= approved.get(name, 0) for name, number in self.numbers.items())


def of_plan(
    snapshot: Snapshot, harbor_users: int, *, renamed: int = 0, way_back: bool = True
) -> tuple[str, ...]:
    """Return what the approval of a plan brings, in the order in which it matters.

    Args:
        snapshot: the plan.
        harbor_users: how many users Harbor has in all.
        renamed: how many people have another name in Harbor afterwards.
        way_back: whether a roll back is possible.
    """
    moving = snapshot.moving
    deleted = [p for p in moving if p.harbor and _is_deleted(snapshot, p)]
    lines = []
    if deleted:
        lines.append(
            f"{count(len(deleted), 'user')} of {harbor_users} in Harbor {_be(len(deleted))} deleted, "
            "wave by wave. Each returns at the person's next login; direct memberships and "
            "administrator rights are then restored within the hour."
        )
    remade = sum(p.way == "recreate" for p in moving)
    if remade:
        lines.append(
            f"{count(remade, 'user')} of the realm {_be(remade)} deleted and created again with other "
            "ids; sessions, passwords of the realm and second factors are lost."
        )
    kept = sum(p.way == "reimport" for p in moving)
    if kept:
        lines.append(
            f"{count(kept, 'user')} of the realm {_be(kept)} deleted and imported with the same id; "
            "sessions, passwords of the realm and second factors are lost."
        )
    if snapshot.situation == "issuer":
        lines.append(
            f"From this approval on, {_people(len(deleted))} cannot log in anew until their wave is "
            "done. Existing sessions continue."
        )
    if deleted:
        lines.append(
            f"CLI secrets end for {_people(len(deleted))}: each person who uses docker login by hand "
            "needs a new one from Harbor's user profile."
        )
        lines.append(
            f"The name for docker login changes for {_people(renamed)}."
            if renamed
            else "Names for docker login stay as they are."
        )
    else:
        lines.append(
            "Nobody is deleted in Harbor. Ids, memberships and CLI secrets stay as they are; only the "
            "login page changes, at the switch."
        )
    owners = sum(bool(p.harbor and p.harbor.owns) for p in deleted)
    if owners:
        lines.append(f"{_people(owners)} lose the ownership of projects: Harbor cannot restore it.")
    excluded = len(snapshot.people) - len(moving)
    if excluded:
        lines.append(
            f"{_people(excluded)} {_be(excluded)} excluded, and cannot log in after the migration."
        )
    lines.append(_way_back(snapshot, len(deleted), way_back))
    return tuple(lines)


def _is_deleted(snapshot: Snapshot, person: Person) -> bool:
    """Return whether a person's user in Harbor is deleted, to return by a login."""
    return snapshot.situation == "issuer" or person.way == "recreate"


def _way_back(snapshot: Snapshot, deleted: int, possible: bool) -> str:
    if not possible:
        return (
            "There is no way back: the old issuer is not a realm of this Keycloak, and Tenantry "
            "cannot restore Harbor's settings."
        )
    if not deleted:
        return (
            f"To go back, run {ROLL_BACK} before {FINISH}. It shows the old provider again and removes "
            "the links that the migration made."
        )
    return (
        f"To go back, run {ROLL_BACK} before {FINISH}. It deletes the users in Harbor that have "
        "returned by then; they return once more by a login, and CLI secrets end once more."
    )


def of_finish(
    snapshot: Snapshot, entry: Journal, pending: Collection[str], exclude: Sequence[str] = ()
) -> Consequences:
    """Return what the finish of a migration does to people.

    Args:
        snapshot: the plan.
        entry: how far the migration has come.
        pending: ids of people who were deleted in Harbor and have not logged in since.
        exclude: user names of people who are not waited for any longer.
    """
    left = [person for person in snapshot.moving if person.id in pending]
    direct = sum(len(p.harbor.members) + p.harbor.admin for p in left if p.harbor)
    excluded = len(snapshot.people) - len(snapshot.moving)
    lines = ["No user is deleted in Harbor or in the realm."]
    if entry.situation == "issuer":
        lines.append(f"Tenantry no longer restores rights, and cannot return to '{entry.old}'.")
    else:
        lines.append(
            f"The provider '{entry.old}' is deleted in the realm, with every link to it. Tenantry "
            "cannot restore them."
        )
    if left:
        lines.append(
            f"{_people(len(left))} {_have(len(left))} not logged in since the deletion in Harbor and "
            f"lose {count(direct, 'direct right')} (memberships and administrator rights) for good. "
            "They can log in."
        )
    lines.append(
        f"{_people(excluded)}, whom the plan excludes, cannot log in afterwards."
        if excluded
        else "Nobody is locked out afterwards."
    )
    lines.append("There is no way back after this.")
    numbers = {"deleted": 0, "lose direct rights": len(left), "locked out": excluded}
    return Consequences(tuple(lines), numbers, _subject(FINISH, entry, exclude))


def of_roll_back(
    snapshot: Snapshot,
    entry: Journal,
    deleted: Sequence[HarborUser],
    *,
    recreated: int = 0,
    unknown: int = 0,
    exclude: Sequence[str] = (),
) -> Consequences:
    """Return what a roll back does to people.

    Args:
        snapshot: the plan.
        entry: how far the migration has come.
        deleted: the users that are deleted in Harbor.
        recreated: how many users of the realm are deleted and created again with the former ids.
        unknown: how many of `deleted` were not in Harbor before the migration.
        exclude: user names of people who are not waited for any longer.
    """
    number = len(deleted)
    back = number - unknown
    lines = [f"{count(number, 'user')} {_be(number)} deleted in Harbor."]
    if back:
        lines.append(
            f"{_people(back)} of them return by logging in at '{entry.old}'; direct memberships and "
            "administrator rights are then restored within the hour."
        )
    if number:
        lines.append(f"CLI secrets end for {_people(number)}.")
    if recreated:
        lines.append(
            f"{count(recreated, 'user')} of the realm {_be(recreated)} deleted and created again with "
            "the former ids; sessions, passwords of the realm and second factors are lost."
        )
    if entry.situation != "issuer" and entry.phase not in ("exported", "approved"):
        lines.append(
            f"The provider '{entry.old}' is shown again, and the links to '{entry.new}' that the "
            "migration made are removed."
        )
    if exclude:
        lines.append(
            f"{_people(len(exclude))} {_be(len(exclude))} not waited for any longer and lose the "
            "direct rights that they had before the migration."
        )
    lines.append(
        f"{_people(unknown)}, who came to Harbor by '{entry.new}' for the first time, cannot log in "
        f"afterwards unless '{entry.old}' knows them."
        if unknown
        else f"Nobody is locked out afterwards: everybody logs in by '{entry.old}' as before."
    )
    numbers = {
        "deleted": number + recreated,
        "lose direct rights": len(exclude),
        "locked out": unknown,
    }
    return Consequences(tuple(lines), numbers, _subject(ROLL_BACK, entry, exclude))


def _subject(action: str, entry: Journal, exclude: Sequence[str]) -> str:
    return f"{action} {entry.id} {entry.plan} {' '.join(sorted(exclude))}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _people(number: int) -> str:
    return count(number, "person", "people")


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
