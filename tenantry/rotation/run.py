"""A run of rotation: observe the robots, choose, and rotate under the teams' locks.

The flow, the tests that interrupt rotation at its requests and the benchmark run this code.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.locks import Lock
from tenantry.rotation.assess import Outcome, assess
from tenantry.rotation.due import URGENCY, RotationRequest
from tenantry.rotation.left_out import left_out_teams
from tenantry.rotation.machine import walk_pair
from tenantry.rotation.observe import ExtraSinks, observe
from tenantry.rotation.pair import Found, Unread
from tenantry.rotation.recorded import Context
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import assess_removed
from tenantry.systems.systems import Systems
from tenantry.walk import accept_unread

_EVER = datetime.max.replace(tzinfo=UTC)


def choose(
    found: Sequence[Found], request: RotationRequest, now: datetime, most: int
) -> list[Outcome]:
    """Return the outcomes with the steps of all pairs, in the order of the pairs.

    At most `most` pairs are rotated, the most urgent first: one of each team, then another of each
    team, so that a team whose credentials break repeatedly does not delay other teams. Compromised
    credentials never wait.

    Args:
        found: the observed pairs.
        request: what was requested beyond the policy.
        now: the time.
        most: the largest number of rotations in one run.
    """
    outcomes = [_assessed(pair, request, now) for pair in found]
    due = [outcome for outcome in outcomes if "rotate" in outcome.steps]
    due.sort(key=lambda o: (URGENCY.index(o.why) if o.why else 0, o.next or _EVER, o.name))
    of_team: Counter[str] = Counter()
    turns = {}
    for outcome in due:
        turns[outcome.name] = of_team[outcome.team]
        of_team[outcome.team] += 1
    due.sort(key=lambda o: turns[o.name])
    late = {o.name for o in due[most:] if o.why != "compromised"}
    return [_postpone(outcome, most) if outcome.name in late else outcome for outcome in outcomes]


def _assessed(pair: Found, request: RotationRequest, now: datetime) -> Outcome:
    """Return the outcome with the steps of a pair. A pair with an invalid value fails."""
    try:
        if not isinstance(pair, Unread):
            request.record_robots(pair.name, pair.numbers)
        if isinstance(pair, Removed):
            return assess_removed(pair, request, now)
        return assess(pair, request, now)
    except Exception as error:  # noqa: BLE001 one pair's failure, of any kind
        failure = as_tenantry_error(
            error, f"assessing robot '{pair.purpose}' of team '{pair.team.name}'"
        )
        return assess(Unread(pair.team, pair.purpose, failure), request, now)


def _postpone(outcome: Outcome, most: int) -> Outcome:
    steps = tuple(step for step in outcome.steps if step != "rotate")
    note = f"more than {most} rotations are due, the limit of one run: the next run continues"
    return replace(outcome, state="waiting", steps=steps, note=note)


class RotationRun:
    """A run of rotation. Call `plan`, then `rotate` with the outcomes or with parts of them.

    Teams that are left out are rotated by their state in the systems.

    Attributes:
        systems: the systems.
        request: what was requested beyond the policy.
        teams: the teams of the run, with those that are left out and have robots.
        unnamed: the names of the teams among them that no file names. A file without a name may
            declare them.
        now: the time of the plan.
        token_lifetime: how long a token of Harbor's registry is valid.
    """

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        request: RotationRequest,
        names: Sequence[str] | None = None,
        *,
        purposes: Sequence[str] | None = None,
        extra_sinks: ExtraSinks = lambda team, purpose: (),
    ) -> None:
        """
        Args:
            systems: the systems.
            teams: the declared teams that the run is about.
            request: what was requested beyond the policy.
            names: the names of the teams of the run; all if not given.
            purposes: the purposes of the robots; all if not given.
            extra_sinks: returns sinks in addition to the declared ones.
        """
        self.systems = systems
        self.request = request
        self.names = names
        self.teams = list(teams)
        self.unnamed: list[str] = []
        self.now = datetime.now(UTC)
        self.token_lifetime = timedelta()
        self._declared = list(teams)
        self._purposes = purposes
        self._extra_sinks = extra_sinks

    def plan(
        self,
        now: datetime,
        check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    ) -> list[Outcome]:
        """Observe the robots, and return the outcomes with the steps of all pairs.

        Args:
            now: the time.
            check_unread: called with the reasons why pairs could not be read. If it raises, the
                plan can be made again.

        Raises:
            TenantryError: Harbor cannot be read, or `check_unread` raised it.
            DeclarationError: a name that no team has.
        """
        self.now = now
        self.token_lifetime = self.systems.harbor_client.token_lifetime()
        kept = left_out_teams(self.systems, self.names)
        self.unnamed = [left_out.team.name for left_out in kept if not left_out.is_named]
        self.systems.state.pick(name for name in self.names or () if name not in self.unnamed)
        self.teams = [*self._declared, *(left_out.team for left_out in kept)]
        unread = [robot for left_out in kept for robot in left_out.unread]
        found = [
            *observe(self.systems, self.teams, now, self._purposes, self._extra_sinks),
            *unread,
        ]
        check_unread(pair.error for pair in found if isinstance(pair, Unread))
        return choose(found, self.request, now, self.systems.state.platform.rotation.most_per_run)

    def rotate(
        self,
        chosen: Sequence[Outcome],
        now: datetime,
        lock: Lock,
        *,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        report: Callable[[str], None] = lambda text: None,
    ) -> list[Outcome]:
        """Acquire the lock, observe the pairs again, and take their steps, many pairs at once.

        One pair's failure does not affect the others.

        Args:
            chosen: the plan of each pair.
            now: the time.
            lock: the lock of these teams.
            on_outcome: called with each pair's outcome as soon as it is known, from many threads.
            report: takes a line for the log for each change.

        Returns:
            The outcome of each pair, in the same order.

        Raises:
            TenantryError: the lock could not be acquired. Pairs for which `on_outcome` was not called
                were not changed.
        """
        # Pairs that could not be read are read once more.
        work = {outcome.name: outcome for outcome in chosen if outcome.steps or outcome.error}
        results = {outcome.name: outcome for outcome in chosen}
        for outcome in chosen:
            if outcome.name not in work:
                on_outcome(outcome)
        if work:
            names = {outcome.team for outcome in work.values()}
            teams = [team for team in self.teams if team.name in names]
            purposes = sorted({outcome.purpose for outcome in work.values()})
            with lock:
                context = Context(
                    self.systems, self.request, now, self.token_lifetime, lock.check, report
                )
                found = observe(self.systems, teams, now, purposes, self._extra_sinks)

                def rotate_pair(pair: Found) -> None:
                    outcome = walk_pair(context, pair)
                    results[outcome.name] = outcome
                    on_outcome(outcome)

                map_concurrently(rotate_pair, [pair for pair in found if pair.name in work])
        return [results[outcome.name] for outcome in chosen]


def rotate(
    systems: Systems,
    teams: Sequence[Team],
    request: RotationRequest,
    now: datetime,
    lock: Lock,
    *,
    purposes: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda text: None,
    extra_sinks: ExtraSinks = lambda team, purpose: (),
    names: Sequence[str] | None = None,
) -> list[Outcome]:
    """Rotate the due credentials of teams, continue rotations in progress, and return the outcomes.

    Args:
        systems: the systems.
        teams: the declared teams.
        request: what was requested beyond the policy.
        now: the time.
        lock: the lock of these teams.
        purposes: the purposes of the robots; all if not given.
        report: takes a line for the log for each change.
        extra_sinks: returns sinks in addition to the declared ones.
        names: the names of the teams of the run; all if not given.

    Raises:
        TenantryError: Harbor cannot be read, or the lock could not be acquired.
    """
    run = RotationRun(systems, teams, request, names, purposes=purposes, extra_sinks=extra_sinks)
    return run.rotate(run.plan(now), now, lock, report=report)
