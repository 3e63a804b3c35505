"""deployments/admission.yaml on a real API server: which hosts and addresses members may claim.

Tenantry onboards the team, and writes the hosts of the team to its namespace. Each call is a dry run
as a member: the API server decides on it, but stores nothing.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantry.errors import SystemRefused
from tenantry.sandbox import Sandbox
from tests.real.conftest import Cluster
from tests.real.rights_lab import ClusterOfOurs, Data, shipped, wait_until
from tests.support.harness import prepare
from tests.support.narrowing import as_body, present

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.demand("isolation", "all of tests/real/test_admission.py"),
]

POLICIES = ("tenantry-hosts", "tenantry-addresses", "tenantry-own-writes")
ALL = ["get", "list", "create", "update", "patch", "delete"]


class Tenant:
    """Mallory's team, and a namespace of another team.

    Attributes:
        mine: A host of Mallory's team.
        theirs: A host of the other team.
    """

    def __init__(self, ours: ClusterOfOurs) -> None:
        self.ours = ours
        self.mine, self.theirs = f"mallory-{ours.mark}.example.com", "shop.example.com"
        self.namespace, self.group = f"team-{ours.team}", f"team-{ours.team}"
        self.routes = {
            "web": {"host": self.mine, "paths": [{"service": "front", "port": 80}]},
        }
        self.account = ours.account()
        ours.onboard(self.account, routes=self.routes, further_namespaces={"jobs": {}})
        ours.apply("admission.yaml", shipped("admission.yaml"))
        self._widen_rights()
        # The API server enforces policies with a delay.
        attack = virtual_service(self, hosts=["probe.example.com"])
        addresses = service(self, externalIPs=["192.0.2.1"])
        wait_until(lambda: self.create(attack)[0] == 403 and self.create(addresses)[0] == 403)

    def _widen_rights(self) -> None:
        """Let members write more kinds than the shipped role does, as some platforms do."""
        rules = [
            {"apiGroups": [group], "resources": ["*"], "verbs": ALL}
            for group in ("gateway.networking.k8s.io", "networking.istio.io", "discovery.k8s.io")
        ]
        name = f"{self.ours.own}-mesh"  # removed with the lab
        self.ours.rbac.replace_cluster_role(
            name, as_body({"metadata": {"name": name}, "rules": rules})
        )
        subject = {"kind": "Group", "name": self.group, "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        body = {"metadata": {"name": "widened"}, "roleRef": role, "subjects": [subject]}
        self.ours.rbac.create_namespaced_role_binding(self.namespace, as_body(body))

    def create(
        self, manifest: Data, user: str = "mallory", *, store: bool = False
    ) -> tuple[int, str]:
        """Create an object, and return the status and the message of the response."""
        status, answer = self.ours.call(
            "POST", path_of(manifest), manifest, user=user, group=self.group, dry_run=not store
        )
        return status, str(answer.get("message", ""))

    def replace(self, manifest: Data) -> tuple[int, str]:
        """Replace an object in a dry run, and return the status and the message."""
        path = f"{path_of(manifest)}/{manifest['metadata']['name']}"
        live = self.ours.call("GET", path)[1]
        body = {**manifest, "metadata": {**live["metadata"], **manifest["metadata"]}}
        status, answer = self.ours.call(
            "PUT", path, body, user="mallory", group=self.group, dry_run=True
        )
        return status, str(answer.get("message", ""))


def path_of(manifest: Data) -> str:
    """Return the API path of the manifest's kind in its namespace."""
    version, kind = manifest["apiVersion"], manifest["kind"].lower()
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    plurals = {"ingress": "ingresses", "serviceentry": "serviceentries", "endpoints": "endpoints"}
    plural = plurals.get(kind, f"{kind}s")
    return f"{root}/namespaces/{manifest['metadata']['namespace']}/{plural}"


