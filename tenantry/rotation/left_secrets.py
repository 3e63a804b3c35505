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
from tenantry.systems.kubernetes.kinds import SECRET
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
        cluster, declared = self._systems.home_cluster, self._declared
        for id in sorted(self._candidates()):
            namespace, name = id.key.split("/", 1)
            if id in declared or self._systems.kubernetes.is_renamed(self._team, namespace):
                continue
            secret = cluster.get("Secret", name, namespace)
            if secret is None or not self._is_of_pair(secret):
                continue
            if (left := self._read(secret)) is not None:
                yield left

    @property
    def _declared(self) -> frozenset[Id]:
        """The Secrets that the team declares, of all purposes and clients."""
        team = self._team
        robots = (place.id for purpose in team.active_robots for place in places(team, purpose))
        clients = map(team.client_secret_name, team.oidc_clients)
        return frozenset((*robots, *(secret_id(team.home_namespace, name) for name in clients)))

    def _candidates(self) -> set[Id]:
        """Return the Secrets on the record, and for a removed purpose all with the team's mark.

        An earlier release wrote no record. Without it, only the list shows the Secrets of a removed
        purpose.
        """
        found = {id for id in self._recorded if id.kind == SECRET}
        if self._purpose not in self._team.active_robots:
            selector = f"{objects.OURS},{TEAM}={self._team.name}"
            listed = self._systems.home_cluster.list(
                "Secret", labelSelector=selector, content=False
            )
            found |= {
                secret_id(each["metadata"]["namespace"], each["metadata"]["name"])
                for each in listed
            }
        return found

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
        metadata, mark = found["metadata"], objects.mark_of(found)
        annotations = metadata.get("annotations") or {}
        is_named = annotations.get(ROBOT) in pair(self._purpose)
        is_inside = metadata["namespace"] in self._team.namespaces
        if is_inside and metadata["name"] == self._team.secret_name(self._purpose):
            is_named = True
        is_teams = mark is not None and mark.team == self._team.name
        if not (is_named and is_teams) or ADOPTED in annotations:
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
