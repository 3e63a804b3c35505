"""The limits of operators, who may start flows but have no shell, and of team members.

tests/real/test_rights.py, test_admission.py and test_keycloak_rights.py test them on real servers.
"""

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.blocks.system import Secret
from prefect.exceptions import ParameterTypeError
from prefect.filesystems import LocalFileSystem
from ruamel.yaml import YAML

from demo.processes import ROOT
from tasks.store import BlockStore
from tenantry import drift, onboarding
from tenantry.declared import git
from tenantry.declared.repository import Repository
from tenantry.errors import NotOurs, SystemRefused, TenantryError
from tenantry.files import check_name
from tenantry.systems.kubernetes.namespaces import HOSTS, MEMBER_ROLE, member_role
from tests.deployments.test_rbac import manifests
from tests.drift.watch import Watched
from tests.support.harness import SHOP, Bench, granted

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_rights.py")


def flows_of_prefect_yaml() -> list[Flow[..., Any]]:
    """Return the flows that production serves."""
    served = YAML(typ="safe", pure=True).load((ROOT / "prefect.yaml").read_text())["deployments"]
    entrypoints = [deployment["entrypoint"].rpartition(".") for deployment in served]
    return [getattr(import_module(module), name) for module, _, name in entrypoints]


FLOWS = flows_of_prefect_yaml()
REQUIRED: dict[str, dict[str, Any]] = {
    "onboard-team": {"team": {"name": "shop"}},
    "offboard-team": {"team": "shop", "confirm": "shop"},
}
"""The required parameters of flows, by the flow's name."""
BLOCKS = ("platform", "new_keycloak")

# Blocks

TRAVERSALS = [
    "../../../block_documents/filter",
    "default/../../secret/x",
    "secret/x",
    "Default",
    "a b",
    "default\n",
    "%2e%2e%2f",
    "default?include_secrets=true",
]


def block_parameters() -> list[tuple[Any, str]]:
    return [
        (flow, name)
        for flow in FLOWS
        for name in inspect.signature(flow.fn).parameters
        if name in BLOCKS
    ]


@pytest.mark.demand("isolation", "block names and stores reach nothing else")
@pytest.mark.parametrize("value", TRAVERSALS)
def test_a_block_is_named_and_nothing_else_of_prefects_api_is_reached(value: str) -> None:
    for flow, name in block_parameters():
        given: dict[str, Any] = {name: "default", **REQUIRED.get(flow.name, {})}
        if "report_storage" in inspect.signature(flow.fn).parameters:
            given["report_storage"] = "local-file-system/x"
        flow.validate_parameters(given)
        given[name] = value
        with pytest.raises(ParameterTypeError):
            flow.validate_parameters(given)


@pytest.mark.demand("isolation", "block names and stores reach nothing else")
@pytest.mark.parametrize("value", ["secret", "local-file-system/../x", "a/b/c", "/x", "x/", "A/b"])
def test_a_store_is_named_by_type_and_name(value: str) -> None:
    flows = [flow for flow in FLOWS if "report_storage" in inspect.signature(flow.fn).parameters]
    assert flows
    for flow in flows:
        with pytest.raises(ParameterTypeError):
            flow.validate_parameters({"report_storage": value})


@pytest.mark.demand("isolation", "block names and stores reach nothing else")
def test_a_block_that_is_not_a_file_system_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.store.Block.load", lambda name: Secret(value="dragon-Passw0rd"))

    with pytest.raises(TenantryError) as refused:
        BlockStore("secret/x")

    assert "it cannot store files" in str(refused.value)
    assert "dragon" not in str(refused.value)


# Paths

