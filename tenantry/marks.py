"""Marks, which Tenantry writes on objects to record their owner.

All marks have the format `v1:PLATFORM:TEAM`, with `:CLUSTER` at the end if the cluster matters.
TEAM is empty for the platform's own objects. PLATFORM is `id` in platform.yaml, or else the UID of
the namespace `kube-system` of the home cluster. So platforms that share a Harbor or a Keycloak do
not confuse their objects.

| where | mark |
|---|---|
| Kubernetes, Istio | the annotation `tenantry.io/mark`; two labels for selectors |
| Keycloak | the attribute `tenantry.io/mark`; two attributes for searches |
| Harbor | the description of a robot, in brackets; it shows the owner of the project |

Earlier releases wrote only the labels, the other attributes, and a description without brackets.
Such an object belongs to this platform, and the next run writes its mark.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tenantry.declared.policy_text import renaming
from tenantry.errors import TenantryError

MANAGED_BY = "app.kubernetes.io/managed-by"
TEAM = "tenantry.io/team"
MARK = "tenantry.io/mark"
ADOPTED = "tenantry.io/adopted"
"""The annotation or attribute of adopted objects. They are not deleted when they are no longer
declared."""
KEY = "tenantry.io/key"
"""The attribute of an OIDC client, and the annotation of a further namespace: the key under which the
team's file declares it. It shows that a name was changed."""
PRODUCT = "tenantry"

_FORMAT = re.compile(r"v1:([a-z0-9.-]+):([a-z0-9-]*)(?::([a-z0-9.-]+))?")
_RETRY_AFTER = 30.0
"""The seconds after which a failed read of the home cluster's UID is repeated."""

ProjectMark = Literal["created", "adopted"]
"""How a Harbor project became Tenantry's."""

_DESCRIPTIONS: dict[ProjectMark, str] = {
    "created": "Managed by Tenantry",
    "adopted": "Managed by Tenantry in an adopted project",
}
_REVOKED = "; disabled by the offboarding of its team"
"""The end of the description of a robot that a revocation has disabled. Onboarding enables it again."""
_DESCRIBED = re.compile(
    rf"(Managed by Tenantry(?: in an adopted project)?)(?: \[(.*)\])?({re.escape(_REVOKED)})?"
)


@dataclass(frozen=True)
class Mark:
    """A mark as it was read.

    Attributes:
        platform: the platform's id; None in a mark of a release that wrote none.
        team: the team's name; empty for the platform's own objects.
        cluster: the cluster's name; empty if it does not matter.
    """

    platform: str | None
    team: str
    cluster: str = ""

    def __str__(self) -> str:
        """Return the mark as it is written."""
        cluster = f":{self.cluster}" if self.cluster else ""
        return f"v1:{self.platform}:{self.team}{cluster}"


def parse(text: object) -> Mark | None:
    """Return the mark in a text; None if the text is not a mark."""
    found = _FORMAT.fullmatch(text) if isinstance(text, str) else None
    return Mark(found[1], found[2], found[3] or "") if found else None


def read(attributes: Mapping[str, Any] | None, mark: object) -> Mark | None:
    """Return the mark of an object; None if it carries none.

    Args:
        attributes: its labels or attributes.
        mark: the text of its mark, if it has one.
    """
    if not is_marked(attributes):
        return None
    team = _first((attributes or {}).get(TEAM))
    return parse(_first(mark)) or Mark(None, str(team or ""))


def is_marked(attributes: Mapping[str, Any] | None) -> bool:
    """Return whether labels or attributes show that Tenantry manages an object."""
    return bool(_first((attributes or {}).get(MANAGED_BY)) == PRODUCT)


def _first(value: Any) -> Any:
    """Return the value of an attribute. The attributes of Keycloak's groups are lists."""
    return (value[0] if value else None) if isinstance(value, list) else value


class Intent(NamedTuple):
    """The record of a team's namespace about its Harbor project."""

    mark: ProjectMark
    is_certain: bool
    """Whether the namespace carries a mark with the platform's id. Then the intent was written, or
    confirmed, when the project belonged to no other platform."""


