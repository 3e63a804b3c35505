"""The Secrets with the credentials of OIDC clients, which are copied from Keycloak."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tenantry.answers import texts
from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile
from tenantry.marks import Marks, labels
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource, whole_system
from tenantry.systems.credentials.accounts import secret_id
from tenantry.systems.credentials.contents import decode, encode, metadata_of
from tenantry.systems.credentials.robot_secrets import write
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import NAMESPACE

_SAME, _OTHER = "(hidden) as in Keycloak", "(hidden) not as in Keycloak"


@dataclass(frozen=True)
class ClientSecret:
    """A Secret that holds the credentials of an OIDC client."""

    team: Team
    client: str
    namespace: str
    name: str


class ClientSecrets:
    """The Secrets with the credentials of the teams' OIDC clients.

    Args:
        keycloak: the realm.
        clusters: the connections to the clusters.
        marks: the platform's marks.
    """

    def __init__(self, keycloak: KeycloakClient, clusters: Clusters, marks: Marks) -> None:
        self._keycloak = keycloak
        self._clusters = clusters
        self._marks = marks

    def desired(self, team: Team, name: str, observed: Observed) -> Resource:
        """Return the desired Secret of an OIDC client.

        Args:
            team: the team.
            name: the name of the client in the declared state.
            observed: what was observed of Keycloak.
        """
        secret = ClientSecret(
            team, team.client_id(name), team.home_namespace, team.client_secret_name(name)
        )
        marked = self._marks.versioned(team.name)
        fields: dict[str, Any] = {
            "metadata": {"labels": labels(team.name), "annotations": marked},
            "type": "Opaque",
            "client_id": secret.client,
        }
        if observed.is_known(whole_system("keycloak")):
            fields["issuer"] = self._keycloak.issuer_to_be()
        fields["client_secret"] = None if team.oidc_clients[name].public else _SAME
        return Resource(
            secret_id(team.home_namespace, secret.name),
            fields,
            body=secret,
            depends_on=(Id(CLIENT, secret.client), Id(NAMESPACE, team.home_namespace)),
        )

    def observe(
        self, team: Team, namespaces: Collection[str], observed: Observed, seen: Observed
    ) -> None:
        """Add the Secrets of a team's OIDC clients to what was observed.

        Args:
            team: the team.
            namespaces: the existing namespaces.
            observed: what was observed of Keycloak.
            seen: receives the Secrets.
        """
        for client in team.oidc_clients:
            name = team.client_secret_name(client)
            id = secret_id(team.home_namespace, name)
            with seen.capture_errors(id, team.name):
                if team.home_namespace not in namespaces:
                    continue
                secret = self._clusters.of(id).get("Secret", name, team.home_namespace)
                if secret is not None:
                    owner = Id(CLIENT, team.client_id(client))
                    seen.live[id] = _live(secret, observed, owner)

    def apply(self, change: Change) -> None:
        """Write the current credentials of a client into its Secret.

        Raises:
            ChangedMeanwhile: the client was deleted.
        """
        secret: ClientSecret = change.resource.body
        cluster = self._clusters.of(change.id)
        write(cluster, change, secret.team, self._data(secret), self._marks)

    def _data(self, secret: ClientSecret) -> dict[str, str]:
        realm = self._keycloak.realm
        found = self._keycloak.rows("clients", clientId=secret.client)
        if not found:
            call = f"GET /admin/realms/{realm}/clients"
            raise ChangedMeanwhile("keycloak", call, f"client '{secret.client}' is gone")
        data = {"client_id": secret.client, "issuer": self._keycloak.issuer}
        if not found[0]["publicClient"]:
            path = f"clients/{found[0]['id']}/client-secret"
            call = f"GET /admin/realms/{realm}/{path}"
            (value,) = texts("keycloak", call, self._keycloak.get(path), "value")
            data["client_secret"] = value
        return {key: encode(value) for key, value in data.items()}


def _live(secret: Object, observed: Observed, client: Id) -> Live:
    data = secret.get("data") or {}
    owner = observed.live.get(client)
    expected = owner.handle.get("secret") if owner else None
    same = expected is not None and data.get("client_secret") == encode(expected)
    is_other = owner is not None and bool(owner.foreign)
    same = same or is_other or not observed.is_known(client)  # it cannot be compared
    fields = {
        "metadata": metadata_of(secret),
        "type": secret.get("type"),
        "client_id": decode(data.get("client_id")),
        "issuer": decode(data.get("issuer")),
        "client_secret": (_SAME if same else _OTHER) if "client_secret" in data else None,
    }
    uid = secret["metadata"]["uid"]
    return Live(
        fields,
        objects.is_ours(secret),
        adopted=objects.is_adopted(secret),
        handle={"uid": uid, "credential": None},
    )
