"""Reads and writes the Secrets that hold the credentials of robots, for onboarding and rotation."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tenantry.declared import Team
from tenantry.declared.harbor_project import SecretFormat
from tenantry.marks import ADOPTED, Marks, labels
from tenantry.plan import Action, Change
from tenantry.resources import Id, Live, Resource
from tenantry.systems.credentials.contents import (
    Credential,
    content,
    data_of,
    data_without,
    format_of,
    metadata_of,
    type_of,
)
from tenantry.systems.credentials.pairs import ROBOT, short_of
from tenantry.systems.credentials.places import Place, RobotSecret
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.robots import robot_id
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import NAMESPACE, SECRET

_LARGEST = 1_390_000
"""The maximum size of a Secret's data in base64. An API server limits the decoded data to 1 MiB."""
_ANNOTATIONS = 250_000
"""The maximum size of annotations, which an API server limits to 256 KiB."""


class Secrets:
    """The Secrets with the credentials of robots.

    Args:
        clusters: the connections to the clusters.
        registry: returns the host that the credentials are for.
        marks: the platform's marks.
    """

    def __init__(self, clusters: Clusters, registry: Callable[[], str], marks: Marks) -> None:
        self._clusters = clusters
        self._marks = marks
        self._registry = registry

    @property
    def registry(self) -> str:
        """The host that the credentials are for."""
        return self._registry()

    def read(self, place: Place, *, harbor: bool = True) -> Live | None:
        """Return a Secret of a robot as it was observed; None if it does not exist.

        Its field `robot` is the robot of the pair whose credential it holds. Its handle has the place,
        the UID, the credential, the rest of its content, whether it is immutable,
        its finalizers, and the size of each value in base64.

        Args:
            place: the Secret.
            harbor: whether Harbor can be read. Its registry_url decides which credential in the
                Secret is the robot's.
        """
        secret = self._clusters.of(place.id).get("Secret", place.name, place.namespace)
        if secret is None:
            return None
        place = replace(place, format=_format(place, secret))
        fields = {"metadata": metadata_of(secret), "type": secret.get("type")}
        credential: Credential | None = None
        others: Mapping[str, Any] = {}
        if harbor:
            found = content(secret, place.format, self.registry, place.is_own)
            fields["registry"], credential = found.registry, found.credential
            fields["username"] = found.username
            others = found.others
        held = (
            short_of(credential.username)
            if credential and place.is_own(credential.username)
            else None
        )
        fields["robot"] = held
        handle = {
            "place": place,
            "uid": secret["metadata"]["uid"],
            "credential": credential,
            "others": others,
            "immutable": bool(secret.get("immutable")),
            "finalizers": secret["metadata"].get("finalizers") or [],
            "sizes": {key: len(value) for key, value in (secret.get("data") or {}).items()},
        }
        foreign = self._foreign(place, secret)
        return Live(
            fields,
            objects.is_ours(secret) and not foreign,
            adopted=objects.is_adopted(secret),
            handle=handle,
            foreign=foreign,
        )

    def _foreign(self, place: Place, secret: Object) -> str:
        """Return why a Secret with a mark does not belong to the team; empty if it does.

        A team can change the marks in its own namespaces. There the mark of the namespace counts.
        """
        why = self._marks.foreign(objects.mark_of(secret), place.team.name)
        if not why or place.is_foreign:
            return why
        return self.foreign_namespace(
            place, self._clusters.of(place.id).get("Namespace", place.namespace)
        )

    def foreign_namespace(self, place: Place, namespace: Object | None) -> str:
        """Return why a namespace belongs to another team, by its mark; empty if it does not."""
        if namespace is None or place.is_foreign:
            return ""
        return self._marks.foreign(objects.mark_of(namespace), place.team.name)

    def lacks_namespace(self, place: Place) -> bool:
        """Return whether a missing Secret cannot be created, since its namespace is missing or
        foreign."""
        namespace = self._clusters.of(place.id).get("Namespace", place.namespace)
        return namespace is None or bool(self.foreign_namespace(place, namespace))

    def resource(
        self,
        place: Place,
        robot: Id | None,
        annotations: Mapping[str, str],
        fields: Mapping[str, Any],
    ) -> Resource:
        """Return a desired Secret.

        Args:
            place: the Secret.
            robot: the id of the robot; None if the Secret keeps the credential of another owner's
                robot, which belongs to the project.
            annotations: the annotations, without those of the mark.
            fields: what its content must be.
        """
        team = place.team.name
        marked = {**annotations, **self._marks.versioned(team)}
        metadata = {"labels": labels(team), "annotations": marked}
        return Resource(
            place.id,
            {"metadata": metadata, "type": type_of(place.format), **fields},
            body=RobotSecret(place, robot),
            depends_on=(robot or project_id(place.team.project), Id(NAMESPACE, place.namespace)),
        )

    def write(
        self,
        place: Place,
        live: Live | None,
        credential: Credential,
        annotations: Mapping[str, str],
    ) -> None:
        """Write a credential into a Secret, in place, so that pods that refer to it keep working.

        If the team has made a Secret in its namespaces impossible to update, the Secret is
        replaced.

        Args:
            place: the Secret.
            live: the Secret as it was observed; None if it does not exist.
            credential: the credential.
            annotations: all annotations of Tenantry.
        """
        place = live.handle["place"] if live else place
        robot = robot_id(place.team.project, annotations[ROBOT])
        wanted = self.resource(place, robot, annotations, {})
        if live is None:
            self.apply(Change("create", wanted, (), None), credential)
            return
        action: Action = "update"
        if not place.is_foreign:
            if self._is_full(place, live, credential):
                live = replace(live, handle={**live.handle, "others": {}})
                action = "replace"
            elif live.handle["immutable"] or live.fields["type"] != type_of(place.format):
                action = "replace"
        if action == "replace" and live.handle["finalizers"]:
            body = {"metadata": {"finalizers": None}}
            self._clusters.of(place.id).merge("Secret", place.name, place.namespace, body)
        self.apply(Change(action, wanted, (), live), credential)

    def _is_full(self, place: Place, live: Live, credential: Credential) -> bool:
        """Return whether the API server would refuse the Secret because a team has added too
        much."""
        annotations = live.fields["metadata"]["annotations"].items()
        if sum(len(str(part).encode()) for pair in annotations for part in pair) > _ANNOTATIONS:
            return True
        try:
            data = data_of(place.format, self.registry, credential, live.handle["others"])
        except RecursionError:
            return True
        rest = sum(size for key, size in live.handle["sizes"].items() if key not in data)
        return bool(rest + sum(map(len, data.values())) > _LARGEST)

    def apply(self, change: Change, credential: Credential) -> None:
        """Make a change of a Secret that `resource` returned."""
        place: Place = change.resource.body.place
        others = change.live.handle["others"] if change.live else {}
        data = data_of(place.format, self.registry, credential, others)
        write(self._clusters.of(change.id), change, place.team, data, self._marks)

    def mark(self, change: Change) -> None:
        """Write the marks of an adopted Secret, and nothing else. Its content stays byte for byte.

        Raises:
            ChangedMeanwhile: another Secret has its name now.
        """
        assert change.live is not None
        metadata = change.resource.fields["metadata"]
        body = {
            "metadata": {
                "uid": change.live.handle["uid"],
                "labels": metadata["labels"],
                "annotations": {**metadata["annotations"], ADOPTED: "true"},
            }
        }
        namespace, name = change.id.key.split("/")
        self._clusters.of(change.id).merge("Secret", name, namespace, body)

    def empty(self, change: Change) -> None:
        """Remove the robot's credential from a Secret. Everything else in it is kept.

        Raises:
            ChangedMeanwhile: another Secret has its name now.
        """
        assert change.live is not None
        place: Place = change.live.handle["place"]
        body = {
            "metadata": {"uid": change.live.handle["uid"]},
            "data": data_without(place.format, change.live.handle["others"]),
        }
        self._clusters.of(change.id).merge("Secret", place.name, place.namespace, body)


