"""Settles the drafts: the planner judges each of them, and what would change something is left out.

The planner, not the import, decides whether a declaration matches the live state. A field whose plan
would contain more than adoption is removed from the draft, and is kept as a note. So an import and the
plan after it cannot disagree.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from tenantry.calls import Clock
from tenantry.connections import Connections
from tenantry.declared import Declaration, Platform, Team, complete
from tenantry.declared.adopt import SYSTEMS, AdoptBySystem, shortest
from tenantry.declared.faults import Place
from tenantry.declared.rules import check_on_platform, check_team
from tenantry.importing.drafts import Draft
from tenantry.importing.notes import quoted
from tenantry.plan import MARKED, Change, Plan
from tenantry.resources import MARK_PREFIXES, Difference
from tenantry.systems.clients import Clients
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners

Data = dict[str, Any]

_ROUNDS = 12
"""How often the drafts are planned again. Each round removes at least one field."""
_OFF: dict[str, Any] = {"network": {"deny_by_default": False}, "cluster_role": None}
"""The values of fields of a namespace that declare nothing."""


class Settling:
    """The drafts of all teams, and the connections that plan them.

    Args:
        connections: the connections to the systems.
        clients: the open connections.
        clock: the clock.
    """

    def __init__(self, connections: Connections, clients: Clients, clock: Clock) -> None:
        self._connections = connections
        self._clients = clients
        self._clock = clock

    def settle(self, platform: Data, drafts: Sequence[Draft]) -> dict[str, Plan]:
        """Remove from the drafts what would change something, and return the last plans.

        Raises:
            TenantryError: a system cannot be read.
        """
        plans: dict[str, Plan] = {}
        for _ in range(_ROUNDS):
            plans = self._plans(platform, drafts)
            removed = [
                _judge(each, plans[each.found.name]) for each in drafts if each.found.name in plans
            ]
            if not any(removed):
                break
        for each in drafts:
            if each.found.name in plans:
                _note_rest(each, plans[each.found.name])
        self._choose_adopt(platform, [each for each in drafts if each.found.name in plans])
        return plans

    def _choose_adopt(self, platform: Data, drafts: Sequence[Draft]) -> None:
        """Declare the strictest `adopt`, by system, with which nothing is refused."""
        for each in drafts:
            each.data["adopt"] = dict.fromkeys(SYSTEMS, "if-identical")
        for _ in SYSTEMS:
            plans = self._plans(platform, drafts)
            for each in drafts:
                refusals = plans[each.found.name].refusals
                each.data["adopt"] |= {refused.id.system: "yes" for refused in refusals}
            if not any(plan.refusals for plan in plans.values()):
                break
        for each in drafts:
            changes = plans[each.found.name].changes
            needed = {change.id.system for change in changes if change.action == "adopt"}
            modes = each.data.pop("adopt")
            if found := {system: modes[system] for system in SYSTEMS if system in needed}:
                each.data["adopt"] = shortest(AdoptBySystem.model_validate(found))

    def _plans(self, platform: Data, drafts: Sequence[Draft]) -> dict[str, Plan]:
        declared = Platform.model_validate({**platform, "adopt": "yes"})
        teams = {}
        for each in drafts:
            team = _valid(declared, each)
            if team is not None:
                teams[team.name] = team
        state = Declaration(declared, teams)
        with Systems(
            self._connections, state, clients=self._clients, extras=True, clock=self._clock
        ) as systems:
            observed = observe_owners(systems.team_adapters, list(teams.values()))
            return {name: systems.plan(team, observed) for name, team in teams.items()}


def _valid(platform: Platform, draft: Draft) -> Team | None:
    """Return the team, after what is not valid was removed from the draft."""
    faults: list[tuple[Place, str]] = []
    for _ in range(_ROUNDS):
        try:
            team = complete(platform, Team.model_validate({"adopt": "yes", **draft.data}))
        except ValidationError as error:
            faults = [(tuple(each["loc"]), str(each["msg"])) for each in error.errors()]
        else:
            faults = [*check_team(team), *check_on_platform(platform, team)]
            if not faults:
                return team
        if not [remove(draft, place, f"it is not valid: {text}") for place, text in faults]:
            break
    draft.faults = [f"{'.'.join(map(str, place))}: {text}" for place, text in faults]
    return None


def _judge(draft: Draft, plan: Plan) -> bool:
    """Remove the fields whose plan changes something; return whether any were removed."""
    removed = False
    for change in plan.changes:
        found = beyond_marks(change)
        if change.writes_only_marks or _is_repair(change, found):
            continue
        for place in _places(draft, change, found):
            removed |= remove(draft, place, _why(change, found))
    return removed


def beyond_marks(change: Change) -> list[Difference]:
    """Return the differences of a change other than Tenantry's marks."""
    fields = change.id.kind.mark_fields
    return [
        found
        for found in change.differences
        if not any(mark in found.field for mark in MARK_PREFIXES)
        and found.field not in fields
        and found != MARKED
    ]


