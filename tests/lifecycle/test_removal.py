"""What is taken out of a team's declaration: each list of a team file has a defined meaning."""

import copy
import json
import re
import shlex
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest

from tenantry import declared, drift, explain, onboarding
from tenantry.declared import Team
from tenantry.declared.types import Model
from tenantry.drift import Finding
from tenantry.drift.findings import RULE
from tenantry.errors import NotOurs
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.systems.kubernetes.record import RECORD
from tenantry.walk import observe_owners
from tests.drift.extras import provider
from tests.support.crash import Driver
from tests.support.harness import Bench, Data, granted
from tests.support.kubectl import Kubectl
from tests.support.narrowing import present
from tests.support.rotation_harness import add_namespace, order, pass_time, run

ROOT = Path(__file__).parents[2]
_ROTATED = {"expiry_days": 30, "rotation": {"max_age_days": 20}}
_POLICY = {"podSelector": {}, "policyTypes": ["Ingress"]}
SINK = "pipelines/harbor-shop"
MORE: dict[str, Any] = {
    "name": "shop",
    "members": ["ann", "bob"],
    "external_groups": {"corp": ["Shop-People", "Shop-Guests"]},
    "harbor": {
        "groups": {"auditors": "guest"},
        "retention": {"rules": [{"latest_pushed": 3}, {"latest_pulled": 5}]},
        "immutable_tags": [{"tags": "v*"}],
    },
    "robots": {
        "pull": _ROTATED,
        "ci": {
            **_ROTATED,
            "access": ["repository:pull", "repository:push"],
            "replaces": ["old-ci"],
            "sinks": [{"namespace": "pipelines", "name": "harbor-shop"}],
        },
        "scanner": {**_ROTATED, "access": ["repository:pull"]},
    },
    "namespace": {
        "labels": {"example.com/tier": "gold"},
        "annotations": {"example.com/owner": "shop"},
        "quota": {"pods": 50},
        "limits": {
            "default": {"cpu": "500m"},
            "default_request": {"cpu": "100m"},
            "max": {"memory": "2Gi"},
            "min": {"memory": "8Mi"},
        },
        "network": {"policies": {"from-all": _POLICY}},
    },
    "further_namespaces": {"jobs": {}},
    "oidc_clients": {
        "web": {
            "redirect_uris": ["https://shop.example.com/a", "https://shop.example.com/b"],
            "post_logout_redirect_uris": ["https://shop.example.com/"],
            "web_origins": ["https://shop.example.com"],
        }
    },
    "routes": {
        "web": {
            "host": "shop.example.com",
            "paths": [
                {"prefix": "/api/", "service": "back", "port": 80},
                {"service": "front", "port": 80},
            ],
        }
    },
    "drift": {"ignore": [{"system": "harbor", "kind": "project", "reason": "a test"}]},
}
PLATFORM = granted(
    "shop",
    platform={"name": "Test platform", "keycloak": {"external_providers": {"corp": {}}}},
    sinks=[SINK],
    replaces=["old-ci"],
)


@dataclass(frozen=True)
class Case:
    """An entry that is taken out, and what follows."""

    entry: tuple[str | int, ...]
    """The path of the entry in the team file."""
    changes: tuple[str, ...] = ()
    """The changes of the plan, except for records on the first namespace."""
    left: tuple[str, ...] = ()
    """What the plan shows as no longer declared."""
    stays: tuple[str, ...] = field(default=())
    """What of it is there after rotation."""