class Marks:
    """The marks of one platform. Safe to use from many threads.

    Args:
        id: the platform's id, if it is declared.
        name: the name of the platform, for messages.
        home: returns the UID of the home cluster.
    """

    def __init__(self, id: str | None, name: str, home: Callable[[], str]) -> None:
        self._id = id
        self._name = name
        self._read_home = home
        self._home = ""
        self._failure: TenantryError | None = None
        self._failed_at = 0.0

    @property
    def platform(self) -> str:
        """The platform's id.

        Raises:
            TenantryError: none is declared, and the home cluster cannot be read.
        """
        return self._id or self._uid()

    def check(self) -> None:
        """Check that the platform's id is known, which all writes need.

        Raises:
            TenantryError: none is declared, and the home cluster cannot be read.
        """
        _ = self.platform

    def _uid(self) -> str:
        if self._home:
            return self._home
        if self._failure is not None and time.monotonic() < self._failed_at + _RETRY_AFTER:
            raise self._failure
        try:
            self._home = self._read_home()
        except TenantryError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        return self._home

    @property
    def is_known(self) -> bool:
        """Whether the platform's id is known, so that marks can be written and compared."""
        try:
            return bool(self.platform)
        except TenantryError:
            return False

    def versioned(self, team: str) -> dict[str, str]:
        """Return the mark for the objects of a team, or of the platform (empty), with its key.

        The result is empty while the platform's id cannot be read. Marks are not compared then.
        """
        return {MARK: str(Mark(self.platform, team))} if self.is_known else {}

    def attributes(self, team: str) -> dict[str, str]:
        """Return the mark, and the labels by which searches find the object."""
        return {**labels(team), **self.versioned(team)}

    def is_own(self, mark: Mark) -> bool:
        """Return whether a mark is from this platform, or from a release that wrote no platform.

        A mark with the UID of the home cluster stays valid after an id is declared.
        """
        if mark.platform is None or not self.is_known:
            return True
        return mark.platform == self.platform or mark.platform == self._uid_if_known()

    def _uid_if_known(self) -> str:
        try:
            return self._uid()
        except TenantryError:
            return ""

    def foreign(self, mark: Mark | None, team: str) -> str:
        """Return why an object with a mark does not belong to a team, or the platform; empty if it
        does."""
        if mark is None:
            return ""
        if not self.is_own(mark):
            whose = f" (team '{mark.team}')" if mark.team else ""
            return (
                f"it belongs to platform '{mark.platform}'{whose}, and this is platform "
                f"'{self.platform}' ('{self._name}'). Rename the team on one of the two platforms. "
                f"If they are the same platform, whose home cluster was created again, set 'id: "
                f"{mark.platform}' in platform.yaml"
            )
        if mark.team == team or (mark.platform is None and not (mark.team and team)):
            return ""
        whose = f"team '{mark.team}'" if mark.team else "the platform itself"
        move = f". {renaming(team, mark.team)}" if mark.team and team else ""
        return (
            f"it belongs to {whose}, by its mark. Remove it if {whose} no longer needs it, or choose "
            f"another name{move}"
        )

    # Harbor

    def description(self, mark: ProjectMark, team: str) -> str:
        """Return the description of a robot of Tenantry.

        Raises:
            TenantryError: the platform's id cannot be read.
        """
        return f"{_DESCRIPTIONS[mark]} [{Mark(self.platform, team)}]"

    def revoked_description(self, mark: ProjectMark, team: str) -> str:
        """Return the description of a robot that the revocation of its team's access disables.

        Raises:
            TenantryError: the platform's id cannot be read.
        """
        return f"{self.description(mark, team)}{_REVOKED}"

    def project_mark(self, robots: Iterable[Mapping[str, Any]]) -> ProjectMark | None:
        """Return the mark of a project, by its robots; None if Tenantry created none of them."""
        found = [_described(robot) for robot in robots]
        own = {how for how, mark in found if how and self.is_own(mark)}
        return next((how for how in _DESCRIPTIONS if how in own), None)

    def project_team(self, robots: Iterable[Mapping[str, Any]]) -> str | None:
        """Return the team that a project belongs to, by its robots; None if they name no team, or
        several."""
        found = [mark for how, mark in map(_described, robots) if how and mark.platform]
        teams = {mark.team for mark in found if self.is_own(mark)}
        return teams.pop() or None if len(teams) == 1 else None

    def has_issued(self, robot: Mapping[str, Any], team: str) -> bool:
        """Return whether a robot carries the mark of this platform and of a team.

        The mark of an earlier release is not sufficient, since it does not name the platform.
        """
        how, mark = _described(robot)
        named = how is not None and mark.platform is not None and mark.team == team
        return named and self.is_known and self.is_own(mark)

    def foreign_project(self, robots: Iterable[Mapping[str, Any]], team: str) -> str:
        """Return why a project belongs to another platform, by its robots; empty if it does not."""
        found = [mark for how, mark in map(_described, robots) if how and mark.platform]
        if any(map(self.is_own, found)):
            return ""
        return next((why for mark in found if (why := self.foreign(mark, team))), "")


def is_revoked(robot: Mapping[str, Any]) -> bool:
    """Return whether a revocation has disabled a robot, by its description."""
    found = _DESCRIBED.fullmatch(str(robot.get("description") or ""))
    return bool(found and found[3] and robot["disable"])


def _described(robot: Mapping[str, Any]) -> tuple[ProjectMark | None, Mark]:
    """Return the project mark, and the mark, in the description of a robot."""
    found = _DESCRIBED.fullmatch(str(robot.get("description") or ""))
    if found is None:
        return None, Mark(None, "")
    how: ProjectMark = "created" if found[1] == _DESCRIPTIONS["created"] else "adopted"
    return how, parse(found[2]) or Mark(None, "")


def labels(team: str) -> dict[str, str]:
    """Return the labels by which selectors find the objects of a team, or of the platform
    (empty)."""
    return {MANAGED_BY: PRODUCT, **({TEAM: team} if team else {})}
