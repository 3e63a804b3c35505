"""Values that a tenant can write are hints: they extend no credential, and affect no other team's."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tenantry import declared, drift
from tenantry.errors import NotOurs
from tenantry.locks import NoLock
from tenantry.plan import Plan
from tenantry.rotation import Outcome, RotationRequest, rotate
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.settle import connect
from tests.isolation.mallory import (
    MALLORY,
    ROTATED,
    SHOP,
    SLUG,
    annotate,
    begin,
    docker,
    others,
    restore_secret,
    secret,
)
from tests.support.harness import Bench, Data, connections
from tests.support.rotation_harness import clear_faults, inject_fault, pass_time, robots

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_hints.py")

Attack = Callable[[Bench], None]
FUTURE, PAST = "2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"
LONGEST = timedelta(days=20)
"""The declared maximum age of a credential."""


@pytest.fixture
def bench(begin_with: Bench) -> Bench:
    """Mallory's team and another one, onboarded."""
    return begin_with


@pytest.fixture
def begin_with(request: pytest.FixtureRequest) -> Bench:
    made: Bench = request.getfixturevalue("begin")(begin)
    return made


def run(bench: Bench, order: RotationRequest | None = None, **asked: Any) -> dict[str, Outcome]:
    """Run rotation for all teams in a new process, and return the outcomes by name."""
    now = bench.sandbox.clock.now()
    with bench.process() as systems:
        found = rotate(systems, bench.teams, order or RotationRequest(now, **asked), now, NoLock())
    return {outcome.name: outcome for outcome in found}


def is_valid(bench: Bench, login: tuple[str, str]) -> bool:
    """Return whether Harbor accepts a credential."""
    return bench.systems.harbor_client.accepts(*login)


STEP = 4
"""The days between two runs. The daily runs in between are omitted to save time."""


def live_for(bench: Bench, attack: Attack, days: int) -> int:
    """Return for how many days a credential is valid while Mallory attacks before each run."""
    login, lived = bench.login("harbor-pull", SLUG), 0
    for day in range(STEP, days + 1, STEP):
        pass_time(bench, days=STEP)
        attack(bench)
        run(bench)
        if is_valid(bench, login):
            lived = day
    return lived


# Dates


@pytest.mark.demand("isolation", "dates in a Secret keep no credential alive")
@pytest.mark.parametrize(
    "value",
    [
        FUTURE,
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (PAST, "", "soon", "9999-12-31T23:59:59+00:00", "[" * 99)
        ),
    ],
)
def test_no_date_in_a_secret_keeps_a_credential_alive(bench: Bench, value: str) -> None:
    lived = live_for(
        bench,
        lambda bench: annotate(
            bench, rotated=value, previous_until=value, previous_robot="pull-a pull-b"
        ),
        days=2 * LONGEST.days + 2 * STEP,
    )

    assert lived <= 2 * LONGEST.days


def test_without_an_attack_a_credential_ends_after_the_overlap(bench: Bench) -> None:
    assert live_for(bench, lambda bench: None, days=LONGEST.days + 2 * STEP) <= LONGEST.days


# An older credential that is restored


@pytest.mark.demand("isolation", "dates in a Secret keep no credential alive")
def test_a_credential_that_is_restored_every_day_still_expires(bench: Bench) -> None:
    old = secret(bench)

    lived = live_for(
        bench, lambda bench: restore_secret(bench, old), days=2 * LONGEST.days + 3 * STEP
    )

    assert lived <= 2 * LONGEST.days + STEP
    assert run(bench)["shop/pull"].error is None


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
def test_a_robot_that_a_secret_elsewhere_holds_is_not_dropped_as_unpublished(
    bench: Bench,
) -> None:
    bench.declare({**MALLORY, "further_namespaces": {"jobs": {}}}, SHOP)
    bench.onboard("mallory")
    old = secret(bench)
    pass_time(bench, days=20)
    run(bench)
    login = bench.login("harbor-pull", f"{SLUG}-jobs")
    restore_secret(bench, old)

    run(bench)

    assert is_valid(bench, login), "the robot in the other Secret remains valid"
    assert bench.login("harbor-pull", SLUG) == login, "and is published"


# The names of robots


