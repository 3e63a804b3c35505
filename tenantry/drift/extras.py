"""The undeclared resources in an observed state, and their findings."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from tenantry.declared import Platform, Team
from tenantry.drift.findings import TEAM, Finding, Scope
from tenantry.drift.places import locate
from tenantry.drift.severity import severity
from tenantry.errors import as_tenantry_error
from tenantry.plan import Action
from tenantry.resources import PLATFORM, Id, Live, Observed, Unreadable
from tenantry.systems.credentials.foreign import is_kept
from tenantry.systems.credentials.places import annotations_of
from tenantry.systems.harbor.kinds import ROBOT, SYSTEM_ROBOT
from tenantry.systems.harbor.robots import purpose_of
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.systems.kubernetes.kinds import HELD_ROBOT, SECRET
from tenantry.systems.systems import Systems
from tenantry.wording import count


class Extras:
    """The undeclared resources in an observed state.

    Attributes:
        live: the undeclared resources.
        retired: the ones that the rotation retires.
        vanished: the teams that have resources with Tenantry's mark and that no file declares.
    """

    def __init__(
        self,
        systems: Systems,
        teams: Mapping[str, Team],
        observed: Observed,
        scope: Scope,
        desired: Collection[Id],
        unplanned: Collection[str],
    ) -> None:
        """
        Args:
            systems: the systems.
            teams: the observed teams by name.
            observed: the observed state.
            scope: the observed teams and systems.
            desired: the declared resources.
            unplanned: the teams whose desired resources are unknown.
        """
        self._systems = systems
        self._state = systems.state
        self._teams = teams
        self._observed = observed
        self._scope = scope
        self._desired = desired
        self._unplanned = unplanned
        self.live = dict(self._find())
        self.retired = frozenset(id for id, live in self.live.items() if self._is_retired(id, live))
        marked = {live.team for live in self.live.values() if live.marked and live.team}
        self.vanished = frozenset(marked - self._state.names)

    @property
    def untouched(self) -> frozenset[Id]:
        """The extras that remediation does not delete by itself."""
        vanished = (id for id, live in self.live.items() if live.team in self.vanished)
        return self.retired.union(vanished)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each team that has vanished, and for each undeclared resource."""
        for team in sorted(self.vanished):
            yield self._vanished(team)
        for id, live in self.live.items():
            yield self._finding(id, live)

    def _find(self) -> Iterator[tuple[Id, Live]]:
        platforms = self._observed.platform.live if self._observed.platform else {}
        for id, live in (*self._observed.live.items(), *platforms.items()):
            if live.team is None or id.system not in self._scope.systems or id in self._desired:
                continue
            if live.team in self._unplanned:
                continue
            team = self._teams.get(live.team)
            if team is None and (live.team in self._state.names or not self._scope.all_teams):
                continue  # its team may be declared, and not part of this run
            if team is None and live.team != PLATFORM and not self._state.knows_all_names:
                continue  # a file without a readable name may declare that team
            if team is None or not self._is_needed(team, id):
                yield id, live

    def _is_needed(self, team: Team, robot: Id) -> bool:
        """Return whether a resource is a robot that a team still needs."""
        credentials = self._systems.credentials
        try:
            if robot.kind == ROBOT:
                return not credentials.is_past_retirement(team, robot, self._observed)
            return robot.kind == SYSTEM_ROBOT and credentials.is_in_use(team, robot, self._observed)
        except Exception as error:  # noqa: BLE001 any error fails this one robot only
            failure = as_tenantry_error(error, f"checking {robot}")
            self._observed.unreadable[robot] = Unreadable(failure, team.name)
            return True

    def _finding(self, id: Id, live: Live) -> Finding:
        team = live.team or PLATFORM
        mark = "has Tenantry's mark" if live.marked else "does not have Tenantry's mark"
        is_known = not team or team in self._state.names
        subject = "it is not declared" if is_known else "it and its team are not declared"
        remedy: Action | None = "delete" if live.marked and id.kind.is_removed_unasked else None
        advice = self._explain(id, live)
        if id in self.retired:
            remedy = None
            advice = f"{advice}. To delete it now, add it to 'remove'."
        elif remedy is None and not advice:
            how = "with 'remove'" if id.kind.is_removable else "by hand"
            advice = f"Declare it, or delete it {how}."
        elif remedy is not None:
            advice = ""
        if team in self.vanished:
            remedy, advice = None, _advice(team)
        if id.kind == SYSTEM_ROBOT and is_known:
            advice = (
                "It works in this team's project only. Name it in 'replaces' of a robot, so that rotation "
                f"retires it with an overlap; or, if nothing uses it, delete it with 'remove': {id}."
            )
        if (
            team in self._teams
            and id.kind in (ROBOT, SYSTEM_ROBOT)
            and self._is_kept(self._teams[team], live)
        ):
            advice = (
                "An adopted Secret holds its credential. Name it in 'replaces' of the robot: the "
                "rotation then replaces its credential, and retires it."
            )
        return Finding(
            "extra",
            severity("extra", id),
            id,
            team,
            locate(self._state, team, id),
            detail=f"{subject}; it {mark}",
            marked=live.marked,
            remedy=remedy,
            advice=advice,
        )

    def _vanished(self, team: str) -> Finding:
        """Return the finding that a team is no longer declared."""
        own = [(id, live) for id, live in self.live.items() if live.team == team]
        alive = sum(_is_alive(id, live) for id, live in own)
        working = f", {count(alive, 'working credential')}" if alive else ""
        return Finding(
            "extra",
            "critical" if alive else "warning",
            Id(TEAM, team),
            team,
            locate(self._state, team, Id(TEAM, team)),
            detail=f"no longer declared: {count(len(own), 'resource')} left{working}",
            marked=True,
            advice=_advice(team),
        )

    def _is_kept(self, team: Team, robot: Live) -> bool:
        return robot.handle is not None and is_kept(team, robot.handle, self._observed)

    def _explain(self, id: Id, live: Live) -> str:
        """Return what the kind says about a resource of Tenantry that is no longer declared."""
        owner: Team | Platform | None = self._teams.get(live.team or PLATFORM)
        if live.team == PLATFORM:
            owner = self._state.platform
        return id.kind.explain_left(owner, id.key, live) if owner and live.marked else ""

    def _is_retired(self, id: Id, live: Live) -> bool:
        """Return whether rotation retires it: a robot of a removed purpose, or a Secret that holds
        the credential of a robot."""
        team = self._teams.get(live.team or PLATFORM)
        if team is None or not live.marked:
            return False
        if id.kind == ROBOT:
            purpose = purpose_of(id.key.rpartition("/")[2])
            return bool(purpose) and purpose not in team.active_robots
        if id.kind != SECRET:
            return False
        namespace, _, secret = id.key.rpartition("/")
        held = purpose_of(annotations_of(live).get(HELD_ROBOT, ""))
        return any(
            purpose == held
            or (
                namespace in team.namespaces
                and purpose not in team.active_robots
                and team.secret_name(purpose) == secret
            )
            for purpose in self._purposes[team.project]
        )

    @cached_property
    def _purposes(self) -> Mapping[str, frozenset[str]]:
        """The purposes of the robots with Tenantry's mark, by project."""
        found: dict[str, set[str]] = defaultdict(set)
        for id, live in self._observed.live.items():
            if id.kind == ROBOT and live.marked:
                project, _, short = id.key.rpartition("/")
                found[project].update(filter(None, [purpose_of(short)]))
        return defaultdict(frozenset, {key: frozenset(each) for key, each in found.items()})


def _advice(team: str) -> str:
    return (
        f"Restore the file of team '{team}', or run offboard-team for '{team}'. Nothing is deleted "
        "because a file has vanished."
    )


def _is_alive(id: Id, live: Live) -> bool:
    """Return whether a resource is a credential that works."""
    if id.kind == ROBOT:
        return not (live.fields["disabled"] or live.fields["lifetime"].has_ended)
    return id.kind == CLIENT and live.fields.get("enabled") is not False