def _is_repair(change: Change, found: Iterable[Difference]) -> bool:
    """Return whether a change repairs a broken credential, which is no fault of the declaration."""
    fields = change.id.kind.health_fields
    return change.live is not None and all(each.field.split(".")[0] in fields for each in found)


def _places(draft: Draft, change: Change, found: Sequence[Difference]) -> list[Place]:
    team = Team.model_validate({**draft.data})
    fields = [each.field for each in found] or [""]
    places = [change.id.kind.place(team, change.id.key, field) for field in fields]
    if change.id.kind.name == "ServiceAccount":
        names = [field.partition(".")[2] for field in fields]
        purposes = [each for each in draft.data["robots"] if draft.secrets.get(each) in names]
        places = [("robots", purpose, "attach") for purpose in purposes]
    if change.id.kind.name == "NetworkPolicy" and places[0][-1:] == ("network",):
        name = change.id.key.partition("/")[2].removeprefix("tenantry-").replace("-", "_")
        places = [(*places[0], name)]
    return list(dict.fromkeys(places))


def _why(change: Change, found: Sequence[Difference]) -> str:
    if change.action == "create":
        return f"the plan would create {change.id}"
    fields = ", ".join(f"{each.field}: {quoted(each.old)} to {quoted(each.new)}" for each in found)
    return f"the plan would {change.action} {change.id} ({fields})"


def remove(draft: Draft, place: Place, why: str) -> bool:
    """Remove the smallest part that contains a place from a draft, with a note.

    Returns:
        Whether something was removed. Some fields of a team cannot be absent.
    """
    unit = _unit(place)
    if not unit:
        return False
    if unit[0] == "further_namespaces" and not _has(draft.data, unit):
        unit = ("namespace", *unit[2:])
    parent: Any = draft.data
    for step in unit[:-1]:
        parent = (parent.get(step) if isinstance(parent, dict) else None) or {}
    last = unit[-1]
    if not isinstance(parent, dict) or last not in parent:
        return False
    value = parent[last]
    absent = (
        _OFF.get(str(last), _ABSENT) if unit[0] in ("namespace", "further_namespaces") else _ABSENT
    )
    if unit[0] == "robots":
        absent = False if unit[2:] == ("attach",) else None
    elif str(last).startswith("allow_"):
        absent = False
    if absent is _ABSENT:
        del parent[last]
    elif value == absent:
        return False
    else:
        parent[last] = absent
    if len(unit) == 2:
        _remove_names(draft.data, unit[0], unit[1])
    shown = json.dumps(value, sort_keys=True, default=str)
    draft.note("not expressed", unit, f"{'.'.join(map(str, unit))}: {shown}: {why}")
    return True


_NAMES_OF = {"robots": ("secrets",), "oidc_clients": ("clients", "client_secrets")}


def _remove_names(data: Data, part: Any, key: Any) -> None:
    """Remove the explicit names of an object that is not declared."""
    names = data.get("names") or {}
    for section in _NAMES_OF.get(part, ()):
        if section in names:
            names[section].pop(key, None)
            if not names[section]:
                del names[section]
    if "names" in data and not names:
        del data["names"]


_ABSENT = object()


def _has(data: Any, place: Place) -> bool:
    for step in place:
        if not isinstance(data, dict) or step not in data:
            return False
        data = data[step]
    return True


def _unit(place: Place) -> Place:
    """Return the place of the smallest part that can be absent; empty if no part can.

    Without the level of Pod Security, or the switch of the mesh, the platform's value would apply to
    pods that run without it today. So the adoption writes the label instead.
    """
    match place:
        case (*_, "pod_security" | "mesh"):
            return ()
        case ("robots", purpose, "attach", *_):
            return ("robots", purpose, "attach")
        case ("robots" | "oidc_clients" | "routes" | "external_groups", name, *_):
            return (place[0], name)
        case ("harbor", "groups", group, *_):
            return ("harbor", "groups", group)
        case ("harbor", field, *_):
            return ("harbor", field)
        case ("members", *_):
            return ("members",)
        case ("namespace", *rest):
            return ("namespace", *_unit_of_namespace(tuple(rest)))
        case ("further_namespaces", key, *rest):
            return ("further_namespaces", key, *_unit_of_namespace(tuple(rest)))
    return ()


def _unit_of_namespace(place: Place) -> Place:
    match place:
        case ("labels" | "annotations", key, *_):
            return (place[0], key)
        case ("network", "policies", name, *_):
            return ("network", "policies", name)
        case ("network", flag, *_) if str(flag).startswith("allow_"):
            return ("network", flag)
        case (field, *_) if field not in ("mesh", "pod_security"):  # they cannot be absent
            return (field,)
    return ()


def _note_rest(draft: Draft, plan: Plan) -> None:
    """Note what the plan contains beyond adoption, since it cannot be declared otherwise."""
    for change in plan.changes:
        if not change.writes_only_marks:
            text = _why(change, beyond_marks(change)).replace("would", "will")
            draft.note("also planned", (), text)
    for refusal in plan.refusals:
        draft.note("also planned", (), f"{refusal.id} is refused: {refusal.reason}")
