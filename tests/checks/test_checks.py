"""Each check reports its injected fault and nothing else, and nothing on a working platform."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tenantry import checks, declared
from tenantry.sandbox.keycloak.builtin import new_realm
from tests.checks.faults import (
    FAULTS,
    OWN_TESTS,
    PLATFORM,
    REALM,
    SHOP,
    Fault,
    authentication,
    dead_pull_secret,
    harbor,
    prepare,
    wrong_issuer,
)
from tests.support.demands import Figure
from tests.support.harness import Bench, Prepare

pytestmark = [
    pytest.mark.demand("platform", "all tests of the checks"),
    pytest.mark.demand("reality", "check-platform: without single sign-on one finding"),
]


@pytest.fixture
def whole(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a working platform."""
    return begin(prepare)


def seen(bench: Bench) -> list[tuple[str, str]]:
    with bench.process() as systems:
        return [(found.check, str(found.resource)) for found in checks.check_all(systems)]


@pytest.mark.demand("platform", "a platform in order has no findings, and the check writes nothing")
def test_a_working_platform_has_no_findings_and_nothing_is_written(whole: Bench) -> None:
    whole.sandbox.requests.reset()
    assert seen(whole) == []
    assert whole.sandbox.requests.writes() == 0


@pytest.mark.demand("platform", "every check has its injected fault")
def test_every_check_has_its_injected_fault(figure: Figure) -> None:
    injected = {fault.check for fault in FAULTS} | set(OWN_TESTS)
    figure(f"{len(injected)} of {len(checks.CHECKS)} checks")

    assert injected == set(checks.CHECKS)
    assert set(OWN_TESTS.values()) <= globals().keys()


@pytest.mark.demand("platform", "each injected fault is found, and nothing else")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_an_injected_fault_is_found_and_nothing_else(fault: Fault, whole: Bench) -> None:
    fault.plant(whole)
    assert seen(whole) == [(fault.check, fault.resource)]


def test_a_changed_prefix_is_reported_for_each_secret_that_it_breaks(whole: Bench) -> None:
    harbor(whole, robot_name_prefix="bot$")
    assert seen(whole) == [
        ("robot prefix", "kubernetes/Secret/team-shop/harbor-ci"),
        ("robot prefix", "kubernetes/Secret/team-shop/harbor-pull"),
    ]


def test_a_faulty_team_file_is_a_finding_and_the_others_are_checked(whole: Bench) -> None:
    (whole.folder / "teams" / "data.yaml").write_text("name: data\ncolour: red\n")
    whole.state = declared.read(whole.folder)
    harbor(whole, robot_name_prefix="bot$")
    found = seen(whole)
    assert ("team files", "declared state/team file/teams/data.yaml") in found
    assert ("robot prefix", "kubernetes/Secret/team-shop/harbor-ci") in found


@pytest.mark.parametrize(
    "spec",
    [
        {
            "selector": {"matchLabels": {"component": "harbor-portal"}},
            "jwtRules": [{"issuer": "https://x.test"}],
        },
        {"jwtRules": [{"issuer": "https://x.test", "fromHeaders": [{"name": "x-token"}]}]},
    ],
    ids=["the portal only", "another header"],
)
def test_a_rule_that_does_not_apply_to_docker_is_not_a_finding(
    spec: dict[str, Any], whole: Bench
) -> None:
    authentication(whole, "harbor", spec)
    assert seen(whole) == []


def test_an_issuer_that_differs_in_a_slash_is_reported_as_such(whole: Bench) -> None:
    wrong_issuer(whole)
    with whole.process() as systems:
        (issuer,) = checks.check_all(systems)
    assert issuer.detail.endswith(": they differ in a slash at the end")


