"""The first draft of a team's declaration, from the live resources."""

import json
from dataclasses import dataclass, field
from typing import Any

from tenantry.declared.faults import Place
from tenantry.declared.names import NamePatterns, fill
from tenantry.importing.namespaces import namespace
from tenantry.importing.naming import explicit
from tenantry.importing.notes import Note
from tenantry.importing.projects import project
from tenantry.importing.realm import clients, external_names, members
from tenantry.importing.recognition import Found
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
    exclude: frozenset[str],
) -> Draft:
    """Return the first draft of a team.

    Args:
        connections: the connections to the systems.
        snapshot: what was read.
        robots: the robots of all teams.
        found: the team.
        names: the platform's patterns of names.
        exclude: the clients of the platform itself.
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
    own.data["robots"], own.secrets, notes = robots.of(found)
    own.data["robots"] |= {
        purpose: None for purpose in BUILT_IN_ROBOTS if purpose not in own.data["robots"]
    }
    own.notes += notes
    for part, items in (
        ("oidc_clients", clients(snapshot, fill(names.client, team=found.name), exclude)),
        ("routes", routes(snapshot, found.namespace or "")),
    ):
        own.data[part] = {}
        for name, declared, note in items:
            if part == "oidc_clients":
                own.clients.append(fill(names.client, team=found.name, name=name))
            if declared is not None:
                own.data[part][name] = declared
            if note is not None:
                own.notes.append(note)
    _external_groups(own, snapshot)
    if found.group and found.group != found.usual_group:
        own.data["group"] = found.group
    if given := explicit(found, names):
        own.data["names"] = given
    return own


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
