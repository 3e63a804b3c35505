"""The steps of an import: read, recognize, draft, settle with the planner, share, and word."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.connections import Connections
from tenantry.declared import Declaration, Platform, Team
from tenantry.declared.merge import merge, plain
from tenantry.declared.names import NamePatterns, fill
from tenantry.declared.parsing import parse
from tenantry.declared.rewriting import dump, round_trip, update_mapping
from tenantry.importing import defaults, platforms, profiles
from tenantry.importing.clients import RememberingHarbor, RememberingKeycloak, RememberingKubernetes
from tenantry.importing.drafts import Draft, draft
from tenantry.importing.folders import (
    PLATFORM_FILE,
    check_arguments,
    propose_policy,
    read_existing,
    texts_in,
)
from tenantry.importing.naming import (
    declare_secrets,
    declared_patterns,
    patterns,
    secret_pattern,
)
from tenantry.importing.notes import Note
from tenantry.importing.oidc import OidcClients
from tenantry.importing.own import OwnResources
from tenantry.importing.realms import find_realm
from tenantry.importing.recognition import Found, Recognition, Recognized, recognize
from tenantry.importing.report import Report
from tenantry.importing.robots import Robots, usual_secrets
from tenantry.importing.settle import Settling
from tenantry.importing.snapshot import Snapshot, read, read_opaque, read_projects, read_secrets
from tenantry.importing.texts import file_text
from tenantry.systems.clients import Clients

Data = dict[str, Any]


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
    check_arguments(realm, parent_group, platform_id)
    existing = read_existing(into)
    if existing is not None:
        keycloak = existing.platform.keycloak
        if existing.names or "realm" in keycloak.model_fields_set:
            realm = keycloak.realm
        parent_group = keycloak.parent_group or parent_group
        platform_id = existing.platform.id or platform_id
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
        self._completes = existing is None or not existing.names
        """Whether the import writes `platform.yaml`: it completes one that no team depends on."""
        given = existing is not None and "names" in existing.platform.model_fields_set
        self._chooses_names = self._completes and not given
        """Whether the import chooses the platform's patterns of names."""

    def result(
        self,
        how: Recognition,
        realm: str,
        parent_group: str | None,
        platform_id: str | None,
        *,
        write_grants: bool,
    ) -> Imported:
        if self._existing is not None and not self._chooses_names:
            how = how.on(self._existing.platform.names)
        snapshot = read(self._clients, parent_group)
        found = recognize(snapshot, how, self._taken(), platform_id)
        known = self._existing.names if self._existing else frozenset()
        found.teams = {name: team for name, team in found.teams.items() if name not in known}
        projects = [team.project for team in found.teams.values() if team.project]
        read_projects(self._clients, snapshot, projects)
        names = self._names(found, how)
        read_secrets(self._clients, snapshot, dict(usual_secrets(snapshot, found, names)))
        robots = Robots(snapshot)
        oidc = self._clients_of(snapshot, found, names, how)
        names = oidc.names
        drafts = self._drafts(snapshot, robots, found, oidc)
        pattern = secret_pattern([each.secrets for each in drafts])
        if pattern and self._chooses_names:
            names = names.model_copy(update={"secret": pattern})
        for each in drafts:
            declare_secrets(each.data, each.secrets, names)
        live = self._platform(snapshot, realm, parent_group, found, robots, drafts)
        platform = merge(live, self._given()) if self._completes else self._given()
        if self._completes and (chosen := declared_patterns(names)):
            platform["names"] = chosen
        plans = Settling(self._connections, self._clients, self._clock).settle(platform, drafts)
        faulty = [
            (f"team '{each.found.name}'", f"it cannot be declared: {'; '.join(each.faults)}")
            for each in drafts
            if each.found.name not in plans
        ]
        drafts = [each for each in drafts if each.found.name in plans]
        own = OwnResources(self._connections, self._clients, snapshot, self._clock)
        whole = platform if self._completes else merge(live, platform)
        whole = own.declare(whole, self._given(), drafts, self._declared())
        imported = self._share(whole if self._completes else platform, drafts)
        if not self._completes:
            imported.report.additions = platforms.additions(whole, platform)
        imported.report.orphans = [*found.orphans, *faulty, *robots.orphans(found.teams)]
        imported.report.declared = tuple(sorted(known))
        self._word(imported, drafts, own.notes, write_grants=write_grants)
        return imported

    def _declared(self) -> list[Team]:
        """Return the teams that are declared already, including those with faults."""
        if self._existing is None:
            return []
        left_out = [each.team for each in self._existing.left_out if each.team]
        return [*self._existing.teams.values(), *left_out]

    def _taken(self) -> set[str]:
        """Return the namespaces and projects of the teams that are declared already."""
        teams = self._declared()
        return {name for team in teams for name in (*team.namespaces, team.project)}

    def _names(self, found: Recognized, how: Recognition) -> NamePatterns:
        """Return the platform's patterns of names, and tell the teams their usual groups."""
        teams = list(found.teams.values())
        names = patterns(teams, how.patterns)
        if self._existing is not None and not self._chooses_names:
            names = self._existing.platform.names
        for team in teams:
            team.usual_group = fill(names.group, team=team.name)
        return names

    def _clients_of(
        self, snapshot: Snapshot, found: Recognized, names: NamePatterns, how: Recognition
    ) -> OidcClients:
        """Return the teams' OIDC clients, with the patterns that most of them follow."""

        def clients(names: NamePatterns) -> OidcClients:
            return OidcClients(
                snapshot,
                found.teams,
                names,
                how.patterns,
                found.platform,
                chooses_names=self._chooses_names,
            )

        read_opaque(self._clients, snapshot, clients(names).namespaces_to_read())
        recognized = clients(names)
        if self._chooses_names and (pattern := recognized.secret_pattern()):
            recognized.names = recognized.names.model_copy(update={"client_secret": pattern})
        return recognized

    def _drafts(
        self, snapshot: Snapshot, robots: Robots, found: Recognized, oidc: OidcClients
    ) -> list[Draft]:
        def of(team: Found) -> Draft:
            return draft(self._clients, snapshot, robots, team, oidc.names, oidc.of(team.name))

        return map_concurrently(of, found.teams.values())

    def _platform(
        self,
        snapshot: Snapshot,
        realm: str,
        parent_group: str | None,
        found: Recognized,
        robots: Robots,
        drafts: Sequence[Draft],
    ) -> Data:
        """Return the settings that the teams' declarations depend on, as they are in the systems."""
        data = platforms.shared(snapshot, realm, found.platform, drafts)
        if parent_group:
            data["keycloak"]["parent_group"] = parent_group
        if robots.registry != platforms.usual_registry(snapshot):
            data["harbor"] = {"registry": robots.registry}
        return data

    def _given(self) -> Data:
        """Return the settings that the folder's `platform.yaml` gives, without the policy."""
        if self._existing is None:
            return {}
        whole = self._existing.platform.model_dump(mode="json", exclude_unset=True)
        return {key: value for key, value in whole.items() if key != "policy"}

    def _share(self, platform: Data, drafts: Sequence[Draft]) -> Imported:
        model = Platform.model_validate(platform)
        teams = [defaults.Complete(model, each.data) for each in drafts]
        report = Report(teams={each.found.name: each.found.by for each in drafts})
        shared = defaults.common(teams) if self._completes else {}
        for given in (shared, {}):  # without defaults, if a team cannot do without one of them
            whole = {**platform, "defaults": merge(given, platform.get("defaults", {}))}
            model = Platform.model_validate(whole)
            contents = {team.data["name"]: defaults.own(model, team) for team in teams}
            if all(defaults.is_same(model, each, contents[each.data["name"]]) for each in teams):
                break
        if given:
            platform, report.defaults = whole, dump({"defaults": given})
        if self._completes and not platform.get("profiles"):
            found, shorter = profiles.find(platform, teams, contents)
            if found:
                platform, report.profiles = (
                    {**platform, "profiles": found},
                    dump({"profiles": found}),
                )
                contents |= shorter
        return Imported(platform, contents, report)

    def _word(
        self,
        imported: Imported,
        drafts: Sequence[Draft],
        of_platform: list[Note],
        *,
        write_grants: bool,
    ) -> None:
        """Add the texts of the files, and the grants that they need."""
        of_platform = list(dict.fromkeys(of_platform))
        notes = {f"teams/{each.found.name}.yaml": each.notes for each in drafts}
        notes = {PLATFORM_FILE: of_platform, **notes}
        imported.report.notes = {file: found for file, found in notes.items() if found}
        for name, content in imported.teams.items():
            file = f"teams/{name}.yaml"
            imported.files[file] = file_text(file, content, notes[file])
        if self._existing is None:
            text = file_text(PLATFORM_FILE, imported.platform, of_platform)
            imported.files = {PLATFORM_FILE: text, **imported.files}
        elif self._completes:
            self._rewrite(imported, imported.platform)
        texts = {**texts_in(self._folder if self._existing else None), **imported.files}
        before = parse(texts[PLATFORM_FILE]).data.get("policy") or {}
        proposed = propose_policy(texts)
        if not imported.teams or parse(proposed).data["policy"] == before:
            return
        imported.report.grants = proposed
        if write_grants:
            self._rewrite(imported, {**imported.platform, "policy": parse(proposed).data["policy"]})
            imported.report.grants_written = True

    def _rewrite(self, imported: Imported, content: Data) -> None:
        """Update the text of `platform.yaml`, and keep its comments."""
        before = texts_in(self._folder if self._existing else None)
        text = imported.files.get(PLATFORM_FILE) or before[PLATFORM_FILE]
        data = plain(parse(text).data)
        if (wanted := merge(data, content)) == data:
            return
        yaml = round_trip()
        document = yaml.load(text)
        update_mapping(document, data, wanted)
        written = StringIO()
        yaml.dump(document, written)
        imported.before |= {name: before[name] for name in before if name == PLATFORM_FILE}
        imported.files = {**imported.files, PLATFORM_FILE: written.getvalue()}