def test_robots_close_to_their_expiry_are_reported(whole: Bench) -> None:
    (robot,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    robot.expires_at = int(time.time()) + 3 * 86400

    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert (finding.check, finding.team, finding.severity) == ("robot expiry", "shop", "warning")
    assert finding.detail == "its credential expires in 3 days"


def test_a_robot_that_rotation_will_renew_in_time_is_not_reported(whole: Bench) -> None:
    rotation = {"max_age_days": 60, "before_expiry_days": 7}
    whole.declare({**SHOP, "robots": {"ci": {"rotation": rotation}}}, platform=PLATFORM)
    (robot,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    robot.expires_at = int(time.time()) + 10 * 86400
    assert seen(whole) == []

    robot.expires_at = int(time.time()) + 5 * 86400
    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert finding.check == "robot expiry"
    assert finding.advice.startswith("Run rotate-robots")


def test_a_pull_secret_of_others_is_reported_only_if_nothing_can_use_it(whole: Bench) -> None:
    """A robot that works, another registry, and an account that may be a user's are left alone."""
    client = whole.systems.harbor_client
    access = [{"resource": "repository", "action": "pull"}]
    permissions = [{"kind": "project", "namespace": "team-shop", "access": access}]
    body = {"name": "theirs", "level": "system", "duration": -1, "permissions": permissions}
    made = client.post("/robots", body).json()
    dead_pull_secret(whole)
    assert seen(whole) == []

    client.put(f"/robots/{made['id']}", {**client.get(f"/robots/{made['id']}"), "disable": True})
    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert (finding.check, finding.severity) == ("pull secrets", "info")
    assert finding.detail == (
        "ServiceAccount 'default' refers to it, and its robot 'robot$theirs' is disabled or expired"
    )
    assert "kubectl edit serviceaccount default --namespace team-shop" in finding.advice

    secret = whole.sandbox.kubernetes.get("Secret", "theirs", "team-shop")
    assert secret is not None
    for auths in (
        {"ghcr.io": {"username": "a", "password": "b"}},
        {whole.systems.credentials.registry: {"username": "ann", "password": "b"}},
    ):
        text = json.dumps({"auths": auths}).encode()
        data = {".dockerconfigjson": base64.b64encode(text).decode()}
        whole.sandbox.kubernetes.put({**secret, "data": data})
        assert seen(whole) == []
    whole.sandbox.kubernetes.delete("Secret", "theirs", "team-shop")
    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert finding.detail.endswith("it does not exist")


def test_the_old_robot_of_a_pair_may_expire(whole: Bench) -> None:
    live = next(r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    row = whole.systems.harbor_client.get(f"/robots/{live.id}")
    body = {key: row[key] for key in ("level", "duration", "permissions", "disable")}
    whole.systems.harbor_client.post("/robots", {**body, "name": "ci-b"})
    (old,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-b")
    old.expires_at = int(time.time()) + 86400
    assert seen(whole) == []


def test_what_cannot_be_read_is_a_finding_and_the_rest_is_checked(whole: Bench) -> None:
    whole.sandbox.fault_for = lambda system, method, path: (
        403 if "virtualservices" in path else None
    )
    with whole.process() as systems:
        found = checks.check_all(systems)
    assert {finding.class_ for finding in found} == {"unreadable"}
    assert {finding.check for finding in found} == {"route order", "hosts", "destinations"}


@pytest.mark.parametrize("endpoint", ["", "https://login.example.com/v2.0", None])
def test_without_single_sign_on_one_finding_tells_what_to_declare(
    endpoint: str | None, bench: Bench
) -> None:
    """None is the sandbox's own state: Harbor has an endpoint, and the realm has no client."""
    bench.sandbox.keycloak.realms[REALM] = new_realm(REALM, {"enabled": True})
    platform = {"name": "Test", "keycloak": {"realm": REALM}}
    bench.declare({"name": "shop"}, platform=platform)
    if endpoint is not None:
        bench.sandbox.harbor.configuration["oidc_endpoint"] = endpoint
    else:
        issuer = f"{bench.sandbox.keycloak.url}/realms/{REALM}"
        bench.sandbox.harbor.configuration["oidc_endpoint"] = issuer

    with bench.process() as systems:
        (finding,) = checks.check_all(systems)

    assert (finding.check, finding.severity) == ("single sign-on", "warning")
    assert finding.detail.startswith("it is not declared, and ")
    assert "'harbor: {single_sign_on: {}}'" in finding.advice


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_no_advice_suggests_a_run_that_does_nothing(fault: Fault, whole: Bench) -> None:
    """If single sign-on was set up by hand, configure-platform has nothing to configure."""
    fault.plant(whole)
    without = {**PLATFORM, "harbor": {}}
    whole.declare(SHOP, platform=without)

    with whole.process() as systems:
        for finding in checks.check_all(systems):
            if "configure-platform" in finding.advice:
                assert "eclare" in finding.advice.split("configure-platform")[0]
