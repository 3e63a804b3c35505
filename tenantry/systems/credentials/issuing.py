"""New robots, and whether a robot's credential opens Harbor."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tenantry.answers import texts
from tenantry.declared import Robot
from tenantry.errors import InvalidResponse, NotEffective
from tenantry.marks import Marks, ProjectMark
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.robots import new_robot


@dataclass(frozen=True)
class Made:
    """A robot that was just made, and its secret, which is nowhere else yet."""

    number: int
    credential: Credential


class Issuer:
    """Harbor, as the issuer of robots' credentials."""

    def __init__(self, harbor: HarborClient, marks: Marks) -> None:
        self._harbor = harbor
        self._marks = marks

    def make(self, project: str, short: str, robot: Robot, mark: ProjectMark) -> Made:
        """Makes a robot as declared.

        Raises:
            ChangedMeanwhile: there is one of that name.
        """
        call = "POST /api/v2.0/robots"
        described = self._marks.description(mark, project.removeprefix("team-"))
        made = self._harbor.create("/robots", new_robot(project, short, robot, described))
        # Without them nobody will ever know that robot's secret: another look finds it, and mends it.
        answer: Any = made.json() if made.content else None
        name, secret = texts("harbor", call, answer, "name", "secret")
        if not isinstance(answer.get("id"), int):
            raise InvalidResponse("harbor", call, "the answer lacks id")
        return Made(answer["id"], Credential(name, secret))

    def renew(self, number: int, name: str) -> Credential:
        """Return the credential of a robot with a new secret; the old secret ends at once.

        Args:
            number: the robot's number.
            name: its full name.
        """
        call = f"PATCH /api/v2.0/robots/{number}"
        (secret,) = texts("harbor", call, self._harbor.patch(f"/robots/{number}", {}), "secret")
        return Credential(name, secret)

    def prove(self, credential: Credential) -> None:
        """A new secret counts once it has opened Harbor: a write beside ours may have undone it.

        Raises:
            NotEffective: it does not.
        """
        if not self._harbor.opens(credential.username, credential.password):
            raise NotEffective(
                "harbor",
                "GET /service/token",
                f"the new secret of robot '{credential.username}' does not open Harbor; somebody "
                "else may be changing that robot, or it may be disabled or expired",
            )

    def opens(
        self,
        credential: Credential | None,
        robots: Collection[str],
        tried: dict[Credential, bool],
    ) -> bool:
        """Return whether Harbor accepts a credential of one of a team's robots.

        A tenant can write any user name into its Secrets. Harbor would lock an account whose
        password is guessed in this way, or a tenant would learn whether a guess was right. So a
        credential of any other account is not tried, and counts as one that Harbor refuses.

        Args:
            credential: the credential.
            robots: the full names of the team's robots.
            tried: the answers so far; each credential is tried once.
        """
        if credential is None or credential.username not in robots:
            return False
        if credential not in tried:
            tried[credential] = self._harbor.opens(credential.username, credential.password)
        return tried[credential]