_NAMESPACE = "kubernetes/Namespace/team-shop"
_LIMITS = "update kubernetes/LimitRange/team-shop/tenantry"
_CLIENT = "update keycloak/client/team-shop-web"
CASES = {
    "members": Case(("members", 1), ("delete keycloak/group member/team-shop/bob",)),
    "external_groups": Case(
        ("external_groups", "corp"),
        ("update keycloak/identity provider mapper/corp/tenantry team-shop",),
    ),
    "external_groups.*": Case(
        ("external_groups", "corp", 1),
        ("update keycloak/identity provider mapper/corp/tenantry team-shop",),
    ),
    "harbor.groups": Case(
        ("harbor", "groups", "auditors"), ("delete harbor/member/team-shop/auditors",)
    ),
    "harbor.retention": Case(
        ("harbor", "retention"), ("delete harbor/retention policy/team-shop",)
    ),
    "harbor.retention.rules": Case(
        ("harbor", "retention", "rules", 0), ("update harbor/retention policy/team-shop",)
    ),
    "harbor.immutable_tags": Case(
        ("harbor", "immutable_tags", 0),
        ("delete harbor/immutable-tag rule/team-shop/**:v*",),
    ),
    "robots": Case(
        ("robots", "scanner"),
        (),
        (
            "retired harbor/robot/team-shop/scanner-a",
            "retired kubernetes/Secret/team-shop/harbor-scanner",
        ),
    ),
    "robots.*.access": Case(("robots", "ci", "access", 1), ("update harbor/robot/team-shop/ci-a",)),
    "robots.*.replaces": Case(("robots", "ci", "replaces", 0), (f"update {_NAMESPACE}",)),
    "robots.*.sinks": Case(
        ("robots", "ci", "sinks", 0), (), (f"retired kubernetes/Secret/{SINK}",)
    ),
    "namespace.labels": Case(
        ("namespace", "labels", "example.com/tier"), (f"update {_NAMESPACE}",)
    ),
    "namespace.annotations": Case(
        ("namespace", "annotations", "example.com/owner"), (f"update {_NAMESPACE}",)
    ),
    "namespace.quota": Case(
        ("namespace", "quota", "pods"), ("delete kubernetes/ResourceQuota/team-shop/tenantry",)
    ),
    **{
        f"namespace.limits.{key}": Case(("namespace", "limits", key), (_LIMITS,))
        for key in ("default", "default_request", "max", "min")
    },
    "namespace.network.policies": Case(
        ("namespace", "network", "policies", "from-all"),
        ("delete kubernetes/NetworkPolicy/team-shop/from-all",),
    ),
    "further_namespaces": Case(
        ("further_namespaces", "jobs"),
        ("delete kubernetes/RoleBinding/team-shop-jobs/tenantry-team",),
        (
            "kept kubernetes/Namespace/team-shop-jobs",
            "retired kubernetes/Secret/team-shop-jobs/harbor-pull",
        ),
        ("kept kubernetes/Namespace/team-shop-jobs",),
    ),
    "oidc_clients": Case(
        ("oidc_clients", "web"),
        (_CLIENT,),
        ("retired keycloak/client/team-shop-web", "retired kubernetes/Secret/team-shop/oidc-web"),
        ("retired keycloak/client/team-shop-web", "retired kubernetes/Secret/team-shop/oidc-web"),
    ),
    "oidc_clients.*.redirect_uris": Case(("oidc_clients", "web", "redirect_uris", 1), (_CLIENT,)),
    "oidc_clients.*.post_logout_redirect_uris": Case(
        ("oidc_clients", "web", "post_logout_redirect_uris", 0), (_CLIENT,)
    ),
    "oidc_clients.*.web_origins": Case(("oidc_clients", "web", "web_origins", 0), (_CLIENT,)),
    "routes": Case(("routes", "web"), ("delete istio/VirtualService/team-shop/web",)),
    "routes.*.paths": Case(
        ("routes", "web", "paths", 0), ("update istio/VirtualService/team-shop/web",)
    ),
    "drift.ignore": Case(("drift", "ignore", 0)),
}
"""The meaning of each list and mapping of a team file."""


SAMPLE = {"members", "harbor.groups", "robots.*.sinks", "further_namespaces", "oidc_clients"}


def _marked(sample: Collection[str]) -> list[Any]:
    """Return the cases, of which those outside of the sample are long."""
    return [
        pytest.param(case, marks=() if name in sample else pytest.mark.long)
        for name, case in CASES.items()
    ]


def lists_of(model: type[Model], under: str = "") -> Iterator[str]:
    """Yield the paths of all lists and mappings of a model, with `*` for the keys of a mapping."""
    for name, found in model.model_fields.items():
        yield from _lists_in(found.annotation, f"{under}{name}")


def _lists_in(kind: Any, path: str) -> Iterator[str]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _lists_in(inner[0], path)
    elif origin in (Union, UnionType):
        for each in inner:
            yield from _lists_in(each, path)
    elif origin in (list, dict):
        if inner[-1] is Any:
            return  # an object of Kubernetes, which is compared as a whole
        yield path
        yield from _lists_in(inner[-1], f"{path}.*" if origin is dict else path)
    elif isinstance(kind, type) and issubclass(kind, Model):
        yield from lists_of(kind, f"{path}.")