def thing(tenant: Tenant, version: str, kind: str, spec: Data, **annotations: str) -> Data:
    metadata = {"name": "attack", "namespace": tenant.namespace, "annotations": annotations}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def virtual_service(tenant: Tenant, to: str = "front", **spec: Any) -> Data:
    routes = [{"route": [{"destination": {"host": to, "port": {"number": 80}}}]}]
    content = {"gateways": ["istio-ingress/public"], "http": routes, **spec}
    return thing(tenant, "networking.istio.io/v1", "VirtualService", content)


def gateway(tenant: Tenant, *hosts: str) -> Data:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    spec = {"selector": {"istio": "ingress"}, "servers": [{"port": port, "hosts": list(hosts)}]}
    return thing(tenant, "networking.istio.io/v1", "Gateway", spec)


def listeners(tenant: Tenant, *hosts: str | None) -> Data:
    made = [
        {"name": f"l{n}", "port": 80, "protocol": "HTTP", **({"hostname": host} if host else {})}
        for n, host in enumerate(hosts)
    ]
    spec = {"gatewayClassName": "istio", "listeners": made}
    return thing(tenant, "gateway.networking.k8s.io/v1", "Gateway", spec)


def http_route(tenant: Tenant, *hosts: str, parent: Data | None = None) -> Data:
    spec: Data = {"parentRefs": [parent or {"name": "public", "namespace": "istio-ingress"}]}
    if hosts:
        spec["hostnames"] = list(hosts)
    return thing(tenant, "gateway.networking.k8s.io/v1", "HTTPRoute", spec)