@pytest.mark.demand(
    "isolation",
    "a forged mark, such as a managed-by label, changes nothing of others, and hides no finding",
)
@pytest.mark.demand("isolation", "Capsule's advisories: a forged mark, such as a managed-by label")
@pytest.mark.parametrize(
    "named",
    [
        pytest.param("pull-b", id="the other side"),
        pytest.param("robot$team-shop+pull-a", id="another team's"),
        pytest.param("robot$replicator", id="a system robot"),
        pytest.param("../../robots/1", id="a path"),
    ],
)
@pytest.mark.parametrize("key", ["robot", "previous_robot"])
def test_a_forged_robot_touches_no_robot_of_others(bench: Bench, key: str, named: str) -> None:
    system_robot(bench)
    before, login = others(bench)["robots"], bench.login("harbor-pull", SLUG)
    annotate(bench, **{key: named, "previous_until": PAST})

    for _ in range(4):
        outcome = run(bench)["mallory/pull"]
        assert outcome.error is None
        bench.onboard("mallory")
        assert others(bench)["robots"] == before

    assert bench.can_log_in("harbor-pull", SLUG)
    assert is_valid(bench, login), "the robot in use was not deleted"


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
@pytest.mark.parametrize("onboarded", [False, True], ids=["rotation", "after onboarding"])
def test_a_secret_with_another_teams_credential_is_rotated_and_the_other_team_keeps_its_own(
    bench: Bench, onboarded: bool
) -> None:
    theirs = bench.login("harbor-pull", "team-shop")
    found = secret(bench)
    bench.sandbox.kubernetes.put({**found, "data": docker(bench, *theirs)}, "mallory")
    if onboarded:
        bench.onboard("mallory")

    assert run(bench)["mallory/pull"].error is None

    assert is_valid(bench, theirs)
    assert bench.login("harbor-pull", SLUG)[0].startswith(f"robot${SLUG}+")
    assert bench.can_log_in("harbor-pull", SLUG)


def system_robot(bench: Bench) -> None:
    """Create a system robot, as used for replication."""
    access = [{"resource": "repository", "action": "pull"}]
    body = {
        "name": "replicator",
        "level": "system",
        "duration": -1,
        "permissions": [{"kind": "project", "namespace": "*", "access": access}],
    }
    bench.systems.harbor_client.post("/robots", body)


# Secrets that cannot be written


def _change(**changes: Any) -> Attack:
    def attack(bench: Bench) -> None:
        bench.sandbox.kubernetes.put({**secret(bench), **changes}, "mallory")

    return attack


def _unmark(bench: Bench) -> None:
    metadata = {"name": "harbor-pull", "namespace": SLUG}
    _change(metadata=metadata)(bench)


def _other_type(bench: Bench) -> None:
    found = secret(bench)
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels")}
    bench.sandbox.kubernetes.delete("Secret", "harbor-pull", SLUG)
    bench.sandbox.kubernetes.put({**found, "type": "Opaque", "metadata": metadata}, "mallory")


def _fill(bench: Bench) -> None:
    _change(data={**secret(bench)["data"], "more": "A" * 1_390_000})(bench)


def _fill_annotations(bench: Bench) -> None:
    annotate(bench, note="x" * 255_000)


def _delete(bench: Bench) -> None:
    if bench.sandbox.kubernetes.get("Secret", "harbor-pull", SLUG):
        bench.sandbox.kubernetes.delete("Secret", "harbor-pull", SLUG)


