"""Declares live robots, and finds the Secrets that hold their credentials.

Pairs such as `pull-a` and `pull-b` are the robots of Tenantry. Robots of other tools are declared as
robots to replace if a person with rights on all of Harbor has created them: the level of such a robot
is `system`. Robots in a project can be a tenant's: they keep serving a
declared purpose, and it is only suggested to retire them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.harbor_project import Robot
from tenantry.declared.names import NamePatterns
from tenantry.declared.types import ShortName
from tenantry.importing.namespaces import is_valid
from tenantry.importing.naming import usual_secret
from tenantry.importing.notes import Note, quoted
from tenantry.importing.recognition import Found, Recognized
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.credentials.contents import content, format_of, host_of
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import purpose_of, short_name

Data = dict[str, Any]

_ROBOT, _SHORT = TypeAdapter(Robot), TypeAdapter(ShortName)


@dataclass(frozen=True)
class Holder:
    """An image pull secret, and the robot whose credential it holds."""

    namespace: str
    name: str
    username: str


def holders(snapshot: Snapshot) -> tuple[str, list[Holder]]:
    """Return the host of the registry, and the image pull secrets with a credential for it.

    The host is the one for which the Secrets hold credentials of existing robots. Without such
    Secrets, it is Harbor's own.
    """
    usual = host_of(snapshot.registry)
    known = {str(row["name"]) for row in snapshot.system_robots}
    known |= {str(row["name"]) for each in snapshot.details.values() for row in each.robots}
    found: list[tuple[str, Holder]] = []
    for namespace, inside in snapshot.pull_secrets.items():
        for name, secret in inside.items():
            format = format_of(secret)
            if format is None:
                continue
            held = content(secret, format, usual, known.__contains__)
            if held.credential is not None:
                found.append((held.registry, Holder(namespace, name, held.credential.username)))
    hosts = Counter(host for host, holder in found if holder.username in known)
    registry = hosts.most_common(1)[0][0] if hosts else usual
    return registry, [holder for host, holder in found if host == registry]


def usual_secrets(
    snapshot: Snapshot, found: Recognized, names: NamePatterns
) -> Iterator[tuple[str, set[str]]]:
    """Yield the first namespace of each team, with the names of its robots' Secrets by the patterns."""
    for team in found.teams.values():
        rows = snapshot.details[team.project].robots if team.project else ()
        purposes = {purpose_of(short_name(row)) for row in rows} - {""}
        if team.namespace:
            yield team.namespace, {usual_secret(names, purpose) for purpose in purposes}


