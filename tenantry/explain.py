"""Formats plans for people and programs. It makes no calls to any system."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tenantry.declared import Team
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import PLATFORM, Difference, Exactly, Id, Observed
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.wording import count, value_text

_SIGNS = {"adopt": "»", "create": "+", "update": "~", "replace": "±", "delete": "-"}
_COLOURS = {
    "adopt": "cyan",
    "create": "green",
    "update": "yellow",
    "replace": "magenta",
    "delete": "red",
}
_DONE = {
    "adopt": "adopted",
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
}
_RECREATED = "deleted and created again"
_LONGEST = 60


def text(value: Any) -> str:
    """Return a value on one line, without brackets around lists; long values are cut in the middle."""
    shown = full_text(value)
    if len(shown) <= _LONGEST:
        return shown
    half = (_LONGEST - 3) // 2
    return f"{shown[:half]} … {shown[-half:]}"


def full_text(value: Any, *, fixed: bool = False) -> str:
    """Return a value on one line, in full.

    Args:
        value: the value.
        fixed: write relative times as absolute ones, so that the text does not depend on the clock.
    """
    return value_text(plain(value, fixed=fixed))


def difference(change: Change, found: Difference) -> str:
    """Return a field with its old and new value; a created resource has no old value."""
    if change.live is None:
        return f"{found.field}: {text(found.new)}"
    return f"{found.field}: {text(found.old)} → {text(found.new)}"


def fields(change: Change) -> str:
    """Return the differing fields, a line each. An adopted object that is re-created says so."""
    lines = [difference(change, found) for found in change.differences]
    if change.action == "adopt" and change.recreates:
        lines.append(_RECREATED)
    return "\n".join(lines)


def rows(changes: Iterable[Change]) -> list[dict[str, str]]:
    """Return changes as table rows, one per change."""
    return [
        {
            "action": change.action,
            "resource": f"{change.id.system} {change.id.kind}\n{change.id.key}",
            "fields": fields(change),
        }
        for change in changes
    ]


def plan_rows(plan: Plan) -> list[dict[str, str]]:
    """Return a plan as table rows: its changes, then what is no longer declared and stays."""
    left = [
        {
            "action": each.removal,
            "resource": f"{each.id.system} {each.id.kind}\n{each.id.key}",
            "fields": f"no longer declared: {each.reason}",
        }
        for each in plan.left
    ]
    return [*rows(plan.changes), *left]


def steps(plan: Plan) -> frozenset[str]:
    """Return each change of a plan as a line with complete values, for comparison only.

    The lines do not depend on the clock, so that the same plan always has the same lines.
    """
    return frozenset(
        f"{plan.team}: {change.action} {change.id} "
        + "; ".join(
            f"{d.field}: {full_text(d.old, fixed=True)} → {full_text(d.new, fixed=True)}"
            for d in change.differences
        )
        for change in plan.changes
    )


def plan_hash(lines: Iterable[str]) -> str:
    """Return a short hash of the steps of one or more plans."""
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()[:12]


def summary(outcomes: Iterable[Outcome], *, applied: bool = False) -> str:
    """Return one line that counts the resources by their changes, such as `1 team: 3 to create.`

    It ends with the teams that could not be read, whose changes are unknown.

    Args:
        outcomes: the plans, or the errors if planning failed.
        applied: whether the changes were applied: `1 team: 3 created.`
    """
    outcomes = list(outcomes)
    plans = [outcome.plan for outcome in outcomes if outcome.plan is not None]
    actions = [change.action for plan in plans for change in plan.changes]
    parts = [
        f"{actions.count(action)} {_DONE[action]}"
        if applied
        else f"{actions.count(action)} to {action}"
        for action in _SIGNS
        if action in actions
    ]
    refusals = sum(len(plan.refusals) for plan in plans)
    waiting = sum(len(plan.waiting) for plan in plans)
    parts += [f"{refusals} refused"] * bool(refusals) + [f"{waiting} waiting"] * bool(waiting)
    left = sum(len(plan.left) for plan in plans)
    parts += [f"{left} no longer declared"] * bool(left)
    unread = [outcome for outcome in outcomes if outcome.plan is None]
    failed = f"{_counted(unread)} could not be read" if unread else ""
    if not plans and unread:
        line = failed
    else:
        changed = ", ".join(parts) or ("" if unread else "in sync")
        line = f"{_counted(outcomes)}: {'; '.join(filter(None, [changed, failed]))}"
    return f"{line[0].upper()}{line[1:]}."


def _counted(outcomes: list[Outcome]) -> str:
    teams = sum(outcome.team != PLATFORM for outcome in outcomes)
    counted = count(teams, "team")
    if teams == len(outcomes):
        return counted
    return f"the platform and {counted}" if teams else "the platform"


def table(outcomes: Iterable[Outcome]) -> RenderableType:
    """Return plans as a table for the terminal."""
    parts: list[RenderableType] = []
    outcomes = list(outcomes)
    for outcome in outcomes:
        parts.extend(_team(outcome))
    parts.append(Text(summary(outcomes), style="bold"))
    return Group(*parts)


def _team(outcome: Outcome) -> list[RenderableType]:
    title = "Platform" if outcome.team == PLATFORM else f"Team {outcome.team}"
    if outcome.plan is None:
        return [Text(f"{title}: cannot be read: {outcome.error}", style="red"), Text()]
    plan = outcome.plan
    if plan.is_empty and not plan.waiting and not plan.left:
        return [Text(f"{title}: in sync", style="dim"), Text()]
    shown = Table(title=title, title_justify="left", title_style="bold", expand=False)
    shown.add_column("")
    shown.add_column("Resource", overflow="fold")
    shown.add_column("Field: old → new", overflow="fold")
    for change in plan.changes:
        colour = _COLOURS[change.action]
        sign = f"[{colour}]{_SIGNS[change.action]} {change.action}[/]"
        shown.add_row(sign, escape(str(change.id)), escape(fields(change)))
    for refusal in plan.refusals:
        shown.add_row("[red]! refused[/]", escape(str(refusal.id)), escape(refusal.reason))
    for wait in plan.waiting:
        shown.add_row("[cyan]… waiting[/]", escape(str(wait.id)), escape(wait.reason))
    for each in plan.left:
        reason = f"no longer declared: {each.reason}"
        shown.add_row(f"[yellow]· {each.removal}[/]", escape(str(each.id)), escape(reason))
    return [shown, Text()]


def document(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return plans for programs: one object per team (an empty name is the platform)."""
    return [_document(outcome) for outcome in outcomes]


