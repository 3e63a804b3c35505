"""Reads and checks a declared state: `platform.yaml`, and one file per team in `teams/`.

A faulty `platform.yaml` fails the run. A faulty team file excludes its team only.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from tenantry.declared import (
    claims,
    external_names,
    policy_check,
    policy_evaluation,
    rules,
    warnings,
)
from tenantry.declared.archive import Archived, read_archive, refusal
from tenantry.declared.claims import Conflict
from tenantry.declared.faults import Document, Place, explain
from tenantry.declared.files import (
    base_of,
    misplaced_files,
    read_document,
    team_files,
)
from tenantry.declared.merge import complete
from tenantry.declared.offboarding import KEY
from tenantry.declared.platform import Platform
from tenantry.declared.platform_file import PlatformFile, read_platform
from tenantry.declared.policy_check import PolicyEvaluator
from tenantry.declared.policy_source import NAME, PolicySource
from tenantry.declared.profiles import PLACEHOLDER_NAME, check_profile
from tenantry.declared.salvage import (
    is_consequence,
    name_from_path,
    original_place,
    read_model,
    valid_name,
)
from tenantry.declared.state import (
    Contested,
    Declaration,
    Documents,
    location_of,
)
from tenantry.declared.team import Team
from tenantry.declared.team_file import TeamFile, check_names, left_out_of, nameable
from tenantry.errors import DeclarationError, as_tenantry_error


def load(folder: Path) -> Declaration:
    """Return a declared state that has no faults.

    Raises:
        DeclarationError: lists all faults, each in the form `file:line: field: …`.
    """
    state = read(folder)
    if faults := state.faults:
        raise DeclarationError(faults)
    return state


def read(folder: Path, policy: PolicySource | None = None) -> Declaration:
    """Return a declared state, without the teams whose files are faulty.

    Args:
        folder: the declared state.
        policy: the policy to check the teams against, if it is not the policy in the folder.

    Raises:
        DeclarationError: the platform is faulty; lists the faults of the team files as well.
    """
    return gather(folder, policy).result()


def gather(folder: Path, policy: PolicySource | None = None) -> "Reading":
    """Read a declared state, and return the reading with all of its faults.

    Args:
        folder: the declared state.
        policy: as for `read`.

    Raises:
        DeclarationError: `folder` is not a folder.
    """
    if not folder.is_dir():
        raise DeclarationError([f"{folder}: is not a folder"])
    reading = Reading(folder, read_platform(folder))
    if reading.platform is not None:
        reading.evaluator = policy_check.evaluator_for(
            reading.platform, reading.platform_file.document, policy
        )
    reading.archive = read_archive(folder)
    reading.read_teams()
    reading.check_unused_profiles()
    reading.check_together()
    return reading


class Reading:
    """One reading of a folder, which collects the faults."""

    def __init__(self, folder: Path, platform_file: PlatformFile) -> None:
        self.folder = folder
        self.platform_file = platform_file
        self.platform = platform_file.platform
        """The platform; None if it cannot be read."""
        self.other_faults: list[str] = []
        self.files: list[TeamFile] = []
        self.archive: tuple[Archived, ...] = ()
        self.evaluator: PolicyEvaluator | None = None
        """Checks the teams against the policy; None if the platform cannot be read."""

    # Each team by itself

    def read_teams(self) -> None:
        """Read each team file by itself."""
        for path, text in misplaced_files(self.folder):
            name = path.relative_to(self.folder).as_posix()
            self.files.append(TeamFile(path, name, faults=[f"{name}:1: {text}"]))
        for path in team_files(self.folder):
            name = str(path.relative_to(self.folder))
            file = TeamFile(path, name, Document(name, {}))
            self.files.append(file)
            try:
                self._read_team(file)
            except DeclarationError as error:
                file.faults += error.faults
            except Exception as error:  # noqa: BLE001 any error is the fault of this one file
                file.fault((), f"cannot be checked: {as_tenantry_error(error, 'checking it')}")
            if file.team is None:
                file.team = nameable(file, self.platform)

    def _read_team(self, file: TeamFile) -> None:
        file.document = read_document(self.folder, file.path)
        name = valid_name(file.document.data.get("name")) or name_from_path(file.path)
        if KEY in file.document.data and file.document.data[KEY] is None:
            text = "is empty: remove the key, or restore the record of the offboarding"
            file.fault((KEY,), text)
        found = read_model(file.document, Team, name=name or PLACEHOLDER_NAME)
        file.faults += found.faults
        if found.content is not None:
            self.complete(file, found.content, found.left_out)
        file.is_whole = file.is_whole and not found.faults
        if name is None:
            file.team = None

    def complete(
        self, file: TeamFile, given: Team, left_out: frozenset[Place] = frozenset()
    ) -> None:
        """Fill in a team's defaults, and check the completed team.

        Args:
            file: the team file.
            given: the team with only the fields that the file declares.
            left_out: the faulty fields, which `given` does not contain.
        """
        platform = self.platform
        if platform is None:
            file.team, file.is_whole = given, True
            return
        given, is_known = self._check_profile(file, given, platform)
        for alias in given.external_groups:
            known = alias in platform.keycloak.external_providers
            if not known and not self.platform_file.is_left_out(("keycloak", "external_providers")):
                text = f"'{alias}' is not among keycloak.external_providers of platform.yaml"
                file.fault(("external_groups", alias), text)
        try:
            team = complete(platform, given)
        except ValidationError as error:  # only the combination of file and defaults is faulty
            file.faults += explain(error, Team, file.document)
            return
        if team.offboarding is None and (text := refusal(self.archive, team)):
            file.fault(NAME, text)
        unknown = {*left_out, *self.platform_file.defaults_left_out(given.profile)}
        faulty: set[Place] = set()
        for place, text in (*rules.check_team(team), *rules.check_on_platform(platform, team)):
            place = original_place(place, file.document.data, left_out)
            faulty.add(place)
            if not is_consequence(place, unknown, None if is_known else file.document.has):
                file.faults.append(
                    self.platform_file.blame(place, text, file.document, given.profile)
                )
        for place, text in (*warnings.check_team(team), *warnings.check_routes(platform, team)):
            file.warnings.append(
                self.platform_file.blame(place, text, file.document, given.profile)
            )
        if self.evaluator is not None:
            team = policy_evaluation.evaluate_team(
                self.evaluator, file, given, team, unknown | faulty
            )
        file.team, file.is_whole = team, is_known

    def _check_profile(self, file: TeamFile, given: Team, platform: Platform) -> tuple[Team, bool]:
        """Return the team, without an unknown profile, and whether the profile is known."""
        profile = given.profile
        if profile is None or profile in platform.profiles:
            return given, True
        if not self.platform_file.is_left_out(("profiles", profile)):
            known = ", ".join(platform.profiles) or "none"
            text = f"'{profile}' is not a profile in platform.yaml; profiles there: {known}"
            file.fault(("profile",), text)
        return given.model_copy(update={"profile": None}), False

    def check_unused_profiles(self) -> None:
        """Check each profile that no team uses as if a team used it.

        A fault in such a profile affects no team yet, so it is a warning.
        """
        used = {file.team.profile for file in self.files if file.team}
        for profile in self.platform.profiles if self.platform else ():
            if (
                self.platform
                and profile not in used
                and not self.platform_file.is_left_out(("profiles", profile))
            ):
                left_out = list(self.platform_file.defaults_left_out(profile))
                found = check_profile(self.platform, self.platform_file.document, profile, left_out)
                self.platform_file.warnings += found

    # All together

    def check_together(self) -> None:
        """Check the teams against each other."""
        check_names(self.files)
        files = {id(file.team): file for file in self.files if file.team and not file.is_rival}
        teams = [file.team for file in files.values() if file.team]
        if self.evaluator is not None:
            policy_evaluation.evaluate_together(self.evaluator, files)
        refused = frozenset(
            (file.team.name, place)
            for file in files.values()
            if file.team
            for place in file.refused
        )
        for conflict in self.conflicts(teams, refused):
            file = files[id(conflict.claim.team)]
            fault = file.document.fault(conflict.claim.place, conflict.text)
            if conflict.decided:
                file.decide(conflict.claim.place, fault)
            else:
                claim = conflict.claim
                file.contested.append(Contested(claim.kind, claim.name, fault))
        whole = not self.platform_file.left_out and all(file.is_whole for file in self.files)
        if self.platform and whole:
            for place, text in external_names.check_groups(self.platform, teams):
                self.other_faults.append(self.platform_file.document.fault(place, text))

    def conflicts(
        self, teams: Sequence[Team], refused: Collection[claims.Refused] = ()
    ) -> Iterator[Conflict]:
        """Return the conflicts between teams.

        Args:
            teams: the teams.
            refused: the fields that the policy does not allow. They do not exclude other teams.
        """
        granted = self.evaluator.granted_names if self.evaluator else claims.no_grants
        yield from claims.conflicts(teams, refused, granted)
        if self.platform is not None and not self.platform_file.is_left_out(("keycloak",)):
            yield from external_names.conflicts(self.platform, teams, refused)

    def result(self) -> Declaration:
        """Return the declared state, without the teams whose files are faulty.

        Raises:
            DeclarationError: the platform is faulty.
        """
        if self.platform_file.faults or self.platform is None:
            found = [*self.platform_file.faults, *self.other_faults]
            for file in self.files:
                found += [*file.faults, *(each.fault for each in file.contested)]
            raise DeclarationError(sorted(found, key=location_of))
        good = [file for file in self.files if not file.is_faulty]
        archived = [each.fault for each in self.archive if each.fault]
        named = {file.team.name: file.team for file in good if file.team}
        return Declaration(
            self.platform,
            {name: team for name, team in sorted(named.items()) if team.offboarding is None},
            str(self.folder),
            base_of(self.folder),
            Documents(
                self.platform_file.document,
                {file.team.name: file.document for file in good if file.team},
            ),
            tuple(left_out_of(file, named) for file in self.files if file.is_faulty),
            tuple(self.other_faults),
            _in_order(
                [
                    *archived,
                    *self.platform_file.warnings,
                    *(found for file in good for found in file.warnings),
                ]
            ),
            self.evaluator,
            {name: team for name, team in sorted(named.items()) if team.offboarding is not None},
            self.archive,
        )


def _in_order(found: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(found), key=location_of))
