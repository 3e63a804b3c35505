"""The Secrets that hold a robot's credential: where they are, how they are read and written.

Whoever writes one, be it onboarding or a rotation, does so here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenantry.declared import Team
from tenantry.declared.team import SecretFormat
from tenantry.marks import Marks, labels
from tenantry.plan import Action, Change
from tenantry.resources import Id, Live, Resource
from tenantry.systems.credentials.accounts import secret_id
from tenantry.systems.credentials.contents import Credential, content, data_of, metadata_of, type_of
from tenantry.systems.credentials.pairs import ROBOT, pair
from tenantry.systems.harbor.robots import robot_id
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import NAMESPACE, SECRET

_LARGEST = 1_390_000
"""The size of a Secret's data in base64 that an API server still accepts: it limits the data to 1 MiB."""
_ANNOTATIONS = 250_000
"""... and of annotations, which it limits to 256 KiB."""


@dataclass(frozen=True)
class Place:
    """A Secret that holds a robot's credential."""

    team: Team
    purpose: str
    namespace: str
    name: str
    format: SecretFormat = "docker"

    @property
    def id(self) -> Id:
        """How the Secret is known in plans."""
        return secret_id(self.namespace, self.name)

    @property
    def is_first(self) -> bool:
        """Whether it is the Secret whose annotations say how the pair stands."""
        return (self.namespace, self.name) == (self.team.slug, f"harbor-{self.purpose}")

    def is_own(self, username: str) -> bool:
        """Return whether a user name is that of one of the robots, whatever Harbor's prefix."""
        return any(_without_prefix(username) == (self.team.slug, s) for s in pair(self.purpose))

    @property
    def is_foreign(self) -> bool:
        """Whether its namespace is none of the team's."""
        return self.namespace not in self.team.namespaces


def places(team: Team, purpose: str) -> list[Place]:
    """The Secrets of a robot, the first one first."""
    robot = team.active_robots[purpose]
    namespaces = list(team.namespaces) if robot.attach else [team.slug]
    own = [Place(team, purpose, namespace, f"harbor-{purpose}") for namespace in namespaces]
    sinks = team.sinks(purpose)
    return [*own, *(Place(team, purpose, s.namespace, s.name, s.format) for s in sinks)]


@dataclass(frozen=True)
class RobotSecret:
    """A place, and the robot whose credential it is to hold."""

    place: Place
    robot: Id


class Secrets:
    """Reads and writes Secrets with robots' credentials.

    Args:
        clusters: the connections to the clusters.
        registry: gives the host that the credentials are for.
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
        """A robot's Secret as it is; None if there is none.

        Its handle has the uid, the credential in it, the rest of what it holds, whether it is
        immutable, its finalizers, and the size of each part in base64.

        Args:
            place: where it is.
            harbor: whether Harbor can be asked: without its own word for the registry, nobody
                knows which credential in it is meant.
        """
        secret = self._clusters.of(place.id).get("Secret", place.name, place.namespace)
        if secret is None:
            return None
        fields = {"metadata": metadata_of(secret), "type": secret.get("type")}
        credential: Credential | None = None
        others: Mapping[str, Any] = {}
        if harbor:
            found = content(secret, place.format, self.registry, place.is_own)
            fields["registry"], credential = found.registry, found.credential
            fields["username"] = found.username
            others = found.others
        handle = {
            "uid": secret["metadata"]["uid"],
            "credential": credential,
            "others": others,
            "immutable": bool(secret.get("immutable")),
            "finalizers": secret["metadata"].get("finalizers") or [],
            "sizes": {key: len(value) for key, value in (secret.get("data") or {}).items()},
        }
        foreign = self._foreign(place, secret)
        return Live(fields, objects.is_ours(secret) and not foreign, handle=handle, foreign=foreign)

    def _foreign(self, place: Place, secret: Object) -> str:
        """Return why a Secret with our mark is not the team's; empty if it is.

        A team can change the marks in its own namespaces: there the namespace's mark counts.
        """
        why = self._marks.foreign(objects.mark_of(secret), place.team.name)
        if not why or place.is_foreign:
            return why
        return self.foreign_namespace(
            place, self._clusters.of(place.id).get("Namespace", place.namespace)
        )

    def foreign_namespace(self, place: Place, namespace: Object | None) -> str:
        """Return why a namespace of the team's is another's, by its mark; empty if it is not."""
        if namespace is None or place.is_foreign:
            return ""
        return self._marks.foreign(objects.mark_of(namespace), place.team.name)

    def waits(self, place: Place) -> bool:
        """Whether there is no namespace of the team's to hold a Secret that was not found."""
        namespace = self._clusters.of(place.id).get("Namespace", place.namespace)
        return namespace is None or bool(self.foreign_namespace(place, namespace))

    def resource(
        self, place: Place, robot: Id, annotations: Mapping[str, str], fields: Mapping[str, Any]
    ) -> Resource:
        """A Secret as it is desired, with what is wanted of its content."""
        team = place.team.name
        marked = {**annotations, **self._marks.versioned(team)}
        metadata = {"labels": labels(team), "annotations": marked}
        return Resource(
            place.id,
            {"metadata": metadata, "type": type_of(place.format), **fields},
            body=RobotSecret(place, robot),
            depends_on=(robot, Id(NAMESPACE, place.namespace)),
        )

    def write(
        self,
        place: Place,
        live: Live | None,
        credential: Credential,
        annotations: Mapping[str, str],
    ) -> None:
        """Put a credential into a Secret, in place: what pods know it by stays.

        A Secret in the team's namespaces that the team has made unwritable is replaced.

        Args:
            place: the Secret.
            live: the Secret as it was seen; None if there is none.
            credential: what it is to hold.
            annotations: all of ours that it is to bear.
        """
        robot = robot_id(place.team.slug, annotations[ROBOT])
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
        """Whether the API server would refuse a Secret with what a team has put into it besides."""
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
        """Carries out the change of a Secret that `resource` made."""
        place: Place = change.resource.body.place
        others = change.live.handle["others"] if change.live else {}
        data = data_of(place.format, self.registry, credential, others)
        write(self._clusters.of(change.id), change, place.team, data, self._marks)


def write(
    cluster: KubernetesClient, change: Change, team: Team, data: dict[str, str], marks: Marks
) -> None:
    """Writes a Secret in place: deleting it first would break pulls in between."""
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
    full = Change(change.action, wanted, change.differences, change.live, change.adopts)
    objects.apply(cluster, full)
    # What somebody else has put beside it stays in an apply, also where nothing may be.
    if ("client_secret", None) in [(each.field, each.new) for each in change.differences]:
        cluster.merge("Secret", name, namespace, {"data": {"client_secret": None}})


def annotations_of(live: Live | None) -> Mapping[str, str]:
    """A Secret's annotations, if it is ours."""
    found = live.fields["metadata"].get("annotations") if live and live.ours else None
    return found or {}


def renamed(credential: Credential, username: str) -> Credential | None:
    """A robot's credential under the name that Harbor has for the robot now; None if another's."""
    held = credential.username
    if held == username or _without_prefix(held) == _without_prefix(username):
        return Credential(username, credential.password)
    return None


def _without_prefix(username: str) -> tuple[str, str]:
    """Project and short name, as far as they can be told: the prefix may end in anything."""
    project, _, short = username.rpartition("+")
    at = project.rfind("team-")
    return project[at:], short