def _document(outcome: Outcome) -> dict[str, Any]:
    plan = outcome.plan
    if plan is None:
        return {"team": outcome.team, "error": str(outcome.error)}
    error = {"error": str(outcome.error)} if outcome.error is not None else {}
    return {
        "team": outcome.team,
        **error,
        "changes": [
            {
                "action": change.action,
                "system": change.id.system,
                "kind": change.id.kind.name,
                "key": change.id.key,
                "recreates": change.recreates,
                "differences": [
                    {"field": found.field, "old": plain(found.old), "new": plain(found.new)}
                    for found in change.differences
                ],
            }
            for change in plan.changes
        ],
        "refused": [{"resource": str(r.id), "reason": r.reason} for r in plan.refusals],
        "waiting": [{"resource": str(w.id), "reason": w.reason} for w in plan.waiting],
        "no_longer_declared": [
            {"resource": str(each.id), "removal": each.removal, "reason": each.reason}
            for each in plan.left
        ],
    }


def plain(value: Any, *, fixed: bool = False) -> Any:
    """Return a value as plain JSON types; `fixed` is as in `full_text`."""
    if isinstance(value, Exactly):
        return plain(value.value, fixed=fixed)
    if isinstance(value, Mapping):
        return {key: plain(below, fixed=fixed) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below, fixed=fixed) for below in value]
    if fixed and isinstance(stays := getattr(value, "fixed", None), str):
        return stays
    return value if isinstance(value, bool | int | float | None) else str(value)


def inventory(
    teams: Iterable[Team], observed: Observed, outcomes: Iterable[Outcome]
) -> RenderableType:
    """Return a table that counts the existing resources: one row per kind, one column per team."""
    shown = Table(title="Existing resources", title_justify="left", title_style="bold")
    for column in ("System", "Resource"):
        shown.add_column(column)
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for team in teams:
        shown.add_column(team.name, justify="right")
        owned = (id for id in observed.live if _belongs(id, team))
        counts[team.name] = Counter(
            (id.system, id.kind.name) for id in owned if not id.kind.is_record
        )
    kinds = dict.fromkeys(kind for found in counts.values() for kind in found)
    last = ""
    for system, kind in sorted(kinds, key=lambda found: _SYSTEMS.index(found[0])):
        name = system.capitalize() if system != last else ""
        last = system
        shown.add_row(name, kind, *(str(found[system, kind] or "") for found in counts.values()))
    shown.add_section()
    states = [outcome.plan is not None and outcome.plan.is_empty for outcome in outcomes]
    shown.add_row("", "in sync", *("[green]yes[/]" if good else "[red]no[/]" for good in states))
    return shown


_SYSTEMS = ("kubernetes", "harbor", "keycloak", "istio")


def _belongs(id: Id, team: Team) -> bool:
    owners = {*team.namespaces, team.project, team.oidc_group}
    clients = set(map(team.client_id, team.oidc_clients))
    return id.key.split("/")[0] in owners or (id.kind == CLIENT and id.key in clients)