OUTSIDE = [
    "../people.csv",
    "/etc/passwd",
    "~/.ssh/id_ed25519",
    "~root/.bashrc",
    "migration/../../people.csv",
    "..",
    "",
    ".",
    "a\\..\\..\\people.csv",
    "file:///etc/passwd",
    "s3://other-bucket/people.csv",
    "people.csv\0.txt",
    "people\n.csv",
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlockStore:
    """Return a store in a folder, with a file next to it that an operator must not read."""
    (tmp_path / "people.csv").write_text("dragon-Passw0rd")
    folder = tmp_path / "store"
    folder.mkdir()
    block = LocalFileSystem(basepath=str(folder))
    monkeypatch.setattr("tasks.store.Block.load", lambda name: block)
    return BlockStore("local-file-system/x")


@pytest.mark.demand("isolation", "no path leads out of the store")
@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_out_of_the_store(store: BlockStore, path: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for call in (lambda: store.read(path), lambda: store.write(path, b"evil")):
        with pytest.raises(TenantryError) as refused:
            call()
        assert "is not the name of a file in the store" in str(refused.value)
        assert "such as people.csv" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "people.csv").read_text() == "dragon-Passw0rd"


@pytest.mark.demand("isolation", "no path leads out of the store")
def test_a_link_does_not_lead_out_of_the_store(store: BlockStore, tmp_path: Path) -> None:
    (tmp_path / "store" / "link.csv").symlink_to(tmp_path / "people.csv")
    (tmp_path / "store" / "folder").symlink_to(tmp_path)

    for path in ("link.csv", "folder/people.csv"):
        for call in (lambda path=path: store.read(path), lambda path=path: store.write(path, b"")):
            with pytest.raises(TenantryError, match="outside of the base path"):
                call()
    assert (tmp_path / "people.csv").read_text() == "dragon-Passw0rd"


@pytest.mark.parametrize(
    "path", ["people.csv", "a/b.csv", "Müller & Söhne.xlsx", "..people", "a..b"]
)
def test_a_name_in_the_store_is_taken(store: BlockStore, path: str) -> None:
    assert check_name(path, "people") == path
    store.write(path, b"x")
    assert store.read(path) == b"x"


# Resources that a run may remove

FOREIGN = [
    "kubernetes/Namespace/kube-system",
    "kubernetes/Secret/kube-system/bootstrap",
    "kubernetes/ClusterRole/cluster-admin",
    "kubernetes/RoleBinding/team-shop/tenantry-team",
    "kubernetes/Secret/team-shop/harbor-pull",
    "harbor/project/library",
    "harbor/project/team-shop",
    "harbor/robot/team-shop/pull-a",
    "keycloak/client/admin-cli",
    "keycloak/group/team-shop",
    "*",
    "",
    "../../x",
]


@pytest.mark.demand("isolation", "only reported extras can be removed")
@pytest.mark.parametrize("id", FOREIGN)
def test_only_what_the_run_reports_as_an_extra_can_be_removed(
    bench: Bench, tmp_path: Path, id: str
) -> None:
    with Watched(bench.sandbox, tmp_path / "state") as watched:
        watched.onboarded(SHOP)
        detected = watched.detect()
        with pytest.raises(TenantryError, match="it is not among the extras"):
            drift.choose(detected, "all", [id])


# Commits


@pytest.mark.demand("isolation", "a commit that is not on the branch is refused")
def test_a_commit_that_is_not_on_the_branch_is_refused(tmp_path: Path) -> None:
    """For example, a commit that a pull request from a fork added to the repository."""
    import subprocess

    def run(*words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    run("init", "-q", "-b", "main", "work")
    folder = tmp_path / "work"
    (folder / "platform.yaml").write_text("name: Test\n")
    run("-C", "work", "add", ".")
    run("-C", "work", "commit", "-qm", "one")
    run("-C", "work", "checkout", "-qb", "fork")
    (folder / "platform.yaml").write_text("name: Evil\n")
    run("-C", "work", "commit", "-qam", "evil")
    evil = run("-C", "work", "rev-parse", "HEAD")
    run("clone", "-q", "--bare", "work", "bare.git")
    repository = Repository(url=(tmp_path / "bare.git").as_uri(), branch="main")

    assert git.load_commit(repository).platform.name == "Test"
    with pytest.raises(TenantryError) as refused:
        git.load_commit(repository, evil)

    assert evil[:7] in str(refused.value)


# The members' role


def test_the_shipped_role_is_the_one_that_tenantry_compares_with() -> None:
    shipped = manifests()[MEMBER_ROLE]

    assert shipped["rules"] == member_role().fields["rules"]
    assert shipped["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "tenantry"}


@pytest.mark.demand("isolation", "members may not write what isolates them")
def test_members_may_not_write_what_isolates_them() -> None:
    written = {
        (group, resource)
        for rule in member_role().fields["rules"]
        if set(rule["verbs"]) & {"create", "update", "patch", "delete", "*"}
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert not written & {
        ("", "namespaces"),
        ("", "resourcequotas"),
        ("", "limitranges"),
        ("networking.k8s.io", "networkpolicies"),
        ("rbac.authorization.k8s.io", "roles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
    }
    assert not {group for group, _ in written} & {"*", "rbac.authorization.k8s.io", "tenantry.io"}


def outdate_role(bench: Bench) -> None:
    role = bench.sandbox.kubernetes.get("ClusterRole", MEMBER_ROLE)
    assert role is not None
    bench.sandbox.kubernetes.put({**role, "rules": role["rules"][1:]})


def may_not(bench: Bench) -> None:
    """Let the API server answer that the account may not change the role."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = {"kind": "SelfSubjectAccessReview", "status": {"allowed": False}}
    bench.sandbox.controls.fail(201, method="POST", path=path, times=None, body=body)


def test_an_outdated_role_that_may_not_be_changed_stops_nothing_else(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    outdate_role(bench)
    may_not(bench)
    paths = [{"service": "front", "port": 80}]
    bench.declare({**SHOP, "routes": {"web": {"host": "shop.example.com", "paths": paths}}})

    with pytest.raises(NotOurs) as refused:
        bench.onboard()

    assert f"ClusterRole/{MEMBER_ROLE}: it differs in rules" in str(refused.value)
    assert "kubectl apply -f deployments/rbac.yaml" in str(refused.value)
    assert bench.sandbox.kubernetes.get("VirtualService", "web", "team-shop")


def test_a_role_that_may_be_changed_is_updated_as_before(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    outdate_role(bench)

    bench.declare(SHOP).onboard()

    role = bench.sandbox.kubernetes.get("ClusterRole", MEMBER_ROLE)
    assert role is not None
    assert role["rules"] == member_role().fields["rules"]


def test_a_missing_role_that_may_not_be_created_names_the_file(bench: Bench) -> None:
    forbidden = {"kind": "Status", "message": "clusterroles is forbidden", "code": 403}
    bench.sandbox.controls.fail(
        403, method="PATCH", path="*/clusterroles/*", times=None, body=forbidden
    )

    with pytest.raises(SystemRefused) as refused:
        bench.declare(SHOP).onboard()

    assert "kubectl apply -f deployments/rbac.yaml" in str(refused.value)


# The hosts of a team


def hosts(bench: Bench, namespace: str) -> str | None:
    found = bench.sandbox.kubernetes.get("Namespace", namespace)
    assert found is not None
    value: str | None = (found["metadata"].get("annotations") or {}).get(HOSTS)
    return value


def test_the_namespaces_say_which_hosts_the_team_has(bench: Bench) -> None:
    paths = [{"service": "front", "port": 80}]
    routes = {
        "web": {"host": "shop.example.com", "paths": paths},
        "api": {"host": "api.example.com", "paths": paths},
    }
    bench.declare({**SHOP, "routes": routes, "further_namespaces": {"jobs": {}}}).onboard()

    services = "*.team-shop-jobs.svc.cluster.local,*.team-shop.svc.cluster.local"
    for namespace in ("team-shop", "team-shop-jobs"):
        assert hosts(bench, namespace) == f"{services},api.example.com,shop.example.com"
    bench.declare(SHOP).onboard()
    assert hosts(bench, "team-shop") is None


def test_hosts_that_the_policy_grants_to_a_team_are_that_teams(bench: Bench) -> None:
    """They are for routes of members or Flagger; Tenantry creates no route for them."""
    platform = granted("shop", further_hosts=["*.shop.example.com"])
    bench.declare(SHOP, {"name": "data"}, platform=platform)
    for team in ("shop", "data"):
        bench.onboard(team)

    assert hosts(bench, "team-shop") == "*.shop.example.com"
    assert hosts(bench, "team-data") is None


def test_the_annotation_cannot_be_declared_by_a_team(bench: Bench) -> None:
    team = {**SHOP, "namespace": {"annotations": {HOSTS: "*.example.com"}}}
    with pytest.raises(TenantryError, match=r"tenantry\.io"):
        bench.declare(team).state.pick(["shop"])


def test_a_changed_annotation_is_drift(bench: Bench) -> None:
    paths = [{"service": "front", "port": 80}]
    team = {**SHOP, "routes": {"web": {"host": "shop.example.com", "paths": paths}}}
    bench.declare(team).onboard()
    found = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert found is not None
    annotations = {**found["metadata"]["annotations"], HOSTS: "*.example.com"}
    metadata = {**found["metadata"], "annotations": annotations}
    bench.sandbox.kubernetes.put({**found, "metadata": metadata})

    with bench.process() as systems:
        onboarding.onboard(systems, bench.team())

    assert hosts(bench, "team-shop") == "shop.example.com"
    assert json.dumps(annotations)
