"""The steps of an import: read, recognize, draft, settle with the planner, share, and word."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from tenantry import declared
from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.connections import Connections
from tenantry.declared import Declaration, Platform
from tenantry.declared.files import team_files
from tenantry.declared.parsing import parse
from tenantry.declared.rewriting import dump, round_trip, update_mapping
from tenantry.errors import DeclarationError
from tenantry.importing import defaults, platforms
from tenantry.importing.clients import RememberingHarbor, RememberingKeycloak, RememberingKubernetes
from tenantry.importing.drafts import Draft, draft
from tenantry.importing.realms import find_realm
from tenantry.importing.recognition import Recognition, Recognized, recognize
from tenantry.importing.report import Report
from tenantry.importing.robots import Robots
from tenantry.importing.settle import Settling
from tenantry.importing.snapshot import Snapshot, read, read_projects
from tenantry.importing.texts import file_text
from tenantry.systems.clients import Clients

Data = dict[str, Any]
PLATFORM_FILE = "platform.yaml"


@dataclass
class Imported:
    """What an import found.

    Attributes:
        platform: the content of `platform.yaml`.
        teams: the contents of the team files, by the teams' names.
        files: the texts to write, by the files' paths in the folder of the declared state.
        before: the texts of those files that exist already, as they were read.
        report: what a person must know and review.
    """

    platform: Data
    teams: dict[str, Data]
    report: Report
    files: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)


def import_state(
    connections: Connections,
    recognition: Recognition | None = None,
    *,
    into: Path | None = None,
    realm: str | None = None,
    parent_group: str | None = None,
    platform_id: str | None = None,
    write_grants: bool = False,
    clock: Clock = utc_now,
) -> Imported:
    """Read the systems, and return the declared state that describes them.

    Args:
        connections: the connections to the systems.
        recognition: how teams are recognized.
        into: the folder of a declared state to complete. Its files stay as they are.
        realm: the realm of the teams; by default the only one besides `master`.
        parent_group: the top-level parent of the teams' groups, if they have one.
        platform_id: the id of the platform in the marks, if they name several platforms.
        write_grants: add the grants that the teams need to `platform.yaml`.
        clock: the clock for ages and expiry.

    Raises:
        DeclarationError: the declared state in the folder, or an argument, is faulty.
        TenantryError: a system cannot be read. Nothing is returned.
    """
    recognition = recognition or Recognition()
    recognition.check()
    existing = _existing(into)
    if existing is not None:
        realm = existing.platform.keycloak.realm
        parent_group = existing.platform.keycloak.parent_group
        platform_id = existing.platform.id
    realm = realm or find_realm(connections)
    clients = Clients.connect(
        connections,
        realm,
        harbor=RememberingHarbor,
        keycloak=RememberingKeycloak,
        kubernetes=RememberingKubernetes,
    )
    try:
        run = _Import(connections, clients, existing, into, clock)
        return run.result(recognition, realm, parent_group, platform_id, write_grants=write_grants)
    finally:
        clients.close()


def _existing(folder: Path | None) -> Declaration | None:
    """Return the declared state in a folder; None if it has no `platform.yaml`.

    Raises:
        DeclarationError: it is faulty, or team files exist without `platform.yaml`.
    """
    if folder is None or not folder.exists():
        return None
    if not (folder / PLATFORM_FILE).exists():
        if folder.is_dir() and team_files(folder):
            raise DeclarationError(
                [f"{folder}: has team files, and no platform.yaml. Import into an empty folder"]
            )
        if not folder.is_dir():
            raise DeclarationError([f"{folder}: is not a folder"])
        return None
    return declared.read(folder)


class _Import:
    def __init__(
        self,
        connections: Connections,
        clients: Clients,
        existing: Declaration | None,
        folder: Path | None,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._clients = clients
        self._existing = existing
        self._folder = folder
        self._clock = clock

    def result(
        self,
        how: Recognition,
        realm: str,
        parent_group: str | None,
        platform_id: str | None,
        *,
        write_grants: bool,
    ) -> Imported:
        snapshot = read(self._clients, parent_group)
        found = recognize(snapshot, how, self._taken(), platform_id)
        names = self._existing.names if self._existing else frozenset()
        found.teams = {name: team for name, team in found.teams.items() if name not in names}
        projects = [team.project for team in found.teams.values() if team.project]
        read_projects(self._clients, snapshot, projects)
        robots = Robots(snapshot)
        drafts = self._drafts(snapshot, robots, found)
        platform = self._platform(snapshot, realm, parent_group, found, robots, drafts)
        plans = Settling(self._connections, self._clients, self._clock).settle(platform, drafts)
        faulty = [
            (f"team '{each.found.name}'", f"it cannot be declared: {'; '.join(each.faults)}")
            for each in drafts
            if each.found.name not in plans
        ]
        drafts = [each for each in drafts if each.found.name in plans]
        imported = self._share(platform, drafts)
        imported.report.orphans = [*found.orphans, *faulty, *robots.orphans(found.teams)]
        imported.report.declared = tuple(sorted(names))
        self._word(imported, drafts, write_grants=write_grants)
        return imported

    def _taken(self) -> set[str]:
        """Return the namespaces and projects of the teams that are declared already."""
        if self._existing is None:
            return set()
        left_out = [each.team for each in self._existing.left_out if each.team]
        teams = [*self._existing.teams.values(), *left_out]
        return {name for team in teams for name in (*team.namespaces, team.project)}

    def _drafts(self, snapshot: Snapshot, robots: Robots, found: Recognized) -> list[Draft]:
        names = frozenset(found.teams)
        own = frozenset({str(dict.get(dict(snapshot.settings), "oidc_client_id") or "harbor")})
        return map_concurrently(
            lambda team: draft(self._clients, snapshot, robots, team, names, own),
            found.teams.values(),
        )

    def _platform(
        self,
        snapshot: Snapshot,
        realm: str,
        parent_group: str | None,
        found: Recognized,
        robots: Robots,
        drafts: Sequence[Draft],
    ) -> Data:
        if self._existing is not None:
            whole = self._existing.platform.model_dump(mode="json", exclude_unset=True)
            return {key: value for key, value in whole.items() if key != "policy"}
        data = platforms.shared(snapshot, realm, found.platform, drafts)
        if parent_group:
            data["keycloak"]["parent_group"] = parent_group
        if robots.registry != platforms.usual_registry(snapshot):
            data["harbor"] = {"registry": robots.registry}
        return data

    def _share(self, platform: Data, drafts: Sequence[Draft]) -> Imported:
        bare = {k: v for k, v in platform.items() if k not in ("defaults", "profiles")}
        teams = [defaults.Complete(Platform.model_validate(bare), each.data) for each in drafts]
        report = Report(teams={each.found.name: each.found.by for each in drafts})
        if self._existing is None and (shared := defaults.common(teams)):
            platform = {**platform, "defaults": shared}
            report.defaults = dump({"defaults": shared})
        model = Platform.model_validate(platform)
        contents = {team.data["name"]: defaults.own(model, team) for team in teams}
        return Imported(platform, contents, report)

    def _word(self, imported: Imported, drafts: Sequence[Draft], *, write_grants: bool) -> None:
        """Add the texts of the files, and the grants that they need."""
        notes = {f"teams/{each.found.name}.yaml": each.notes for each in drafts}
        imported.report.notes = {file: found for file, found in notes.items() if found}
        for name, content in imported.teams.items():
            file = f"teams/{name}.yaml"
            imported.files[file] = file_text(file, content, notes[file])
        if self._existing is None:
            text = file_text(PLATFORM_FILE, imported.platform, ())
            imported.files = {PLATFORM_FILE: text, **imported.files}
        texts = {**_texts(self._folder if self._existing else None), **imported.files}
        before = parse(texts[PLATFORM_FILE]).data.get("policy") or {}
        proposed = _propose(texts)
        if not imported.teams or parse(proposed).data["policy"] == before:
            return
        imported.report.grants = proposed
        if write_grants:
            text = _with_policy(texts[PLATFORM_FILE], parse(proposed).data["policy"])
            if self._existing is not None:
                imported.before[PLATFORM_FILE] = texts[PLATFORM_FILE]
            imported.files = {**imported.files, PLATFORM_FILE: text}
            imported.report.grants_written = True


def _texts(folder: Path | None) -> dict[str, str]:
    """Return the texts of all files of a declared state."""
    if folder is None:
        return {}
    paths = [folder / PLATFORM_FILE, *team_files(folder)]
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8-sig") for path in paths
    }


def _propose(texts: Mapping[str, str]) -> str:
    """Return the policy that admits all teams of a declared state."""
    with tempfile.TemporaryDirectory(prefix="tenantry-") as name:
        trial = Path(name)
        (trial / "teams").mkdir()
        for file, text in texts.items():
            (trial / file).write_text(text, encoding="utf-8")
        return declared.propose_policy(trial)


def _with_policy(text: str, policy: Data) -> str:
    """Return the text of `platform.yaml` with another policy, and with its comments."""
    yaml = round_trip()
    document = yaml.load(text)
    update_mapping(document, parse(text).data, {**parse(text).data, "policy": policy})
    written = StringIO()
    yaml.dump(document, written)
    return written.getvalue()
