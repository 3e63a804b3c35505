"""A plan, told to people and to programs. Showing never touches a system."""

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

_SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
_COLOURS = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red"}
_LONGEST = 60


def text(value: Any) -> str:
    """A value on one line, cut in the middle if it is long; lists and mappings as people write."""
    shown = whole(value)
    if len(shown) <= _LONGEST:
        return shown
    half = (_LONGEST - 3) // 2
    return f"{shown[:half]} … {shown[-half:]}"


def whole(value: Any, *, fixed: bool = False) -> str:
    """Return a value on one line, in full.

    Args:
        value: the value.
        fixed: write the moment instead of how far off it is: a text that stays as time passes.
    """
    return value_text(plain(value, fixed=fixed))


def difference(change: Change, found: Difference) -> str:
    """One field, old and new: of something that is created there is no old."""
    if change.live is None:
        return f"{found.field}: {text(found.new)}"
    return f"{found.field}: {text(found.old)} → {text(found.new)}"


def rows(changes: Iterable[Change]) -> list[dict[str, str]]:
    """Return changes as rows of a table, one for each change."""
    return [
        {
            "action": change.action,
            "resource": f"{change.id.system} {change.id.kind}\n{change.id.key}",
            "fields": "\n".join(difference(change, found) for found in change.differences),
        }
        for change in changes
    ]


def steps(plan: Plan) -> frozenset[str]:
    """Return each change of a plan as a line with all values in full: to compare, not to show.

    The same plan has the same lines whenever it is made: texts that depend on the clock are not in
    them.
    """
    return frozenset(
        f"{plan.team}: {change.action} {change.id} "
        + "; ".join(
            f"{d.field}: {whole(d.old, fixed=True)} → {whole(d.new, fixed=True)}"
            for d in change.differences
        )
        for change in plan.changes
    )


def plan_hash(lines: Iterable[str]) -> str:
    """Return a short hash of the steps of one or more plans: another one if anything differs."""
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()[:12]


def summary(outcomes: Iterable[Outcome], *, applied: bool = False) -> str:
    """Return one line that counts the changes of the plans, such as `1 team: 3 to create.`

    Args:
        outcomes: the plans, or why there is none.
        applied: the changes were made: `1 team: 3 created.`
    """
    outcomes = list(outcomes)
    plans = [outcome.plan for outcome in outcomes if outcome.plan is not None]
    actions = [change.action for plan in plans for change in plan.changes]
    parts = [
        f"{actions.count(action)} {action}d" if applied else f"{actions.count(action)} to {action}"
        for action in _SIGNS
        if action in actions
    ]
    refusals = sum(len(plan.refusals) for plan in plans)
    waiting = sum(len(plan.waiting) for plan in plans)
    unread = sum(outcome.plan is None for outcome in outcomes)
    parts += [f"{refusals} refused"] * bool(refusals) + [f"{waiting} waiting"] * bool(waiting)
    parts += [f"{unread} not readable"] * bool(unread)
    return f"{_counted(outcomes)}: {', '.join(parts) or 'nothing to do'}."


def _counted(outcomes: list[Outcome]) -> str:
    teams = sum(outcome.team != PLATFORM for outcome in outcomes)
    told = count(teams, "team")
    if teams == len(outcomes):
        return told
    return f"The platform and {told}" if teams else "The platform"


def table(outcomes: Iterable[Outcome]) -> RenderableType:
    """Plans as they are printed on a terminal."""
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
    if plan.is_empty and not plan.waiting:
        return [Text(f"{title}: as declared", style="dim"), Text()]
    shown = Table(title=title, title_justify="left", title_style="bold", expand=False)
    shown.add_column("")
    shown.add_column("Resource", overflow="fold")
    shown.add_column("Field: old → new", overflow="fold")
    for change in plan.changes:
        fields = "\n".join(difference(change, found) for found in change.differences)
        colour = _COLOURS[change.action]
        sign = f"[{colour}]{_SIGNS[change.action]} {change.action}[/]"
        shown.add_row(sign, escape(str(change.id)), escape(fields))
    for refusal in plan.refusals:
        shown.add_row("[red]! refused[/]", escape(str(refusal.id)), escape(refusal.reason))
    for wait in plan.waiting:
        shown.add_row("[cyan]… waits[/]", escape(str(wait.id)), escape(wait.reason))
    return [shown, Text()]


def document(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Plans for programs: one object a team (an empty name: the platform), with everything in full."""
    return [_document(outcome) for outcome in outcomes]


def _document(outcome: Outcome) -> dict[str, Any]:
    plan = outcome.plan
    if plan is None:
        return {"team": outcome.team, "error": str(outcome.error)}
    return {
        "team": outcome.team,
        "changes": [
            {
                "action": change.action,
                "system": change.id.system,
                "kind": change.id.kind.name,
                "key": change.id.key,
                "adopts": change.adopts,
                "differences": [
                    {"field": found.field, "old": plain(found.old), "new": plain(found.new)}
                    for found in change.differences
                ],
            }
            for change in plan.changes
        ],
        "refused": [{"resource": str(r.id), "reason": r.reason} for r in plan.refusals],
        "waiting": [{"resource": str(w.id), "reason": w.reason} for w in plan.waiting],
    }


def plain(value: Any, *, fixed: bool = False) -> Any:
    """Return a value as JSON can hold it; `fixed` as in `whole`."""
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
    """What exists where: a line a kind of resource, a column a team, and how many there are."""
    shown = Table(title="What exists where", title_justify="left", title_style="bold")
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
    shown.add_row(
        "", "as declared", *("[green]yes[/]" if good else "[red]no[/]" for good in states)
    )
    return shown


_SYSTEMS = ("kubernetes", "harbor", "keycloak", "istio")


def _belongs(id: Id, team: Team) -> bool:
    owners = {*team.namespaces, team.slug, team.oidc_group}
    clients = {f"{team.slug}-{name}" for name in team.oidc_clients}
    return id.key.split("/")[0] in owners or (id.kind == CLIENT and id.key in clients)
