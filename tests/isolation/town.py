"""A platform with bystanders, to which a team file of Mallory is added.

The sandbox has teams, teams that are no longer declared, objects created by hand, and those of the
platform. `Town.serve` runs all flows with a file of Mallory, without Prefect.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from tenantry import declared
from tenantry.resources import PLATFORM as PLATFORM_NAME
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.drift.extras import provider
from tests.isolation.all_flows import Served, run_all
from tests.isolation.excess_access import excess_access
from tests.isolation.snapshot import Names, changes, everything
from tests.isolation.team_files import NAME
from tests.sandbox.calls import Caller
from tests.support.crash import Snapshot
from tests.support.harness import REALM, Data, FaultySandbox, connections, prepare, write

ROBOT: Data = {"expiry_days": 90, "rotation": {"max_age_days": 80}}
SHOP: Data = {
    "name": "shop",
    "members": ["ann", "bob"],
    "external_groups": {"corp": ["shop-people"]},
    "harbor": {"storage_quota": "10Gi", "groups": {"auditors": "guest"}},
    "namespace": {
        "labels": {"example.com/cost-centre": "4711"},
        "quota": {"pods": 50},
        "network": {"policies": {"allow-metrics": {"ingress": [{"ports": [{"port": 9090}]}]}}},
    },
    "further_namespaces": {"jobs": {}},
    "robots": {"pull": ROBOT, "ci": ROBOT},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}},
}
DATA: Data = {
    "name": "data",
    "robots": {
        "pull": {**ROBOT, "sinks": [{"namespace": "pipelines", "name": "harbor-{team}"}]},
        "ci": ROBOT,
    },
}
LAB: Data = {
    "name": "mallory-lab",
    "robots": {"pull": ROBOT, "ci": ROBOT},
    "oidc_clients": {"web": {"redirect_uris": ["https://lab.example.com/cb"]}},
}
BYSTANDERS = (SHOP, DATA, LAB)
GONE = tuple(
    {"name": name, "robots": {"pull": ROBOT, "ci": ROBOT}, "oidc_clients": LAB["oidc_clients"]}
    for name in ("gone", "mallory-gone")
)
"""Teams that are no longer declared. One has the name of a possible further namespace of Mallory."""
PLATFORM: Data = {
    "name": "Test platform",
    "harbor": {
        "registry": "registry.example.com",
        "single_sign_on": {"admin_group": "platform-admins"},
    },
    "keycloak": {
        "groups": {"auditors": {}, "platform-admins": {}},
        "external_providers": {"corp": {"group_name": "k8s-{group}"}},
    },
    "mesh": {
        "gateway": "istio-ingress/public",
        "harbor": {"host": "registry.example.com"},
    },
    "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}},
    "profiles": {
        "plain": {"namespace": {"quota": {"pods": 20}}},
        "trusted": {"namespace": {"pod_security": "privileged"}},
    },
}
GRANTS: list[Data] = [
    {"teams": ["data"], "reason": "the pipelines push", "sinks": ["pipelines/harbor-{team}"]},
]
ISOLATION_ONLY: Data = {
    **PLATFORM,
    "policy": {"grants": GRANTS, "profiles": {"trusted": {"teams": ["data"]}}},
}
HOUSE_LIMITS: Data = {
    **PLATFORM,
    "policy": {
        **ISOLATION_ONLY["policy"],
        "limits": {
            "hosts": ["{team}.example.com", "*.{team}.example.com", "lab.example.com"],
            "external_groups": ["{team}-*"],
            "public_projects": False,
            "without_mesh": False,
            "egress": ["10.0.0.0/8"],
            "max_expiry_days": 365,
            "max_storage": "100Gi",
            "max_quota": {"requests.cpu": "8", "pods": "100"},
            "max_namespaces": 3,
            "max_robots": 4,
            "max_clients": 2,
            "max_routes": 2,
            "max_sinks": 2,
            "max_network_policies": 4,
            "min_schedule_minutes": 60,
        },
    },
}
HANDMADE_SECRETS = {
    "kube-system": ("bootstrap-token",),
    "cert-manager": ("ca-key", "harbor-pull"),
    "pipelines": ("harbor-shop", "harbor-pull"),
    "istio-ingress": ("wildcard",),
    "harbor": ("core",),
    "team-shop": ("hand-made",),
    "team-mallory-lab": ("hand-made",),
}


def yaml_of(content: Data) -> str:
    """Return the content of a file as YAML."""
    return (
        json.dumps(content)
        .replace("-Infinity", "-.inf")
        .replace("Infinity", ".inf")
        .replace("NaN", ".nan")
    )


def put(
    sandbox: Sandbox, kind: str, name: str, namespace: str = "", version: str = "v1", **more: Any
) -> None:
    """Create an object in the cluster, as another user would."""
    where = {"namespace": namespace} if namespace else {}
    sandbox.kubernetes.put(
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where}, **more}
    )


def call_keycloak(sandbox: Sandbox, path: str, body: Data) -> None:
    """Create an object in the realm, as another administrator would."""
    with Systems(connections(sandbox), declared.Declaration(declared.Platform(), {})) as systems:
        systems.keycloak_client.post(path, dict(body))


def _robot(name: str, level: str, namespace: str) -> Data:
    access = [{"resource": "repository", "action": "pull"}]
    permissions = [{"kind": "project", "namespace": namespace, "access": access}]
    return {"name": name, "level": level, "duration": -1, "permissions": permissions}


Start = Literal["new", "known"]
"""Whether Mallory's team is new, or was onboarded before with a harmless file."""
FIRST_FILE: Data = {
    "name": NAME,
    "robots": {"pull": ROBOT, "ci": ROBOT},
    "oidc_clients": {"web": {"redirect_uris": ["https://mallory.example.com/cb"]}},
}


