"""Every flow on a real API server with the shipped rights, and with each one of them removed.

The procedures are those that the flows call. Harbor and Keycloak are simulated. The first run
records the rights that each step uses. Then each right is removed in turn, and the steps that use
it must fail.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from tenantry import checks, drift, offboarding, onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.errors import TenantryError
from tenantry.locks import NoLock
from tenantry.migration.inspect_issuer import _mesh_notices
from tenantry.outcomes import Outcome
from tenantry.rotation import RotationRequest, rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.kubernetes.client import KINDS, KubernetesClient
from tenantry.walk import observe_owners
from tests.drift.watch import remediate
from tests.real.conftest import Cluster
from tests.real.rights_lab import (
    OPTIONAL,
    ClusterOfOurs,
    Data,
    Right,
    shipped,
    shipped_rights,
    wait_until,
)
from tests.support.harness import prepare
from tests.support.narrowing import as_body, present

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(1800),
    pytest.mark.demand("isolation", "all of tests/real/test_rights.py"),
]

Step = Callable[["Walk", ClusterAccount], None]
BEYOND_CALLS = {("clusterroles", "bind"), ("sinks", "write"), ("namespaces", "adopt")}
"""Rights that no call uses directly; the API server checks them when it authorizes another call."""


class NotAllRead(Exception):
    """A step could not read all objects."""


class Walk:
    """Declared teams and a platform, and the steps of all flows in order.

    Attributes:
        used: The rights that the calls of the current step needed.
    """

    def __init__(self, ours: ClusterOfOurs) -> None:
        self.ours = ours
        self.used: set[tuple[str, str, str]] = set()
        self.begin(0)

    def begin(self, number: int) -> None:
        """Declare a new team and platform, with a Harbor namespace without any of our objects."""
        ours = self.ours
        ours.team = f"r{number}-{ours.mark}"
        self.sinks, self.harbor = f"pipelines{number}-{ours.mark}", f"harbor{number}-{ours.mark}"
        self.existing = f"batch{number}-{ours.mark}"
        for namespace in (self.sinks, self.harbor, self.existing):
            ours.core.create_namespace(as_body({"metadata": {"name": namespace}}))
        for name in ("harbor-portal", "harbor-redis"):
            spec = {"selector": {"component": name}, "ports": [{"name": "x", "port": 80}]}
            body = {"metadata": {"name": name}, "spec": spec}
            ours.core.create_namespaced_service(self.harbor, as_body(body))
        containers = [{"name": name, "image": "x"} for name in ("core", "istio-proxy")]
        pod = {"metadata": {"name": "core"}, "spec": {"containers": containers}}
        ours.core.create_namespaced_pod(self.harbor, as_body(pod))

    # What is declared

    def rich(self, **more: Any) -> Data:
        paths = [{"service": "front", "port": 80}]
        host = f"{self.ours.team}.example.com"
        return {
            "namespace": {"quota": {"pods": 50}, "limits": {"default": {"cpu": "500m"}}},
            **self.adopted(),
            "oidc_clients": {"web": {"redirect_uris": [f"https://{host}/cb"]}},
            "routes": {
                "web": {"host": host, "paths": paths},
                "api": {"host": f"api-{host}", "paths": paths, "kind": "HTTPRoute"},
            },
            "robots": {"pull": {"sinks": [{"namespace": self.sinks, "name": "pull-{team}"}]}},
            **more,
        }

    def poor(self) -> Data:
        return self.rich(routes={}, namespace={"network": {"allow_gateway": False}})

    def adopted(self) -> Data:
        """Return the declaration of a namespace that exists already."""
        return {
            "further_namespaces": {"jobs": {"mesh": False}},
            "names": {"further_namespaces": {"jobs": self.existing}},
            "adopt": {"kubernetes": "yes"},
        }

    def others(self) -> list[Data]:
        return [{"name": f"t{number}-{self.ours.mark}"} for number in range(5)]

    def platform(self, *, whole: bool) -> Data:
        harbor: Data = {"host": f"registry-{self.ours.team}.example.com"}
        harbor |= {"namespace": self.harbor, "strict_mtls": whole}
        if whole:
            harbor |= {
                "portal_tokens": {"required": True},
                "app_protocols": {"harbor-redis": {80: "tcp"}},
            }
        hosts: Data = {"hosts": ["*.example.com"], "certificate": "wildcard"}
        gateways = {
            f"{self.harbor}/public": hosts,
            f"{self.harbor}/second": {**hosts, "api": "gateway-api"},
        }
        mesh = {"gateways": gateways, "harbor": harbor, "gateway": f"{self.harbor}/public"}
        return {"name": "Rights", "mesh": mesh}

    # The flows

    def onboard_team(self, account: ClusterAccount) -> None:
        self.ours.onboard(account, **self.rich())

    def onboard_again(self, account: ClusterAccount) -> None:
        """Onboard with fewer declared objects, and replace an immutable binding and Secret."""
        ours, namespace = self.ours, f"team-{self.ours.team}"
        binding = ours.rbac.read_namespaced_role_binding("tenantry-team", namespace)
        ours.rbac.delete_namespaced_role_binding("tenantry-team", namespace)
        binding.role_ref.name = "view"
        metadata = present(binding.metadata)
        metadata.resource_version = metadata.uid = None
        ours.rbac.create_namespaced_role_binding(namespace, binding)
        secret = ours.core.read_namespaced_secret("harbor-ci", namespace)
        ours.core.delete_namespaced_secret("harbor-ci", namespace)
        secret.type = "Opaque"
        metadata = present(secret.metadata)
        metadata.resource_version = metadata.uid = None
        ours.core.create_namespaced_secret(namespace, secret)
        ours.onboard(account, **self.poor())

    def onboard_teams(self, account: ClusterAccount) -> None:
        """Onboard many teams at once, which observes them by cluster-wide lists."""
        with self.ours.systems(account, None, *self.others(), **self.poor()) as systems:
            teams = list(systems.state.teams.values())
            systems.not_applied(teams)
            planned = onboarding.plan_all(systems, teams)
            errors: list[TenantryError] = []

            def finished(outcome: Outcome) -> None:
                errors.extend([outcome.error] if outcome.error else [])

            onboarding.onboard_many(systems, teams, planned, NoLock(), finished)
        for error in errors:
            raise error

    def detect_drift(self, account: ClusterAccount) -> None:
        """Detect drift, and remediate all of it."""
        with self.ours.systems(
            account, None, *self.others(), extras=True, **self.rich()
        ) as systems:
            teams = list(systems.state.teams.values())
            seen = drift.observe(systems, teams, drift.SYSTEMS)
            detected = drift.detect(systems, teams, seen, drift.SYSTEMS)
            refuse_unreadable(detected.report.findings)
            remediate(systems, detected)

    def rotate_robots(self, account: ClusterAccount) -> None:
        with self.ours.systems(account, **self.rich()) as systems:
            clock = self.ours.sandbox.clock
            clock.move(3600)
            now = clock.now()
            teams = list(systems.state.teams.values())
            found = rotate(systems, teams, RotationRequest(now, force=True), now, NoLock())
            for outcome in found:
                if outcome.error:
                    raise outcome.error
            assert all(outcome.rotated for outcome in found)

    def configure_platform(self, account: ClusterAccount) -> None:
        for whole in (True, False, True):
            with self.ours.systems(account, self.platform(whole=whole), **self.rich()) as systems:
                onboarding.configure(systems)

    def check_platform(self, account: ClusterAccount) -> None:
        with self.ours.systems(account, self.platform(whole=True), **self.rich()) as systems:
            systems.plan_platform(
                observe_owners(systems.platform_adapters, [systems.state.platform])
            )
            refuse_unreadable(checks.check_all(systems))

    def migrate(self, account: ClusterAccount) -> None:
        """Read the objects of the cluster that a migration to another issuer reads."""
        with self.ours.systems(account, **self.rich()) as systems:
            list(_mesh_notices(systems, "https://old.example.com", "https://new.example.com"))

    def offboard(self, account: ClusterAccount) -> None:
        """Revoke the access of the team, and remove it."""
        with self.ours.systems(account, **self.rich()) as systems:
            team = systems.state.teams[self.ours.team]
            offboarding.revoke(systems, team)
            outcome = offboarding.remove(systems, offboarding.plan_removal(systems, team))
            assert outcome.is_complete, outcome.blocked

    @property
    def steps(self) -> list[Step]:
        return [
            Walk.onboard_team,
            Walk.onboard_again,
            Walk.onboard_teams,
            Walk.detect_drift,
            Walk.rotate_robots,
            Walk.configure_platform,
            Walk.check_platform,
            Walk.migrate,
            Walk.offboard,
        ]

    # Recorded

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the rights that the calls need."""
        call = KubernetesClient._call

        def noted(client: KubernetesClient, method: str, path: str, *rest: Any, **more: Any) -> Any:
            self.used |= rights_of(method, path)
            return call(client, method, path, *rest, **more)

        with mock.patch.object(KubernetesClient, "_call", noted):
            yield


