"""What a step of a migration does to people, in the words that a person reads and approves.

No text here holds a user name: who may see runs may read it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import HarborUser, Person, Snapshot
from tenantry.migration.status import FINISH, ROLL_BACK, have, people
from tenantry.migration.store import checksum
from tenantry.wording import count

IN_HARBOR = "deleted in Harbor"
"""The number of users that a step deletes in Harbor."""


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
    snapshot: Snapshot, harbor_users: int, *, claim: str = "", way_back: bool = True
) -> tuple[str, ...]:
    """Return what the approval of a plan brings, in the order in which it matters.

    Args:
        snapshot: the plan.
        harbor_users: how many users Harbor has in all.
        claim: the claim of a token that Harbor makes a user's name of.
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
    recreated = sum(p.way == "recreate" for p in moving)
    if recreated:
        lines.append(
            f"{count(recreated, 'user')} of the realm {_be(recreated)} deleted and created again with other "
            "ids; sessions, passwords of the realm and second factors are lost."
        )
    kept = sum(p.way == "reimport" for p in moving)
    if kept:
        lines.append(
            f"{count(kept, 'user')} of the realm {_be(kept)} deleted and imported with the same id; "
            "sessions, passwords of the realm and second factors are lost."
        )
    later = sum(not p.harbor and _is_deleted(snapshot, p) for p in moving)
    if later:
        lines.append(
            f"{people(later)} {have(later)} no user in Harbor now. If one of them logs in there before "
            "the wave, that user is deleted, too."
        )
    if snapshot.situation == "issuer":
        lines.append(
            f"From this approval on, {people(len(deleted))} cannot log in again until their wave is "
            "done. Existing sessions continue."
        )
    if deleted:
        lines.append(
            f"CLI secrets end for {people(len(deleted))}: each person who uses docker login by hand "
            "needs a new one from Harbor's user profile."
        )
        lines.append(_names(deleted, claim))
    else:
        lines.append(
            "Nobody is deleted in Harbor. Ids, memberships and CLI secrets stay as they are; only the "
            "login page changes, at the switch."
        )
    owners = sum(bool(p.harbor and p.harbor.owns) for p in deleted)
    if owners:
        lines.append(
            f"The ownership of projects is lost for {people(owners)}: Harbor cannot restore it."
        )
    excluded = len(snapshot.people) - len(moving)
    if excluded:
        lines.append(
            f"{people(excluded)} {_be(excluded)} excluded, and cannot log in after the migration."
        )
    lines.append(_way_back(snapshot, len(deleted), way_back))
    return tuple(lines)


def _names(deleted: Sequence[Person], claim: str) -> str:
    """Return how many people have another name in Harbor once they have returned."""
    new_name = {
        "preferred_username": lambda new: new.external_username,
        "email": lambda new: new.email,
    }.get(claim)
    known = [person for person in deleted if person.harbor and person.new]
    if new_name is None or any(not new_name(person.new) for person in known):
        return f"Names for docker login may change: Harbor takes them from the claim '{claim}'."
    renamed = sum(
        person.harbor.username != new_name(person.new)
        for person in known
        if person.harbor and person.new
    )
    if not renamed:
        return "Names for docker login stay as they are."
    return f"The name for docker login changes for {people(renamed)}."


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
            f"{people(len(left))} {have(len(left))} not logged in since the deletion in Harbor. They "
            f"can still log in, but {count(direct, 'direct right')} (memberships and administrator "
            "rights) will not be restored."
        )
    lines.append(
        f"{people(excluded)}, whom the plan excludes, cannot log in afterwards."
        if excluded
        else "Nobody is locked out afterwards."
    )
    lines.append("There is no way back after this.")
    numbers = {IN_HARBOR: 0, "lose direct rights": len(left), "locked out": excluded}
    return Consequences(tuple(lines), numbers, _subject(FINISH, entry, exclude))


def of_roll_back(
    snapshot: Snapshot,
    entry: Journal,
    deleted: Sequence[HarborUser],
    *,
    recreated: int = 0,
    unknown: int = 0,
    lost: int = 0,
    stranded: int = 0,
    exclude: Sequence[str] = (),
) -> Consequences:
    """Return what a roll back does to people.

    Args:
        snapshot: the plan.
        entry: how far the migration has come.
        deleted: the users that are deleted in Harbor.
        recreated: how many users of the realm are deleted and created again with the former ids.
        unknown: how many of `deleted` the migration does not move: they came by the new one only.
        lost: how many direct rights those have.
        stranded: how many users of the realm have a link to the new provider only.
        exclude: user names of people who are not waited for any longer.
    """
    number = len(deleted)
    back = number - unknown
    lines = [f"{count(number, 'user')} {_be(number)} deleted in Harbor."]
    if back:
        who = "Each returns" if back == number else f"{back} of them return"
        lines.append(
            f"{who} at the person's next login by '{entry.old}'. Direct memberships and "
            "administrator rights are then restored within the hour, also those that were given "
            "during the migration."
        )
    rights = sum(len(user.members) + user.admin for user in deleted) - lost
    if rights > 0:
        lines.append(
            f"Until then, {count(rights, 'direct right')} of theirs {_be(rights)} missing."
        )
    if owners := sum(bool(user.owns) for user in deleted):
        lines.append(f"The ownership of projects is lost for {people(owners)}.")
    if number:
        lines.append(f"CLI secrets end for {people(number)}.")
    if recreated:
        lines.append(
            f"{count(recreated, 'user')} of the realm {_be(recreated)} deleted and created again with "
            "the former ids; sessions, passwords of the realm and second factors are lost, and groups "
            "and roles stay as they are now."
        )
    if entry.situation != "issuer" and entry.phase not in ("exported", "approved"):
        lines.append(
            f"The provider '{entry.old}' is shown again, and the links to '{entry.new}' that the "
            "migration made are removed."
        )
    if exclude:
        lines.append(
            f"{people(len(exclude))} {_be(len(exclude))} not waited for any longer. The direct rights "
            "that they had before the migration are restored only if they log in before the roll back "
            "is complete."
        )
    lines.append(
        f"{people(unknown + stranded)}, who came by '{entry.new}' for the first time, cannot log in "
        f"afterwards unless '{entry.old}' knows them."
        + (f" They lose {count(lost, 'direct right')} for good." if lost else "")
        if unknown + stranded
        else f"Nobody is locked out afterwards: everybody logs in by '{entry.old}' as before."
    )
    numbers = {
        IN_HARBOR: number,
        "deleted in the realm": recreated,
        "not waited for": len(exclude),
        "lost rights": lost,
        "locked out": unknown + stranded,
    }
    return Consequences(tuple(lines), numbers, _subject(ROLL_BACK, entry, exclude))


def _subject(action: str, entry: Journal, exclude: Sequence[str]) -> str:
    return f"{action} {entry.id} {entry.plan} {' '.join(sorted(exclude))}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"
