"""A platform with the shape of Otomi (App Platform), built through the APIs as its operators build it.

The names and values are those of linode/apl-tasks 4.0 and linode/apl-core: three system robots for
each team, whose secrets never expire, two pull secrets at the ServiceAccount `default`, a Secret
with the key `config.json` for builds, copies in `argocd`, and groups, roles and mappers in the realm
`otomi`. Some teams are irregular, as in any platform that has been in use for years.
"""

import base64
import json
import random
import string
from dataclasses import dataclass, field
from typing import Any, Literal

from tenantry.systems.systems import Systems
from tests.drift.changes import create, patch
from tests.support.harness import Data

Irregular = Literal[
    "no push Secret", "push robot disabled", "no namespace", "no builds robot", "no project", ""
]
"""What is irregular about a team; empty if nothing is."""
IRREGULAR: dict[int, Irregular] = {
    3: "no push Secret",
    7: "push robot disabled",
    11: "no namespace",
    15: "no builds robot",
    17: "no project",
}
"""The irregular teams by their number."""
ADMINS = "all-teams-admin"
ARGOCD = "argocd"
PROVIDER = "otomi-idp"
PURPOSES = ("pull", "push", "builds")
SECRETS = {
    "pull": "harbor-pullsecret",
    "push": "harbor-pushsecret",
    "builds": "harbor-pushsecret-builds",
}
"""The Secret of each robot in the team's namespace."""
_DOCKER = "kubernetes.io/dockerconfigjson"