def refuse_unreadable(findings: Any) -> None:
    unread = [each.detail for each in findings if each.class_ == "unreadable"]
    if unread:
        raise NotAllRead("; ".join(unread))


def rights_of(method: str, path: str) -> set[tuple[str, str, str]]:
    """Return the group, resource and verb of a call; a server-side apply may also be a create."""
    for kind in KINDS.values():
        root = kind.path().rpartition("/")[0]
        if not path.startswith(f"{root}/"):
            continue
        parts = path.removeprefix(f"{root}/").split("/")
        if parts[0] == "namespaces" and len(parts) > 2:
            parts = parts[2:]
        if parts[0] != kind.plural:
            continue
        group = kind.api_version.rpartition("/")[0]
        verbs = {"GET": ["get" if len(parts) > 1 else "list"], "PATCH": ["patch", "create"]}
        return {(group, kind.plural, verb) for verb in verbs.get(method, [method.lower()])}
    return set()


@pytest.fixture
def walk(real_kubernetes: Cluster, tmp_path: Any) -> Iterator[Walk]:
    with Sandbox() as sandbox:
        ours = ClusterOfOurs(real_kubernetes, None, prepare(sandbox), tmp_path / "state")
        try:
            yield Walk(ours)
        finally:
            ours.close()


def ready(walk: Walk) -> ClusterAccount:
    """Apply the shipped roles and policies, bind the optional roles, and log in."""
    account = walk.ours.account()
    walk.ours.apply("admission.yaml", shipped("admission.yaml"))
    bind(walk)
    return account


