"""Reads and checks a declared state: a folder with `platform.yaml` and a file a team under `teams/`.

A faulty `platform.yaml` stops everything. A faulty file of a team keeps that team out, and no
other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tenantry.declared import external_names, rules
from tenantry.declared.faults import Document, Place, explain
from tenantry.declared.files import read_document, team_files
from tenantry.declared.merge import complete, plain
from tenantry.declared.platform import Platform
from tenantry.declared.state import Declaration, Documents, LeftOut, location_of
from tenantry.declared.team import Team
from tenantry.declared.types import Model
from tenantry.errors import DeclarationError

M = TypeVar("M", bound=Model)


def load(folder: Path) -> Declaration:
    """Return a declared state that is free of faults.

    Raises:
        DeclarationError: with every fault at once, as `file:line: field: …`.
    """
    state = read(folder)
    if faults := state.faults:
        raise DeclarationError(faults)
    return state


def read(folder: Path) -> Declaration:
    """Return a declared state, without the teams whose files are faulty.

    Raises:
        DeclarationError: the platform is faulty; with every fault of the teams' files, too.
    """
    if not folder.is_dir():
        raise DeclarationError([f"{folder}: is not a folder"])
    reading = _Reading(folder)
    reading.read_platform()
    reading.read_teams()
    reading.check_together()
    return reading.result()


@dataclass
class _File:
    """A team's file as it is being checked."""

    path: Path
    name: str
    document: Document | None = None
    team: Team | None = None
    """With all defaults, where the platform could be read."""
    faults: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of its team: what it says, or the file's own name where it says nothing."""
        if self.team is not None:
            return (self.team.name,)
        said = self.document.data.get("name") if self.document else None
        return (said if isinstance(said, str) and said else self.path.stem,)

    def fault(self, place: Place, text: str) -> None:
        """Takes down a fault at a field."""
        assert self.document is not None
        self.faults.append(self.document.fault(place, text))


class _Reading:
    """One reading of a folder, gathering its faults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.platform: Platform | None = None
        self.platform_file = Document("platform.yaml", {})
        self.faults: list[str] = []
        """Of the platform."""
        self.other_faults: list[str] = []
        self.files: list[_File] = []

    def read_platform(self) -> None:
        """Reads `platform.yaml`."""
        try:
            self.platform_file = read_document(self.folder, self.folder / "platform.yaml")
            self.platform = _validate(self.platform_file, Platform)
        except DeclarationError as error:
            self.faults += error.faults
            return
        for place, text in rules.check_platform(self.platform):
            self.faults.append(self.platform_file.fault(place, text))

    def read_teams(self) -> None:
        """Reads each team's file by itself."""
        for path in team_files(self.folder):
            file = _File(path, str(path.relative_to(self.folder)))
            self.files.append(file)
            try:
                file.document = read_document(self.folder, path)
                file.team = _validate(file.document, Team)
            except DeclarationError as error:
                file.faults += error.faults
                continue
            if self.platform is not None:
                self._complete(file, file.team, self.platform)

    def _complete(self, file: _File, given: Team, platform: Platform) -> None:
        assert file.document is not None
        document = file.document
        if given.profile is not None and given.profile not in platform.profiles:
            known = ", ".join(platform.profiles) or "none"
            text = f"'{given.profile}' is no profile in platform.yaml; profiles there: {known}"
            file.fault(("profile",), text)
            return
        for alias in given.external_groups:
            if alias not in platform.keycloak.external_providers:
                text = f"'{alias}' is not among keycloak.external_providers of platform.yaml"
                file.fault(("external_groups", alias), text)
        file.team = complete(platform, given)
        for place, text in (*rules.check_team(file.team), *rules.check_hosts(platform, file.team)):
            file.faults.append(self._blame(place, text, document, given.profile))

    def _blame(self, place: Place, text: str, document: Document, profile: str | None) -> str:
        """The fault at the file that the field's value came from."""
        found, at = Documents(self.platform_file, {}).layer(document, place, profile)
        if found is self.platform_file:
            text = f"{text} (as team file {document.name} has it)"
        return found.fault(at, text)

    def check_together(self) -> None:
        """Checks the teams against each other."""
        known = [(file.team, file) for file in self.files if file.team is not None]
        files = {id(team): file for team, file in known}
        first: dict[str, _File] = {}
        unique: list[Team] = []
        for team, file in known:
            other = first.setdefault(team.name, file)
            if other is file:
                unique.append(team)
            else:
                file.fault(("name",), f"team '{team.name}' is also declared in {other.name}")
        for team, (place, text) in rules.check_together(unique):
            files[id(team)].fault(place, text)
        if self.platform is None:
            return
        teams = [team for team, _ in known]
        for at_fault, (place, text) in external_names.check(self.platform, teams):
            if at_fault is None:
                self.other_faults.append(self.platform_file.fault(place, text))
            else:
                files[id(at_fault)].fault(place, text)

    def result(self) -> Declaration:
        """Return what was read.

        Raises:
            DeclarationError: the platform is faulty.
        """
        if self.faults or self.platform is None:
            found = [fault for file in self.files for fault in file.faults]
            raise DeclarationError(
                sorted([*self.faults, *self.other_faults, *found], key=location_of)
            )
        good = [file for file in self.files if not file.faults]
        teams = {file.team.name: file.team for file in good if file.team}
        documents = {file.team.name: file.document for file in good if file.team and file.document}
        return Declaration(
            self.platform,
            dict(sorted(teams.items())),
            str(self.folder),
            _base(self.folder),
            Documents(self.platform_file, documents),
            tuple(
                LeftOut(file.name, _in_order(file.faults), file.names, file.team)
                for file in self.files
                if file.faults
            ),
            tuple(self.other_faults),
        )


def _validate(document: Document, model: type[M]) -> M:
    try:
        return model.model_validate(plain(document.data))
    except ValidationError as error:
        raise DeclarationError(explain(error, model, document)) from None


def _in_order(faults: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(faults, key=location_of))


def _base(folder: Path) -> str:
    folder = folder.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    path = folder.relative_to(root).as_posix()
    return "" if path == "." else path


def check_alone(declaration: Declaration, team: Team) -> Declaration:
    """The declaration with a team that came by the API, checked as its file would be.

    Raises:
        DeclarationError: with every fault, each as `team NAME: field: …`.
    """
    document = Document(f"team {team.name}", {})
    file = _File(Path(f"{team.name}.yaml"), document.name, document, team)
    reading = _Reading(Path())
    reading._complete(file, team, declaration.platform)
    completed = file.team
    if completed is not None:
        others = [other for other in declaration.teams.values() if other.name != team.name]
        together = [
            *rules.check_together([*others, completed]),
            *external_names.check(declaration.platform, [*others, completed]),
        ]
        for at_fault, (place, text) in together:
            if at_fault is completed:
                file.fault(place, text)
    if completed is None or file.faults:
        raise DeclarationError([fault.replace(":1: ", ": ", 1) for fault in file.faults])
    teams = {**declaration.teams, team.name: completed}
    left_out = tuple(each for each in declaration.left_out if team.name not in each.names)
    return replace(declaration, teams=dict(sorted(teams.items())), left_out=left_out)
