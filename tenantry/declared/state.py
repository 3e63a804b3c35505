"""The declared state: a folder with `platform.yaml` and a file a team under `teams/`."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tenantry.declared import external_names, rules
from tenantry.declared.faults import Document, Place, explain
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team, TeamSettings
from tenantry.declared.types import Model
from tenantry.errors import DeclarationError

Data = dict[str, Any]
M = TypeVar("M", bound=Model)

_SLIPS = (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What the YAML parser raises for text that is none: of impossible dates, tags or depth too."""

BUILT_IN: Data = {
    "robots": {
        "pull": {"access": ["repository:pull"], "attach": True},
        # docker looks at a blob before it pushes it: push alone is not enough.
        "ci": {"access": ["repository:pull", "repository:push"]},
    }
}
"""What a team gets if neither it nor the platform says otherwise."""


class Location(NamedTuple):
    """A line of the declared state."""

    file: str
    """The file, relative to the declared state's folder."""
    line: int


@dataclass(frozen=True)
class Documents:
    """The files as they were read, to tell where something is declared."""

    platform: Document
    teams: Mapping[str, Document]
    """By team."""

    def layer(
        self, document: Document, place: Place, profile: str | None
    ) -> tuple[Document, Place]:
        """The file that a team's field has its value from, and the field's place in it."""
        if not document.has(place):
            for layer in (("profiles", profile), ("defaults",)):
                if self.platform.has((*layer, *place)):
                    return self.platform, (*layer, *place)
        return document, place


_NOT_OF_TEAMS: Any = {
    "name": True,
    "adopt": True,
    "drift": True,
    "rotation": True,
    "defaults": True,
    "profiles": True,
    "harbor": {"single_sign_on", "configuration"},
    "mesh": {"gateways", "harbor"},
    "keycloak": {
        "realm_settings": True,
        "groups": True,
        "external_providers": {"__all__": {"connection"}},
    },
}
"""What of the platform no team's plan depends on, but through the team itself."""


@dataclass(frozen=True)
class Declaration:
    """The platform and its teams, each team with all defaults filled in."""

    platform: Platform
    teams: dict[str, Team]
    """By name, in the order of their names."""
    origin: str = field(default="", compare=False)
    """Where it was read, or written to, as a person is told: a folder, or a commit."""
    base: str = field(default="", compare=False)
    """Its folder as seen from the root of its repository; empty if it is that, or in none."""
    documents: Documents | None = field(default=None, compare=False, repr=False)
    """The files that it was read from."""

    def locate(self, team: str | None, place: Place) -> Location:
        """Where a field is declared: in the team's file, or where the team has it from.

        If it is declared nowhere, it is the line of what it would stand in. Without a team, or
        of one that is not declared, it is in `platform.yaml`.
        """
        if self.documents is None:
            return Location("platform.yaml", 1)
        document = self.documents.teams.get(team or "")
        if document is None:
            document = self.documents.platform
        elif place:
            profile = self.teams[team or ""].profile
            document, place = self.documents.layer(document, place, profile)
            if not document.has(place[:1]):
                place = ("name",)
        return Location(document.name, document.line(place))

    def pick(self, names: Iterable[str] | None) -> list[Team]:
        """The teams of these names, or all.

        Raises:
            DeclarationError: a name that no team has.
        """
        if names is None:
            return list(self.teams.values())
        names = list(dict.fromkeys(names))
        unknown = [name for name in names if name not in self.teams]
        if unknown:
            known = ", ".join(self.teams) or "none"
            raise DeclarationError(
                [f"team '{name}' is not declared; declared: {known}" for name in unknown]
            )
        return [self.teams[name] for name in names]

    def fingerprint(self, team: Team) -> str:
        """A hash of what is declared for a team, platform included.

        It changes whenever another plan could follow from the declared state.
        """
        shared = self.platform.model_dump(mode="json", exclude=_NOT_OF_TEAMS)
        content = [team.model_dump(mode="json", exclude={"drift"}), shared]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def load(folder: Path) -> Declaration:
    """Reads and checks a declared state.

    Raises:
        DeclarationError: with every fault at once, as `file:line: field: …`.
    """
    reading = _Reading(folder)
    state = reading.state()
    if reading.faults:
        raise DeclarationError(sorted(reading.faults, key=_file_and_line))
    assert state is not None
    return state


