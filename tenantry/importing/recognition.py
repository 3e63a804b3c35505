"""Recognizes teams in what was read: by marks, by labels, and by the patterns of names."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.names import NamePatterns, matches
from tenantry.declared.types import ShortName, TeamName
from tenantry.errors import DeclarationError
from tenantry.importing.snapshot import Snapshot, annotations, labels
from tenantry.marks import KEY, Mark
from tenantry.systems.keycloak.clients import mark_of
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.intents import PROJECT

DEFAULT_PATTERN = "team-{team}"
_NAME, _SHORT = TypeAdapter(TeamName), TypeAdapter(ShortName)
_WORDS = r"(?P<team>[a-z0-9]+(?:-[a-z0-9]+)*)"


@dataclass(frozen=True)
class Recognition:
    """How an import recognizes teams.

    Attributes:
        patterns: patterns of the names of namespaces, projects and groups, with `{team}`.
        labels: keys of labels or annotations of namespaces, whose value is the name of the team.
        groups: the OIDC groups of teams whose groups follow no pattern.
        further: the platform's pattern of further namespaces, if it is declared already.
    """

    patterns: tuple[str, ...] = (DEFAULT_PATTERN,)
    labels: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    further: str | None = None

    def check(self) -> None:
        """Check the patterns.

        Raises:
            DeclarationError: a pattern does not contain `{team}` exactly once.
        """
        faults = [
            f"pattern '{each}': must contain {{team}} exactly once, such as {DEFAULT_PATTERN}"
            for each in self.patterns
            if each.count("{team}") != 1
        ]
        if faults:
            raise DeclarationError(faults)

    def on(self, names: NamePatterns) -> "Recognition":
        """Return how teams are recognized on a platform that has declared its patterns of names."""
        declared = (names.namespace, names.project, names.group)
        patterns = tuple(dict.fromkeys((*declared, *self.patterns)))
        return replace(self, patterns=patterns, further=names.further)

    def matches(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the teams that a name may belong to, each with its pattern."""
        for pattern in self.patterns:
            before, after = pattern.split("{team}")
            found = re.fullmatch(f"{re.escape(before)}{_WORDS}{re.escape(after)}", name)
            if found and is_team_name(found["team"]):
                yield found["team"], pattern


@dataclass
class Found:
    """The names of a team's resources in the systems."""

    name: str
    namespace: str | None = None
    further: dict[str, str] = field(default_factory=dict)
    """The further namespaces, by key."""
    project: str | None = None
    group: str | None = None
    usual_group: str = ""
    """The group that the platform's pattern names."""
    by: str = ""
    """How the team was recognized, for the report."""


@dataclass
class Recognized:
    """The recognized teams, and what belongs to none."""

    teams: dict[str, Found]
    orphans: list[tuple[str, str]]
    """Resources that look like a team's, but are not a whole team; each with a suggestion."""
    platform: str | None = None
    """The id of the platform in the marks, if it is not the UID of the cluster."""


