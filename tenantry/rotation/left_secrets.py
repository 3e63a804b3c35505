"""The Secrets that hold a robot's credential, and that the team no longer declares.

They are the Secrets of a removed purpose, a removed sink, and copies of a pull Secret in a namespace
that the team no longer declares. Rotation deletes them once the credential in them works no more.
Secrets that hold anything else, and adopted ones, stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tenantry.declared import Team
from tenantry.declared.harbor_project import SecretFormat
from tenantry.marks import ADOPTED, TEAM
from tenantry.resources import Id
from tenantry.systems.credentials.accounts import ACCOUNT, detach, secret_id
from tenantry.systems.credentials.contents import Credential, type_of
from tenantry.systems.credentials.pairs import ROBOT, pair, short_of
from tenantry.systems.credentials.places import Place, places
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.systems import Systems

_FORMATS: dict[str, SecretFormat] = {
    type_of("docker"): "docker",
    type_of("config.json"): "config.json",
    type_of("basic"): "basic",
}


@dataclass(frozen=True)
class LeftSecret:
    """A Secret with a credential of a robot, which the team no longer declares.

    Attributes:
        namespace: its namespace.
        name: its name.
        uid: its uid.
        robot: the short name of the robot whose credential it holds; empty if it holds none.
        is_attached: whether the ServiceAccount of its namespace refers to it.
    """

    namespace: str
    name: str
    uid: str
    robot: str
    is_attached: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class LeftSecrets:
    """The Secrets with credentials of a purpose that the team no longer declares.

    Args:
        systems: the systems.
        team: the team.
        purpose: the purpose, whether declared or not.
    """

    def __init__(self, systems: Systems, team: Team, purpose: str) -> None:
        self._systems = systems
        self._team = team
        self._purpose = purpose

    def find(self) -> Iterator[LeftSecret]:
        """Yield the Secrets that hold nothing else."""
        team, cluster = self._team, self._systems.home_cluster
        is_declared = self._purpose in team.active_robots
        declared = {place.id for place in places(team, self._purpose)} if is_declared else set()
        selector = f"{objects.OURS},{TEAM}={team.name}"
        for found in cluster.list("Secret", labelSelector=selector, content=False):
            metadata = found["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            if secret_id(namespace, name) in declared or not self._is_of_pair(found):
                continue
            secret = cluster.get("Secret", name, namespace)
            if secret is not None and (left := self._read(secret)) is not None:
                yield left

    def delete(self, secret: LeftSecret) -> None:
        """Delete a Secret, after the reference of the ServiceAccount to it."""
        cluster = self._systems.home_cluster
        if secret.is_attached:
            detach(cluster, secret.namespace, secret.name)
        cluster.delete("Secret", secret.name, secret.namespace, secret.uid)

    def _is_of_pair(self, found: Object) -> bool:
        """Return whether a Secret is this team's and has a credential of the pair, by its marks.

        Outside of the team's namespaces, where others can write marks, the record must have it.
        """
        metadata = found["metadata"]
        annotations = metadata.get("annotations") or {}
        is_named = annotations.get(ROBOT) in pair(self._purpose)
        is_inside = metadata["namespace"] in self._team.namespaces
        if is_inside and metadata["name"] == self._team.secret_name(self._purpose):
            is_named = True
        if not is_named or ADOPTED in annotations:
            return False
        return is_inside or secret_id(metadata["namespace"], metadata["name"]) in self._recorded

    @cached_property
    def _recorded(self) -> frozenset[Id]:
        return self._systems.kubernetes.recorded(self._team)

    def _read(self, secret: Object) -> LeftSecret | None:
        """Return a Secret; None if it holds other credentials, or keys that others added."""
        metadata, format = secret["metadata"], _FORMATS.get(secret.get("type") or "")
        namespace, name = metadata["namespace"], metadata["name"]
        if format is None:
            return None
        place = Place(self._team, self._purpose, namespace, name, format)
        live = self._systems.credentials.secrets.read(place)
        keys = 2 if format == "basic" else 1
        if live is None or live.handle["others"].get("auths") or len(live.handle["sizes"]) > keys:
            return None
        held: Credential | None = live.handle["credential"]
        robot = short_of(held.username) if held else ""
        is_attached = self._is_attached(namespace, name)
        return LeftSecret(namespace, name, metadata["uid"], robot, is_attached)

    def _is_attached(self, namespace: str, name: str) -> bool:
        account = self._systems.home_cluster.get("ServiceAccount", ACCOUNT, namespace)
        return {"name": name} in ((account or {}).get("imagePullSecrets") or [])