UNWRITABLE: dict[str, Attack] = {
    "immutable": _change(immutable=True),
    "another type": _other_type,
    "mark removed": _unmark,
    "filled": _fill,
    "annotations filled": _fill_annotations,
    "deleted": _delete,
}


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
@pytest.mark.parametrize("attack", UNWRITABLE)
def test_a_secret_made_unwritable_is_rotated_on_time(bench: Bench, attack: str) -> None:
    login = bench.login("harbor-pull", SLUG)
    before = others(bench)["robots"]
    pass_time(bench, days=20)
    UNWRITABLE[attack](bench)

    outcomes = run(bench)

    assert outcomes["mallory/pull"].error is None
    assert outcomes["mallory/pull"].rotated
    assert bench.login("harbor-pull", SLUG) != login
    assert bench.can_log_in("harbor-pull", SLUG)
    assert is_valid(bench, login), "the old credential is still valid in the overlap"
    mine = [robot for robot in others(bench)["robots"] if robot["name"] == "pull-a"]
    assert mine == [robot for robot in before if robot["name"] == "pull-a"]


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
@pytest.mark.long
@pytest.mark.parametrize("attack", UNWRITABLE)
def test_a_secret_made_unwritable_every_day_keeps_no_credential_alive(
    bench: Bench, attack: str
) -> None:
    days = 2 * LONGEST.days + 3 * STEP
    assert live_for(bench, UNWRITABLE[attack], days) <= 2 * LONGEST.days + STEP


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
def test_a_secret_of_her_own_under_the_name_of_ours_keeps_no_credential_alive(
    bench: Bench,
) -> None:
    """It has neither a credential of the robot nor a mark. It may be hers and is not overwritten."""
    theirs = {"name": "harbor-pull", "namespace": SLUG}

    attack = _change(metadata=theirs, data=docker(bench, "me", "mine"))
    lived = live_for(bench, attack, days=LONGEST.days + 3 * STEP)

    assert lived <= LONGEST.days + STEP
    assert isinstance(run(bench)["mallory/pull"].error, NotOurs)
    assert bench.login("harbor-pull", SLUG) == ("me", "mine")


# Compromised credentials

SKEWS = [timedelta(minutes=-10), timedelta(), timedelta(minutes=10)]


def _forge_all(bench: Bench) -> None:
    annotate(bench, rotated=FUTURE, previous_until=FUTURE, robot="pull-b", previous_robot="pull-a")


def _garbage(bench: Bench) -> None:
    _change(data={".dockerconfigjson": "e30="})(bench)


COMPROMISED: dict[str, Attack] = {**UNWRITABLE, "forged dates": _forge_all, "garbage": _garbage}


@pytest.mark.demand(
    "isolation",
    "compromised: nothing that a tenant writes, and no clock skew, spares the credential",
)
@pytest.mark.parametrize("skew", SKEWS, ids=str)
@pytest.mark.parametrize("overlapping", [False, True], ids=["one", "two robots"])
def test_no_clock_spares_a_compromised_credential(
    bench: Bench, skew: timedelta, overlapping: bool
) -> None:
    logins = [bench.login("harbor-pull", SLUG)]
    if overlapping:
        run(bench, force=True)
        logins.append(bench.login("harbor-pull", SLUG))
    now = bench.sandbox.clock.now() + skew
    order = RotationRequest(now, compromised=True)

    with bench.process() as systems:
        team = [bench.team("mallory")]
        (outcome,) = rotate(systems, team, order, now, NoLock())
        assert outcome.rotated
        assert not any(is_valid(bench, login) for login in logins)
        assert bench.can_log_in("harbor-pull", SLUG)
        (again,) = rotate(systems, team, order, now + timedelta(minutes=1), NoLock())

    assert not again.rotated, "the request was already executed"


@pytest.mark.demand(
    "isolation",
    "compromised: nothing that a tenant writes, and no clock skew, spares the credential",
)
@pytest.mark.parametrize("attack", COMPROMISED)
def test_nothing_in_a_secret_spares_a_compromised_credential(bench: Bench, attack: str) -> None:
    run(bench, force=True)
    old = bench.login("harbor-pull", SLUG)
    COMPROMISED[attack](bench)

    run(bench, compromised=True)

    assert not is_valid(bench, old)
    assert bench.can_log_in("harbor-pull", SLUG)
    assert len(robots(bench, SLUG)) == 1


@pytest.mark.demand(
    "isolation",
    "compromised: nothing that a tenant writes, and no clock skew, spares the credential",
)
def test_a_compromised_credential_dies_though_no_new_one_can_be_published(bench: Bench) -> None:
    old = bench.login("harbor-pull", SLUG)
    theirs = {"name": "harbor-pull", "namespace": SLUG}
    _change(metadata=theirs, data=docker(bench, "me", "mine"))(bench)

    outcome = run(bench, compromised=True)["mallory/pull"]

    assert not is_valid(bench, old)
    assert isinstance(outcome.error, NotOurs)


