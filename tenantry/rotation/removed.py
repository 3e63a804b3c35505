"""Finds the robots of purposes that a declared team no longer has.

Only robots with the mark of this platform and of the team are retired. All others, and robots of teams
that no file declares, are reported as drift, and a person decides about them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tenantry.declared import Team
from tenantry.rotation.left_secrets import LeftSecret, LeftSecrets
from tenantry.systems.credentials.accounts import ACCOUNT
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, purpose_of, short_name
from tenantry.systems.systems import Systems


@dataclass(frozen=True)
class Removed:
    """The robots of a purpose that the team no longer declares.

    Attributes:
        team: the team.
        purpose: the purpose, such as `pull`.
        rows: the robots, by short name.
        secrets: the Secrets to delete once no robot works.
        attached: the namespaces whose ServiceAccount refers to one of them, with its name.
    """

    team: Team
    purpose: str
    rows: dict[str, Row]
    secrets: tuple[LeftSecret, ...] = ()
    attached: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The team and the purpose."""
        return f"{self.team.name}/{self.purpose}"

    @property
    def numbers(self) -> list[int]:
        """The ids of the robots in Harbor."""
        return [row["id"] for row in self.rows.values()]

    def working(self, now: datetime) -> dict[str, Row]:
        """Return the robots that still work."""
        return {name: row for name, row in self.rows.items() if _works(row, now)}


def _works(row: Row, now: datetime) -> bool:
    expires = expires_at(row)
    return not row["disable"] and (row["expires_at"] < 0 or expires is None or expires > now)


def find_removed(
    systems: Systems,
    team: Team,
    rows: Sequence[Row],
    purposes: Collection[str] | None,
    now: datetime,
) -> Iterator[Removed]:
    """Yield the purposes that a declared team no longer declares, and that still have robots.

    Args:
        systems: the systems.
        team: the team.
        rows: the robots of its project.
        purposes: the purposes to observe; all if not given.
        now: the time.
    """
    if team.name not in systems.state.teams:
        return  # The declared purposes of a team that is left out are not known.
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        short = short_name(row)
        purpose = purpose_of(short)
        wanted = purposes is None or purpose in purposes
        if (
            purpose
            and purpose not in team.active_robots
            and wanted
            and systems.marks.has_issued(row, team.name)
        ):
            found.setdefault(purpose, {})[short] = row
    for purpose, robots in sorted(found.items()):
        state = Removed(team, purpose, robots)
        if not state.working(now):
            secrets = tuple(LeftSecrets(systems, team, purpose).find())
            attached = tuple(_attached(systems, team, purpose, secrets))
            state = replace(state, secrets=secrets, attached=attached)
        yield state


def _attached(
    systems: Systems, team: Team, purpose: str, secrets: Iterable[LeftSecret]
) -> Iterator[tuple[str, str]]:
    """Yield the attached Secrets of a purpose. The team file may have lost an explicit name."""
    found = {(each.namespace, each.name) for each in secrets}
    for namespace in team.namespaces:
        account = systems.home_cluster.get("ServiceAccount", ACCOUNT, namespace)
        for entry in (account or {}).get("imagePullSecrets") or []:
            name = entry["name"]
            if name == team.secret_name(purpose) or (namespace, name) in found:
                yield namespace, name
