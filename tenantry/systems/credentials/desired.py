"""The desired robots, Secrets and image pull secrets of a team."""

from collections.abc import Iterator
from typing import Any

from tenantry.calls import Clock
from tenantry.declared import Team
from tenantry.marks import Marks, ProjectMark, is_revoked
from tenantry.resources import Id, Observed, Resource, whole_system
from tenantry.systems.credentials.accounts import attachments
from tenantry.systems.credentials.clients import ClientSecrets
from tenantry.systems.credentials.foreign import FOREIGN, as_observed, kept_robot
from tenantry.systems.credentials.observed import has_expired, live_robot
from tenantry.systems.credentials.observed import rows as rows_of
from tenantry.systems.credentials.pairs import KEPT, ROBOT
from tenantry.systems.credentials.places import Place, annotations_of, places
from tenantry.systems.credentials.robot_secrets import Secrets
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import FAR_OFF, robot_id

ACCEPTED, REJECTED = "accepted by Harbor", "rejected by Harbor"
"""The results of a test of the credential in a Secret."""


class DesiredCredentials:
    """Computes the desired credentials. The observed state determines the live robot of each pair.

    Args:
        secrets: the Secrets of robots.
        client_secrets: the Secrets of OIDC clients.
        marks: the platform's marks.
        probe: whether the credentials in Secrets are tested.
        clock: returns the current time.
    """

    def __init__(
        self,
        secrets: Secrets,
        client_secrets: ClientSecrets,
        marks: Marks,
        *,
        probe: bool,
        clock: Clock,
    ) -> None:
        self._secrets = secrets
        self._client_secrets = client_secrets
        self._marks = marks
        self._probe = probe
        self._clock = clock

    def of(self, team: Team, observed: Observed) -> list[Resource]:
        """Return robots, Secrets, and the image pull secrets of ServiceAccounts."""
        wanted: list[Resource] = []
        project_of_team = project_id(team.project)
        project = observed.live.get(project_of_team)
        kept = project is None or (project.ours and not project.handle["adopted"])
        mark: ProjectMark = "created" if kept else "adopted"
        for purpose, robot in team.active_robots.items():
            if (foreign := kept_robot(team, purpose, observed)) is not None:
                wanted += [
                    self._kept_secret(place, foreign, observed) for place in places(team, purpose)
                ]
                continue
            short = live_robot(team, purpose, observed, self._clock())
            id = robot_id(team.project, short)
            fields: dict[str, Any] = {
                "access": sorted(set(robot.access)),
                "disabled": False,
                "lifetime": robot.expiry_days,
            }
            if self._marks.is_known:  # the description marks the robot and its project
                fields["description"] = self._marks.description(mark, team.name)
            known = observed.live.get(id)
            if robot.rotation is None or has_expired(
                known, self._clock()
            ):  # otherwise rotation replaces it
                fields["expiry"] = FAR_OFF
            wanted.append(
                Resource(
                    id,
                    fields,
                    body=(team, robot, mark),
                    owner=project_of_team,
                )
            )
            wanted.extend(self._restored(team, purpose, short, mark, observed))
            wanted += [self._secret(place, id, observed) for place in places(team, purpose)]
        wanted.extend(
            self._client_secrets.desired(team, name, observed) for name in team.oidc_clients
        )
        wanted.extend(attachments(team))
        return wanted

    def _restored(
        self, team: Team, purpose: str, live: str, mark: ProjectMark, observed: Observed
    ) -> Iterator[Resource]:
        """Yield the other robot of a pair if a revocation has disabled it during its overlap."""
        for short, row in rows_of(team, purpose, observed).items():
            if short != live and is_revoked(row) and self._marks.is_known:
                description = self._marks.description(mark, team.name)
                yield Resource(
                    robot_id(team.project, short),
                    {"disabled": False, "description": description},
                    owner=project_id(team.project),
                )

    def _secret(self, place: Place, robot: Id, observed: Observed) -> Resource:
        known = observed.live.get(robot)
        fields = self._content(place, known.handle if known else None, observed)
        annotations = {ROBOT: robot.key.rsplit("/", 1)[-1]}
        if place.is_first:
            held = annotations_of(observed.live.get(place.id))
            annotations |= {key: held[key] for key in KEPT if key in held}
        return self._secrets.resource(as_observed(place, observed), robot, annotations, fields)

    def _kept_secret(self, place: Place, robot: Row, observed: Observed) -> Resource:
        """Return the desired Secret while the credential of another owner's robot is kept.

        Args:
            place: the Secret.
            robot: the robot whose credential the first Secret holds.
            observed: the observed Secrets. A Secret that holds another working credential keeps it.
        """
        live = observed.live.get(place.id)
        fields = self._content(place, (live and live.handle.get(FOREIGN)) or robot, observed)
        return self._secrets.resource(as_observed(place, observed), None, {}, fields)

    def _content(self, place: Place, robot: Row | None, observed: Observed) -> dict[str, Any]:
        """Return what the Secret of a robot must contain, as far as Harbor can be read."""
        fields: dict[str, Any] = {}
        if observed.is_known(whole_system("harbor")):
            fields["registry"] = self._secrets.registry
            if robot is not None:
                fields["username"] = robot["name"]
            if self._probe and observed.is_known(project_id(place.team.project)):
                fields["credential"] = ACCEPTED
        return fields