def write(
    cluster: KubernetesClient, change: Change, team: Team, data: dict[str, str], marks: Marks
) -> None:
    """Write a Secret in place. Deleting it first would break image pulls in between."""
    namespace, name = change.id.key.split("/")
    fields = change.resource.fields
    content = {"type": fields["type"], "data": data}
    metadata = fields["metadata"]
    wanted = objects.resource(
        SECRET,
        name,
        team,
        content,
        marks,
        namespace=namespace,
        annotations=metadata.get("annotations"),
    )
    full = Change(change.action, wanted, change.differences, change.live)
    objects.apply(cluster, full)
    # Server-side apply keeps a member that another client has added. A public client has no secret.
    if ("client_secret", None) in [(each.field, each.new) for each in change.differences]:
        cluster.merge("Secret", name, namespace, {"data": {"client_secret": None}})


def _format(place: Place, secret: Object) -> SecretFormat:
    """Return the format of a Secret.

    An adopted Secret of the team keeps its format, unless pods use it as an image pull secret.
    """
    team, is_created = (
        place.team,
        objects.is_ours(secret) and ADOPTED not in metadata_of(secret)["annotations"],
    )
    robot = team.active_robots.get(place.purpose)
    is_own = not place.is_foreign and place.name == team.secret_name(place.purpose)
    if robot is None or robot.attach or is_created or not is_own:
        return place.format
    return format_of(secret) or place.format