@dataclass
class OtomiTeam:
    """A team of the platform.

    Attributes:
        name: its id.
        irregular: what is irregular about it.
        logins: the credentials of its robots, by purpose.
    """

    name: str
    irregular: Irregular = ""
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name of its namespace, project and group."""
        return f"team-{self.name}"


class Otomi:
    """The platform.

    Args:
        systems: the systems; their realm exists.
        suffix: ends the names of teams, so that they are unique on systems that hold other data.
        roles: create realm roles, which the sandbox does not have.
        registry: the registry's host in the Secrets; if empty, Harbor's own.
    """

    def __init__(
        self, systems: Systems, *, suffix: str = "", roles: bool = False, registry: str = ""
    ) -> None:
        self._systems = systems
        self._harbor = systems.harbor_client
        self._keycloak = systems.keycloak_client
        self._suffix = suffix
        self._roles = roles
        host = str(systems.harbor_client.info()["registry_url"]).rpartition("://")[2]
        self.registry = registry or host
        self.argocd = f"{ARGOCD}{suffix}"
        """The namespace with the copies of the Secrets."""
        self._random = random.Random(1)
        self.teams: list[OtomiTeam] = []

    def build(self, teams: int = 20) -> list[OtomiTeam]:
        """Build the platform with this many teams, and return them."""
        names = [f"t{number:02}{self._suffix}" for number in range(teams)]
        self.teams = [OtomiTeam(name, IRREGULAR.get(n, "")) for n, name in enumerate(names)]
        self._create_namespace(self.argocd)
        self._build_realm()
        self._create_system_robot()
        for team in self.teams:
            self._build_team(team)
        return self.teams

    def _build_team(self, team: OtomiTeam) -> None:
        if team.irregular != "no namespace":
            self._build_namespace(team)
        if team.irregular != "no project":
            self._build_project(team)
            for purpose in PURPOSES:
                self._build_robot(team, purpose)

    # Kubernetes

    def _create_namespace(self, name: str, labels: Data | None = None) -> None:
        if self._systems.home_cluster.get("Namespace", name) is None:
            metadata = {"name": name, "labels": {"name": name, **(labels or {})}}
            create(self._systems, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def _build_namespace(self, team: OtomiTeam) -> None:
        self._create_namespace(team.slug, {"istio-injection": "enabled", "type": "team"})
        amounts = {"default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}
        limits = [{"type": "Container", **amounts}]
        self._put(team, "v1", "LimitRange", "team-ns-limitrange", spec={"limits": limits})
        hard = {"pods": "50", "services.loadbalancers": "0"}
        self._put(team, "v1", "ResourceQuota", "team-ns-quota", spec={"hard": hard})
        deny: Data = {"podSelector": {}, "policyTypes": ["Ingress"]}
        self._put_policy(team, "default-ingress-deny", deny)
        mesh = {"namespaceSelector": {"matchLabels": {"name": "istio-system"}}}
        self._put_policy(team, "default-ingress-platform", {**deny, "ingress": [{"from": [mesh]}]})
        self._put(
            team,
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            f"admin-team-{team.name}",
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "admin",
            },
            subjects=[
                {"kind": "ServiceAccount", "name": f"sa-team-{team.name}", "namespace": team.slug}
            ],
        )
        self._put(
            team,
            "v1",
            "ServiceAccount",
            f"sa-team-{team.name}",
            imagePullSecrets=[{"name": SECRETS["pull"]}],
            secrets=[{"name": SECRETS["builds"]}],
        )

    def _put_policy(self, team: OtomiTeam, name: str, spec: Data) -> None:
        self._put(team, "networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)

    def _put(self, team: OtomiTeam, version: str, kind: str, name: str, **content: Any) -> None:
        metadata = {"name": name, "namespace": team.slug}
        create(
            self._systems, {"apiVersion": version, "kind": kind, "metadata": metadata, **content}
        )

    # Harbor

    def _build_project(self, team: OtomiTeam) -> None:
        self._harbor.post("/projects", {"project_name": team.slug})
        for group, role in ((team.slug, 2), (ADMINS + self._suffix, 1)):
            member = {"role_id": role, "member_group": {"group_name": group, "group_type": 3}}
            self._harbor.post(f"/projects/{team.slug}/members", member)

    def _create_system_robot(self) -> None:
        """Create the robot that the operator itself uses. It may create robots and projects."""
        access = [
            {"resource": "robot", "action": action} for action in ("create", "delete", "list")
        ]
        system = {"kind": "system", "namespace": "/", "access": access}
        self._create_robot(f"otomi-harbor{self._suffix}", system)

    def _build_robot(self, team: OtomiTeam, purpose: str) -> None:
        actions = ("pull",) if purpose == "pull" else ("push", "pull")
        access = [{"resource": "repository", "action": action} for action in actions]
        permission = {"kind": "project", "namespace": team.slug, "access": access}
        id, name = self._create_robot(f"otomi-team-{team.name}-{purpose}", permission)
        password = self._password()
        # As the operator does: it generates the secret, and writes it to Kubernetes and Harbor.
        self._harbor.patch(f"/robots/{id}", {"secret": password})
        team.logins[purpose] = name, password
        if not (team.irregular == "no push Secret" and purpose == "push"):
            self._put_secret(team, purpose)
        if team.irregular == "push robot disabled" and purpose == "push":
            robot = self._harbor.get(f"/robots/{id}")
            self._harbor.put(f"/robots/{id}", {**robot, "disable": True})
        if team.irregular == "no builds robot" and purpose == "builds":
            self._harbor.delete(f"/robots/{id}")

    def _create_robot(self, name: str, permission: Data) -> tuple[int, str]:
        """Create a system robot, and return its id and its full name."""
        answer = self._harbor.create(
            "/robots",
            {"name": name, "level": "system", "duration": -1, "permissions": [permission]},
        ).json()
        return int(answer["id"]), str(answer["name"])

    def _password(self) -> str:
        letters = string.ascii_letters + string.digits
        return "aA1" + "".join(self._random.choice(letters) for _ in range(29))

    # Secrets

    def _put_secret(self, team: OtomiTeam, purpose: str) -> None:
        if team.irregular == "no namespace":
            return
        name, config = SECRETS[purpose], self.docker_config(*team.logins[purpose])
        if purpose == "builds":
            self._put(team, "v1", "Secret", name, type="Opaque", data={"config.json": config})
            return
        data = {".dockerconfigjson": config}
        self._put(team, "v1", "Secret", name, type=_DOCKER, data=data)
        metadata = {"name": f"copy-{team.slug}-{name}", "namespace": self.argocd}
        copy = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        create(self._systems, {**copy, "type": _DOCKER, "data": data})
        account = self._systems.home_cluster.get("ServiceAccount", "default", team.slug)
        attached = list((account or {}).get("imagePullSecrets") or [])
        body = {"imagePullSecrets": [*attached, {"name": name}]}
        if account is None:  # no controller has created it yet
            self._put(team, "v1", "ServiceAccount", "default", **body)
        else:
            patch(self._systems, "ServiceAccount", "default", team.slug, body)

    def docker_config(self, username: str, password: str) -> str:
        """Return the encoded Docker configuration with a credential."""
        entry = {
            "username": username,
            "password": password,
            "email": "not@val.id",
            "auth": base64.b64encode(f"{username}:{password}".encode()).decode(),
        }
        text = json.dumps({"auths": {self.registry: entry}})
        return base64.b64encode(text.encode()).decode()

    # Keycloak

    def _build_realm(self) -> None:
        keycloak = self._keycloak
        admins = ("platform-admin", ADMINS, "team-admin")
        groups = [f"{name}{self._suffix}" for name in admins] + [team.slug for team in self.teams]
        for name in groups:
            if self._roles:
                keycloak.post("roles", {"name": name})
            id = keycloak.post("groups", {"name": name}).rpartition("/")[2]
            if self._roles:
                role = keycloak.get(f"roles/{name}")
                mapped: Any = [dict(role or {})]  # the one endpoint in use that takes a list
                keycloak.post(f"groups/{id}/role-mappings/realm", mapped, status=204)
        keycloak.post("clients", dict(self._client()))
        connection = {"clientId": "otomi", "clientSecret": "none", "syncMode": "FORCE"}
        urls = {"authorizationUrl": "https://idp.test/auth", "tokenUrl": "https://idp.test/token"}
        provider = {"alias": PROVIDER, "providerId": "oidc", "trustEmail": True}
        keycloak.post("identity-provider/instances", {**provider, "config": {**connection, **urls}})
        for name in groups:
            self._map_group(name)

    def _client(self) -> Data:
        email = {
            "name": "email",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-usermodel-property-mapper",
            "config": {"user.attribute": "email", "claim.name": "email", "id.token.claim": "true"},
        }
        return {
            "clientId": "otomi",
            "standardFlowEnabled": True,
            "directAccessGrantsEnabled": True,
            "redirectUris": ["https://*"],
            "protocolMappers": [email],
        }

    def _map_group(self, name: str) -> None:
        """Add the mapper that gives the role of a group to its members at the external provider."""
        self._keycloak.post(
            f"identity-provider/instances/{PROVIDER}/mappers",
            {
                "name": f"{name} group to role",
                "identityProviderAlias": PROVIDER,
                "identityProviderMapper": "oidc-role-idp-mapper",
                "config": {
                    "syncMode": "INHERIT",
                    "claim": "groups",
                    "claim.value": name,
                    "role": name,
                },
            },
        )


def regular(teams: list[OtomiTeam]) -> list[OtomiTeam]:
    """Return the teams that have a namespace and a project."""
    return [team for team in teams if team.irregular not in ("no namespace", "no project")]
