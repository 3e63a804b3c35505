"""Arbitrary content in every field that a tenant can write does not affect other teams.

Each example writes values into all kinds of objects that Mallory's role allows in her namespace, into
her project as a projectAdmin, and into her account in Keycloak. Then all flows run within limits for
requests, CPU time and memory, change nothing of other teams, and the other team is in sync.
"""

import base64
import json
import resource
import time
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry import checks, drift, onboarding
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.plan import Plan
from tenantry.rotation import RotationRequest, rotate
from tenantry.sandbox.kubernetes.errors import Refused
from tests.isolation.mallory import MALLORY, SLUG, begin, others
from tests.sandbox.calls import Caller
from tests.support.crash import Snapshot
from tests.support.harness import REALM, Bench
from tests.support.rotation_harness import pass_time
from tests.support.wire import no_delays

pytestmark = pytest.mark.demand(
    "isolation",
    "arbitrary content of everything that a tenant can write: all flows end with "
    "every other team served, within bounds of time and memory",
)

DATES = ["2999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "now"]
NAMES = ["pull-a", "pull-b", "robot$team-shop+pull-a", "robot$system", "../1", "harbor-pull", ""]
TEAMS = ["mallory", "shop", "ghost", "", "MALLORY"]
TEXT = st.one_of(
    st.sampled_from(DATES + NAMES),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40),
    st.sampled_from(["x" * 100_000, "[" * 3000, "\x1b[2J", "<script>", "=1+1"]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["auths", "a"]), inner)
    ),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(("username", "password", "auth"), JSON))
CONFIG = st.one_of(
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["HOST", "other.example", ""]), ENTRY | JSON, max_size=3).map(
        lambda auths: json.dumps({"auths": auths}).encode()
    ),
    st.binary(max_size=50),
    st.sampled_from([b'{"auths":' * 3000 + b"1" + b"}" * 3000, b"9" * 5000]),
)
KEYS = ["robot", "rotated", "previous-robot", "previous-until", "adopted", "mark", "applied"]
ANNOTATIONS = st.dictionaries(st.sampled_from([f"tenantry.io/{key}" for key in KEYS]), TEXT)
LABELS = st.fixed_dictionaries(
    {},
    optional={
        "app.kubernetes.io/managed-by": st.sampled_from(["tenantry", "someone", ""]),
        "tenantry.io/team": st.sampled_from(TEAMS),
    },
)
SECRET = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["harbor-pull", "harbor-ci", "oidc-web", "planted"]),
        "type": st.sampled_from(["kubernetes.io/dockerconfigjson", "Opaque"]),
        "content": CONFIG,
        "annotations": ANNOTATIONS,
        "labels": LABELS,
        "immutable": st.booleans(),
    }
)
ROBOT = st.fixed_dictionaries(
    {},
    optional={
        "description": TEXT | st.sampled_from(["Managed by Tenantry [v1:x:shop]", ""]),
        "disabled": st.booleans(),
        "duration": st.sampled_from([-1, 1, 2**31 - 2]),
    },
)
SERVICE = {"ports": [{"port": 80}]}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ConfigMap": ("v1", {"data": {"key": "x"}}),
    "Service": ("v1", {"spec": SERVICE}),
    "ServiceAccount": ("v1", {}),
    "Secret": ("v1", {"type": "Opaque", "data": {"key": ""}}),
    "VirtualService": ("networking.istio.io/v1", {"spec": {"hosts": ["a"]}}),
    "DestinationRule": ("networking.istio.io/v1", {"spec": {"host": "a"}}),
    "ServiceEntry": ("networking.istio.io/v1", {"spec": {"hosts": ["a.example"]}}),
}
"""The kinds that her role may write, with version and content."""
CROWD = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(KINDS)),
        "count": st.sampled_from([1, 5, 300]),
        "annotations": ANNOTATIONS,
        "labels": LABELS,
        "size": st.sampled_from([0, 1000, 200_000]),
    }
)
"""Objects of one kind, with the size of the annotations of the first five in bytes."""
LARGEST_SECRET = 1024 * 1024
PROJECT = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.dictionaries(
            st.sampled_from(["public", "auto_scan", "severity", "prevent_vul", "reuse_sys_cve"]),
            st.sampled_from(["true", "false", "critical", "", "x" * 200]),
        ),
        "members": st.lists(
            st.tuples(
                st.sampled_from(["team-shop", "team-mallory", "others", "\x1b[2J"]),
                st.integers(1, 5),
            ),
            max_size=3,
        ),
        "webhooks": st.lists(st.sampled_from(["a", "x" * 200, "<script>"]), max_size=3),
        "immutable": st.lists(st.sampled_from(["**", "[", "x" * 200]), max_size=3),
        "retention": st.sampled_from(["0 0 0 * * *", "", "* * * * * *"]),
    },
)
ACCOUNT = st.fixed_dictionaries(
    {},
    optional={
        "first_name": TEXT,
        "last_name": TEXT,
        "email": st.sampled_from(["ann@shop.example", "a@\x1b[2J"]),
        "attributes": st.dictionaries(
            st.sampled_from(["tenantry.io/team", "tenantry.team", "groups", "x" * 200]),
            st.lists(TEXT, max_size=3),
        ),
    },
)
CONTENT = st.fixed_dictionaries(
    {
        "crowds": st.lists(CROWD, max_size=2),
        "large": st.booleans(),
        "project": PROJECT,
        "account": ACCOUNT,
        "secrets": st.lists(SECRET, max_size=3),
        "attached": st.lists(st.sampled_from(NAMES[:2] + NAMES[5:6]), max_size=4),
        "hosts": st.lists(st.sampled_from(["shop.example", "*", "a"]), max_size=2),
        "route labels": LABELS,
        "robots": st.lists(ROBOT, max_size=2),
    }
)


