"""Decides which robots in a team's project should have been deleted."""

from datetime import datetime

from tenantry.declared import Team
from tenantry.resources import Id, Observed
from tenantry.systems.credentials import pairs
from tenantry.systems.credentials.foreign import is_in_use
from tenantry.systems.credentials.observed import holds, live_robot
from tenantry.systems.credentials.observed import rows as rows_of
from tenantry.systems.credentials.places import annotations_of, places


def is_past_retirement(team: Team, robot: Id, observed: Observed, now: datetime) -> bool:
    """Return whether a robot should have been deleted, so that it is an extra.

    An old robot is not past its retirement during the overlap, while it is disabled and waits for its
    deletion, or while a Secret of the pair holds its credential, or could not be read. A Secret in a
    namespace of the team counts only until the live robot reaches its maximum age. A robot of another
    owner is not past its retirement while an adopted Secret keeps its credential, or while
    `replaces` names it.

    Args:
        team: the team.
        robot: a robot of the team that is not declared.
        observed: the observed robots and Secrets.
        now: the time.
    """
    row = observed.live[robot].handle if robot in observed.live else None
    if row is not None and is_in_use(team, row, observed, now):
        return False
    short = robot.key.rsplit("/", 1)[-1]
    purpose = short.rpartition("-")[0]
    if purpose not in team.active_robots:
        return True
    declared = team.active_robots[purpose]
    live = live_robot(team, purpose, observed, now)
    rows = rows_of(team, purpose, observed)
    end = pairs.latest_end(rows[live], declared) if live in rows else None
    lasting = end is None or now < end
    for place in (p for p in places(team, purpose) if p.is_foreign or lasting):
        # A Secret that could not be read may hold its credential.
        if not observed.is_known(place.id) or holds(short, observed.live.get(place.id)):
            return False
    annotations = annotations_of(observed.live.get(places(team, purpose)[0].id))
    kept = pairs.in_rotation(live, annotations, rows, declared, now)
    return short not in set(kept)
