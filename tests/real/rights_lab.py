"""Tenantry's service account with the shipped rights on a real API server, and tenant accounts."""

import contextlib
import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import kubernetes
from ruamel.yaml import YAML

from demo.processes import ROOT
from tenantry import onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.outcomes import Outcome
from tenantry.plan import Plan
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.docs.test_docs import fences, read
from tests.real.conftest import Cluster
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor
from tests.support.harness import PLATFORM, admit, write
from tests.support.narrowing import as_body, present

Data = dict[str, Any]
SHIPPED = "system:serviceaccount:tenantry:tenantry"
"""The service account in deployments/rbac.yaml."""
OPTIONAL = ("mesh", "gateways", "app-protocols", "sinks", "adopt")
"""The optional ClusterRoles in deployments/rbac.yaml, without the prefix `tenantry-`."""


class Right(NamedTuple):
    """A single permission of a rule."""

    role: str
    """The name of the shipped ClusterRole."""
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.role}: {self.verb} {self.resource}{self.group and '.'}{self.group}"


def shipped(file: str) -> list[Data]:
    """Return the objects in a file in deployments/."""
    return list(YAML(typ="safe", pure=True).load_all(ROOT / "deployments" / file))


def shipped_rights() -> list[Right]:
    """Return each single permission that deployments/rbac.yaml grants Tenantry."""
    return [
        Right(manifest["metadata"]["name"], group, resource, verb)
        for manifest in shipped("rbac.yaml")
        if manifest["kind"] == "ClusterRole"
        and manifest["metadata"]["name"] != "tenantry-team-member"
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


class ClusterOfOurs:
    """Service accounts with the shipped rights or fewer, and teams to onboard with them.

    The names of all objects except the members' role contain a mark, so other tests are not
    affected.
    """

    def __init__(
        self, cluster: Cluster, harbor: HarborAccount | None, sandbox: Sandbox, folder: Path
    ) -> None:
        self.mark = uuid.uuid4().hex[:8]
        self.team = f"shop-{self.mark}"
        self.own = f"tenantry-{self.mark}"
        """The name of the ClusterRole, its binding, and the account's namespace."""
        self._env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        self._kubeconfig: Data = YAML(typ="safe", pure=True).load(cluster.kubeconfig)
        addresses = sandbox.addresses()
        self.sandbox = sandbox
        self._harbor = harbor or HarborAccount.model_validate(addresses["harbor"])
        self._keycloak = KeycloakAccount.model_validate(addresses["keycloak"])
        self.folder = folder
        self.api = connect(cluster.kubeconfig)
        self.core = kubernetes.client.CoreV1Api(self.api)
        self.rbac = kubernetes.client.RbacAuthorizationV1Api(self.api)
        self.cluster = cluster

    # Tenantry's account

    def account(self, change: Callable[[list[Data]], None] = lambda rules: None) -> ClusterAccount:
        """Apply deployments/rbac.yaml under unique names, and return its service account.

        The command is that of docs/production.md. The members' role keeps its name, because
        Tenantry binds it by name.

        Args:
            change: A function that changes the rules of Tenantry's ClusterRole.
        """
        manifests = shipped("rbac.yaml")
        for manifest in manifests:
            if manifest["metadata"]["name"] == "tenantry" and manifest["kind"] == "ClusterRole":
                change(manifest["rules"])
        self.apply("rbac.yaml", manifests)
        account = self.login()
        self._wait_for_rights(account)
        return account

    def apply(self, file: str, manifests: list[Data]) -> None:
        """Apply a file in deployments/ with the names of this test, by the documented command."""
        yaml = YAML(typ="safe", pure=True)
        for manifest in manifests:
            self._rename(manifest)
        path = self.folder.parent / "deployments" / file
        path.parent.mkdir(exist_ok=True)
        with path.open("w") as opened:
            yaml.dump_all(manifests, opened)
        page = fences(read("docs/production.md"), "shell")
        command = next(line for block in page for line in block.splitlines() if file in line)
        assert command.startswith("kubectl apply ")
        subprocess.run(shlex.split(command), cwd=path.parent.parent, env=self._env, check=True)

    def login(self) -> ClusterAccount:
        """Return Tenantry's service account with a new token."""
        request = {"spec": {"audiences": None, "expirationSeconds": 3600}}
        answer = self.core.create_namespaced_service_account_token(
            "tenantry", self.own, as_body(request)
        )
        token = present(answer.status).token
        user = {"name": "tenantry", "user": {"token": token}}
        context = {"name": "own", "context": {"user": "tenantry", "cluster": self._cluster}}
        content = {
            **self._kubeconfig,
            "users": [user],
            "contexts": [context],
            "current-context": "own",
        }
        return ClusterAccount(kubeconfig_content=content)

    def bind(self, role: str, namespace: str) -> None:
        """Bind an optional ClusterRole in a namespace, as docs/security.md describes."""
        body = {
            "metadata": {"name": role},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role.replace("tenantry", self.own, 1),
            },
            "subjects": [{"kind": "ServiceAccount", "name": "tenantry", "namespace": self.own}],
        }
        self.rbac.create_namespaced_role_binding(namespace, as_body(body))

    @property
    def _cluster(self) -> str:
        return str(self._kubeconfig["clusters"][0]["name"])

    def _rename(self, manifest: Data) -> None:
        """Rename all objects for this test except the service account and the members' role."""
        kind, metadata = manifest["kind"], manifest["metadata"]
        if kind == "ServiceAccount":
            metadata["namespace"] = self.own
            return
        if metadata["name"] == "tenantry-team-member":
            return
        metadata["name"] = metadata["name"].replace("tenantry", self.own, 1)
        if kind == "ClusterRoleBinding":
            manifest["roleRef"]["name"] = self.own
            manifest["subjects"][0]["namespace"] = self.own
        for condition in (manifest.get("spec") or {}).get("matchConditions") or ():
            mine = SHIPPED.replace(":tenantry:", f":{self.own}:")
            condition["expression"] = condition["expression"].replace(SHIPPED, mine)
        if kind == "ValidatingAdmissionPolicyBinding":
            spec = manifest["spec"]
            spec["policyName"] = spec["policyName"].replace("tenantry", self.own, 1)

    def _wait_for_rights(self, account: ClusterAccount) -> None:
        """Wait for the authorizer, which applies a new role with a delay."""
        wait_until(lambda: self.may(account, Right("", "", "namespaces", "get")))

    def may(self, account: ClusterAccount, right: Right, namespace: str = "") -> bool:
        """Return whether the API server grants an account a right."""
        with self.systems(account) as systems:
            name = "tenantry-team-member" if right.resource == "clusterroles" else ""
            asked = {
                "group": right.group,
                "resource": right.resource,
                "verb": right.verb,
                "name": name,
                "namespace": namespace,
            }
            answer = systems.home_cluster._call(
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                {},
                {
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SelfSubjectAccessReview",
                    "spec": {"resourceAttributes": asked},
                },
                "application/json",
            )
            return bool(answer["status"]["allowed"])

    def systems(
        self,
        account: ClusterAccount,
        platform: Data | None = None,
        *teams: Data,
        extras: bool = False,
        **team: Any,
    ) -> Systems:
        """Yield the systems, with this cluster accessed as `account`."""
        connections = Connections(
            harbor=self._harbor,
            keycloak=self._keycloak,
            kubernetes=account,
        )
        one = {"name": self.team, **team}
        for old in (self.folder / "teams").glob("*"):
            old.unlink()
        state = load(admit(write(self.folder, one, *teams, platform=platform or PLATFORM)))
        return Systems(connections, state, extras=extras, clock=self.sandbox.clock.now)

    def onboard(self, account: ClusterAccount, **team: Any) -> Outcome:
        with self.systems(account, **team) as systems:
            systems.check()
            return onboarding.onboard(systems, systems.state.teams[self.team])

    def plan(self, account: ClusterAccount, **team: Any) -> Plan:
        with self.systems(account, **team) as systems:
            only = systems.state.teams[self.team]
            return systems.plan(only, observe_owners(systems.team_adapters, [only]))

    # Accounts of tenants and of others

    def call(
        self,
        method: str,
        path: str,
        body: Data | None = None,
        *,
        user: str = "",
        group: str = "",
        dry_run: bool = False,
    ) -> tuple[int, Data]:
        """Call the API server as a user and optionally a group, or else as administrator.

        Returns:
            The status and the content of the response.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if user:
            headers["Impersonate-User"] = user
        if group:
            headers["Impersonate-Group"] = group
        query = "?dryRun=All" if dry_run else ""
        host = self.api.configuration.host
        answer = self.api.rest_client.pool_manager.request(
            method,
            f"{host}{path}{query}",
            headers=headers,
            body=json.dumps(body) if body is not None else None,
        )
        assert urlsplit(host).scheme == "https"
        return answer.status, json.loads(answer.data)

    def close(self) -> None:
        not_found = kubernetes.client.exceptions.NotFoundException
        admission = kubernetes.client.AdmissionregistrationV1Api(self.api)
        deletions: list[tuple[Callable[[str], object], Mapping[str, str]]] = [
            (self.rbac.delete_cluster_role_binding, {"": ""}),
            (self.rbac.delete_cluster_role, {"": "", **dict.fromkeys(OPTIONAL, "-")}),
            (
                admission.delete_validating_admission_policy_binding,
                dict.fromkeys(("hosts", "addresses", "own-writes"), "-"),
            ),
            (
                admission.delete_validating_admission_policy,
                dict.fromkeys(("hosts", "addresses", "own-writes"), "-"),
            ),
        ]
        for delete, names in deletions:
            for name, separator in names.items():
                with contextlib.suppress(not_found):
                    delete(f"{self.own}{separator}{name}")
        # An ExitStack, so that a failure in one cleanup does not prevent the others.
        with contextlib.ExitStack() as stack:
            stack.callback(self.api.close)
            stack.callback(remove_from_harbor, self._harbor, self.mark)
            remove_from_cluster(self.core, self.mark)


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition is true, for example because the authorizer applies changes late."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"the condition is still false after {seconds:.0f} s"
        time.sleep(0.1)
