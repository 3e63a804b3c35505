"""The settlement of conflicts between teams, by the marks in the systems.

Two teams may claim the same name, which no convention gives to one of them. The current holder
keeps it, and the other team is left out. If no mark shows the holder, both are left out. A team
that is left out keeps what it holds, even if its file cannot be read: another team that claims it
is left out, too.

If a read fails, the holder is unknown. All teams that claim the name are left out until it can be
read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tenantry.connections import Connections
from tenantry.declared import Declaration, LeftOut, Team
from tenantry.declared.claims import Claim, claims_of, is_by_convention
from tenantry.declared.faults import Document
from tenantry.declared.policy_names import LOOPBACK
from tenantry.declared.policy_source import file_name
from tenantry.declared.state import Contested, Documents
from tenantry.errors import TenantryError
from tenantry.systems.holders import Holders
from tenantry.systems.systems import Systems


def connect(
    connections: Connections,
    state: Declaration,
    *,
    keycloak: bool = True,
    settled_by: Callable[[Systems, bool], Declaration] | None = None,
    **options: Any,
) -> Systems:
    """Return the systems for a declared state, after conflicts between teams are settled.

    Args:
        connections: the connections to the systems.
        state: the declared state. The `state` of the systems is the settled one.
        keycloak: whether Keycloak may be called.
        settled_by: the function that settles the conflicts, given the systems and whether Keycloak
            may be called; `settle` by default.
        options: the options of `Systems`.
    """
    state = _keep_own_hosts(connections, state)
    systems = Systems(connections, state, **options)
    if not state.left_out:
        return systems
    try:
        settled = (settled_by or settle)(systems, keycloak)
    except BaseException:
        systems.close()
        raise
    systems.close()
    return Systems(connections, settled, **options)


def _keep_own_hosts(connections: Connections, state: Declaration) -> Declaration:
    """Return the declared state without teams that use the hosts by which the systems are
    called."""
    if state.evaluator is None:
        return state
    urls = {"Harbor": connections.harbor.url, "Keycloak": connections.keycloak.url}
    hosts = {str(urlsplit(url).hostname): system for system, url in urls.items()}
    hosts = {host: system for host, system in hosts.items() if host not in LOOPBACK}
    teams, left_out = dict(state.teams), list(state.left_out)
    for name, team in state.teams.items():
        document = _documents(state).get(name, Document(f"teams/{name}.yaml", {}))
        found = [*state.evaluator.check_systems(team, hosts, file_name(document.name))]
        if found:
            faults = tuple(document.fault(each.place, each.text) for each in found)
            refused = frozenset(each.place for each in found)
            del teams[name]
            left_out.append(
                LeftOut(
                    document.name,
                    faults,
                    (),
                    (name,),
                    team,
                    document,
                    is_whole=True,
                    refused=refused,
                )
            )
    if len(teams) == len(state.teams):
        return state
    return replace(state, teams=teams, left_out=tuple(left_out))


def settle(
    systems: Systems,
    keycloak: bool = True,
    *,
    check: Callable[[Iterable[TenantryError]], None] = lambda failures: None,
) -> Declaration:
    """Return the declared state without open conflicts. The systems are not changed.

    Args:
        systems: the systems.
        keycloak: whether Keycloak may be called.
        check: receives the failures of the reads. It can raise one of them, so that the caller
            tries again. Otherwise teams whose claims could not be settled are left out.
    """
    state, holders = systems.state, Holders(systems, keycloak=keycloak)
    state = _settle_all(state, holders)
    check(holders.failures.values())
    return state


def _settle_all(state: Declaration, holders: Holders) -> Declaration:
    state = _settle_contested(state, holders)
    while intruders := dict(_intruders(state, holders)):
        teams = {name: team for name, team in state.teams.items() if name not in intruders}
        left_out = (*state.left_out, *(_intruder(state, *pair) for pair in intruders.items()))
        state = replace(state, teams=teams, left_out=left_out)
    return state


def _settle_contested(state: Declaration, holders: Holders) -> Declaration:
    rivals: dict[tuple[str, str], list[LeftOut]] = defaultdict(list)
    for each in state.left_out:
        for contested in each.contested:
            rivals[contested.kind, contested.name].append(each)
    keepers: dict[tuple[str, str], LeftOut | None] = {}
    why: dict[tuple[str, str], str] = {}
    for key, files in rivals.items():
        try:
            keepers[key] = holders.decide(*key, files)
            why[key] = "the systems do not show which of them holds it"
        except TenantryError as error:
            keepers[key] = None
            why[key] = f"which of them holds it could not be read: {error}"
    teams, documents, left_out = dict(state.teams), dict(_documents(state)), []
    offboarding = dict(state.offboarding)
    for each in state.left_out:
        lost = []
        for contested in each.contested:
            key = (contested.kind, contested.name)
            keeper = keepers[key]
            if keeper is None:
                lost.append(replace(contested, fault=f"{contested.fault}; {why[key]}"))
            elif keeper is not each:
                lost.append(replace(contested, fault=f"{contested.fault}, which holds it"))
        if each.team is not None and each.is_whole and not (lost or each.definite):
            kept_as = offboarding if each.is_offboarding else teams
            kept_as[each.team.name] = each.team
            documents[each.team.name] = each.document
        else:
            left_out.append(replace(each, contested=tuple(lost)))
    return replace(
        state,
        teams=dict(sorted(teams.items())),
        offboarding=dict(sorted(offboarding.items())),
        left_out=tuple(
            replace(
                each,
                names=tuple(name for name in each.names if name not in {*teams, *offboarding}),
            )
            for each in left_out
        ),
        documents=_with(state, documents),
    )


def _documents(state: Declaration) -> dict[str, Document]:
    return dict(state.documents.teams) if state.documents else {}


def _with(state: Declaration, documents: dict[str, Document]) -> Documents | None:
    return replace(state.documents, teams=documents) if state.documents else None


def _intruders(state: Declaration, holders: Holders) -> Iterator[tuple[str, list[Contested]]]:
    """Yield the teams that claim a name that a team that is left out holds, or may hold."""
    absent = state.names - state.teams.keys()
    for team in state.teams.values() if absent or not state.knows_all_names else ():
        faults = []
        for claim in claims_of(team):
            if not _is_by_convention(claim) and (why := _held_by_absent(state, holders, claim)):
                text = f"{claim.kind} '{claim.name}' {why}"
                fault = state.fault(team.name, claim.place, text)
                faults.append(Contested(claim.kind, claim.name, fault))
        if faults and not _is_applied(holders, team):
            yield team.name, faults


def _held_by_absent(state: Declaration, holders: Holders, claim: Claim) -> str:
    """Return why a team cannot have a claimed name; empty if it can."""
    try:
        holder = holders.holder(claim.kind, claim.name)
    except TenantryError as error:
        return f"may be held by a team that is left out: its holder could not be read: {error}"
    if not state.knows_all_names and holder not in (None, *state.names):
        return f"is held by team '{holder}', which may be declared in a file that cannot be read"
    if holder in state.names - state.teams.keys():
        reason = "is being offboarded" if holder in state.offboarding else "is left out"
        return f"is held by team '{holder}', which {reason}"
    return ""


def _is_applied(holders: Holders, team: Team) -> bool:
    """Return whether the current declared state of a team is known to be applied."""
    try:
        return holders.is_applied(team)
    except TenantryError:
        return False  # unknown: the team is left out until its namespace can be read


def _is_by_convention(claim: Claim) -> bool:
    """Return whether a claim is for a name that is derived from the team's name."""
    if claim.kind == "the Secret":
        return claim.name.partition("/")[0] in claim.team.namespaces
    return is_by_convention(claim)


def _intruder(state: Declaration, name: str, faults: list[Contested]) -> LeftOut:
    team: Team = state.teams[name]
    document = _documents(state).get(name, Document(f"teams/{name}.yaml", {}))
    return LeftOut(document.name, (), tuple(faults), (name,), team, document, is_whole=True)