HARMLESS: dict[str, Any] = {
    "secrets": [],
    "attached": [],
    "hosts": [],
    "robots": [],
    "crowds": [],
    "large": False,
    "project": {},
    "account": {},
    "route labels": {},
}
"""Content that is not hostile, to measure the flows without an attack."""
MEMORY = 500_000
"""The maximum additional memory of a run with hostile content, in KiB."""


def _write_crowds(bench: Bench, content: dict[str, Any]) -> None:
    for number, crowd in enumerate(content["crowds"]):
        version, body = KINDS[crowd["kind"]]
        for index in range(crowd["count"]):
            filling = {"x": "x" * crowd["size"]} if index < 5 else {}
            metadata = {
                "name": f"crowd-{number}-{index}",
                "namespace": SLUG,
                "labels": crowd["labels"],
                "annotations": {**crowd["annotations"], **filling},
            }
            manifest = {"apiVersion": version, "kind": crowd["kind"], "metadata": metadata}
            _put(bench, {**manifest, **body})
    if content["large"]:
        data = {"key": base64.b64encode(b"x" * LARGEST_SECRET).decode()}
        labels = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "mallory"}
        metadata = {"name": "large", "namespace": SLUG, "labels": labels}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
        _put(bench, {**manifest, "data": data})


def _write_project(bench: Bench, content: dict[str, Any]) -> None:
    """Write into her project as a projectAdmin. Harbor may reject a part of it."""
    address, project = bench.sandbox.addresses()["harbor"], bench.sandbox.harbor.projects[SLUG].id
    harbor = Caller(address["url"], address["username"], address["password"])
    if content.get("metadata"):
        harbor("PUT", f"/projects/{project}", json={"metadata": content["metadata"]})
    for group, role in content.get("members", ()):
        member = {"role_id": role, "member_group": {"group_name": group, "group_type": 3}}
        harbor("POST", f"/projects/{project}/members", json=member)
    for name in content.get("webhooks", ()):
        target = {"type": "http", "address": "http://127.0.0.1:9/"}
        hook = {"name": name, "enabled": True, "event_types": ["PUSH_ARTIFACT"]}
        harbor("POST", f"/projects/{project}/webhook/policies", json={**hook, "targets": [target]})
    for pattern in content.get("immutable", ()):
        harbor("POST", f"/projects/{project}/immutabletagrules", json=_rule("immutable", pattern))
    if "retention" in content:
        policy = {
            "algorithm": "or",
            "scope": {"level": "project", "ref": project},
            "trigger": {"kind": "Schedule", "settings": {"cron": content["retention"]}},
            "rules": [{**_rule("retain", "**"), "params": {"latestPushedK": 1}}],
        }
        harbor("POST", "/retentions", json=policy)


def _rule(action: str, pattern: str) -> dict[str, Any]:
    selector = {"kind": "doublestar", "pattern": pattern}
    return {
        "disabled": False,
        "action": action,
        "template": "immutable_template" if action == "immutable" else "latestPushedK",
        "tag_selectors": [{**selector, "decoration": "matches"}],
        "scope_selectors": {"repository": [{**selector, "decoration": "repoMatches"}]},
    }