def bind(walk: Walk) -> None:
    """Bind each optional role in its namespace."""
    for role in OPTIONAL:
        namespace = {"sinks": walk.sinks, "adopt": walk.existing}.get(role, walk.harbor)
        walk.ours.bind(f"tenantry-{role}", namespace)


@pytest.mark.demand(
    "isolation", "real API server: every flow runs under exactly the shipped rights"
)
def test_every_flow_runs_with_the_shipped_rights_and_uses_each_of_them(walk: Walk) -> None:
    account = ready(walk)

    with walk.recording():
        for step in walk.steps:
            step(walk, account)

    granted = {(right.group, right.resource, right.verb) for right in shipped_rights()}
    unused = {each for each in granted - walk.used if each[1:] not in BEYOND_CALLS}
    assert unused == set(), "rights that no flow uses"


# `make test-real` removes one right of each ClusterRole; the test with all rights is `long`.
SAMPLE = {
    "tenantry": ("secrets", "get"),
    "tenantry-mesh": ("pods", "list"),
    "tenantry-gateways": ("gateways", "create"),
    "tenantry-app-protocols": ("services", "patch"),
    "tenantry-sinks": ("sinks", "write"),
    "tenantry-adopt": ("namespaces", "adopt"),
}


def is_sampled(right: Right) -> bool:
    return SAMPLE[right.role] == (right.resource, right.verb) and "gateway." not in right.group