def _base(folder: Path) -> str:
    folder = folder.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    path = folder.relative_to(root).as_posix()
    return "" if path == "." else path


def _file_and_line(fault: str) -> tuple[str, int]:
    file, _, rest = fault.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0


class _Reading:
    """One reading of a folder, gathering its faults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []

    def state(self) -> Declaration | None:
        if not self.folder.is_dir():
            self.faults.append(f"{self.folder}: is not a folder")
            return None
        platform_file = self._read(self.folder / "platform.yaml")
        platform = self._validate(platform_file, Platform) if platform_file else None
        if platform is not None and platform_file is not None:
            for place, text in rules.check_platform(platform):
                self.faults.append(platform_file.fault(place, text))
        teams: list[tuple[Team, Document]] = []
        for path in sorted((self.folder / "teams").glob("*.y*ml")):
            document = self._read(path)
            if document is None or (raw := self._validate(document, Team)) is None:
                continue
            if platform is not None and platform_file is not None:
                team = self._complete(raw, document, platform_file, platform)
                if team is not None:
                    teams.append((team, document))
            else:
                teams.append((raw, document))
        self._check_together(teams)
        if platform is None or platform_file is None:
            return None
        self._check_names(platform, platform_file, teams)
        if self.faults:
            return None
        by_name = sorted((team.name, team) for team, _ in teams)
        documents = Documents(platform_file, {team.name: document for team, document in teams})
        return Declaration(platform, dict(by_name), str(self.folder), _base(self.folder), documents)

    def _read(self, path: Path) -> Document | None:
        name = str(path.relative_to(self.folder))
        try:
            data = YAML().load(path.read_text(encoding="utf-8"))
            plain(data)  # an alias may stand for what holds it
        except FileNotFoundError:
            self.faults.append(f"{name}:1: is missing; a declared state needs it")
        except UnicodeDecodeError:
            self.faults.append(f"{name}:1: is not UTF-8 text")
        except OSError as error:
            self.faults.append(f"{name}:1: can't be read: {error.strerror}")
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.faults.append(f"{name}:{line}: is not YAML: {error.problem}")
        except _SLIPS as error:
            told = str(error).splitlines() or [type(error).__name__]
            self.faults.append(f"{name}:1: is not YAML: {told[0]}")
        else:
            if isinstance(data, Mapping):
                return Document(name, data)
            what = "is empty" if data is None else f"holds a {type(data).__name__}"
            self.faults.append(f"{name}:1: {what}; it must hold keys and values")
        return None

    def _validate(self, document: Document, model: type[M]) -> M | None:
        try:
            return model.model_validate(plain(document.data))
        except ValidationError as error:
            self.faults.extend(explain(error, model, document))
            return None

    def _complete(
        self, raw: Team, document: Document, platform_file: Document, platform: Platform
    ) -> Team | None:
        if raw.profile is not None and raw.profile not in platform.profiles:
            known = ", ".join(platform.profiles) or "none"
            text = f"'{raw.profile}' is no profile in platform.yaml; profiles there: {known}"
            self.faults.append(document.fault(("profile",), text))
            return None
        for alias in raw.external_groups:
            if alias not in platform.keycloak.external_providers:
                text = f"'{alias}' is not among keycloak.external_providers of platform.yaml"
                self.faults.append(document.fault(("external_groups", alias), text))
        team = complete(platform, raw)
        for place, text in (*rules.check_team(team), *rules.check_hosts(platform, team)):
            self.faults.append(self._blame(place, text, document, platform_file, raw.profile))
        return team

    def _blame(
        self, place: Place, text: str, document: Document, platform_file: Document, profile: Any
    ) -> str:
        """The fault at the file that the field's value came from."""
        found, at = Documents(platform_file, {}).layer(document, place, profile)
        if found is platform_file:
            text = f"{text} (as team file {document.name} has it)"
        return found.fault(at, text)

    def _check_together(self, teams: list[tuple[Team, Document]]) -> None:
        documents = {id(team): document for team, document in teams}
        first: dict[str, Document] = {}
        unique: list[Team] = []
        for team, document in teams:
            other = first.setdefault(team.name, document)
            if other is document:
                unique.append(team)
            else:
                text = f"team '{team.name}' is also declared in {other.name}"
                self.faults.append(document.fault(("name",), text))
        for team, (place, text) in rules.check_together(unique):
            self.faults.append(documents[id(team)].fault(place, text))

    def _check_names(
        self, platform: Platform, platform_file: Document, teams: list[tuple[Team, Document]]
    ) -> None:
        """What the providers' names and the groups of the whole platform say together."""
        documents = {id(team): document for team, document in teams}
        for team, (place, text) in external_names.check(platform, [team for team, _ in teams]):
            document = documents[id(team)] if team else platform_file
            self.faults.append(document.fault(place, text))