@pytest.mark.demand(
    "isolation",
    "compromised: nothing that a tenant writes, and no clock skew, spares the credential",
)
def test_an_attack_on_a_compromised_credential_between_two_tries_does_not_spare_it(
    bench: Bench,
) -> None:
    old = secret(bench)
    login = bench.login("harbor-pull", SLUG)
    order = RotationRequest(bench.sandbox.clock.now(), compromised=True)
    inject_fault(bench, "PATCH", "/secrets/harbor-pull", 503)
    assert run(bench, order)["mallory/pull"].error is not None
    clear_faults(bench)
    restore_secret(bench, old)

    run(bench, order)

    assert not is_valid(bench, login)
    assert bench.can_log_in("harbor-pull", SLUG)


# The limit for each run


def test_a_team_whose_credentials_break_every_day_keeps_no_other_team_waiting(
    bench: Bench,
) -> None:
    many = {f"r{n}": {"expiry_days": 30, "rotation": ROTATED} for n in range(6)}
    platform: Data = {"name": "Test platform", "rotation": {"most_per_run": 2}}
    bench.declare(
        {**MALLORY, "robots": {**many, "pull": None, "ci": None}}, SHOP, platform=platform
    )
    bench.onboard("mallory")
    pass_time(bench, days=20)
    for n in range(6):
        found = secret(bench, f"harbor-r{n}")
        bench.sandbox.kubernetes.put({**found, "data": {".dockerconfigjson": "e30="}}, "mallory")

    assert run(bench)["shop/pull"].rotated


# ServiceAccounts


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [{"name": "other"}],
        [{"name": "harbor-pull"}] * 3,
        [{"name": f"s{n}"} for n in range(500)],
    ],
    ids=["none", "another", "three times", "many"],
)
def test_attachments_that_she_changes_are_set_again_and_the_rest_is_kept(
    bench: Bench, listed: list[Data]
) -> None:
    account: Any = bench.sandbox.kubernetes.get("ServiceAccount", "default", SLUG)
    bench.sandbox.kubernetes.put({**account, "imagePullSecrets": listed}, "mallory")

    bench.onboard("mallory")

    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", SLUG)
    assert {"name": "harbor-pull"} in account["imagePullSecrets"]
    assert [item for item in listed if item not in account["imagePullSecrets"]] == []
    assert bench.plan("mallory") == Plan("mallory")


# Forged marks


