"""The places of a robot's credential: the Secrets that hold it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tenantry.declared import Team
from tenantry.declared.harbor_project import SecretFormat
from tenantry.resources import Id, Live
from tenantry.systems.credentials.accounts import secret_id
from tenantry.systems.credentials.contents import (
    Credential,
    data_without,
)
from tenantry.systems.credentials.pairs import pair, short_of


@dataclass(frozen=True)
class Place:
    """A Secret that holds a robot's credential."""

    team: Team
    purpose: str
    """The robot's purpose; empty if it is unknown, since the team no longer declares the Secret."""
    namespace: str
    name: str
    format: SecretFormat = "docker"

    @property
    def id(self) -> Id:
        """The id of the Secret."""
        return secret_id(self.namespace, self.name)

    @property
    def is_first(self) -> bool:
        """Whether it is the Secret whose annotations record the state of the pair."""
        return (self.namespace, self.name) == (
            self.team.home_namespace,
            self.team.secret_name(self.purpose),
        )

    def is_own(self, username: str) -> bool:
        """Return whether a user name is one of the pair's robots, regardless of Harbor's prefix.

        If the purpose is unknown, all robots of the team's project count.
        """
        project = re.escape(f"{self.team.project}+")
        shorts = "|".join(map(re.escape, pair(self.purpose))) if self.purpose else "[^+]+"
        robots = f"{project}({shorts})"
        return re.fullmatch(rf"(.*[^a-z0-9._-])?({robots})", username, re.DOTALL) is not None

    @property
    def is_foreign(self) -> bool:
        """Whether its namespace does not belong to the team."""
        return self.namespace not in self.team.namespaces


def places(team: Team, purpose: str) -> list[Place]:
    """Return the Secrets of a robot, beginning with the one whose annotations record the state."""
    robot = team.active_robots[purpose]
    namespaces = list(team.namespaces) if robot.attach else [team.home_namespace]
    own = [Place(team, purpose, namespace, team.secret_name(purpose)) for namespace in namespaces]
    sinks = team.sinks(purpose)
    return [*own, *(Place(team, purpose, s.namespace, s.name, s.format) for s in sinks)]


@dataclass(frozen=True)
class RobotSecret:
    """A Secret, and the robot whose credential it must hold."""

    place: Place
    robot: Id | None
    """The robot of the pair; None while the Secret keeps the credential of another owner's robot."""


def holds_more(secret: Live) -> bool:
    """Return whether a Secret holds anything besides the credential of a robot."""
    place: Place = secret.handle["place"]
    others = {key: value for key, value in secret.handle["others"].items() if value}
    return (
        bool(others) or not secret.handle["sizes"].keys() <= data_without(place.format, {}).keys()
    )


def annotations_of(live: Live | None) -> Mapping[str, str]:
    """Return the annotations of a Secret; empty if it is not Tenantry's."""
    found = live.fields["metadata"].get("annotations") if live and live.ours else None
    return found or {}


def renamed(credential: Credential, username: str, project: str) -> Credential | None:
    """Return a credential with the current full name of its robot; None if it is another
    account's.

    Harbor's prefix of robot names may have changed, and it can be any text.

    Args:
        credential: the credential.
        username: the current full name of the robot.
        project: the project of the robot.
    """
    held = credential.username
    if held == username or held.endswith(f"{project}+{short_of(username)}"):
        return Credential(username, credential.password)
    return None
