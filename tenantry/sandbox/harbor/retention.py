"""The tag retention policies and immutable tag rules of Harbor 2.15.2.

Not simulated: a run of a policy deletes nothing, and ends immediately.
"""

from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, Shape, answer, created, done, stamp

_MAX_RULES = 15
_SELECTOR: Shape = {"kind": str, "decoration": str, "pattern": str, "extras": str}
_RULE: Shape = {
    "id": int,
    "priority": int,
    "disabled": bool,
    "action": str,
    "template": str,
    "params": dict,
    "tag_selectors": [_SELECTOR],
    "scope_selectors": {"*": [_SELECTOR]},
}
_POLICY: Shape = {
    "id": int,
    "algorithm": str,
    "rules": [_RULE],
    "trigger": {"kind": str, "settings": dict, "references": dict},
    "scope": {"level": str, "ref": int},
}


# --- Retention -----------------------------------------------------------------------------------


@routes.api("POST", "/retentions")
def create_retention(call: Call) -> Response:
    """Create the policy of a project, and store its id in the project's metadata."""
    body = call.body("policy", _POLICY)
    access.require_known(call.caller)
    project_id = (body.get("scope") or {}).get("ref") or 0
    _check_rules(body)
    project = call.harbor.state.project(project_id)
    if project is None:
        raise Refusal(400, f"bad request: invalid Project id {project_id}")
    _require(call, "create", project)
    if project.retention:
        policy_id = project.retention["id"]
        raise Refusal(
            400, f"bad request: project {project_id} already has retention policy {policy_id}"
        )
    _check_cron(call, body)
    policy_id = call.harbor.state.next_id("retention")
    project.retention = {**body, "id": policy_id}
    project.metadata["retention_id"] = str(policy_id)
    return created(f"/api/v2.0/retentions/{policy_id}")


@routes.api("GET", "/retentions/{id}")
def get_retention(call: Call) -> Response:
    """Return one policy. A missing one is answered with 500."""
    missing = Refusal(500, "no such retention policy")
    return answer(_policy_json(_find_policy(call, "read", missing)[1], call.harbor.clock.now()))


@routes.api("PUT", "/retentions/{id}")
def update_retention(call: Call) -> Response:
    """Replace a policy. It must be that of the project in the body."""
    policy_id = call.number("id")
    body = call.body("policy", _POLICY)
    access.require_known(call.caller)
    _check_rules(body)
    project = call.harbor.state.project((body.get("scope") or {}).get("ref") or 0)
    if project:
        _require(call, "update", project)
    if project is None or not project.retention or project.retention["id"] != policy_id:
        raise Refusal(
            404, f"resource not found: the retention policy id {policy_id} does not match"
        )
    _check_cron(call, body)
    project.retention = {**body, "id": policy_id}
    return done()


@routes.api("DELETE", "/retentions/{id}")
def delete_retention(call: Call) -> Response:
    """Delete a policy, and its id in the project's metadata."""
    project, _ = _find_policy(call, "delete", _no_policy(call))
    project.retention = None
    project.retention_runs.clear()
    project.metadata.pop("retention_id", None)
    return done()


@routes.api("POST", "/retentions/{id}/executions")
def run_retention(call: Call) -> Response:
    """Run a policy."""
    body = call.body("body", {"dry_run": bool})
    project, policy = _find_policy(call, "update", _no_policy(call))
    run_id, now = call.harbor.state.next_id("retention run"), call.harbor.clock.now()
    # Unlike all other times, these have microseconds.
    moment = f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"
    run = {
        "dry_run": bool(body.get("dry_run")),
        "end_time": moment,
        "id": run_id,
        "policy_id": policy["id"],
        "start_time": moment,
        "status": "Success",
        "trigger": "MANUAL",
    }
    project.retention_runs.insert(0, run)
    return created(f"/api/v2.0/retentions/{policy['id']}/executions/{run_id}")


@routes.api("GET", "/retentions/{id}/executions")
def list_runs(call: Call) -> Response:
    """Return the runs of a policy, latest first."""
    listing = call.listing
    project, _ = _find_policy(call, "list", _no_policy(call))
    return listing.answer(project.retention_runs, lambda run: run)


def _no_policy(call: Call) -> Refusal:
    return Refusal(400, f"bad request: no such Retention policy with id {call.number('id')}")


def _find_policy(call: Call, action: str, missing: Refusal) -> tuple[Project, dict[str, Any]]:
    policy_id = call.number("id")
    access.require_known(call.caller)
    for project in call.harbor.projects.values():
        if project.retention and project.retention["id"] == policy_id:
            _require(call, action, project)
            return project, project.retention
    raise missing


def _require(call: Call, action: str, project: Project) -> None:
    access.require_project(
        call.harbor, call.caller, action, project, "tag-retention", str(project.id)
    )


def _check_rules(policy: dict[str, Any]) -> None:
    """Raise Refusal for rules that Harbor rejects. It does not check template and algorithm."""
    rules = [{**rule, "id": 0} for rule in policy.get("rules") or []]
    if len(rules) > _MAX_RULES:
        raise Refusal(400, f"bad request: only {_MAX_RULES} rules are allowed at most")
    for i, rule in enumerate(rules):
        if rule in rules[:i]:
            earlier = rules.index(rule)
            raise Refusal(409, f"resource conflict: rule {i} is conflict with rule {earlier}")


def _check_cron(call: Call, policy: dict[str, Any]) -> None:
    cron = _cron(policy)
    if cron:
        try:
            next_time(cron, call.harbor.clock.now())
        except ValueError as error:
            msg = f"invalid cron string for scheduled tag retention: {cron}, error: {error}"
            raise Refusal(400, msg) from None