def without(entry: tuple[str | int, ...]) -> Data:
    """Return the declaration without one entry."""
    team = copy.deepcopy(MORE)
    *path, last = entry
    inside: Any = team
    for step in path:
        inside = inside[step]
    del inside[last]
    return team


def declare_all(bench: Bench) -> None:
    for name in ("ann", "bob", "carl"):
        bench.sandbox.keycloak.add_user("platform", name)
    add_namespace(bench)
    bench.declare(MORE, platform=PLATFORM)
    bench.systems.keycloak_client.post("identity-provider/instances", provider("corp"))
    bench.onboard()
    assert bench.plan().is_empty


@pytest.fixture
def shop(begin: Callable[..., Bench]) -> Bench:
    """Return a team that is onboarded with an entry in each list of its declaration."""
    return begin(declare_all)


def changes_of(bench: Bench, expected: tuple[str, ...]) -> set[str]:
    """Return the changes of the plan, without those of records on the first namespace."""
    found = {f"{change.action} {change.id}" for change in bench.plan().changes}
    return {
        each
        for each in found
        # A further namespace takes the fields of the first one that it does not declare.
        if each in expected
        or (
            each not in (f"update {_NAMESPACE}", f"update {_MARK}") and "team-shop-jobs" not in each
        )
    }


_MARK = "kubernetes/Namespace mark/team-shop"


def left_of(bench: Bench) -> set[str]:
    return {f"{each.removal} {each.id}" for each in bench.plan().left}


def findings(bench: Bench) -> dict[str, Finding]:
    """Return the findings of drift detection by resource."""
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        report = drift.detect(systems, bench.teams, seen).report
    # The rule that the declaration has for its list `ignore` matches nothing.
    return {str(each.resource): each for each in report.findings if each.resource.kind != RULE}


def rotate_until_retired(bench: Bench) -> None:
    """Run rotation as its schedule does, until everything is retired that can be."""
    for days, force in ((0, True), (2, False), (2, False), (8, False), (8, False)):
        pass_time(bench, days=days)
        for outcome in run(bench, order(bench, force=force)).values():
            assert outcome.error is None, outcome.error