def forged(kind: str, name: str, team: str, **content: Any) -> dict[str, Any]:
    """Return an object in Mallory's namespace with the marks of a team."""
    versions = {"VirtualService": "networking.istio.io/v1", "NetworkPolicy": "networking.k8s.io/v1"}
    return {
        "apiVersion": versions.get(kind, "v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": SLUG,
            "labels": {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": team},
            "annotations": {
                "tenantry.io/applied": "x",
                "tenantry.io/mark": f"v1:x:{team}",
                "tenantry.io/harbor-project": "team-shop",
                "tenantry.io/previous-robot": "robot$shared",
            },
        },
        **content,
    }


ROUTE = {"hosts": ["shop.example"], "http": [{"route": [{"destination": {"host": "a"}}]}]}


def forge(bench: Bench, team: str) -> None:
    """Put objects of several kinds with a team's marks into Mallory's namespace."""
    for manifest in (
        forged("NetworkPolicy", "forged", team, spec={"podSelector": {}}),
        forged("VirtualService", "forged", team, spec=ROUTE),
        forged("Secret", "forged", team, type="Opaque", data={}),
        forged("Secret", "harbor-x", team, type="Opaque", data={}),
        forged("ServiceAccount", "forged", team),
        forged("ConfigMap", "forged", team),
    ):
        bench.sandbox.kubernetes.put(manifest, "mallory")


@pytest.mark.demand(
    "isolation",
    "a forged mark, such as a managed-by label, changes nothing of others, and hides no finding",
)
@pytest.mark.demand("isolation", "Capsule's advisories: a forged mark, such as a managed-by label")
@pytest.mark.parametrize("team", ["shop", "ghost"])
def test_a_forged_mark_is_no_other_teams_finding_and_changes_nothing_of_others(
    bench: Bench, team: str
) -> None:
    before = others(bench)
    forge(bench, team)

    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        detected = drift.detect(systems, bench.teams, seen)
        assert {found.team for found in detected.report.findings} <= {"mallory"}
        remedy = drift.choose(detected, "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=False)
    run(bench)

    assert others(bench) == before
    assert bench.sandbox.kubernetes.get("Secret", "forged", SLUG), (
        "Tenantry did not create it and does not delete it"
    )


@pytest.mark.demand(
    "isolation",
    "a forged mark, such as a managed-by label, changes nothing of others, and hides no finding",
)
@pytest.mark.demand("isolation", "Capsule's advisories: a forged mark, such as a managed-by label")
def test_a_forged_mark_hides_no_robot_and_no_role_binding(bench: Bench) -> None:
    run(bench, force=True)
    annotate(bench, previous_robot="pull-a pull-b spare-a", previous_until=FUTURE)
    bench.systems.harbor_client.post(
        "/robots",
        {
            "name": "spare-a",
            "level": "project",
            "duration": -1,
            "permissions": [
                {
                    "kind": "project",
                    "namespace": SLUG,
                    "access": [{"resource": "repository", "action": "push"}],
                }
            ],
        },
    )
    binding = forged(
        "RoleBinding",
        "admins",
        "shop",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        subjects=[{"kind": "Group", "name": "x", "apiGroup": "rbac.authorization.k8s.io"}],
    )
    binding["apiVersion"] = "rbac.authorization.k8s.io/v1"
    bench.sandbox.kubernetes.put(binding, "mallory")
    pass_time(bench, days=24)  # without a run, so the old robot is past its maximum age

    found = {str(f.resource): f for f in findings(bench)}

    for id in (
        f"harbor/robot/{SLUG}/spare-a",
        f"harbor/robot/{SLUG}/pull-a",
        f"kubernetes/RoleBinding/{SLUG}/admins",
    ):
        assert (found[id].class_, found[id].severity, found[id].team) == (
            "extra",
            "critical",
            "mallory",
        )


def findings(bench: Bench) -> list[Any]:
    """Return the current findings of drift detection."""
    now: datetime = bench.sandbox.clock.now()
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        return list(drift.detect(systems, bench.teams, seen, now=now).report.findings)


@pytest.mark.demand("isolation", "Secrets made unwritable, replaced or refilled stop no rotation")
@pytest.mark.parametrize(
    ("username", "password", "asked"),
    [
        ("admin", "Harbor12345", {}),
        ("admin", "a guess", {"force": True}),
        ("ADMIN", "Harbor12345", {"compromised": True, "reason": "leaked"}),
        ("robot$team-shop+pull-a", "a guess", {}),
        ("robot$replicator", "a guess", {"force": True}),
        ("", "Harbor12345", {}),
    ],
)
def test_a_secret_that_names_another_account_is_never_tried(
    bench: Bench,
    username: str,
    password: str,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Harbor locks accounts after a wrong password, and she would learn whether her guess is right."""
    tried: list[str] = []
    opens = HarborClient.accepts

    def noted(self: HarborClient, name: str, password: str) -> bool:
        tried.append(name)
        return opens(self, name, password)

    found = secret(bench)
    found["data"] = docker(bench, username, password)
    bench.sandbox.kubernetes.put(found, "mallory")
    monkeypatch.setattr(HarborClient, "accepts", noted)
    findings(bench)
    run(bench, **asked)
    bench.onboard("mallory")
    pass_time(bench, days=24)
    run(bench)

    assert tried
    hers = re.compile(r"robot\$team-mallory\+")
    assert [name for name in tried if not hers.match(name) and "team-shop+" not in name] == []
    if "team-shop+" in username:
        live = bench.login("harbor-pull", "team-shop")
        assert password not in live
    assert opens(bench.systems.harbor_client, *bench.login("harbor-pull", SLUG)), "it is repaired"


@pytest.mark.demand(
    "isolation",
    "a forged mark, such as a managed-by label, changes nothing of others, and hides no finding",
)
@pytest.mark.demand("isolation", "Capsule's advisories: a forged mark, such as a managed-by label")
def test_a_forged_route_and_a_faulty_file_leave_no_other_team_out(bench: Bench) -> None:
    """The team of a left-out file keeps its hosts, but a route that she wrote gives her no host."""
    bench.declare(MALLORY, {**SHOP, "routes": {"web": {"host": "shop.example", "paths": [PATH]}}})
    forge(bench, "mallory")
    (bench.folder / "teams" / "mallory.yaml").write_text("name: mallory\ncolour: red\n")
    state = declared.read(bench.folder)

    with connect(connections(bench.sandbox), state, clock=bench.sandbox.clock.now) as systems:
        assert set(systems.state.teams) == {"shop"}


PATH: Data = {"service": "a", "port": 80}
