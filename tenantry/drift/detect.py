"""Finds drift: changes that the planner would make, undeclared resources, and unreadable ones.

Drift detection has no comparison of its own. A finding is a change that onboarding would make.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tenantry.declared import Team
from tenantry.drift.extras import Extras
from tenantry.drift.findings import (
    SYSTEMS,
    Finding,
    FindingClass,
    Ignored,
    Report,
    Scope,
    Severity,
    SystemName,
    merge_missing,
    ordered,
)
from tenantry.drift.ignore import IgnoreRules
from tenantry.drift.left_out import left_out
from tenantry.drift.observations import NotObserved
from tenantry.drift.places import locate
from tenantry.drift.severity import severity
from tenantry.errors import CallFailed, TenantryError, as_tenantry_error
from tenantry.kinds import Kind
from tenantry.plan import Action, Plan, Refusal
from tenantry.resources import (
    PLATFORM,
    Difference,
    Id,
    Live,
    Observed,
    Resource,
    Unreadable,
    whole_system,
)
from tenantry.systems.systems import Systems


@dataclass(frozen=True)
class Detected:
    """The result of drift detection: the report, and the plans that would remediate the drift.

    The plans may contain secrets, so it must not leave the process.
    """

    report: Report
    plans: dict[str, Plan]
    """The plans by team, the platform's first. Shared resources are in the first team's plan."""
    extras: dict[Id, Live]
    """The undeclared resources."""
    observed: Observed
    without_adoption: dict[str, Plan] = field(default_factory=dict)
    """The plans of the teams that have something to adopt, if nothing may be adopted."""
    retired: frozenset[Id] = frozenset()
    """The extras that remediation does not delete by itself: the rotation retires them, or the files
    of their teams have vanished."""

    def with_findings(self, found: Sequence[Finding]) -> "Detected":
        """Return the result with further findings in its report."""
        if not found:
            return self
        findings = ordered([*self.report.findings, *found])
        return replace(self, report=replace(self.report, findings=findings))


def detect(
    systems: Systems,
    teams: Sequence[Team],
    observed: Observed,
    system_names: Sequence[SystemName] = SYSTEMS,
    *,
    now: datetime | None = None,
    names: Sequence[str] | None = None,
) -> Detected:
    """Return the drift in an observed state. It calls no system.

    Args:
        systems: the systems, connected with `extras=True`.
        teams: the observed teams.
        observed: the observed state.
        system_names: the systems to report on.
        now: the time, UTC.
        names: the requested teams, including left-out ones, which are not in `teams`. None if the
            run covers all teams.
    """
    return _Detection(
        systems, teams, observed, system_names, now or datetime.now(UTC), names
    ).result()


class _Detection:
    """The state of one detection."""

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        observed: Observed,
        system_names: Sequence[SystemName],
        now: datetime,
        names: Sequence[str] | None,
    ) -> None:
        self._systems = systems
        self._state = systems.state
        self._teams = {team.name: team for team in teams}
        self._observed = observed
        self._system_names = frozenset(system_names)
        self._now = now
        self._scope = Scope(
            tuple(self._teams),
            tuple(system for system in SYSTEMS if system in self._system_names),
            len(self._teams) == len(self._state.teams),
            systems.probes_credentials,
            tuple(
                sorted(
                    self._state.names - self._state.teams.keys() - self._state.offboarding.keys()
                )
            ),
        )
        self._names = None if names is None and self._scope.all_teams else names or ()
        self._rules = IgnoreRules(self._state, now.date())
        self._ignored: list[Ignored] = []
        self._desired: set[Id] = set()
        self._new: set[str] = set()
        self._reported: set[Id] = set()
        self._without_adoption: dict[str, Plan] = {}
        self._unplanned: set[str] = set()
        """Teams whose desired resources are unknown."""

    def result(self) -> Detected:
        findings: list[Finding] = []
        plans: dict[str, Plan] = {}
        waiting: list[tuple[str, Refusal]] = []
        for plan in self._plans():
            try:
                findings += list(self._of_plan(plan))
            except Exception as error:  # noqa: BLE001 any error fails this one team only
                self._failed(plan.team, as_tenantry_error(error, f"comparing team '{plan.team}'"))
                continue
            plans[plan.team] = plan
            waiting += [(plan.team, w) for w in plan.waiting if w.id.system in self._system_names]
        where = {name: self._state.locate(name, ()) for name in sorted(self._new)}
        findings = [*merge_missing(findings, where)]
        extras = Extras(
            self._systems,
            self._teams,
            self._observed,
            self._scope,
            self._desired,
            self._unplanned,
        )
        for finding in extras.findings():
            reason = self._rules.reason(finding.resource, finding.team, severity=finding.severity)
            if reason is None:
                findings.append(finding)
            else:
                self._ignored.append(Ignored(finding, reason))
        findings += self._unreadable()
        findings += left_out(self._state, self._names)
        findings += self._rules.findings(self._scope, list(self._observed.unreadable))
        report = Report(
            platform=self._state.platform.name,
            origin=self._state.origin,
            base=self._state.base,
            time=self._now,
            scope=self._scope,
            resources=sum(id.system in self._system_names for id in self._desired),
            findings=ordered(findings),
            waiting=tuple(waiting),
            ignored=tuple(self._ignored),
        )
        return Detected(
            report, plans, extras.live, self._observed, self._without_adoption, extras.untouched
        )

    def _plans(self) -> Iterator[Plan]:
        if self._observed.platform is not None and (plan := self._platforms_plan()) is not None:
            yield plan
        for team in self._teams.values():
            if (plan := self._plan(team)) is not None:
                yield plan

    def _platforms_plan(self) -> Plan | None:
        seen = self._observed.platform
        assert seen is not None
        try:
            desired = self._systems.desired_platform(seen)
            plan = self._systems.plan_platform(seen, desired, partial=True)
            if _adopts(plan):
                cautious = self._systems.plan_platform(seen, desired, partial=True, adopt=False)
                self._without_adoption[PLATFORM] = cautious
        except Exception as error:  # noqa: BLE001 any error fails the platform's part only
            self._failed(PLATFORM, as_tenantry_error(error, "planning the platform"))
            return None
        self._desired.update(resource.id for resource in desired)
        return plan

    def _plan(self, team: Team) -> Plan | None:
        try:
            desired = self._systems.desired(team, self._observed)
            plan = self._systems.plan(team, self._observed, partial=True)
            if _adopts(plan):
                cautious = self._systems.plan(team, self._observed, partial=True, adopt=False)
                self._without_adoption[team.name] = cautious
        except Exception as error:  # noqa: BLE001 any error fails this one team only
            self._failed(team.name, as_tenantry_error(error, f"planning team '{team.name}'"))
            return None
        self._desired.update(id for each in desired for id in (each.id, *each.parts))
        exists = any(r.id in self._observed.live for r in desired if not r.cluster_wide)
        # If the namespaces cannot be read, the team may exist, so it does not count as new.
        if not exists and whole_system("kubernetes") not in self._observed.unreadable:
            self._new.add(team.name)
        return plan

    def _failed(self, team: str, error: TenantryError) -> None:
        """Record that a team could not be compared, so that none of its resources is an extra."""
        system = error.system if isinstance(error, CallFailed) else "harbor"
        seen = self._observed if team else (self._observed.platform or self._observed)
        id = Id(Kind(system, "team"), team) if team else Id(Kind(system, "platform"), "*")
        seen.unreadable[id] = Unreadable(error, team)
        self._unplanned.add(team)

    # Declared resources

    def _of_plan(self, plan: Plan) -> Iterator[Finding]:
        cautious = self._without_adoption.get(plan.team, plan)
        without = {change.id for change in cautious.changes}
        for change in plan.changes:
            if change.id in self._desired:  # all others are reported as extras
                yield from self._difference(
                    plan.team,
                    change.resource,
                    change.differences,
                    change.action,
                    is_part_of_adoption=change.id not in without,
                )
        for change in plan.withheld:
            text = "Tenantry does not own the project or namespace that contains it"
            action: Action | None = None
            live = change.live is not None
            yield from self._difference(
                plan.team, change.resource, change.differences, action, text, is_there=live
            )
        for refusal in plan.refusals:
            resource = Resource(refusal.id, {})
            yield from self._difference(
                plan.team, resource, refusal.differences, None, refusal.reason
            )

    def _difference(
        self,
        team: str,
        resource: Resource,
        fields: Sequence[Difference],
        action: Action | None,
        detail: str = "",
        *,
        is_there: bool = True,
        is_part_of_adoption: bool = False,
    ) -> Iterator[Finding]:
        id = resource.id
        if id.system not in self._system_names or id in self._reported:
            return
        self._reported.add(id)
        team = PLATFORM if resource.cluster_wide else team
        missing = action == "create" or not is_there
        kept: tuple[Difference, ...] = ()
        class_: FindingClass = "missing"
        if missing:
            bad = self._severity(class_, id, team)
            reason = self._rules.reason(id, team, severity=bad)
        else:
            reasons = [self._reason(resource, team, field) for field in fields]
            kept = tuple(field for field, why in zip(fields, reasons, strict=True) if why is None)
            reason = None if kept or not fields else reasons[0]
            class_ = _class_of(resource, kept or fields)
        finding = Finding(
            class_,
            self._severity(class_, id, team, kept or fields),
            id,
            team,
            locate(self._state, team, id, kept[0].field if kept else ""),
            kept if reason is None else tuple(fields),
            detail or _detail(id),
            remedy="adopt" if is_part_of_adoption else action,
        )
        if reason is None:
            yield finding
        else:
            self._ignored.append(Ignored(finding, reason))

    def _severity(
        self, class_: FindingClass, id: Id, team: str, fields: Sequence[Difference] = ()
    ) -> Severity:
        return "info" if team in self._new else severity(class_, id, fields)

    def _reason(self, resource: Resource, team: str, field: Difference) -> str | None:
        bad = self._severity(_class_of(resource, [field]), resource.id, team, [field])
        return self._rules.reason(resource.id, team, field.field, severity=bad)

    # Unreadable resources

    def _unreadable(self) -> Iterator[Finding]:
        platforms = self._observed.platform.unreadable if self._observed.platform else {}
        for id, unread in {**platforms, **self._observed.unreadable}.items():
            if not isinstance(unread.error, NotObserved):
                team = unread.team or PLATFORM
                where = locate(self._state, team, id)
                level = severity("unreadable", id)
                yield Finding("unreadable", level, id, team, where, detail=str(unread.error))


def _adopts(plan: Plan) -> bool:
    return any(change.action == "adopt" for change in plan.changes)


def _class_of(resource: Resource, fields: Sequence[Difference]) -> FindingClass:
    broken = any(each.field.split(".")[0] in resource.id.kind.health_fields for each in fields)
    return "broken" if broken else "changed"


def _detail(id: Id) -> str:
    if id.kind.is_record:
        return "the team's declaration has changed since it was last applied"
    return ""
