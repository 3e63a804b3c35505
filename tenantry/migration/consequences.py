"""The consequences of a migration's step for people, which a person reads and approves.

The text holds no user names: all users who may see runs can read it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tenantry.migration.journal import Journal
from tenantry.migration.parameters import FINISH, ROLL_BACK
from tenantry.migration.snapshot import HarborUser, Person, Snapshot
from tenantry.migration.status import have, people
from tenantry.migration.store import checksum
from tenantry.wording import count

IN_HARBOR = "deleted in Harbor"
"""The number of users that a step deletes in Harbor.

Flow runs store the keys of `numbers` while they wait for an approval, so the keys do not change."""


@dataclass(frozen=True)
class Consequences:
    """The consequences of a step, which a person approves before the step."""

    lines: tuple[str, ...]
    """Sentences, the most important first."""
    numbers: dict[str, int]
    """The number of people or rights for each kind of consequence. An approval covers numbers that
    are not larger."""
    subject: str
    """The migration, the step and its parameters."""

    @property
    def hash(self) -> str:
        """The hash that an approval names."""
        content = {"lines": self.lines, "numbers": self.numbers, "subject": self.subject}
        return checksum(content)

    def is_within(self, approved: dict[str, int]) -> bool:
        """Return whether no number is larger than the approved one."""
        return all(number <= approved.get(name, 0) for name, number in self.numbers.items())


def of_plan(
    snapshot: Snapshot, harbor_users: int, *, claim: str = "", can_roll_back: bool = True
) -> tuple[str, ...]:
    """Return the consequences of a plan's approval, the most important first.

    Args:
        snapshot: the plan.
        harbor_users: the number of all users in Harbor.
        claim: the claim of a token from which Harbor takes the user name.
        can_roll_back: whether a rollback is possible.
    """
    moving = snapshot.moving
    deleted = [p for p in moving if p.harbor and _is_deleted(snapshot, p)]
    lines = []
    if deleted:
        lines.append(
            f"{count(len(deleted), 'user')} of {harbor_users} in Harbor {_be(len(deleted))} deleted, "
            "wave by wave. Harbor creates each user again at the person's next login. Direct "
            "memberships and administrator rights are then restored within the hour."
        )
    recreated = sum(p.way == "recreate" for p in moving)
    if recreated:
        lines.append(
            f"{count(recreated, 'user')} of the realm {_be(recreated)} deleted and re-created with "
            "other ids. Sessions, passwords of the realm and second factors are lost."
        )
    reimported = sum(p.way == "reimport" for p in moving)
    if reimported:
        lines.append(
            f"{count(reimported, 'user')} of the realm {_be(reimported)} deleted and imported with "
            "the same id. Sessions, passwords of the realm and second factors are lost."
        )
    later = sum(not p.harbor and _is_deleted(snapshot, p) for p in moving)
    if later:
        lines.append(
            f"{people(later)} {have(later)} no user in Harbor now. If one of them logs in to Harbor "
            "before the wave, the user that Harbor creates is deleted, too."
        )
    if snapshot.situation == "issuer":
        lines.append(
            f"From this approval on, {people(len(deleted))} cannot log in again until their wave is "
            "done. Existing sessions continue."
        )
    if deleted:
        lines.append(
            f"The CLI secrets of {people(len(deleted))} become invalid. People who use docker login "
            "by hand need a new one from Harbor's user profile."
        )
        lines.append(_name_changes(deleted, claim))
    else:
        lines.append(
            "No user is deleted in Harbor. Ids, memberships and CLI secrets are kept. Only the login "
            "page changes, at the switch."
        )
    owners = sum(bool(p.harbor and p.harbor.owns) for p in deleted)
    if owners:
        lines.append(
            f"{people(owners)} {_lose(owners)} the ownership of projects: Harbor cannot restore it."
        )
    excluded = len(snapshot.people) - len(moving)
    if excluded:
        lines.append(
            f"{people(excluded)} {_be(excluded)} excluded, and cannot log in after the migration."
        )
    lines.append(_rollback(snapshot, len(deleted), can_roll_back))
    return tuple(lines)


def _name_changes(deleted: Sequence[Person], claim: str) -> str:
    """Return how many people have another user name in Harbor after their next login."""
    new_name = {
        "preferred_username": lambda new: new.external_username,
        "email": lambda new: new.email,
    }.get(claim)
    known = [person for person in deleted if person.harbor and person.new]
    if new_name is None or any(not new_name(person.new) for person in known):
        return (
            f"User names for docker login may change: Harbor takes them from the claim '{claim}'."
        )
    renamed = sum(
        person.harbor.username != new_name(person.new)
        for person in known
        if person.harbor and person.new
    )
    if not renamed:
        return "User names for docker login do not change."
    return f"The user name for docker login changes for {people(renamed)}."


def _is_deleted(snapshot: Snapshot, person: Person) -> bool:
    """Return whether a person's user in Harbor is deleted, and created again at the next login."""
    return snapshot.situation == "issuer" or person.way == "recreate"