def ingress(tenant: Tenant, *hosts: str | None, tls: str = "", **annotations: str) -> Data:
    backend = {"service": {"name": "front", "port": {"number": 80}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    spec: Data = {"rules": [{**({"host": h} if h else {}), "http": http} for h in hosts]}
    if not hosts:
        spec = {"defaultBackend": backend}
    if tls:
        spec["tls"] = [{"hosts": [tls], "secretName": "certificate"}]
    return thing(tenant, "networking.k8s.io/v1", "Ingress", spec, **annotations)


def entry(tenant: Tenant, host: str, **spec: Any) -> Data:
    ports = [{"number": 443, "name": "https", "protocol": "TLS"}]
    content = {"hosts": [host], "ports": ports, "resolution": "DNS", **spec}
    return thing(tenant, "networking.istio.io/v1", "ServiceEntry", content)


def service(tenant: Tenant, annotations: Data | None = None, **spec: Any) -> Data:
    ports = {} if "externalName" in spec else {"ports": [{"port": 80}], "selector": {"app": "x"}}
    return thing(tenant, "v1", "Service", {**ports, **spec}, **(annotations or {}))


def endpoints(tenant: Tenant, address: str) -> Data:
    made = thing(tenant, "v1", "Endpoints", {})
    del made["spec"]
    return {**made, "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 80}]}]}


def endpoint_slice(tenant: Tenant, address: str, type: str = "IPv4") -> Data:
    made = thing(tenant, "discovery.k8s.io/v1", "EndpointSlice", {})
    del made["spec"]
    made["metadata"]["labels"] = {"kubernetes.io/service-name": "front"}
    return {**made, "addressType": type, "endpoints": [{"addresses": [address]}], "ports": []}


DNS = "external-dns.alpha.kubernetes.io/hostname"
ALIAS = "nginx.ingress.kubernetes.io/server-alias"
SVC = "svc.cluster.local"


def attacks(t: Tenant) -> dict[str, Data]:
    """Return the manifests of Mallory's attacks, by description."""
    return {
        "a host of another team": virtual_service(t, hosts=[t.theirs]),
        "a host next to one of her own": virtual_service(t, hosts=[t.mine, t.theirs]),
        "all hosts": virtual_service(t, hosts=["*"]),
        "a wildcard over her own host": virtual_service(t, hosts=["*.example.com"]),
        "upper case": virtual_service(t, hosts=[t.theirs.upper()]),
        "a trailing dot": virtual_service(t, hosts=[f"{t.mine}."]),
        "her own host as a suffix": virtual_service(t, hosts=[f"x{t.mine}"]),
        "her own host as a prefix": virtual_service(t, hosts=[f"{t.mine}.evil.com"]),
        "two hosts in one text": virtual_service(t, hosts=[f"{t.mine},{t.theirs}"]),
        "a Service of another team": virtual_service(t, hosts=[f"backend.team-shop.{SVC}"]),
        "... for the mesh": virtual_service(
            t, hosts=[f"backend.team-shop.{SVC}"], gateways=["mesh"]
        ),
        "a host for the whole mesh": virtual_service(t, hosts=["api.bank.com"], gateways=["mesh"]),
        "a local host that a gateway takes": virtual_service(t, hosts=[t.theirs], exportTo=["."]),
        "a route to another team's Service": virtual_service(
            t, to=f"backend.team-shop.{SVC}", hosts=[t.mine]
        ),
        "an SNI of another team": virtual_service(
            t,
            hosts=[t.mine],
            tls=[{"match": [{"sniHosts": [t.theirs]}], "route": [{"destination": {"host": "x"}}]}],
        ),
        "an older version of the API": {
            **virtual_service(t, hosts=[t.theirs]),
            "apiVersion": "networking.istio.io/v1alpha3",
        },
        "a Gateway": gateway(t, t.theirs),
        "a Gateway for all": gateway(t, "*"),
        "a Gateway with a namespace": gateway(t, f"*/{t.theirs}"),
        "a Gateway of the Gateway API": listeners(t, t.theirs),
        "a listener for all hosts": listeners(t, t.mine, None),
        "an HTTPRoute": http_route(t, t.theirs),
        "an HTTPRoute for all hosts": http_route(t),
        "an HTTPRoute for a wildcard": http_route(t, "*.example.com"),
        "an Ingress": ingress(t, t.theirs),
        "an Ingress for all hosts": ingress(t, None),
        "a default backend": ingress(t),
        "a certificate for another host": ingress(t, t.mine, tls=t.theirs),
        "a server alias": ingress(t, t.mine, **{ALIAS: t.theirs}),
        "a DNS name of an Ingress": ingress(t, t.mine, **{DNS: t.theirs}),
        "a DNS name of a Service": service(t, {DNS: f"{t.mine}, {t.theirs}"}, type="LoadBalancer"),
        "a ServiceEntry for the whole mesh": entry(t, "api.bank.com"),
        "an external IP": service(t, externalIPs=["192.0.2.10"]),
        "a name for another team's Service": service(
            t, type="ExternalName", externalName=f"backend.team-shop.{SVC}"
        ),
        "endpoints": endpoints(t, "10.1.2.3"),
        "an EndpointSlice": endpoint_slice(t, "10.1.2.3"),
        "an EndpointSlice of names": endpoint_slice(t, "shop.example.com", "FQDN"),
    }


def harmless(t: Tenant) -> dict[str, Data]:
    """Return manifests of the daily work of members, by description."""
    jobs = f"{t.namespace}-jobs"
    return {
        "her own host": virtual_service(t, hosts=[t.mine]),
        "a short name, as Flagger has it": virtual_service(t, hosts=[t.mine, "front"]),
        "a Service of her own": virtual_service(t, hosts=[f"front.{t.namespace}.{SVC}"]),
        "a route to her own Service": virtual_service(
            t, to=f"front.{t.namespace}.{SVC}", hosts=[t.mine]
        ),
        "a route to her other namespace": virtual_service(t, to=f"x.{jobs}.{SVC}", hosts=[t.mine]),
        "a route out of the cluster": virtual_service(t, to="api.bank.com", hosts=[t.mine]),
        "a host for her own namespace": virtual_service(
            t, hosts=["api.bank.com"], gateways=["mesh"], exportTo=["."]
        ),
        "a Gateway": gateway(t, t.mine, f"./{t.mine}"),
        "a Gateway of the Gateway API": listeners(t, t.mine),
        "an HTTPRoute": http_route(t, t.mine),
        "an HTTPRoute of a Service": http_route(t, parent={"kind": "Service", "name": "front"}),
        "an HTTPRoute of her own Gateway": http_route(t, parent={"name": "own"}),
        "an Ingress": ingress(t, t.mine, tls=t.mine, **{DNS: t.mine}),
        "a ServiceEntry for her own namespace": entry(t, "api.bank.com", exportTo=["."]),
        "a Service": service(t),
        "a Service with a DNS name": service(t, {DNS: t.mine}, type="LoadBalancer"),
        "a headless Service": service(t, clusterIP="None"),
        "a name out of the cluster": service(t, type="ExternalName", externalName="db.example.com"),
        "an EndpointSlice without addresses": {
            **endpoint_slice(t, ""),
            "endpoints": [],
        },
    }


@pytest.fixture(scope="module")
def tenant(real_kubernetes: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    with Sandbox() as sandbox:
        folder = tmp_path_factory.mktemp("admission") / "state"
        ours = ClusterOfOurs(real_kubernetes, None, prepare(sandbox), folder)
        try:
            yield Tenant(ours)
        finally:
            ours.close()


@pytest.mark.demand(
    "isolation", "admission policies: members claim no host, address or endpoint of others"
)
def test_no_member_may_claim_what_belongs_to_others(tenant: Tenant) -> None:
    allowed = {}
    for name, manifest in attacks(tenant).items():
        status, message = tenant.create(manifest)
        if status != 403 or "ValidatingAdmissionPolicy" not in message:
            allowed[name] = (status, message)
    assert allowed == {}


@pytest.mark.demand("isolation", "admission policies: members may do all else")
def test_members_may_do_all_else(tenant: Tenant) -> None:
    refused = {}
    for name, manifest in harmless(tenant).items():
        status, message = tenant.create(manifest)
        if status != 201:
            refused[name] = (status, message)
    assert refused == {}


def test_the_message_names_the_host_and_what_to_do(tenant: Tenant) -> None:
    _, message = tenant.create(virtual_service(tenant, hosts=[tenant.theirs]))

    assert f"may not use the host {tenant.theirs}" in message
    assert tenant.mine in message
    assert "Declare a route with that host" in message


@pytest.mark.demand("isolation", "admission policies: an update keeps existing hosts and adds none")
def test_an_update_may_keep_a_host_of_before_and_add_none(tenant: Tenant) -> None:
    """A policy must check the new object: checking the old one would allow every change."""
    old = virtual_service(tenant, hosts=["before.example.com"])
    old["metadata"]["name"] = "old"
    assert tenant.ours.call("POST", path_of(old), old)[0] == 201, "an administrator may"

    weighted = virtual_service(tenant, to="front-canary", hosts=["before.example.com"])
    weighted["metadata"]["name"] = "old"
    assert tenant.replace(weighted)[0] == 200
    widened = virtual_service(tenant, hosts=["before.example.com", tenant.theirs])
    widened["metadata"]["name"] = "old"
    assert tenant.replace(widened)[0] == 403


@pytest.mark.demand("isolation", "admission policies: members cannot change which hosts they have")
def test_members_can_not_change_what_says_which_hosts_they_have(tenant: Tenant) -> None:
    path = f"/api/v1/namespaces/{tenant.namespace}"
    live = tenant.ours.call("GET", path)[1]
    assert tenant.mine in live["metadata"]["annotations"]["tenantry.io/hosts"]
    live["metadata"]["annotations"]["tenantry.io/hosts"] = "*.example.com"

    status, answer = tenant.ours.call("PUT", path, live, user="mallory", group=tenant.group)

    assert status == 403
    assert "cannot update resource" in answer["message"]


def test_a_controller_that_writes_routes_is_bound_to_the_hosts_of_the_team(tenant: Tenant) -> None:
    """Flagger and Argo Rollouts write VirtualServices that members have specified."""
    flagger = f"system:serviceaccount:{tenant.ours.own}:flagger"
    right = {"apiGroups": ["networking.istio.io"], "resources": ["*"], "verbs": ALL}
    name = f"{tenant.ours.own}-gateways"  # removed with the lab
    tenant.ours.rbac.replace_cluster_role(
        name, as_body({"metadata": {"name": name}, "rules": [right]})
    )
    role = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    subject = {"kind": "ServiceAccount", "name": "flagger", "namespace": tenant.ours.own}
    body = {"metadata": {"name": "flagger"}, "roleRef": role, "subjects": [subject]}
    tenant.ours.rbac.create_namespaced_role_binding(tenant.namespace, as_body(body))
    destinations = [
        {"destination": {"host": "front-primary"}, "weight": 90},
        {"destination": {"host": "front-canary"}, "weight": 10},
    ]
    canary = virtual_service(tenant, hosts=[tenant.mine, "front"], http=[{"route": destinations}])
    foreign = virtual_service(tenant, hosts=[tenant.theirs], http=[{"route": destinations}])

    def creates(manifest: Data) -> int:
        path = path_of(manifest)
        return tenant.ours.call("POST", path, manifest, user=flagger, dry_run=True)[0]

    wait_until(lambda: creates(canary) == 201)
    assert creates(foreign) == 403


def test_the_platform_may_allow_addresses_by_an_annotation(tenant: Tenant) -> None:
    path = f"/api/v1/namespaces/{tenant.namespace}"
    live = tenant.ours.call("GET", path)[1]
    live["metadata"]["annotations"]["tenantry.io/endpoint-cidrs"] = "198.51.100.0/24, bogus"
    assert tenant.ours.call("PUT", path, live)[0] == 200

    wait_until(lambda: tenant.create(endpoints(tenant, "198.51.100.7"))[0] == 201)
    assert tenant.create(endpoint_slice(tenant, "198.51.100.7"))[0] == 201
    assert tenant.create(endpoints(tenant, "198.51.101.7"))[0] == 403
    assert tenant.ours.plan(
        tenant.account, routes=tenant.routes, further_namespaces={"jobs": {}}
    ).is_empty


def test_tenantrys_own_routes_and_the_controllers_of_kubernetes_are_let_through(
    tenant: Tenant,
) -> None:
    wider = {**tenant.routes, "api": {**tenant.routes["web"], "host": f"api-{tenant.mine}"}}
    tenant.ours.onboard(tenant.account, routes=wider, further_namespaces={"jobs": {}})

    live = tenant.ours.call("GET", f"/api/v1/namespaces/{tenant.namespace}")[1]
    assert f"api-{tenant.mine}" in live["metadata"]["annotations"]["tenantry.io/hosts"]
    controller = "system:serviceaccount:kube-system:endpointslice-controller"
    assert tenant.create(endpoint_slice(tenant, "10.1.2.3"), user=controller)[0] == 201


def test_tenantry_writes_secrets_and_bindings_in_namespaces_of_teams_only(tenant: Tenant) -> None:
    ours, elsewhere = tenant.ours, f"elsewhere-{tenant.ours.mark}"
    ours.core.create_namespace(as_body({"metadata": {"name": elsewhere}}))
    sink = {"namespace": elsewhere, "name": "pull-{team}", "format": "basic"}
    team = {
        "routes": tenant.routes,
        "further_namespaces": {"jobs": {}},
        "robots": {"pull": {"sinks": [sink]}},
    }

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(tenant.account, **team)

    assert f"namespace {elsewhere} is not the namespace of a team" in str(refused.value)
    assert "kubectl create rolebinding tenantry-sinks" in str(refused.value)
    ours.bind("tenantry-sinks", elsewhere)
    wait_until(lambda: _onboards(tenant, team))
    assert ours.core.read_namespaced_secret(f"pull-{ours.team}", elsewhere)


def test_tenantry_adopts_an_existing_namespace_only_where_it_may(tenant: Tenant) -> None:
    ours, existing = tenant.ours, f"batch-{tenant.ours.mark}"
    ours.core.create_namespace(as_body({"metadata": {"name": existing}}))
    team = {
        "routes": tenant.routes,
        "further_namespaces": {"jobs": {}, "batch": {}, "new": {}},
        "names": {"further_namespaces": {"batch": existing, "new": f"new-{ours.mark}"}},
        "adopt": {"kubernetes": "yes"},
    }

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(tenant.account, **team)

    assert f"namespace {existing} exists, and is not the namespace of a team" in str(refused.value)
    assert "kubectl create rolebinding tenantry-adopt" in str(refused.value)
    ours.bind("tenantry-adopt", existing)
    wait_until(lambda: _onboards(tenant, team))
    for name in (existing, f"new-{ours.mark}"):
        found = ours.core.read_namespace(name)
        assert present(present(found.metadata).labels)["tenantry.io/team"] == ours.team


def _onboards(tenant: Tenant, team: Data) -> bool:
    try:
        return tenant.ours.onboard(tenant.account, **team).error is None
    except SystemRefused:
        return False


@pytest.mark.parametrize("name", ["kube-system", "default", "kube-node-lease"])
def test_a_stolen_token_of_tenantry_makes_no_other_namespace_a_teams(
    tenant: Tenant, name: str
) -> None:
    labels = {"tenantry.io/team": "mallory", "app.kubernetes.io/managed-by": "tenantry"}
    with tenant.ours.systems(tenant.account) as systems, pytest.raises(SystemRefused) as refused:
        systems.home_cluster.merge("Namespace", name, None, {"metadata": {"labels": labels}})

    assert f"namespace {name} exists, and is not the namespace of a team" in str(refused.value)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "stolen", "namespace": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "tenantry-team-member",
        },
        "subjects": [],
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "stolen", "namespace": name},
    }
    for manifest in (binding, secret):
        with (
            tenant.ours.systems(tenant.account) as systems,
            pytest.raises(SystemRefused, match="is not the namespace of a team"),
        ):
            systems.home_cluster.apply(manifest, force=False)


def test_the_write_rights_can_be_taken_away_instead(tenant: Tenant) -> None:
    """The alternative in docs/security.md is a role of the platform for its members."""
    (role,) = (m for m in shipped("rbac.yaml") if m["metadata"]["name"] == "tenantry-team-member")
    rules = [
        rule
        for rule in role["rules"]
        if "create" not in rule["verbs"]
        or rule["apiGroups"][0] not in ("networking.istio.io", "networking.k8s.io")
    ]
    name = f"{tenant.ours.own}-sinks"  # removed with the lab
    tenant.ours.rbac.replace_cluster_role(
        name, as_body({"metadata": {"name": name}, "rules": rules})
    )
    own = next(
        manifest
        for manifest in shipped("rbac.yaml")
        if manifest["kind"] == "ClusterRole" and manifest["metadata"]["name"] == "tenantry"
    )
    own["rules"][-1]["resourceNames"].append(name)
    tenant.ours.rbac.replace_cluster_role(
        tenant.ours.own,
        as_body({"metadata": {"name": tenant.ours.own}, "rules": own["rules"]}),
    )
    team = {
        "routes": tenant.routes,
        "further_namespaces": {"jobs": {}},
        "namespace": {"cluster_role": name},
    }
    wait_until(lambda: _onboards(tenant, team))
    tenant.ours.rbac.delete_namespaced_role_binding("widened", tenant.namespace)

    def refused() -> bool:
        status, message = tenant.create(virtual_service(tenant, hosts=[tenant.mine]))
        return status == 403 and "cannot create resource" in message

    wait_until(refused)
    assert tenant.create(service(tenant))[0] == 201