class Town:
    """A sandbox with bystanders. Use it as a context manager."""

    def __init__(self, folder: Path, platform: Data) -> None:
        """Initialize the platform.

        Args:
            folder: the folder for the declared state.
            platform: the content of `platform.yaml`.
        """
        self.folder = folder
        self._platform = platform
        self.sandbox = FaultySandbox()
        self._starts: dict[Start, Snapshot] = {}

    def __enter__(self) -> Self:
        prepare(self.sandbox.__enter__())
        self._put_hand_made()
        write(self.folder, *BYSTANDERS, *GONE, platform=self._platform)
        self._must(run_all(self.sandbox, self.folder))
        for team in GONE:
            (self.folder / "teams" / f"{team['name']}.yaml").unlink()
        self._put_hand_made_in_teams()
        self._must(run_all(self.sandbox, self.folder))
        self.before = everything(self.sandbox)
        self._starts["new"] = Snapshot(self.sandbox)
        self._must(self.serve(FIRST_FILE, restore=False))
        self._starts["known"] = Snapshot(self.sandbox)
        return self

    def __exit__(self, *raised: object) -> None:
        self.sandbox.__exit__(None, None, None)

    @staticmethod
    def _must(served: Served) -> None:
        assert not served.errors, served.errors

    # Hand-made objects

    def _put_hand_made(self) -> None:
        sandbox = self.sandbox
        for name in ("ann", "bob", "mallory", "eve"):
            sandbox.keycloak.add_user(REALM, name)
        for namespace in HANDMADE_SECRETS:
            if not namespace.startswith("team-"):
                put(self.sandbox, "Namespace", namespace)
                self._put_secrets(namespace)
        put(
            self.sandbox,
            "ClusterRole",
            "cluster-admin",
            version="rbac.authorization.k8s.io/v1",
            rules=[],
        )
        call_keycloak(self.sandbox, "identity-provider/instances", provider("corp"))
        for group in ("finance", "all-teams-admin", "system:masters"):
            call_keycloak(self.sandbox, "groups", {"name": group})
        call_keycloak(
            self.sandbox, "clients", {"clientId": "grafana", "redirectUris": ["https://g.test/"]}
        )
        admin = self._harbor()
        admin.made("/projects", {"project_name": "legacy", "metadata": {"public": "false"}})
        for name in ("replicator", "mallory-old"):
            admin("POST", "/robots", json=_robot(name, "system", "*"))
        admin("POST", "/robots", json=_robot("ci", "project", "legacy"))

    def _put_hand_made_in_teams(self) -> None:
        for namespace in HANDMADE_SECRETS:
            if namespace.startswith("team-"):
                self._put_secrets(namespace)
        answer = self._harbor()("POST", "/robots", json=_robot("hand-made", "project", "team-shop"))
        assert answer.status_code == 201, answer.text

    def _put_secrets(self, namespace: str) -> None:
        data = {"key": base64.b64encode(b"secret").decode()}
        for name in HANDMADE_SECRETS[namespace]:
            put(self.sandbox, "Secret", name, namespace, data=data, type="Opaque")

    def _harbor(self) -> Caller:
        address = self.sandbox.addresses()["harbor"]
        return Caller(address["url"], address["username"], address["password"])

    # Mallory

    def restart(self, start: Start = "new") -> None:
        """Restore the systems to their state before the attack."""
        self._starts[start].restore()

    def serve(self, content: Data, start: Start = "new", *, restore: bool = True) -> Served:
        """Run all flows with this content as Mallory's file, and return the results."""
        if restore:
            self.restart(start)
        path = self.folder / "teams" / f"{NAME}.yaml"
        path.write_text(yaml_of(content))
        try:
            return run_all(self.sandbox, self.folder, (NAME,))
        finally:
            path.unlink()

    @contextmanager
    def granted(self, *teams: str, **allows: Any) -> Iterator[None]:
        """Add a grant for these teams to the policy while the context lasts."""
        policy = self._platform["policy"]
        grant = {"teams": [*teams], "reason": "a test", **allows}
        grants = [*policy.get("grants", []), grant]
        platform = {**self._platform, "policy": {**policy, "grants": grants}}
        path = self.folder / "platform.yaml"
        before = path.read_text()
        path.write_text(json.dumps(platform))
        try:
            yield
        finally:
            path.write_text(before)

    @staticmethod
    def failures(served: Served) -> list[str]:
        """Return the failures of the bystanders and of the platform."""
        names = {team["name"] for team in BYSTANDERS}
        found = [f"team '{name}' is left out" for name in sorted(names - served.accepted)]
        for name in (PLATFORM_NAME, *sorted(names)):
            found += [f"{name or 'the platform'}: {text}" for text in served.errors.get(name, ())]
        return found

    def harm(self, content: Data) -> list[str]:
        """Return the changes that this content has made to others."""
        others = {team["name"] for team in (*BYSTANDERS, *GONE)}
        names = Names.of([FIRST_FILE, content], others)
        after = everything(self.sandbox)
        return [*changes(self.before, after, names), *excess_access(self.before, after, names)]