def follow_advice(bench: Bench, folder: Path) -> None:
    """Do what the findings say, as an operator does."""
    folder.mkdir(exist_ok=True)
    for found in findings(bench).values():
        command = re.search(r"To delete it: (.+)", found.what_to_do)
        if command is None:
            assert found.what_to_do == "delete (remediate: all)", found
            continue
        words = shlex.split(command[1])
        if words[0] == "kubectl":
            Kubectl(bench.sandbox, folder)(*words[1:])
        else:  # Keycloak's own program deletes a path of a realm
            assert words[:2] == ["kcadm.sh", "delete"]
            assert words[3:] == ["-r", "platform"]
            bench.systems.keycloak_client.delete(words[2])
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        remedy = drift.choose(drift.detect(systems, bench.teams, seen), "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=True)


def test_every_list_of_a_team_file_has_a_meaning() -> None:
    """A new list or mapping must be added to the cases, and to the table in the documentation."""
    # As `namespace`; a record of Tenantry; names of resources that other lists declare.
    others = ("further_namespaces.*.", "offboarding.", "names.")
    found = {path for path in lists_of(Team) if not path.startswith(others)}
    assert found == CASES.keys() - {"harbor.retention"}


def meaning(case: Case) -> str:
    """Return what happens to the entry, as the documentation says it."""
    if case.left:
        return case.left[0].partition(" ")[0]
    return "deleted at once" if any("delete" in each for each in case.changes) else "updated"


def table() -> dict[str, tuple[str, str]]:
    """Return the resources and the meaning of each row of the documentation, by the entry."""
    text = (ROOT / "docs" / "declared-state.md").read_text(encoding="utf-8")
    section = text.partition("## Taking something out")[2].partition("### ")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for entry in re.findall(r"`([^`]+)`", cells[1]) if len(cells) == 6 else ():
            rows[re.sub(r"<[a-z]+>", "*", entry)] = (cells[2], cells[3])
    return rows


def test_the_documentation_has_the_meaning_of_each_list() -> None:
    rows = table()
    assert rows.keys() == CASES.keys()
    for name, case in CASES.items():
        resources, said = rows[name]
        assert said == meaning(case), name
        kinds = {re.split(r"[/]", each.split(" ", 1)[1])[1] for each in case.changes + case.left}
        for kind in kinds - {"RoleBinding"}:
            assert kind in resources, name


def test_the_documentation_has_every_kind(bench: Bench) -> None:
    text = (ROOT / "docs" / "declared-state.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (deleted|retired|kept)([^|]*) \| (.+) \|$", text, re.MULTILINE)
    said = {_REMOVALS[verb + how.partition(",")[0]]: kinds.split(", ") for verb, how, kinds in rows}
    systems = bench.declare({"name": "shop"}).systems
    adapters: list[Any] = [*systems.team_adapters, *systems.platform_adapters]
    found: dict[str, set[str]] = {}
    for kind in {kind for adapter in adapters for kind in adapter.kinds if not kind.is_record}:
        found.setdefault(kind.removal, set()).add(kind.name)
    assert {removal: sorted(names) for removal, names in found.items()} == said


_REMOVALS = {
    "deleted at once": "at once",
    "retired": "retired",
    "deleted on request": "on request",
    "kept": "kept",
}


@pytest.mark.parametrize("case", _marked(SAMPLE), ids=CASES)
def test_an_entry_that_is_taken_out_is_removed_as_defined(
    case: Case, shop: Bench, tmp_path: Path
) -> None:
    shop.declare(without(case.entry), platform=PLATFORM)

    assert changes_of(shop, case.changes) == set(case.changes)
    assert left_of(shop) == set(case.left)
    shown = str(explain.plan_rows(shop.plan()))
    document = explain.document([Outcome("shop", shop.plan())])[0]
    for left in case.left:
        removal, _, resource = left.partition(" ")
        assert f"'action': '{removal}'" in shown
        found = {each["resource"]: each["removal"] for each in document["no_longer_declared"]}
        assert found[resource] == removal

    shop.onboard()
    assert shop.plan().is_empty
    assert left_of(shop) == set(case.left)

    rotate_until_retired(shop)
    assert shop.plan().is_empty
    assert left_of(shop) == set(case.stays)
    stays = {each.partition(" ")[2] for each in case.stays}
    assert findings(shop).keys() == stays

    follow_advice(shop, tmp_path / "home")
    deadline = time.monotonic() + 10
    while left_of(shop) and time.monotonic() < deadline:
        time.sleep(0.05)  # a namespace is terminating
    assert left_of(shop) == set()
    assert findings(shop) == {}
    assert shop.plan().is_empty
    for purpose in shop.team().active_robots:
        assert shop.can_log_in(f"harbor-{purpose}")


@pytest.mark.parametrize("case", _marked({"oidc_clients"}), ids=CASES)
def test_an_entry_that_is_declared_again_is_restored(case: Case, shop: Bench) -> None:
    before = shop.sandbox.keycloak.realms["platform"].clients
    secret = shop.secret("oidc-web")["client_secret"]
    shop.declare(without(case.entry), platform=PLATFORM).onboard()
    shop.declare(MORE, platform=PLATFORM).onboard()

    assert shop.plan().is_empty
    assert left_of(shop) == set()
    assert findings(shop) == {}
    assert shop.secret("oidc-web")["client_secret"] == secret
    assert shop.sandbox.keycloak.realms["platform"].clients.keys() == before.keys()


def test_everything_at_once_survives_a_kill_at_any_request(shop: Bench, whole: bool) -> None:
    less = {"name": "shop", "members": ["ann"], "robots": {"pull": _ROTATED, "ci": None}}
    shop.declare(less, platform=PLATFORM)

    def check() -> None:
        assert shop.plan().is_empty
        assert findings(shop).keys() == {each.partition(" ")[2] for each in left_of(shop)}

    def onboard() -> None:
        with shop.process() as systems:
            onboarding.onboard(systems, shop.team())

    driver = Driver(shop.sandbox, onboard, check)
    assert driver.everywhere(every=1 if whole else 9) > 4


def test_a_robot_that_is_no_longer_attached_is_detached_at_once(bench: Bench) -> None:
    team = {"name": "shop", "robots": {"ci": {"attach": True}}, "further_namespaces": {"jobs": {}}}
    bench.declare(team).onboard()
    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    theirs = {"name": "their-own"}
    listed = [*account["imagePullSecrets"], theirs]
    bench.sandbox.kubernetes.put({**account, "imagePullSecrets": listed})
    bench.declare({**team, "robots": {"ci": {"attach": False}}})

    changes = changes_of(bench, ())
    bench.onboard()

    assert changes == {"delete kubernetes/image pull secret/team-shop/default/harbor-ci"}
    for namespace in ("team-shop", "team-shop-jobs"):
        account = bench.sandbox.kubernetes.get("ServiceAccount", "default", namespace)
        assert account is not None
        left = [each for each in account["imagePullSecrets"] if each != theirs]
        assert left == [{"name": "harbor-pull"}]
    assert bench.plan().is_empty
    assert left_of(bench) == {"retired kubernetes/Secret/team-shop-jobs/harbor-ci"}
    assert bench.can_log_in("harbor-ci")


def test_a_client_that_is_disabled_needs_an_approval_as_a_deletion_does(shop: Bench) -> None:
    shop.declare(without(("oidc_clients", "web")), platform=PLATFORM)
    assert [str(each.id) for each in shop.plan().removals] == ["keycloak/client/team-shop-web"]


# Renaming a team


ROUTE = {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}}


