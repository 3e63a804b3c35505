"""A run of rotation without a scheduler: observe, choose, walk under the lock, for many teams.

The Prefect flow does the same with a task for each part.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tenantry.calls import map_concurrently
from tenantry.declared import Team
from tenantry.errors import as_tenantry_error
from tenantry.locks import Lock
from tenantry.rotation.assess import Outcome, assess
from tenantry.rotation.due import URGENCY, RotationRequest
from tenantry.rotation.left_out import left_out_teams
from tenantry.rotation.machine import Machine
from tenantry.rotation.pair import ExtraSinks, Found, Unread, observe
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import assess_removed
from tenantry.systems.systems import Systems

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


def rotate_many(
    systems: Systems,
    chosen: Sequence[Outcome],
    order: RotationRequest,
    now: datetime,
    lock: Lock,
    *,
    token_lifetime: timedelta,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    report: Callable[[str], None] = lambda text: None,
    extra_sinks: ExtraSinks = lambda team, purpose: (),
    teams: Sequence[Team] | None = None,
) -> list[Outcome]:
    """Does what was chosen, many pairs at once; one's failure is its own.

    The teams with something to do are looked at again under the lock: what was seen before may
    have been changed since.

    Args:
        systems: the systems.
        chosen: what there is to do for each pair.
        order: what somebody asked for.
        now: the time.
        lock: keeps others off all these teams.
        token_lifetime: how long a token of Harbor's registry lives.
        on_outcome: is told what became of a pair as soon as it is known, from many threads.
        report: is told of each thing done.
        extra_sinks: sinks beyond the declared ones.
        teams: the teams of these pairs, and maybe others; the declared ones if not given.

    Returns:
        What became of each, in the same order.

    Raises:
        TenantryError: the lock could not be taken. Of the pairs whose outcome was not told, none
            was touched.
    """
    # What could not be read is looked at once more.
    work = {outcome.name: outcome for outcome in chosen if outcome.steps or outcome.error}
    results = {outcome.name: outcome for outcome in chosen}
    for outcome in chosen:
        if outcome.name not in work:
            on_outcome(outcome)
    if work:
        known = systems.state.teams.values() if teams is None else teams
        names = {outcome.team for outcome in work.values()}
        again = [team for team in known if team.name in names]
        with lock:
            machine = Machine(systems, order, now, token_lifetime, lock.check, report)
            purposes = sorted({outcome.purpose for outcome in work.values()})
            found = observe(systems, again, now, purposes, extra_sinks)

            def walk(pair: Found) -> None:
                outcome = machine.walk(pair)
                results[outcome.name] = outcome
                on_outcome(outcome)

            map_concurrently(walk, [pair for pair in found if pair.name in work])
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
    """One whole run over teams: rotates who is due, and goes on with what is under way.

    The teams that are left out are rotated as they are.

    Args:
        systems: the systems.
        teams: the declared teams.
        order: what somebody asked for.
        now: the time.
        lock: keeps others off all these teams.
        purposes: the robots; all if not given.
        report: is told of each thing done.
        extra_sinks: sinks beyond the declared ones.
        names: the teams that the run is about; all if not given.

    Raises:
        TenantryError: Harbor could not be asked, or the lock not taken.
    """
    kept = left_out_teams(systems, names)
    teams = [*teams, *(each.team for each in kept)]
    unread = [part for each in kept for part in each.unread]
    found = [*observe(systems, teams, now, purposes, extra_sinks), *unread]
    chosen = choose(found, order, now, systems.state.platform.rotation.most_per_run)
    return rotate_many(
        systems,
        chosen,
        order,
        now,
        lock,
        token_lifetime=systems.harbor_client.token_lifetime(),
        report=report,
        extra_sinks=extra_sinks,
        teams=teams,
    )