def _cron(policy: dict[str, Any]) -> str:
    trigger = policy.get("trigger") or {}
    return str((trigger.get("settings") or {}).get("cron") or "")


def _policy_json(policy: dict[str, Any], now: datetime) -> dict[str, Any]:
    values = dict(policy)
    values["rules"] = [_without_disabled(rule) for rule in policy.get("rules") or []]
    if trigger := policy.get("trigger"):
        values["trigger"] = {k: v for k, v in trigger.items() if k != "references" or v}
        if cron := _cron(policy):
            settings = trigger["settings"] | {"next_scheduled_time": stamp(next_time(cron, now))}
            values["trigger"]["settings"] = settings
    return values


# --- Cron ----------------------------------------------------------------------------------------

_RANGES = ((0, 59), (0, 59), (0, 23))  # seconds, minutes, hours
_DATES = ((1, 31), (1, 12), (0, 6))  # days, months, weekdays


def next_time(cron: str, after: datetime) -> datetime:
    """Return the next time of a cron schedule with six fields, the first of which must be 0.

    Raises:
        ValueError: the schedule is invalid.
    """
    fields = cron.split()
    if len(fields) != 6:
        msg = f"expected exactly 6 fields, found {len(fields)}: [{cron}]"
        raise ValueError(msg)
    seconds, minutes, hours, days, months, weekdays = (
        _numbers(text, *limits) for text, limits in zip(fields, (*_RANGES, *_DATES), strict=True)
    )
    if seconds != {0} or fields[0] != "0":
        msg = "the 1st field (indicating Seconds of time) of the cron setting must be 0"
        raise ValueError(msg)
    start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for ahead in range(366 * 8):
        day = start.replace(hour=0, minute=0) + timedelta(days=ahead)
        weekday = day.isoweekday()
        if day.month not in months or day.day not in days or weekday % 7 not in weekdays:
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                if (moment := day.replace(hour=hour, minute=minute)) >= start:
                    return moment
    msg = f"{cron} never comes"
    raise ValueError(msg)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    **{name: number for number, name in enumerate(_MONTHS, start=1)},
    **{name: number for number, name in enumerate(_WEEKDAYS)},
}


def _number(text: str) -> int:
    return _NAMES[text.lower()] if text.lower() in _NAMES else int(text)


def _numbers(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first)
            end = _number(last) if dash else high if step else start
        if end > high:
            msg = f"end of range ({end}) above maximum ({high}): {part}"
            raise ValueError(msg)
        if not low <= start <= end:
            msg = f"beginning of range ({start}) below minimum ({low}): {part}"
            raise ValueError(msg)
        found.update(range(start, end + 1, int(step or 1)))
    return found


# --- Immutable tags ------------------------------------------------------------------------------


@routes.api("GET", "/projects/{project}/immutabletagrules")
def list_rules(call: Call) -> Response:
    """Return the rules of a project. Harbor has no call to read a single rule."""
    listing, project = call.listing, call.project("list", "immutable-tag")
    found = sorted(project.immutable_rules.values(), key=lambda rule: int(rule["id"]))
    return listing.answer(found, _without_disabled)


def _without_disabled(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as Harbor shows it: without ``disabled`` if that is false."""
    return {key: value for key, value in rule.items() if key != "disabled" or value}


@routes.api("POST", "/projects/{project}/immutabletagrules")
def create_rule(call: Call) -> Response:
    """Create a rule. It must differ from the existing rules."""
    rule = call.body("ImmutableRule", _RULE)
    project = call.project("create", "immutable-tag")
    rule_id = call.harbor.state.next_id("immutable rule")
    _check_rule(project, rule, rule_id)
    project.immutable_rules[rule_id] = {"disabled": False, **rule, "id": rule_id}
    return created(f"/api/v2.0/projects/{call.path['project']}/immutabletagrules/{rule_id}")


@routes.api("PUT", "/projects/{project}/immutabletagrules/{id}")
def update_rule(call: Call) -> Response:
    """Enable or disable a rule; or, if ``disabled`` is unchanged, replace the rule."""
    rule_id = call.number("id")
    rule = call.body("ImmutableRule", _RULE)
    if rule.get("id") != rule_id:
        msg = "the immutable_rule_id doesn't match the id in the payload body of ImmutableRule"
        raise Refusal(400, f"bad request: {msg}")
    project = call.project("update", "immutable-tag")
    _require_rule(project, rule_id)
    current, disabled = project.immutable_rules[rule_id], rule.get("disabled") or False
    if current["disabled"] != disabled:
        current["disabled"] = disabled
        return done()
    _check_rule(project, rule, rule_id)
    project.immutable_rules[rule_id] = {**rule, "disabled": disabled}
    return done()


@routes.api("DELETE", "/projects/{project}/immutabletagrules/{id}")
def delete_rule(call: Call) -> Response:
    """Delete a rule."""
    rule_id = call.number("id")
    project = call.project("delete", "immutable-tag")
    _require_rule(project, rule_id)
    del project.immutable_rules[rule_id]
    return done()


def _require_rule(project: Project, rule_id: int) -> None:
    if rule_id not in project.immutable_rules:
        raise Refusal(404, f"immutable rule {rule_id} not found")


def _check_rule(project: Project, rule: dict[str, Any], rule_id: int) -> None:
    for other in project.immutable_rules.values():
        same = all(rule.get(k) == other.get(k) for k in ("tag_selectors", "scope_selectors"))
        if same and other["id"] != rule_id:
            raise Refusal(409, "immutable rule already exists")
