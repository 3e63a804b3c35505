"""Reports: counts for artifacts, and user names for files that only the store's owner may read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.files import FileStore
from tenantry.migration import people as read
from tenantry.migration.inspection import Inspection
from tenantry.migration.journal import Journal
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import INSPECTION, Person, Snapshot, people_file

_MIGRATION_STATES = ("moved", "scheduled", "pending", "excluded")
_ROLLBACK_STATES = ("logged in", "not logged in", "unchanged", "excluded")
_ROLES = {1: "project admin", 2: "developer", 3: "guest", 4: "maintainer", 5: "limited guest"}


@dataclass(frozen=True)
class Right:
    """One right of one person, before and after the migration."""

    person: str
    right: str
    before: str
    after: str

    @property
    def is_equal(self) -> bool:
        """Whether the right is the same before and after."""
        return self.before == self.after

    @property
    def change(self) -> str:
        """The change: `lost`, `granted since` the export, `changed`, or empty."""
        if self.is_equal:
            return ""
        if not self.before:
            return "granted since"
        return "changed" if self.after else "lost"


def notice_rows(inspection: Inspection) -> list[dict[str, object]]:
    """Return the notices as a table without user names, the blocking ones first."""
    return [
        {
            "notice": notice.what,
            "blocking": "yes" if notice.blocking else "",
            "people": len(notice.who) or "",
            "remedy": notice.remedy,
            "finding": notice.text,
        }
        for notice in sorted(inspection.notices, key=lambda notice: not notice.blocking)
    ]


def write_inspection(store: FileStore, inspection: Inspection) -> None:
    """Write the people, their matches and their notices to the store."""
    notices: dict[str, list[str]] = {}
    for notice in inspection.notices:
        for name in notice.who:
            notices.setdefault(name, []).append(notice.what)
    rows = [
        {
            "username": person.username,
            "email": person.email,
            "state": inspection.matched[person.id].state,
            "why": inspection.matched[person.id].why,
            "external_id": person.new.external_id if person.new else "",
            "external_username": person.new.external_username if person.new else "",
            "wave": "excluded" if person.wave is None else inspection.waves[person.wave],
            "notices": ", ".join(notices.pop(person.username, ())),
        }
        for person in inspection.people
    ]
    others = [{"username": name, "notices": ", ".join(found)} for name, found in notices.items()]
    _write_table(store, INSPECTION, [*rows, *others])


def compare(migration: Migration) -> list[Right]:
    """Return all rights of all people, as exported and as they are now.

    It costs two requests for each person (groups and roles), and the requests of reading all users of
    Harbor.
    """
    keycloak, snapshot = migration.systems.keycloak_client, migration.snapshot
    users = {user.subiss: user for user in read.read_harbor_users(migration.systems.harbor_client)}

    def now(person: Person) -> Person:
        before = person.harbor.subiss if person.harbor else ""
        user = users.get(migration.harbor_subject(person)) or users.get(before)
        id = migration.keycloak_id(person)
        if id is None:
            return person.model_copy(update={"harbor": user})
        roles, client_roles = read.read_roles(keycloak, id)
        changes = {"roles": roles, "client_roles": client_roles}
        groups = read.read_groups(keycloak, id)
        return person.model_copy(update={"groups": groups, "harbor": user, **changes})

    after = map_concurrently(now, snapshot.people)
    return [
        right
        for old, new in zip(snapshot.people, after, strict=True)
        for right in _rights(old, new, snapshot.situation == "provider")
    ]


def _rights(old: Person, new: Person, stays: bool) -> Iterator[Right]:
    before, after = dict(_held(old, stays)), dict(_held(new, stays))
    for right in dict.fromkeys((*before, *after)):
        yield Right(old.username, right, before.get(right, ""), after.get(right, ""))


def _held(person: Person, stays: bool) -> Iterator[tuple[str, str]]:
    for group in person.groups:
        yield f"group {group}", "member"
    for role in person.roles:
        yield f"realm role {role}", "granted"
    for client, roles in person.client_roles.items():
        for role in roles:
            yield f"role {role} of client {client}", "granted"
    user = person.harbor
    if user is not None:
        yield "user in Harbor", str(user.id) if stays else "yes"
        for project, role_id in user.members.items():
            yield f"project {project}", _ROLES.get(role_id, str(role_id))
        for project in user.owns:
            yield f"owner of {project}", "yes"
        if user.admin:
            yield "administrator of Harbor", "yes"


def write_rights(store: FileStore, name: str, rights: Sequence[Right]) -> None:
    """Write the comparison to the store."""
    rows = [
        {
            "username": right.person,
            "right": right.right,
            "before": right.before,
            "after": right.after,
            "equal": "yes" if right.is_equal else "NO",
            "change": right.change,
        }
        for right in rights
    ]
    _write_table(store, name, rows)


def count_by_team(
    snapshot: Snapshot, journal: Journal, incomplete: frozenset[str], teams: Sequence[Team]
) -> list[dict[str, object]]:
    """Return how many people of each team are in each state, without user names.

    Args:
        snapshot: the plan.
        journal: the journal.
        incomplete: the ids of people whose wave is done, and who have not completed the migration.
        teams: the declared teams.
    """
    counts: dict[str, Counter[str]] = {}
    for team, _, state in _states(snapshot, journal, incomplete, teams):
        counts.setdefault(team, Counter())[state] += 1
    states = _ROLLBACK_STATES if journal.rolling_back else _MIGRATION_STATES
    return [
        {"team": team, "people": found.total(), **{state: found[state] for state in states}}
        for team, found in sorted(counts.items())
    ]


def write_people(
    store: FileStore,
    snapshot: Snapshot,
    journal: Journal,
    incomplete: frozenset[str],
    teams: Sequence[Team],
) -> None:
    """Write the state of each person to the store, sorted by team, to be sent to the teams' owners."""
    rows = [
        {"team": team, "username": person.username, "email": person.email, "state": state}
        for team, person, state in _states(snapshot, journal, incomplete, teams)
    ]
    rows.sort(key=lambda row: (row["team"], row["state"], row["username"]))
    _write_table(store, people_file(snapshot.id), rows)


def _states(
    snapshot: Snapshot, journal: Journal, incomplete: frozenset[str], teams: Sequence[Team]
) -> Iterator[tuple[str, Person, str]]:
    """Yield the teams, their people and their states. A person in two teams is yielded twice."""
    by_group = {team.oidc_group: team.name for team in teams}
    for person in snapshot.people:
        state = _state(person, journal, incomplete)
        names = {by_group.get(group.rpartition("/")[2]) for group in person.groups} - {None}
        yield from ((str(name), person, state) for name in sorted(map(str, names)) or ["(no team)"])


def _state(person: Person, journal: Journal, incomplete: frozenset[str]) -> str:
    """Return the state of a person: one of `_ROLLBACK_STATES` in a rollback, else `_MIGRATION_STATES`."""
    if journal.rolling_back:
        if person.id in incomplete:
            return "not logged in"
        if person.id in journal.returned_back:
            return "logged in"
        return "excluded" if person.id in journal.given_up else "unchanged"
    if person.wave is None:
        return "excluded"
    if person.wave >= journal.waves_done:
        return "scheduled"
    return "pending" if person.id in incomplete else "moved"


def _write_table(store: FileStore, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    # Imported here, because pandas takes a while to load.
    from tenantry.tables import csv_of_rows

    store.write(name, csv_of_rows(rows).encode())