def is_team_name(name: str) -> bool:
    """Return whether a text can be the name of a team."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def is_short_name(name: str) -> bool:
    """Return whether a text can be the key of a further namespace."""
    try:
        _SHORT.validate_python(name)
    except ValidationError:
        return False
    return True


def recognize(
    snapshot: Snapshot,
    how: Recognition,
    taken: Collection[str] = (),
    platform: str | None = None,
) -> Recognized:
    """Return the teams in a snapshot.

    Args:
        snapshot: what was read.
        how: how teams are recognized.
        taken: the namespaces and projects of teams that are declared already.
        platform: the declared id of the platform.

    Raises:
        DeclarationError: the marks name several platforms.
    """
    how.check()
    return _Recognizer(snapshot, how, taken, platform).result()


class _Recognizer:
    def __init__(
        self, snapshot: Snapshot, how: Recognition, taken: Collection[str], platform: str | None
    ) -> None:
        self._snapshot = snapshot
        self._how = how
        self._taken = taken
        self._platform = platform
        self._orphans: list[tuple[str, str]] = []
        self._teams: dict[str, Found] = {}

    def result(self) -> Recognized:
        namespaces = {
            name: found
            for name, found in self._snapshot.namespaces.items()
            if name not in self._taken
        }
        marked = {
            name: mark for name, each in namespaces.items() if (mark := objects.mark_of(each))
        }
        platform = self._platform = self._platform_of(marked)
        self._add_marked(
            {name: mark for name, mark in marked.items() if self._is_own(mark, platform)}
        )
        rest = [name for name in namespaces if name not in marked]
        self._add_labelled(rest)
        self._add_by_pattern([name for name in rest if name not in self._used()])
        for team in self._teams.values():
            team.project = team.project or self._named(team, self._snapshot.projects)
            team.group = self._group(team)
        whole = {name: team for name, team in self._teams.items() if team.project}
        self._list_orphans(whole)
        return Recognized(dict(sorted(whole.items())), self._orphans, platform)

    def _used(self) -> set[str]:
        return {
            name
            for team in self._teams.values()
            for name in (team.namespace, *team.further.values())
            if name
        }

    # Marks

    def _platform_of(self, marked: Mapping[str, Mark]) -> str | None:
        """Return the id of the platform whose marks count; None if it is the UID of the cluster."""
        ids = {mark.platform for mark in marked.values() if mark.platform and mark.team}
        if self._platform or not ids or self._snapshot.cluster in ids:
            return self._platform
        if len(ids) > 1:
            known = ", ".join(sorted(ids))
            text = (
                f"the namespaces carry the marks of several platforms: {known}. Give the id of the "
                "platform to import (--platform-id)"
            )
            raise DeclarationError([text])
        return ids.pop()

    def _is_own(self, mark: Mark, platform: str | None) -> bool:
        return mark.platform in (None, platform, self._snapshot.cluster)

    def _add_marked(self, marked: Mapping[str, Mark]) -> None:
        by_team: dict[str, list[str]] = defaultdict(list)
        for name, mark in marked.items():
            if is_team_name(mark.team):
                by_team[mark.team].append(name)
        for team, names in by_team.items():
            found = self._new(team, names, "the marks of Tenantry")
            home = self._snapshot.namespaces[found.namespace or ""]
            project = annotations(home).get(PROJECT)
            if project in self._snapshot.projects:
                found.project = project

    # Labels and patterns

    def _add_labelled(self, names: Collection[str]) -> None:
        for key in self._how.labels:
            by_team: dict[str, list[str]] = defaultdict(list)
            for name in names:
                namespace = self._snapshot.namespaces[name]
                team = labels(namespace).get(key) or annotations(namespace).get(key)
                if team is None or name in self._used():
                    continue
                if is_team_name(team):
                    by_team[team].append(name)
                else:
                    text = f"its label or annotation '{key}' is not the name of a team"
                    self._orphans.append((f"namespace {name}", text))
            for team, found in by_team.items():
                if team in self._teams:
                    self._add_further(self._teams[team], found)
                else:
                    self._new(team, found, f"the label or annotation '{key}'")

    def _add_by_pattern(self, names: Collection[str]) -> None:
        candidates = {name: next(self._how.matches(name), None) for name in sorted(names)}
        of_own = {
            name: match
            for name, match in candidates.items()
            if match and self._has_project_or_group(match[0])
        }
        for name, (team, pattern) in of_own.items():
            if team not in self._teams:
                self._new(team, [name], f"the pattern '{pattern}'")
        for name in candidates:
            reads = [read for read in self._further(name) if read[0] in self._teams]
            if name not in self._used() and reads:
                self._add_further(self._teams[max(reads, key=lambda read: len(read[0]))[0]], [name])
        for name, match in candidates.items():
            if match and name not in self._used() and name not in of_own:
                self._add_below(name)

    def _further(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the teams whose further namespace a name may be by the platform's pattern, and the keys."""
        for read in matches(self._how.further, name) if self._how.further else ():
            if is_short_name(read["key"]):
                yield read["team"], read["key"]

    def _has_project_or_group(self, team: str) -> bool:
        names = [pattern.replace("{team}", team) for pattern in self._how.patterns]
        return any(
            name in self._snapshot.projects or name in self._snapshot.groups for name in names
        )

    def _add_below(self, name: str) -> None:
        """Add a namespace without a project of its own to the team whose name it begins with."""
        homes = {team.namespace: team for team in self._teams.values() if team.namespace}
        above = max((each for each in homes if name.startswith(f"{each}-")), key=len, default=None)
        if above is not None:
            self._add_further(homes[above], [name])
        else:
            text = (
                "there is no Harbor project of this team. Write a team file for it, and Tenantry creates "
                "the project"
            )
            self._orphans.append((f"namespace {name}", text))

    def _new(self, team: str, names: Collection[str], by: str) -> Found:
        """Add a team with these namespaces. The home namespace is the one that a pattern names."""
        patterns = [pattern.replace("{team}", team) for pattern in self._how.patterns]
        recorded = [n for n in names if PROJECT in annotations(self._snapshot.namespaces[n])]
        home = next(
            (name for name in (*recorded, *patterns) if name in names),
            min(names, key=lambda n: (len(n), n)),
        )
        found = self._teams[team] = Found(team, namespace=home, by=by)
        self._add_further(found, [name for name in sorted(names) if name != home])
        return found

    def _add_further(self, team: Found, names: Collection[str]) -> None:
        for name in names:
            key = name.removeprefix(f"{team.namespace}-").removeprefix(f"{team.name}-")
            key = next((key for of, key in self._further(name) if of == team.name), key)
            namespace = self._snapshot.namespaces[name]
            if objects.mark_of(namespace) is not None:  # no tenant can change its annotations
                key = annotations(namespace).get(KEY, key)
            team.further[key if is_short_name(key) and key not in team.further else name] = name

    # Projects and groups

    def _named(self, team: Found, known: Collection[str]) -> str | None:
        """Return the resource that a pattern, or the team's namespace, names."""
        names = [pattern.replace("{team}", team.name) for pattern in self._how.patterns]
        candidates = [name for name in (team.namespace, *names) if name in known]
        return next((name for name in candidates if name not in self._taken), None)

    def _group(self, team: Found) -> str | None:
        if team.name in self._how.groups:
            return self._how.groups[team.name]
        for name, group in self._snapshot.groups.items():
            mark = mark_of(group.get("attributes"))
            if mark is not None and mark.team == team.name and self._is_own(mark, self._platform):
                return name
        return self._named(team, self._snapshot.groups)

    # Orphans

    def _list_orphans(self, whole: Mapping[str, Found]) -> None:
        for team in self._teams.values():
            if team.name not in whole:
                text = (
                    f"it looks like team '{team.name}', which has no Harbor project. Write a team file for "
                    "it, and Tenantry creates the project; or give the pattern of the project's name"
                )
                self._orphans.append((f"namespace {team.namespace}", text))
        used = {team.project for team in whole.values()} | set(self._taken)
        for name in sorted(set(self._snapshot.projects) - used):
            match = next(self._how.matches(name), None)
            if match is not None:
                text = (
                    f"it looks like the project of team '{match[0]}', which has no namespace. Delete it "
                    "if the team is gone, or write a team file, and Tenantry creates the namespace"
                )
                self._orphans.append((f"Harbor project {name}", text))
