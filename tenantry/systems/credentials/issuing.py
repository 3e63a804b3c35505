"""The creation of robots, and the check of their credentials."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tenantry.answers import texts
from tenantry.declared import Robot, Team
from tenantry.errors import InvalidResponse, NotEffective
from tenantry.marks import Marks, ProjectMark
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.robots import new_robot


@dataclass(frozen=True)
class Created:
    """A robot that was just created, and its credential, which is not stored anywhere yet."""

    number: int
    credential: Credential


class Issuer:
    """Harbor as the issuer of the credentials of robots."""

    def __init__(self, harbor: HarborClient, marks: Marks) -> None:
        self._harbor = harbor
        self._marks = marks

    def create(self, team: Team, short: str, robot: Robot, mark: ProjectMark) -> Created:
        """Create a declared robot of a team, and return it with its credential.

        Raises:
            ChangedMeanwhile: a robot of this name exists.
        """
        call = "POST /api/v2.0/robots"
        described = self._marks.description(mark, team.name)
        response = self._harbor.create("/robots", new_robot(team.project, short, robot, described))
        # Without these members the secret is lost. The next run finds the robot, and renews the
        # secret.
        answer: Any = response.json() if response.content else None
        name, secret = texts("harbor", call, answer, "name", "secret")
        if not isinstance(answer.get("id"), int):
            raise InvalidResponse("harbor", call, "the answer lacks id")
        return Created(answer["id"], Credential(name, secret))

    def renew(self, number: int, name: str) -> Credential:
        """Renew the secret of a robot, and return its credential. Harbor rejects the old secret at
        once.

        Args:
            number: the robot's number.
            name: its full name.
        """
        call = f"PATCH /api/v2.0/robots/{number}"
        (secret,) = texts("harbor", call, self._harbor.patch(f"/robots/{number}", {}), "secret")
        return Credential(name, secret)

    def prove(self, credential: Credential) -> None:
        """Check that Harbor accepts a new secret: a concurrent change may have replaced it.

        Raises:
            NotEffective: Harbor rejects it.
        """
        if not self._harbor.accepts(credential.username, credential.password):
            raise NotEffective(
                "harbor",
                "GET /service/token",
                f"Harbor rejects the new secret of robot '{credential.username}'; another client "
                "may be changing this robot, or it may be disabled or expired",
            )

    def accepts(
        self,
        credential: Credential | None,
        robots: Collection[str],
        tried: dict[Credential, bool],
    ) -> bool:
        """Return whether Harbor accepts a credential of one of a team's robots.

        A tenant can write any user name and password into its Secrets. If Tenantry tried them,
        Harbor would lock the account of this name, or the tenant would learn whether the password
        is right. So a credential of any other account is not tried, and counts as rejected.

        Args:
            credential: the credential.
            robots: the full names of the team's robots.
            tried: the results so far, so that each credential is tried once.
        """
        if credential is None or credential.username not in robots:
            return False
        if credential not in tried:
            tried[credential] = self._harbor.accepts(credential.username, credential.password)
        return tried[credential]