def _rollback(snapshot: Snapshot, deleted: int, possible: bool) -> str:
    if not possible:
        return (
            "A rollback is not possible: the old issuer is not a realm of this Keycloak, so Tenantry "
            "cannot restore Harbor's settings."
        )
    if not deleted:
        return (
            f"For a rollback, run {ROLL_BACK} before {FINISH}. It shows the old provider again and "
            "removes the links that the migration created."
        )
    return (
        f"For a rollback, run {ROLL_BACK} before {FINISH}. It deletes the users in Harbor that were "
        "created again by then. People must log in again, and their CLI secrets become invalid again."
    )


def of_finish(
    snapshot: Snapshot, entry: Journal, pending: Collection[str], exclude: Sequence[str] = ()
) -> Consequences:
    """Return the consequences of the finish.

    Args:
        snapshot: the plan.
        entry: the journal.
        pending: ids of people who have not logged in since their deletion in Harbor.
        exclude: user names of people for whom the finish does not wait.
    """
    left = [person for person in snapshot.moving if person.id in pending]
    direct = sum(len(p.harbor.members) + p.harbor.admin for p in left if p.harbor)
    excluded = len(snapshot.people) - len(snapshot.moving)
    lines = ["No user is deleted in Harbor or in the realm."]
    if entry.situation == "issuer":
        lines.append(
            f"Tenantry no longer restores rights, and cannot switch back to '{entry.old}'."
        )
    else:
        lines.append(
            f"The provider '{entry.old}' and all links to it are deleted in the realm. Tenantry "
            "cannot restore them."
        )
    if left:
        lines.append(
            f"{people(len(left))} {have(len(left))} not logged in since the deletion in Harbor. They "
            f"can still log in, but {count(direct, 'direct right')} (memberships and administrator "
            "rights) will not be restored."
        )
    lines.append(
        f"{people(excluded)} cannot log in afterwards, because the plan excludes them."
        if excluded
        else "No one is locked out afterwards."
    )
    lines.append("A rollback is not possible afterwards.")
    numbers = {IN_HARBOR: 0, "lose direct rights": len(left), "locked out": excluded}
    return Consequences(tuple(lines), numbers, _subject(FINISH, entry, exclude))


def of_rollback(
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
    """Return the consequences of a rollback.

    Args:
        snapshot: the plan.
        entry: the journal.
        deleted: the users that are deleted in Harbor.
        recreated: the number of users of the realm that are re-created with the former ids.
        unknown: how many of `deleted` are not in the plan: they logged in with the new provider only.
        lost: the number of direct rights of these users.
        stranded: the number of users of the realm with a link to the new provider only.
        exclude: user names of people for whom the rollback does not wait.
    """
    number = len(deleted)
    returning = number - unknown
    lines = [f"{count(number, 'user')} {_be(number)} deleted in Harbor."]
    if returning:
        which = "each user" if returning == number else f"{returning} of them"
        lines.append(
            f"Harbor creates {which} again at the person's next login with '{entry.old}'. Direct "
            "memberships and administrator rights are then restored within the hour, including those "
            "that were granted during the migration."
        )
    rights = sum(len(user.members) + user.admin for user in deleted) - lost
    if rights > 0:
        lines.append(
            f"Until then, {count(rights, 'direct right')} of theirs {_be(rights)} missing."
        )
    if owners := sum(bool(user.owns) for user in deleted):
        lines.append(f"{people(owners)} {_lose(owners)} the ownership of projects.")
    if number:
        lines.append(f"The CLI secrets of {people(number)} become invalid.")
    if recreated:
        lines.append(
            f"{count(recreated, 'user')} of the realm {_be(recreated)} deleted and re-created with "
            "the former ids. Sessions, passwords of the realm and second factors are lost. Current "
            "groups and roles are kept."
        )
    if entry.situation != "issuer" and entry.phase not in ("exported", "approved"):
        lines.append(
            f"The provider '{entry.old}' is shown again, and the links to '{entry.new}' that the "
            "migration created are removed."
        )
    if exclude:
        lines.append(
            f"The rollback does not wait for {people(len(exclude))}. Their former direct rights are "
            "restored only if they log in before the rollback is complete."
        )
    lines.append(
        f"{people(unknown + stranded)} who logged in with '{entry.new}' only cannot log in "
        f"afterwards, unless '{entry.old}' knows them."
        + (f" They lose {count(lost, 'direct right')} permanently." if lost else "")
        if unknown + stranded
        else f"No one is locked out afterwards: all people log in with '{entry.old}' as before."
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


def _lose(number: int) -> str:
    return "loses" if number == 1 else "lose"