def complete(platform: Platform, team: Team) -> Team:
    """The team with all defaults: its own word first, then its profile's, then the platform's."""
    profile = platform.profiles.get(team.profile or "", TeamSettings())
    data: Data = BUILT_IN
    for layer in (platform.defaults, profile, team):
        data = merge(data, layer.model_dump(mode="json", exclude_unset=True))
    namespace = data.get("namespace", {})
    further = data.get("further_namespaces", {})
    data["further_namespaces"] = {key: merge(namespace, own) for key, own in further.items()}
    return Team.model_validate(data)


def merge(under: Data, over: Data) -> Data:
    """Mappings merged key by key, `over` first; everything else is taken whole."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below, value) if both and isinstance(below, dict) else value
    return merged


def plain(data: Any) -> Any:
    """Parsed YAML as plain dicts and lists, without what the parser hangs on them."""
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return data


def check_alone(declaration: Declaration, team: Team) -> Declaration:
    """The declaration with a team that came by the API, checked as its file would be.

    Raises:
        DeclarationError: with every fault, each as `team NAME: field: …`.
    """
    document = Document(f"team {team.name}", {})
    reading = _Reading(Path())
    platform = declaration.platform
    completed = reading._complete(team, document, Document("platform.yaml", {}), platform)
    if completed is not None:
        others = [other for other in declaration.teams.values() if other.name != team.name]
        reading.faults += [
            document.fault(place, text)
            for at_fault, (place, text) in rules.check_together([*others, completed])
            if at_fault is completed
        ]
        reading.faults += [
            document.fault(place, text)
            for at_fault, (place, text) in external_names.check(platform, [*others, completed])
            if at_fault is completed
        ]
    if completed is None or reading.faults:
        raise DeclarationError([fault.replace(":1: ", ": ", 1) for fault in reading.faults])
    teams = {**declaration.teams, team.name: completed}
    return replace(declaration, teams=dict(sorted(teams.items())))


def declare(folder: Path, team: Team, dry_run: bool = False) -> Declaration:
    """Checks a team beside all others of a folder, and writes its file unless told not to.

    Returns:
        The declared state with the team; its origin is the team's file.

    Raises:
        DeclarationError: with every fault; nothing was written.
    """
    declaration = check_alone(load(folder), team)
    if dry_run:
        return declaration
    return replace(declaration, origin=str(save_team(folder, team)))


def as_declared(team: Team) -> Data:
    """What the team's file says: what was given, who the team is before what it gets."""
    given = team.model_dump(mode="json", exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in TeamSettings.model_fields))


def find_team(folder: Path, name: str) -> tuple[Path, Any]:
    """The file that declares a team and what it says, or the file that would, and None."""
    for candidate in sorted((folder / "teams").glob("*.y*ml")):
        content = _content(candidate)
        if isinstance(content, dict) and content.get("name") == name:
            return candidate, content
    return folder / "teams" / f"{name}.yaml", None


def save_team(folder: Path, team: Team) -> Path:
    """Writes a team's file, unless it says the same already; its first comment lines stay.

    The write is atomic: a reader sees the old file or the new one.

    Returns:
        The file: the one that already declares the team, or `teams/<name>.yaml`.
    """
    wanted = as_declared(team)
    path, content = find_team(folder, team.name)
    if content == wanted:
        return path
    head = ""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        head = "".join(lines[: next((i for i, x in enumerate(lines) if x[:1] != "#"), None)])
    body = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(wanted, body)
    path.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".team-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(head + body.getvalue())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
    return path


def _content(path: Path) -> Any:
    """A file's content; None where it can't be read: `load` says what is wrong with it."""
    try:
        return plain(YAML().load(path.read_text(encoding="utf-8")))
    except (OSError, *_SLIPS):
        return None