@pytest.mark.demand("isolation", "real API server: without any one of them, a flow fails")
def test_without_one_right_a_flow_fails(walk: Walk) -> None:
    sweep(walk, [right for right in shipped_rights() if is_sampled(right)])


@pytest.mark.demand("isolation", "real API server: without any one of them, a flow fails")
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_without_any_one_right_a_flow_fails(walk: Walk) -> None:
    sweep(walk, [right for right in shipped_rights() if not is_sampled(right)])


def sweep(walk: Walk, rights: list[Right]) -> None:
    """Remove each right in turn; assert that the steps that use it fail and name the right.

    The steps run first with all rights, and then again for each right, each time with a new team.
    """
    account = ready(walk)
    spared: dict[str, str] = {}
    for number, right in enumerate(rights):
        if number:
            walk.begin(number)
            bind(walk)
        failed = fails_without(walk, account, right)
        if failed is None:
            spared[str(right)] = "every flow still runs"
        elif "forbidden" not in failed and "attempting to grant" not in failed:
            spared[str(right)] = failed
    assert spared == {}


def fails_without(walk: Walk, account: ClusterAccount, right: Right) -> str | None:
    """Return the message with which a flow fails without a right; None if all succeed."""
    for step in walk.steps:
        if not may_use(step, right):
            if step in (Walk.onboard_team, Walk.configure_platform):
                step(walk, account)
            continue
        with missing(walk, account, right):
            try:
                step(walk, account)
            except (TenantryError, NotAllRead) as error:
                return str(error)
    return None


OF_THE_PLATFORM = (Walk.configure_platform, Walk.check_platform)


def may_use(step: Step, right: Right) -> bool:
    """Return whether a step may use a right, so that it has to be tried without it."""
    if right.role in ("tenantry-mesh", "tenantry-gateways", "tenantry-app-protocols"):
        return step in OF_THE_PLATFORM
    return True


@contextmanager
def missing(walk: Walk, account: ClusterAccount, right: Right) -> Iterator[None]:
    """Remove a right from its ClusterRole within the context."""
    rbac, name = walk.ours.rbac, right.role.replace("tenantry", walk.ours.own, 1)
    before = rbac.read_cluster_role(name)
    rules = [
        {
            "apiGroups": [each.group],
            "resources": [each.resource],
            "verbs": [each.verb],
            **(
                {"resourceNames": ["tenantry-team-member"]}
                if each.resource == "clusterroles"
                else {}
            ),
        }
        for each in shipped_rights()
        if each.role == right.role and each != right
    ]
    namespace = "" if right.role == "tenantry" else walk.harbor
    namespace = walk.sinks if right.role == "tenantry-sinks" else namespace
    namespace = walk.existing if right.role == "tenantry-adopt" else namespace
    rbac.replace_cluster_role(name, as_body({"metadata": {"name": name}, "rules": rules}))
    try:
        wait_until(lambda: not walk.ours.may(account, right, namespace))
        yield
    finally:
        rbac.replace_cluster_role(
            name, as_body({"metadata": {"name": name}, "rules": before.rules})
        )
        wait_until(lambda: walk.ours.may(account, right, namespace))


def test_no_right_is_shipped_twice_and_none_lets_tenantry_write_roles() -> None:
    rights = shipped_rights()

    assert len({right[1:] for right in rights}) == len(rights)
    assert not {"escalate", "impersonate", "*", "deletecollection"} & {r.verb for r in rights}
    assert {r.verb for r in rights if r.resource == "clusterroles"} == {"get", "bind"}
    assert "*" not in {r.resource for r in rights} | {r.group for r in rights}
