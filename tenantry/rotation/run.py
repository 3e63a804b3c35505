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
from tenantry.rotation.machine import Machine
from tenantry.rotation.pair import ExtraSinks, Found, Unread, observe
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import assess_removed
from tenantry.systems.systems import Systems
from tenantry.walk import accept_unread

_EVER = datetime.max.replace(tzinfo=UTC)


def choose(
    found: Sequence[Found], order: RotationRequest, now: datetime, most: int
) -> list[Outcome]:
    """Return what there is to do for each pair, in the same order; beyond `most`, rotations wait.

    Of those that are due, the most urgent come first: of each team one, then of each team another, so
    that a team whose credentials break again and again keeps no other team waiting. What is
    compromised never waits.
    """
    outcomes = [_assessed(pair, order, now) for pair in found]
    due = [outcome for outcome in outcomes if "rotate" in outcome.steps]
    due.sort(key=lambda o: (URGENCY.index(o.why) if o.why else 0, o.next or _EVER, o.name))
    of_team: Counter[str] = Counter()
    turns = {}
    for outcome in due:
        turns[outcome.name] = of_team[outcome.team]
        of_team[outcome.team] += 1
    due.sort(key=lambda o: turns[o.name])
    late = {o.name for o in due[most:] if o.why != "compromised"}
    return [_put_off(outcome, most) if outcome.name in late else outcome for outcome in outcomes]


def _assessed(pair: Found, order: RotationRequest, now: datetime) -> Outcome:
    """Return what there is to do; of a pair that holds an impossible value, that it failed."""
    try:
        if not isinstance(pair, Unread):
            order.record_robots(pair.name, pair.numbers)
        if isinstance(pair, Removed):
            return assess_removed(pair, order, now)
        return assess(pair, order, now)
    except Exception as error:  # noqa: BLE001 one pair's failure, whatever it is
        failure = as_tenantry_error(
            error, f"judging robot '{pair.purpose}' of team '{pair.team.name}'"
        )
        return assess(Unread(pair.team, pair.purpose, failure), order, now)


def _put_off(outcome: Outcome, most: int) -> Outcome:
    steps = tuple(step for step in outcome.steps if step != "rotate")
    note = f"more than the {most} of one run are due: it is for the next run"
    return replace(outcome, state="waits", steps=steps, note=note)


class RotationRun:
    """A run of rotation. Call `plan`, then `rotate` with the outcomes or with parts of them.

    Teams whose files are left out are rotated as they are.

    Attributes:
        systems: the systems.
        order: what was asked for.
        teams: the teams of the run, with those that are left out and have robots.
        unnamed: the names of the teams among them that no file gives, since a file gives no name.
        now: the time of the plan.
        token_lifetime: how long a token of Harbor's registry is valid.
    """

    def __init__(
        self,
        systems: Systems,
        teams: Sequence[Team],
        order: RotationRequest,
        names: Sequence[str] | None = None,
        *,
        purposes: Sequence[str] | None = None,
        extra_sinks: ExtraSinks = lambda team, purpose: (),
    ) -> None:
        """
        Args:
            systems: the systems.
            teams: the declared teams that the run is about.
            order: what was asked for.
            names: the names of the teams that it is about; all if not given.
            purposes: the purposes of the robots; all if not given.
            extra_sinks: sinks beyond the declared ones.
        """
        self.systems = systems
        self.order = order
        self.names = names
        self.teams = list(teams)
        self.unnamed: list[str] = []
        self.now = datetime.now(UTC)
        self.token_lifetime = timedelta()
        self._declared = list(teams)
        self._purposes = purposes
        self._further = extra_sinks

    def plan(
        self,
        now: datetime,
        check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    ) -> list[Outcome]:
        """Observe the robots, and return what is to be done for each pair.

        Args:
            now: the time.
            check_unread: called with the reasons why pairs could not be read. If it raises, the
                plan can be made again.

        Raises:
            TenantryError: Harbor could not be read, or `check_unread` raised it.
            DeclarationError: a name that no team has.
        """
        self.now = now
        self.token_lifetime = self.systems.harbor_client.token_lifetime()
        kept = left_out_teams(self.systems, self.names)
        self.unnamed = [each.team.name for each in kept if not each.is_named]
        self.systems.state.pick(name for name in self.names or () if name not in self.unnamed)
        self.teams = [*self._declared, *(each.team for each in kept)]
        unread = [part for each in kept for part in each.unread]
        found = [*observe(self.systems, self.teams, now, self._purposes, self._further), *unread]
        check_unread(part.error for part in found if isinstance(part, Unread))
        return choose(found, self.order, now, self.systems.state.platform.rotation.most_per_run)

    def rotate(
        self,
        chosen: Sequence[Outcome],
        now: datetime,
        lock: Lock,
        *,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        report: Callable[[str], None] = lambda text: None,
    ) -> list[Outcome]:
        """Take the lock, observe the pairs again, and make their planned steps, many pairs at once.

        One pair's failure does not affect the others.

        Args:
            chosen: the plan of each pair.
            now: the time.
            lock: keeps other processes from changing these teams.
            on_outcome: called with each pair's outcome as soon as it is known, from many threads.
            report: called with a sentence for each step that was made.

        Returns:
            The outcome of each pair, in the same order.

        Raises:
            TenantryError: the lock could not be taken. Pairs for which `on_outcome` was not called
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
                machine = Machine(
                    self.systems, self.order, now, self.token_lifetime, lock.check, report
                )
                found = observe(self.systems, teams, now, purposes, self._further)

                def rotate_pair(pair: Found) -> None:
                    outcome = machine.walk(pair)
                    results[outcome.name] = outcome
                    on_outcome(outcome)

                map_concurrently(rotate_pair, [pair for pair in found if pair.name in work])
        return [results[outcome.name] for outcome in chosen]


def rotate(
    systems: Systems,
    teams: Sequence[Team],
    order: RotationRequest,
    now: datetime,
    lock: Lock,
    *,
    purposes: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda text: None,
    extra_sinks: ExtraSinks = lambda team, purpose: (),
    names: Sequence[str] | None = None,
) -> list[Outcome]:
    """Rotate what is due in these teams, continue what is under way, and return the outcomes.

    Args:
        systems: the systems.
        teams: the declared teams.
        order: what was asked for.
        now: the time.
        lock: keeps other processes from changing these teams.
        purposes: the purposes of the robots; all if not given.
        report: called with a sentence for each step that was made.
        extra_sinks: sinks beyond the declared ones.
        names: the names of the teams that the run is about; all if not given.

    Raises:
        TenantryError: Harbor could not be read, or the lock not be taken.
    """
    run = RotationRun(systems, teams, order, names, purposes=purposes, extra_sinks=extra_sinks)
    return run.rotate(run.plan(now), now, lock, report=report)