def declare_shop(bench: Bench) -> None:
    bench.declare({"name": "shop", "routes": ROUTE}).onboard()


RENAMED: dict[str, tuple[Data, str]] = {
    "its hosts": ({"routes": ROUTE}, "team 'shop', which is no longer declared, has the host"),
    "its group": ({"group": "team-shop"}, "it belongs to team 'shop', by its mark"),
    "its namespace": (
        {"names": {"namespace": "team-shop"}},
        "it belongs to team 'shop', by its mark",
    ),
}


@pytest.mark.parametrize(("claims", "reason"), RENAMED.values(), ids=RENAMED)
def test_a_team_with_another_name_is_refused_what_the_old_one_has(
    claims: Data, reason: str, begin: Callable[..., Bench]
) -> None:
    bench = begin(declare_shop)
    platform = granted("store", groups=["team-shop"], namespaces=["team-shop"])
    bench.declare({"name": "store", **claims}, platform=platform)

    with pytest.raises(NotOurs) as refused:
        bench.onboard()

    assert reason in str(refused.value)
    assert "A team cannot be renamed: to move team 'shop' to another name" in str(refused.value)
    assert "then offboard team 'shop'" in str(refused.value)
    kubernetes = bench.sandbox.kubernetes
    assert kubernetes.get("VirtualService", "web", "team-shop") is not None
    assert kubernetes.get("VirtualService", "web", "team-store") is None


def test_a_team_file_with_another_name_in_it_is_refused(bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    (bench.folder / "teams" / "shop.yaml").write_text("name: store\n")

    (fault,) = declared.read(bench.folder).faults

    assert "team 'store' must be declared in teams/store.yaml" in fault
    assert "A team cannot be renamed" in fault


def test_a_new_team_with_hosts_of_its_own_is_not_refused(begin: Callable[..., Bench]) -> None:
    bench = begin(declare_shop)
    other = {"web": {**ROUTE["web"], "host": "store.example.com"}}
    bench.declare({"name": "store", "routes": other}).onboard()
    assert bench.plan().is_empty


@pytest.mark.parametrize("text", ["changed by hand", "[]", '{"harbor/member": 1}', None])
def test_a_record_that_was_changed_by_hand_is_written_again_as_it_was(
    text: str | None, shop: Bench
) -> None:
    def record() -> dict[str, Any]:
        namespace = present(shop.sandbox.kubernetes.get("Namespace", "team-shop"))
        return dict(json.loads(namespace["metadata"]["annotations"][RECORD]))

    before = record()
    changed = {"metadata": {"annotations": {RECORD: text}}}
    shop.systems.home_cluster.merge("Namespace", "team-shop", None, changed)

    shop.onboard("shop")

    assert record() == before


def test_the_content_of_a_secret_that_is_no_longer_declared_is_not_observed(shop: Bench) -> None:
    shop.declare(without(("oidc_clients",)), platform=PLATFORM)
    observed = observe_owners(shop.systems.team_adapters, [shop.team()])
    (left,) = (live for id, live in observed.live.items() if id.key == "team-shop/oidc-web")
    assert set(left.fields) == {"metadata", "type"}
