"""The first draft of a team's declaration, from the live resources."""

import json
from dataclasses import dataclass, field
from typing import Any

from tenantry.declared.faults import Place
from tenantry.declared.names import NamePatterns, fill
from tenantry.importing.namespaces import namespace
from tenantry.importing.naming import explicit
from tenantry.importing.notes import Note, quoted
from tenantry.importing.oidc import TeamClients
from tenantry.importing.projects import project
from tenantry.importing.realm import client, external_names, members
from tenantry.importing.recognition import Found
from tenantry.importing.restored import lost, sinks
from tenantry.importing.robots import Robots
from tenantry.importing.routes import routes
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.clients import Clients

Data = dict[str, Any]

BUILT_IN_ROBOTS = ("pull", "ci")


@dataclass
class Draft:
    """A team's declaration with all fields, and what there is to say about it.

    Attributes:
        found: the names of its resources.
        data: the content of its file, with all fields.
        notes: statements about places of the file.
        faults: why the team cannot be declared; empty if it can.
        secrets: the Secrets of its robots, by purpose.
        clients: the ids of its clients.
    """

    found: Found
    data: Data
    notes: list[Note] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    clients: list[str] = field(default_factory=list)

    def name(self, section: str, key: str, name: str) -> None:
        """Give an explicit name of one of the team's objects."""
        self.data.setdefault("names", {}).setdefault(section, {})[key] = name

    def note(self, sort: Any, place: Place, text: str) -> None:
        """Add a statement about a place, once."""
        note = Note(sort, place, text)
        if note not in self.notes:
            self.notes.append(note)


def draft(
    connections: Clients,
    snapshot: Snapshot,
    robots: Robots,
    found: Found,
    names: NamePatterns,
    oidc: TeamClients,
) -> Draft:
    """Return the first draft of a team.

    Args:
        connections: the connections to the systems.
        snapshot: what was read.
        robots: the robots of all teams.
        found: the team.
        names: the platform's patterns of names.
        oidc: the team's OIDC clients.
    """
    own = Draft(found, {"name": found.name})
    group = found.group or found.usual_group
    data, notes = namespace(snapshot, found.namespace or "", ("namespace",))
    own.data["namespace"], own.notes = data, notes
    further = own.data["further_namespaces"] = {}
    for key, name in sorted(found.further.items()):
        further[key], notes = namespace(snapshot, name, ("further_namespaces", key))
        own.notes += notes
    _share(own)
    own.data["harbor"], notes = project(
        connections.harbor, snapshot.details[found.project or ""], group
    )
    own.notes += notes
    own.data["members"], notes = members(connections.keycloak, snapshot, found.group)
    own.notes += notes
    own.data["robots"], own.secrets, notes = robots.of(found, names)
    own.data["robots"] |= {
        purpose: None for purpose in BUILT_IN_ROBOTS if purpose not in own.data["robots"]
    }
    own.notes += notes
    _restore(own, connections, snapshot, robots.registry)
    own.data["routes"] = {}
    for name, declared, note in routes(snapshot, found.namespace or ""):
        if declared is not None:
            own.data["routes"][name] = declared
        if note is not None:
            own.notes.append(note)
    _external_groups(own, snapshot)
    if found.group and found.group != found.usual_group:
        own.data["group"] = found.group
    if given := explicit(found, names):
        own.data["names"] = given
    _clients(own, snapshot, names, oidc)
    return own


def _restore(own: Draft, connections: Clients, snapshot: Snapshot, registry: str) -> None:
    """Declare the sinks that Tenantry has recorded, and note what no system shows."""
    restored = 0
    for purpose, sink in sinks(connections, snapshot, own.found, registry):
        robot = own.data["robots"].get(purpose)
        if robot is not None:
            restored += 1
            robot.setdefault("sinks", []).append(sink)
            copy = (
                f"Secret {sink['namespace']}/{sink['name']} holds"  # the suggestion to declare it
            )
            own.notes = [note for note in own.notes if not note.text.startswith(copy)]
    if (note := lost(snapshot, own.found, restored)) is not None:
        own.notes.append(note)


def _clients(own: Draft, snapshot: Snapshot, names: NamePatterns, oidc: TeamClients) -> None:
    """Declare the team's OIDC clients, with the names that follow no pattern."""
    own.data["oidc_clients"] = {}
    own.notes += oidc.notes
    for each in oidc.clients:
        own.clients.append(each.id)
        data, why = client(snapshot.clients[each.id])
        if data is None:
            own.note("not expressed", ("oidc_clients", each.key), why)
            continue
        own.data["oidc_clients"][each.key] = data
        usual = fill(names.client_secret, name=each.key)
        if each.id != fill(names.client, team=own.found.name, name=each.key):
            own.name("clients", each.key, each.id)
        if len(each.secrets) == 1 and usual not in each.secrets:
            own.name("client_secrets", each.key, each.secrets[0])
        elif len(each.secrets) > 1 and usual not in each.secrets:
            text = (
                f"the credentials of client {quoted(each.id)} are in several Secrets: "
                f"{', '.join(each.secrets)}. Name one of them in names.client_secrets"
            )
            own.note("suggestion", ("oidc_clients", each.key), text)


def _share(own: Draft) -> None:
    """Leave out the labels and amounts of the first namespace that a further one lacks.

    A further namespace takes the fields that it does not give from the first one.
    """
    first = own.data["namespace"]
    for key, inside in own.data["further_namespaces"].items():
        for part in ("labels", "annotations", "quota"):
            for name in [name for name in first[part] if name not in inside[part]]:
                value = first[part].pop(name)
                text = (
                    f"'{name}: {value}' of the first namespace stays as it is: a further namespace, "
                    f"'{key}', lacks it, and would inherit it"
                )
                own.note("not expressed", ("namespace", part), text)


def _external_groups(own: Draft, snapshot: Snapshot) -> None:
    own.data["external_groups"] = {}
    for alias, mappers in snapshot.mappers.items():
        for mapper in mappers:
            path = str((mapper.get("config") or {}).get("group") or "")
            if own.found.group is None or path.rsplit("/", 1)[-1] != own.found.group:
                continue
            names = external_names(mapper, claim_of(mapper))
            if str(mapper.get("name")).startswith("tenantry ") and names:
                own.data["external_groups"][alias] = names
            else:
                text = (
                    f"mapper '{mapper.get('name')}' of identity provider '{alias}' stays as it is"
                )
                own.note("not expressed", ("external_groups",), text)


def claim_of(mapper: dict[str, Any]) -> str:
    """Return the claim that a mapper of groups reads."""
    try:
        return str(json.loads((mapper.get("config") or {}).get("claims") or "[]")[0]["key"])
    except (ValueError, LookupError, TypeError):
        return ""
