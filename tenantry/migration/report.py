"""What people are told: counts for artifacts, and names for files that only the store's owner reads."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.files import FileStore
from tenantry.migration import people as read
from tenantry.migration.inspection import Inspection
from tenantry.migration.journal import Journal
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import INSPECTION, Person, Snapshot, people_name
from tenantry.text import csv_text

_THERE = ("moved", "to come", "pending", "excluded")
_BACK = ("back", "not logged in", "unchanged", "excluded")
_ROLES = {1: "project admin", 2: "developer", 3: "guest", 4: "maintainer", 5: "limited guest"}


@dataclass(frozen=True)
class Right:
    """One right of one person, before and after."""

    person: str
    right: str
    before: str
    after: str

    @property
    def is_equal(self) -> bool:
        """Whether nothing was lost, gained or changed."""
        return self.before == self.after

    @property
    def change(self) -> str:
        """What became of it: lost, given since the export, another one, or nothing."""
        if self.is_equal:
            return ""
        if not self.before:
            return "given since"
        return "changed" if self.after else "lost"


def notice_rows(inspection: Inspection) -> list[dict[str, object]]:
    """The notices as a table, without names."""
    return [
        {
            "notice": notice.what,
            "stops it": "yes" if notice.blocking else "",
            "people": len(notice.who) or "",
            "what to do": notice.remedy,
            "found": notice.text,
        }
        for notice in sorted(inspection.notices, key=lambda notice: not notice.blocking)
    ]


def write_inspection(store: FileStore, inspection: Inspection) -> None:
    """Writes who is who to the store."""
    concerned: dict[str, list[str]] = {}
    for notice in inspection.notices:
        for name in notice.who:
            concerned.setdefault(name, []).append(notice.what)
    rows = [
        {
            "username": person.username,
            "email": person.email,
            "state": inspection.matched[person.id].state,
            "why": inspection.matched[person.id].why,
            "external_id": person.new.external_id if person.new else "",
            "external_username": person.new.external_username if person.new else "",
            "wave": "excluded" if person.wave is None else inspection.waves[person.wave],
            "notices": ", ".join(concerned.pop(person.username, ())),
        }
        for person in inspection.people
    ]
    others = [{"username": name, "notices": ", ".join(found)} for name, found in concerned.items()]
    _write_table(store, INSPECTION, [*rows, *others])


def compare(migration: Migration) -> list[Right]:
    """Everybody's rights as they were exported beside what they are now, right by right.

    It costs two requests a person (groups and roles), two a user of Harbor that is not as it was
    listed, and what a look at Harbor costs.
    """
    keycloak, snapshot = migration.systems.keycloak_client, migration.snapshot
    users = {user.subiss: user for user in read.read_harbor(migration.systems.harbor_client)}

    def now(person: Person) -> Person:
        before = person.harbor.subiss if person.harbor else ""
        user = users.get(migration.subject(person)) or users.get(before)
        id = migration.keycloak_id(person)
        if id is None:
            return person.model_copy(update={"harbor": user})
        roles, client_roles = read.roles(keycloak, id)
        held = {"roles": roles, "client_roles": client_roles}
        groups = read.groups(keycloak, id)
        return person.model_copy(update={"groups": groups, "harbor": user, **held})

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
        yield f"realm role {role}", "given"
    for client, roles in person.client_roles.items():
        for role in roles:
            yield f"role {role} of client {client}", "given"
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
    """Writes the comparison to the store."""
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


def by_team(
    snapshot: Snapshot, journal: Journal, incomplete: frozenset[str], teams: Sequence[Team]
) -> list[dict[str, object]]:
    """How many of each team's people are through, and how many are not: no names.

    Args:
        snapshot: everybody.
        journal: how far it has come.
        incomplete: ids of people whose wave was done, and who are not through.
        teams: the declared teams.
    """
    counts: dict[str, Counter[str]] = {}
    for team, _, state in _standing(snapshot, journal, incomplete, teams):
        counts.setdefault(team, Counter())[state] += 1
    states = _BACK if journal.rolling_back else _THERE
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
    """Writes the same to the store with names, sorted by team: what a team's owner can be sent."""
    rows = [
        {"team": team, "username": person.username, "email": person.email, "state": state}
        for team, person, state in _standing(snapshot, journal, incomplete, teams)
    ]
    rows.sort(key=lambda row: (row["team"], row["state"], row["username"]))
    _write_table(store, people_name(snapshot.id), rows)


def _standing(
    snapshot: Snapshot, journal: Journal, incomplete: frozenset[str], teams: Sequence[Team]
) -> Iterator[tuple[str, Person, str]]:
    """Each team's people, and how each stands; who is in two teams is there twice."""
    by_group = {team.oidc_group: team.name for team in teams}
    for person in snapshot.people:
        state = _state(person, journal, incomplete)
        names = {by_group.get(group.rpartition("/")[2]) for group in person.groups} - {None}
        yield from ((str(name), person, state) for name in sorted(map(str, names)) or ["(no team)"])


def _state(person: Person, journal: Journal, incomplete: frozenset[str]) -> str:
    """Return how a person stands: one of `_THERE`, or of `_BACK` on the way back."""
    if journal.rolling_back:
        if person.id in incomplete:
            return "not logged in"
        if person.id in journal.returned_back:
            return "back"
        return "excluded" if person.id in journal.given_up else "unchanged"
    if person.wave is None:
        return "excluded"
    if person.wave >= journal.waves_done:
        return "to come"
    return "pending" if person.id in incomplete else "moved"


def _write_table(store: FileStore, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    store.write(name, csv_text(pd.DataFrame(rows).fillna("")).encode())