class Robots:
    """The robots of all teams, and the Secrets that hold their credentials.

    Attributes:
        registry: the host for which the Secrets hold credentials.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._prefix = str(dict.get(dict(snapshot.settings), "robot_name_prefix") or "robot$")
        self._by_user: dict[str, list[Holder]] = defaultdict(list)
        self.registry, self._all = holders(snapshot)
        for holder in self._all:
            self._by_user[holder.username].append(holder)
        self._of_system: dict[str, list[Row]] = defaultdict(list)
        for row in snapshot.system_robots:
            spaces = {each.get("namespace") for each in row.get("permissions") or ()}
            kinds = {each.get("kind") for each in row.get("permissions") or ()}
            if len(spaces) == 1 and kinds == {"project"}:
                self._of_system[str(spaces.pop())].append(row)

    def of(self, team: Found, names: NamePatterns) -> tuple[Data, dict[str, str], list[Note]]:
        """Return a team's robots by purpose, the names of their Secrets, and notes.

        Args:
            team: the team.
            names: the platform's patterns of names.
        """
        data: Data = {}
        secrets: dict[str, str] = {}
        notes: list[Note] = []
        project = team.project or ""
        own: dict[str, list[Row]] = defaultdict(list)
        foreign: list[tuple[Row, bool]] = [(row, True) for row in self._of_system[project]]
        for row in self._snapshot.details[project].robots:
            purpose = purpose_of(short_name(row))
            if purpose and is_valid(_SHORT, purpose):
                own[purpose].append(row)
            else:
                foreign.append((row, False))
        for purpose, rows in sorted(own.items()):
            row = max(rows, key=lambda each: (not each["disable"], each["id"]))
            usual = usual_secret(names, purpose)
            self._add(team, purpose, row, rows, usual, data, secrets, notes)
        for row, of_system in foreign:
            self._foreign(team, row, of_system, data, secrets, notes)
        return data, secrets, notes

    def _add(
        self,
        team: Found,
        purpose: str,
        row: Row,
        rows: list[Row],
        usual: str,
        data: Data,
        secrets: dict[str, str],
        notes: list[Note],
    ) -> None:
        found = self._robot(row)
        held = [each for robot in rows for each in self._by_user[robot["name"]]]
        here = sorted(each.name for each in held if each.namespace == team.namespace)
        if found is None:
            text = f"robot {quoted(row['name'])} stays as it is: its permissions cannot be declared"
            notes.append(Note("not expressed", ("robots", purpose), text))
            return
        name = usual if usual in here or not here else here[0]
        if here:
            secrets[purpose] = name
        found["attach"] = self._is_attached(team, name)
        data[purpose] = found
        notes += self._copies(team, purpose, held)

    @staticmethod
    def _copies(team: Found, purpose: str, held: Sequence[Holder]) -> Iterator[Note]:
        """Yield suggestions for the Secrets outside of a team's namespaces that hold a credential.

        They are not declared as sinks: anybody who can write there could have copied it.
        """
        spaces = {team.namespace, *team.further.values()}
        for each in held:
            if each.namespace not in spaces:
                text = (
                    f"Secret {each.namespace}/{each.name} holds the credential of robot "
                    f"{quoted(each.username)}. If it is meant to, declare it as a sink of robot "
                    f"'{purpose}'; otherwise it holds an old credential after a rotation"
                )
                yield Note("suggestion", ("robots", purpose), text)

    def _robot(self, row: Row) -> Data | None:
        access = sorted(
            {
                f"{entry['resource']}:{entry['action']}"
                for permission in row.get("permissions") or ()
                for entry in permission.get("access") or ()
            }
        )
        expiry = "never" if row["expires_at"] < 0 else row["duration"]
        data = {"access": access, "expiry_days": expiry}
        try:
            _ROBOT.validate_python(data)
        except ValidationError:
            return None
        return data

    def _is_attached(self, team: Found, secret: str) -> bool:
        """Return whether all default ServiceAccounts of a team name a Secret."""
        return all(
            secret in self._attached(namespace)
            for namespace in (team.namespace or "", *team.further.values())
        )

    def _attached(self, namespace: str) -> set[str]:
        account = self._snapshot.accounts.get(namespace) or {}
        return {str(each.get("name")) for each in account.get("imagePullSecrets") or ()}

    def _foreign(
        self,
        team: Found,
        row: Row,
        of_system: bool,
        data: Data,
        secrets: dict[str, str],
        notes: list[Note],
    ) -> None:
        full = str(row["name"])
        purpose = self._purpose(team, full)
        found = self._robot(row)
        held = self._by_user[full]
        where = (
            ", ".join(f"{each.namespace}/{each.name}" for each in held) or "no image pull secret"
        )
        text = f"robot {quoted(full)} is of another tool; its credential is in {where}"
        here = sorted(each.name for each in held if each.namespace == team.namespace)
        if not (here and found and is_valid(_SHORT, purpose) and purpose not in data):
            notes.append(Note("suggestion", ("robots",), text))
            return
        found["attach"] = self._is_attached(team, here[0])
        if of_system:  # a tenant cannot create it
            found["replaces"] = [templated(full, team.name)]
        else:
            text += ". To retire it with a rotation, name it in 'replaces'"
            notes.append(Note("suggestion", ("robots", purpose), text))
        data[purpose] = found
        secrets[purpose] = here[0]
        notes += self._copies(team, purpose, held)

    def _purpose(self, team: Found, full: str) -> str:
        """Return the purpose in the name of another tool's robot, such as `otomi-team-shop-pull`."""
        short = full.rsplit("+", 1)[-1].removeprefix(self._prefix)
        for beginning in (f"{team.project}-", f"{team.name}-"):
            if beginning in short:
                return short.rpartition(beginning)[2]
        return short

    def orphans(self, teams: dict[str, Found]) -> Iterator[tuple[str, str]]:
        """Yield the robots of teams that no Secret holds, and the Secrets whose robot is gone."""
        known = {str(row["name"]) for row in self._snapshot.system_robots}
        spaces = {
            name for team in teams.values() for name in (team.namespace, *team.further.values())
        }
        for team in teams.values():
            project = self._snapshot.details[team.project or ""]
            rows = [*project.robots, *self._of_system[team.project or ""]]
            known |= {str(row["name"]) for row in rows}
            used = {
                purpose_of(short_name(row)) for row in rows if self._by_user[str(row["name"])]
            } - {""}
            for row in rows:
                name = str(row["name"])
                if not self._by_user[name] and purpose_of(short_name(row)) not in used:
                    text = "no image pull secret holds its credential. Delete it if no pipeline uses it"
                    yield f"robot {name} of team '{team.name}'", text
        for each in self._all:
            is_robot = each.username.startswith(self._prefix) or "+" in each.username
            if each.namespace in spaces and is_robot and each.username not in known:
                text = (
                    f"its robot {quoted(each.username)} does not exist in Harbor. Delete the Secret"
                )
                yield f"Secret {each.namespace}/{each.name}", text


def templated(name: str, team: str) -> str:
    """Return a name with `{team}` in place of the team's name, if it occurs once between words."""
    parts = name.split(f"-{team}-")
    return "-{team}-".join(parts) if len(parts) == 2 and "{" not in name else name
