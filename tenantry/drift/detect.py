"""Finds drift: changes that the planner would make, undeclared resources, and unreadable ones.

There is no comparing here: a finding is a change that onboarding would make, in other words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenantry.declared import Team
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
from tenantry.drift.ignore import Ignoring
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
from tenantry.systems.credentials.pairs import pair
from tenantry.systems.harbor.kinds import ROBOT
from tenantry.systems.harbor.robots import purpose_of, robot_id
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.systems import Systems


@dataclass(frozen=True)
class Detected:
    """What was found, and what it takes to mend it. Stays in the process: it may hold secrets."""

    report: Report
    plans: dict[str, Plan]
    """By team, the platform's own first; what the teams share is in the first one's."""
    extras: dict[Id, Live]
    """What nobody declares."""
    observed: Observed
    retired: frozenset[Id] = frozenset()
    """Those of the extras that rotation retires: remediation leaves them alone."""


def detect(
    systems: Systems,
    teams: Sequence[Team],
    observed: Observed,
    asked: Sequence[SystemName] = SYSTEMS,
    *,
    now: datetime | None = None,
    names: Sequence[str] | None = None,
) -> Detected:
    """Judges what was seen. No system is called.

    Args:
        systems: the systems; `extras` must have been asked of them.
        teams: the teams that were looked at.
        observed: what was seen of them.
        asked: the systems to tell of.
        now: the time, UTC.
        names: the teams that the run is about, if it is not about all: one that is left out is
            not among `teams`.
    """
    return _Detection(systems, teams, observed, asked, now or datetime.now(UTC), names).result()


class _Detection:
    """One detection under way."""

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        observed: Observed,
        asked: Sequence[SystemName],
        now: datetime,
        names: Sequence[str] | None,
    ) -> None:
        self._systems = systems
        self._state = systems.state
        self._teams = {team.name: team for team in teams}
        self._observed = observed
        self._asked = frozenset(asked)
        self._now = now
        self._scope = Scope(
            tuple(self._teams),
            tuple(system for system in SYSTEMS if system in self._asked),
            len(self._teams) == len(self._state.teams),
            systems.probes_credentials,
            tuple(sorted(self._state.names - self._state.teams.keys())),
        )
        self._names = None if names is None and self._scope.all_teams else names or ()
        self._ignoring = Ignoring(self._state, now.date())
        self._ignored: list[Ignored] = []
        self._desired: set[Id] = set()
        self._new: set[str] = set()
        self._told: set[Id] = set()
        self._unplanned: set[str] = set()
        """Teams whose desired resources are not known."""

    def result(self) -> Detected:
        findings: list[Finding] = []
        plans: dict[str, Plan] = {}
        waiting: list[tuple[str, Refusal]] = []
        for plan in self._plans():
            try:
                findings += list(self._of_plan(plan))
            except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
                self._failed(plan.team, as_tenantry_error(error, f"comparing team '{plan.team}'"))
                continue
            plans[plan.team] = plan
            waiting += [(plan.team, w) for w in plan.waiting if w.id.system in self._asked]
        where = {name: self._state.locate(name, ()) for name in sorted(self._new)}
        findings = [*merge_missing(findings, where)]
        extras = dict(self._extras())
        findings += (found for id, live in extras.items() if (found := self._extra(id, live)))
        findings += self._unreadable()
        findings += left_out(self._state, self._names)
        findings += self._ignoring.findings(self._scope, list(self._observed.unreadable))
        report = Report(
            platform=self._state.platform.name,
            origin=self._state.origin,
            base=self._state.base,
            time=self._now,
            scope=self._scope,
            resources=sum(id.system in self._asked for id in self._desired),
            findings=ordered(findings),
            waiting=tuple(waiting),
            ignored=tuple(self._ignored),
        )
        retired = (id for id, live in extras.items() if self._is_retired(id, live))
        return Detected(report, plans, extras, self._observed, frozenset(retired))

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
        except Exception as error:  # noqa: BLE001 the platform's failure, whatever it is
            self._failed(PLATFORM, as_tenantry_error(error, "planning the platform"))
            return None
        self._desired.update(resource.id for resource in desired)
        return plan

    def _plan(self, team: Team) -> Plan | None:
        try:
            desired = self._systems.desired(team, self._observed)
            plan = self._systems.plan(team, self._observed, partial=True)
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            self._failed(team.name, as_tenantry_error(error, f"planning team '{team.name}'"))
            return None
        self._desired.update(resource.id for resource in desired)
        exists = any(r.id in self._observed.live for r in desired if not r.cluster_wide)
        # Its namespaces come first: if they can't be read, the team may exist all the same.
        if not exists and whole_system("kubernetes") not in self._observed.unreadable:
            self._new.add(team.name)
        return plan

    def _failed(self, team: str, error: TenantryError) -> None:
        """Record that a team could not be compared: none of its resources is an extra."""
        system = error.system if isinstance(error, CallFailed) else "harbor"
        seen = self._observed if team else (self._observed.platform or self._observed)
        id = Id(Kind(system, "team"), team) if team else Id(Kind(system, "platform"), "*")
        seen.unreadable[id] = Unreadable(error, team)
        self._unplanned.add(team)

    # What is declared

    def _of_plan(self, plan: Plan) -> Iterator[Finding]:
        for change in plan.changes:
            if change.action != "delete":  # an extra like all others
                yield from self._difference(
                    plan.team,
                    change.resource,
                    change.differences,
                    change.action,
                    adopts=change.adopts,
                )
        for change in plan.withheld:
            text = "what it lies in is not ours, and so it is left alone"
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
        adopts: bool = False,
    ) -> Iterator[Finding]:
        id = resource.id
        if id.system not in self._asked or id in self._told:
            return
        self._told.add(id)
        team = PLATFORM if resource.cluster_wide else team
        missing = action == "create" or not is_there
        kept: tuple[Difference, ...] = ()
        class_: FindingClass = "missing"
        if missing:
            bad = self._severity(class_, id, team)
            reason = self._ignoring.reason(id, team, severity=bad)
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
            remedy=action,
            adopts=adopts,
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
        return self._ignoring.reason(resource.id, team, field.field, severity=bad)

    # What nobody declares

    def _extras(self) -> Iterator[tuple[Id, Live]]:
        platforms = self._observed.platform.live if self._observed.platform else {}
        for id, live in (*self._observed.live.items(), *platforms.items()):
            if live.team is None or id.system not in self._asked or id in self._desired:
                continue
            if live.team in self._unplanned:
                continue
            team = self._teams.get(live.team)
            if team is None and (live.team in self._state.names or not self._scope.all_teams):
                continue  # it is a team's that was not asked for, or may be
            if team is None and live.team != PLATFORM and not self._state.knows_all_names:
                continue  # a file whose name can't be read may be that team's
            if id.kind != ROBOT or team is None or self._is_past_retirement(team, id):
                yield id, live

    def _is_past_retirement(self, team: Team, robot: Id) -> bool:
        try:
            return self._systems.credentials.is_past_retirement(team, robot, self._observed)
        except Exception as error:  # noqa: BLE001 one robot's failure, whatever it is
            failure = as_tenantry_error(error, f"judging {robot}")
            self._observed.unreadable[robot] = Unreadable(failure, team.name)
            return False

    def _extra(self, id: Id, live: Live) -> Finding | None:
        team = live.team or PLATFORM
        mark = "it carries Tenantry's mark" if live.marked else "it does not carry Tenantry's mark"
        whose = ", nor the team" if team and team not in self._state.names else ""
        remedy: Action | None = "delete" if live.marked and id.kind.removable else None
        advice = ""
        if self._is_retired(id, live):
            remedy = None
            advice = (
                "rotate-robots retires it: it works for a day or two, and is deleted later with its "
                "Secrets. To delete it now, name it in 'remove'."
            )
        elif remedy is None:
            how = "with 'remove'" if id.kind.removable else "by hand"
            advice = f"Declare it, or delete it {how}."
        finding = Finding(
            "extra",
            severity("extra", id),
            id,
            team,
            locate(self._state, team, id),
            detail=f"nobody declares it{whose}; {mark}",
            marked=live.marked,
            remedy=remedy,
            advice=advice,
        )
        reason = self._ignoring.reason(id, team, severity=finding.severity)
        if reason is None:
            return finding
        self._ignored.append(Ignored(finding, reason))
        return None

    def _is_retired(self, id: Id, live: Live) -> bool:
        """Whether it is a robot of a purpose that a team no longer has, or such a robot's Secret."""
        team = self._teams.get(live.team or PLATFORM)
        if team is None or not live.marked:
            return False
        if id.kind == ROBOT:
            purpose = purpose_of(id.key.rpartition("/")[2])
            return bool(purpose) and purpose not in team.active_robots
        namespace, _, secret = id.key.rpartition("/")
        purpose = secret.removeprefix("harbor-")
        if id.kind != SECRET or purpose == secret or namespace not in team.namespaces:
            return False
        robots = (robot_id(team.slug, short) for short in pair(purpose))
        return purpose not in team.active_robots and any(
            (found := self._observed.live.get(robot)) is not None and found.marked
            for robot in robots
        )

    # What could not be read

    def _unreadable(self) -> Iterator[Finding]:
        platforms = self._observed.platform.unreadable if self._observed.platform else {}
        for id, unread in {**platforms, **self._observed.unreadable}.items():
            if not isinstance(unread.error, NotObserved):
                team = unread.team or PLATFORM
                where = locate(self._state, team, id)
                told = severity("unreadable", id)
                yield Finding("unreadable", told, id, team, where, detail=str(unread.error))


def _class_of(resource: Resource, fields: Sequence[Difference]) -> FindingClass:
    broken = any(each.field.split(".")[0] in resource.id.kind.health_fields for each in fields)
    return "broken" if broken else "changed"


def _detail(id: Id) -> str:
    if id.kind.is_record:
        return "the team is declared otherwise than it was applied last"
    return ""
