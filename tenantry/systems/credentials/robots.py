"""Writes the robots of onboarding, and finds the credential that their Secrets must hold."""

from collections.abc import Collection

from tenantry.calls import Clock
from tenantry.declared import Robot, Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import Marks, is_revoked
from tenantry.plan import Change
from tenantry.resources import Id, Observed
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.issuing import Created, Issuer
from tenantry.systems.credentials.observed import has_expired, refuse_unread, stored_credentials
from tenantry.systems.credentials.places import RobotSecret
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.robots import Lifetime, permissions


class Robots:
    """The robots of teams, and the credentials of theirs that Harbor has accepted in this run.

    Args:
        harbor: the client of Harbor.
        issuer: creates robots, and checks their credentials.
        marks: the platform's marks.
        clock: returns the time.
    """

    def __init__(self, harbor: HarborClient, issuer: Issuer, marks: Marks, clock: Clock) -> None:
        self._harbor = harbor
        self._issuer = issuer
        self._marks = marks
        self._clock = clock
        self._proven: dict[Id, Credential] = {}
        self._created: dict[Id, Created] = {}

    def forget(self, projects: Collection[str]) -> None:
        """Forget the credentials of the robots of projects: they may have been rotated since."""
        for robot in [id for id in self._proven if id.key.split("/")[0] in projects]:
            del self._proven[robot]
            self._created.pop(robot, None)

    def apply(self, change: Change) -> None:
        """Create or update a robot. A change without a declared robot only enables or disables it."""
        if change.resource.body is None:
            self._enable(change)
            return
        team: Team
        robot: Robot
        team, robot, mark = change.resource.body
        days = -1 if robot.expiry_days == "never" else robot.expiry_days
        if change.live is not None:
            row = change.live.handle
            lifetime: Lifetime = change.live.fields["lifetime"]
            renewed = is_revoked(row) and has_expired(change.live, self._clock())
            if renewed:  # nobody has used the old secret since, so it is not made valid again
                credential = self._issuer.renew(row["id"], row["name"])
            if {"lifetime", "expiry"} & {found.field for found in change.differences}:
                row = {**row, "duration": days if days < 0 else lifetime.renewed(days)}
            # PUT replaces the whole robot: Harbor clears omitted fields, and enables a disabled
            # robot.
            description = self._marks.description(mark, team.name)
            own = {"description": description, "disable": False}
            body = {**row, **own, "permissions": permissions(team.project, robot)}
            self._harbor.put(f"/robots/{row['id']}", body)
            if renewed:
                self._prove(change.id, credential)
            return
        short = change.id.key.rpartition("/")[2]
        created = self._issuer.create(team, short, robot, mark)
        self._created[change.id] = created
        self._prove(change.id, created.credential)

    def _enable(self, change: Change) -> None:
        """Enable or disable a robot, and write its description. Its other fields are kept."""
        assert change.live is not None
        row, fields = change.live.handle, change.resource.fields
        own = {"disable": fields["disabled"], "description": fields["description"]}
        self._harbor.put(f"/robots/{row['id']}", {**row, **own})

    def valid_credential(self, secret: RobotSecret, robot: Id, observed: Observed) -> Credential:
        """Return a credential of the robot that Harbor accepts: a stored one, or a new one.

        Raises:
            TenantryError: the stored ones could not be read, or the robot was deleted. No secret is
                renewed then, since a stored one may be in use.
        """
        if robot in self._proven:
            return self._proven[robot]
        if (live := observed.live.get(robot)) is not None:
            number, name = live.handle["id"], live.handle["name"]
        elif (created := self._created.get(robot)) is not None:
            number, name = created.number, created.credential.username
        else:
            raise ChangedMeanwhile("harbor", "GET /api/v2.0/robots", f"{robot} is gone")
        for candidate in stored_credentials(secret, name, observed):
            if self._issuer.accepts(candidate, {name}, {}):
                self._proven[robot] = candidate
                return candidate
        refuse_unread(secret, robot, observed)
        self._prove(robot, self._issuer.renew(number, name))
        return self._proven[robot]

    def _prove(self, robot: Id, credential: Credential) -> None:
        self._issuer.prove(credential)
        self._proven[robot] = credential
