"""Arbitrary content of every field that a tenant can write: every other team is served as before.

Each example writes values into Mallory's Secrets, ServiceAccount, labels, annotations, routes, and into
the robots of her project, as a projectAdmin can. Then all flows run, and the other team is in sync.
"""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry import checks, drift, onboarding
from tenantry.plan import Plan
from tenantry.rotation import Order, rotate
from tenantry.sandbox.kubernetes.errors import Refused
from tests.bench import Bench
from tests.crash import Snapshot
from tests.isolation.mallory import SLUG, begin, others
from tests.locks import Alone
from tests.rotation_bench import pass_time
from tests.wire import no_delays

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
CONTENT = st.fixed_dictionaries(
    {
        "secrets": st.lists(SECRET, max_size=3),
        "attached": st.lists(st.sampled_from(NAMES[:2] + NAMES[5:6]), max_size=4),
        "hosts": st.lists(st.sampled_from(["shop.example", "*", "a"]), max_size=2),
        "route labels": LABELS,
        "robots": st.lists(ROBOT, max_size=2),
    }
)


def write(bench: Bench, content: dict[str, Any]) -> None:
    """Write the content as Mallory, as far as the API server and Harbor accept it."""
    kubernetes = bench.sandbox.kubernetes
    for each in content["secrets"]:
        key = ".dockerconfigjson" if each["type"] != "Opaque" else "config.json"
        held = each["content"].replace(b"HOST", bench.systems.credentials.registry.encode())
        metadata = {"name": each["name"], "namespace": SLUG, "labels": each["labels"]}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**metadata, "annotations": each["annotations"]},
            "type": each["type"],
            "data": {key: base64.b64encode(held).decode()},
            "immutable": each["immutable"],
        }
        if kubernetes.get("Secret", each["name"], SLUG):
            kubernetes.delete("Secret", each["name"], SLUG)
        _put(bench, manifest)
    account: Any = kubernetes.get("ServiceAccount", "default", SLUG)
    _put(bench, {**account, "imagePullSecrets": [{"name": n} for n in content["attached"] if n]})
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
    with suppress(Refused):  # what the API server refuses, she cannot write
        bench.sandbox.kubernetes.put(manifest, "mallory")


def run_all(bench: Bench) -> None:
    """Run drift with remediation, onboarding, rotation, a compromised rotation, and the checks."""
    now = bench.sandbox.clock.now()
    with bench.process(extras=True) as systems:
        teams = systems.state.pick(None)
        detected = drift.detect(systems, teams, drift.look(systems, teams, drift.SYSTEMS))
        assert not detected.report.of("shop")
        remedy = drift.choose(detected, "all")
        drift.mend(systems, remedy, drift.Order("all"), Alone(), approved=False)
        outcomes: list[onboarding.Outcome] = []
        planned = onboarding.plan_all(systems, teams)
        onboarding.onboard_many(systems, teams, planned, Alone(), outcomes.append)
        assert next(each.error for each in outcomes if each.team == "shop") is None
        hers = [team for team in teams if team.name == "mallory"]
        rotate(systems, teams, Order(now), now, Alone())
        rotate(systems, hers, Order(now, compromised=True), now, Alone(), names=["mallory"])
        assert not [each for each in checks.check_all(systems) if each.team == "shop"]


def _served(bench: Bench, start: Snapshot, content: dict[str, Any]) -> None:
    start.restore()
    with no_delays():
        theirs = others(bench)
        logins = _all_logins(bench)
        write(bench, content)
        bench.sandbox.requests.reset()
        run_all(bench)
        assert bench.sandbox.requests.total() < 600
        assert others(bench)["robots"] == theirs["robots"], "nothing of others was written"
        assert not any(bench.systems.harbor_client.opens(*login) for login in logins)
        pass_time(bench, days=20)
        now = bench.sandbox.clock.now()
        with bench.process() as systems:
            found = {o.name: o for o in rotate(systems, bench.teams, Order(now), now, Alone())}
        assert found["shop/pull"].rotated
        assert bench.opens("harbor-pull", "team-shop")
        assert bench.plan("shop") == Plan("shop")


def _all_logins(bench: Bench) -> list[tuple[str, str]]:
    return [bench.login("harbor-pull", SLUG)]


@pytest.fixture
def attacked(bench: Bench) -> tuple[Bench, Snapshot]:
    """Mallory's team and another one, onboarded."""
    begin(bench)
    return bench, Snapshot(bench.sandbox)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=CONTENT)
def test_whatever_a_tenant_writes_the_others_are_served(
    attacked: tuple[Bench, Snapshot], content: dict[str, Any]
) -> None:
    _served(*attacked, content)


@pytest.mark.long
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=CONTENT)
def test_whatever_a_tenant_writes_the_others_are_served_in_many_cases(
    attacked: tuple[Bench, Snapshot], content: dict[str, Any]
) -> None:
    _served(*attacked, content)