def write(bench: Bench, content: dict[str, Any]) -> None:
    """Write the content as Mallory, as far as the API server and Harbor accept it."""
    _write_crowds(bench, content)
    _write_project(bench, content["project"])
    account = bench.sandbox.keycloak.realms[REALM].user_named("mallory")
    for field, value in content["account"].items():
        setattr(account, field, value)
    kubernetes = bench.sandbox.kubernetes
    for secret in content["secrets"]:
        key = ".dockerconfigjson" if secret["type"] != "Opaque" else "config.json"
        data = secret["content"].replace(b"HOST", bench.systems.credentials.registry.encode())
        metadata = {"name": secret["name"], "namespace": SLUG, "labels": secret["labels"]}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**metadata, "annotations": secret["annotations"]},
            "type": secret["type"],
            "data": {key: base64.b64encode(data).decode()},
            "immutable": secret["immutable"],
        }
        if kubernetes.get("Secret", secret["name"], SLUG):
            kubernetes.delete("Secret", secret["name"], SLUG)
        _put(bench, manifest)
    service_account: Any = kubernetes.get("ServiceAccount", "default", SLUG)
    _put(
        bench,
        {**service_account, "imagePullSecrets": [{"name": n} for n in content["attached"] if n]},
    )
    _put(
        bench,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "r", "namespace": SLUG, "labels": content["route labels"]},
            "spec": {
                "hosts": content["hosts"] or ["a"],
                "http": [{"route": [{"destination": {"host": "a"}}]}],
            },
        },
    )
    project = bench.sandbox.harbor.projects[SLUG].id
    hers = [r for r in bench.sandbox.harbor.robots.values() if r.project_id == project]
    for robot, changes in zip(hers, content["robots"], strict=False):
        for name, value in changes.items():
            setattr(robot, name, value)
        if robot.duration < 0:
            robot.expires_at = -1


def _put(bench: Bench, manifest: dict[str, Any]) -> None:
    with suppress(Refused):  # she cannot write content that the API server rejects
        bench.sandbox.kubernetes.put(manifest, "mallory")


def run_all(bench: Bench) -> None:
    """Run drift with remediation, onboarding, rotation, a compromised rotation, and the checks."""
    now = bench.sandbox.clock.now()
    with bench.process(extras=True) as systems:
        teams = systems.state.pick(None)
        detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))
        assert not detected.report.of("shop")
        remedy = drift.choose(detected, "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=False)
        outcomes: list[Outcome] = []
        planned = onboarding.plan_all(systems, teams)
        onboarding.onboard_many(systems, teams, planned, NoLock(), outcomes.append)
        assert next(outcome.error for outcome in outcomes if outcome.team == "shop") is None
        hers = [team for team in teams if team.name == "mallory"]
        rotate(systems, teams, RotationRequest(now), now, NoLock())
        rotate(
            systems, hers, RotationRequest(now, compromised=True), now, NoLock(), names=["mallory"]
        )
        assert not [fault for fault in checks.check_all(systems) if fault.team == "shop"]


class Attacked(NamedTuple):
    """Mallory's team and another one, onboarded."""

    bench: Bench
    start: Snapshot
    normal_time: float
    """The CPU time of all flows without hostile content, in seconds."""


def _measure(bench: Bench) -> float:
    """Run all flows, and return their CPU time in seconds."""
    began = time.process_time()
    run_all(bench)
    return time.process_time() - began


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _check_others(attacked: Attacked, content: dict[str, Any]) -> None:
    bench, start, normal_time = attacked
    start.restore()
    with no_delays():
        theirs = others(bench)
        logins = _all_logins(bench)
        write(bench, content)
        bench.sandbox.requests.reset()
        peak = _peak()
        assert _measure(bench) < 20 * normal_time + 5, "all flows end within the limit of CPU time"
        assert _peak() - peak < MEMORY
        assert bench.sandbox.requests.total() < 600
        assert others(bench) == theirs, "nothing of other teams was changed"
        assert not any(bench.systems.harbor_client.accepts(*login) for login in logins)
        pass_time(bench, days=20)
        now = bench.sandbox.clock.now()
        with bench.process() as systems:
            found = {
                o.name: o for o in rotate(systems, bench.teams, RotationRequest(now), now, NoLock())
            }
        assert found["shop/pull"].rotated
        assert bench.can_log_in("harbor-pull", "team-shop")
        assert bench.plan("shop") == Plan("shop")


def _all_logins(bench: Bench) -> list[tuple[str, str]]:
    return [bench.login("harbor-pull", SLUG)]


@pytest.fixture
def attacked(bench: Bench) -> Attacked:
    bench.sandbox.keycloak.add_user(REALM, "mallory")
    begin(bench, {**MALLORY, "members": ["mallory"]})
    start = Snapshot(bench.sandbox)
    with no_delays():
        write(bench, HARMLESS)
        return Attacked(bench, start, _measure(bench))


@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(content=CONTENT)
def test_other_teams_are_served_despite_hostile_content(
    attacked: Attacked, content: dict[str, Any]
) -> None:
    _check_others(attacked, content)


@pytest.mark.long
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(content=CONTENT)
def test_other_teams_are_served_despite_hostile_content_in_many_cases(
    attacked: Attacked, content: dict[str, Any]
) -> None:
    _check_others(attacked, content)
