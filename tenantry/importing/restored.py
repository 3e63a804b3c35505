"""What an import restores of a team that Tenantry has onboarded, and what no system shows.

The first namespace of a team records the Secrets that Tenantry created for it, also those outside of
its namespaces. No member of the team can change this record.
"""

from collections.abc import Iterator
from typing import Any

from tenantry.errors import SystemRefused
from tenantry.importing.notes import Note
from tenantry.importing.recognition import Found
from tenantry.importing.snapshot import Snapshot, annotations
from tenantry.systems.clients import Clients
from tenantry.systems.credentials.contents import content, format_of
from tenantry.systems.harbor.robots import purpose_of, short_name
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.kubernetes.record import RECORD, parse

Data = dict[str, Any]


def sinks(
    clients: Clients, snapshot: Snapshot, team: Found, registry: str
) -> Iterator[tuple[str, Data]]:
    """Yield the sinks that a team's namespace records, each with the purpose of its robot.

    Other people can write where a sink is. So its content counts only if Harbor accepts the credential
    in it: whoever wrote it had the credential already.

    Args:
        clients: the connections to the systems.
        snapshot: what was read.
        team: the team.
        registry: the host for which the Secrets hold credentials.

    Raises:
        TenantryError: a system cannot be read.
    """
    purposes = _purposes(snapshot, team)
    for namespace, name in _recorded(snapshot, team):
        try:
            secret = clients.clusters.home.get("Secret", name, namespace)
        except SystemRefused:
            continue
        if secret is None or (format := format_of(secret)) is None:
            continue
        held = content(secret, format, registry, purposes.__contains__).credential
        purpose = purposes.get(held.username) if held else None
        if held and purpose and clients.harbor.accepts(held.username, held.password):
            shown = {} if format == "docker" else {"format": format}
            yield purpose, {"namespace": namespace, "name": name, **shown}


def lost(snapshot: Snapshot, team: Found, restored: int) -> Note | None:
    """Return what the lost declaration of a team may have had and no system shows.

    Args:
        snapshot: what was read.
        team: the team.
        restored: the number of its sinks that were restored.

    Returns:
        None if Tenantry has not issued robots of the team, so that no declaration was lost.
    """
    purposes = sorted(set(_purposes(snapshot, team).values()))
    if not purposes:
        return None
    unread = len(_recorded(snapshot, team)) - restored
    more = f", {unread} of its sinks" if unread else ""
    if not _is_marked(snapshot, team):
        more = ", sinks, replaces"
    text = (
        "no system shows these settings of a team: profile, display_name, contact, drift.ignore"
        f"{more}, and the rotation of the robots {', '.join(purposes)}. Declare them again if the lost "
        "file had them"
    )
    return Note("lost", (), text)


def _purposes(snapshot: Snapshot, team: Found) -> dict[str, str]:
    """Return the purposes of the robots of Tenantry in a team's project, by full name."""
    rows = snapshot.details[team.project].robots if team.project else []
    found = {str(row["name"]): purpose_of(short_name(row)) for row in rows}
    return {name: purpose for name, purpose in found.items() if purpose}


def _recorded(snapshot: Snapshot, team: Found) -> list[tuple[str, str]]:
    """Return the existing Secrets outside of a team's namespaces that Tenantry created for it."""
    if not _is_marked(snapshot, team):
        return []
    spaces = {team.namespace, *team.further.values()}
    record = annotations(snapshot.namespaces[team.namespace or ""]).get(RECORD)
    keys = sorted(id.key for id in parse(record) or () if id.kind == SECRET)
    places = [(key.partition("/")[0], key.partition("/")[2]) for key in keys]
    return [
        (namespace, name)
        for namespace, name in places
        if namespace not in spaces and name in snapshot.secrets.get(namespace, {})
    ]


def _is_marked(snapshot: Snapshot, team: Found) -> bool:
    """Return whether a team's first namespace carries its mark."""
    mark = objects.mark_of(snapshot.namespaces[team.namespace or ""])
    return mark is not None and mark.team == team.name
