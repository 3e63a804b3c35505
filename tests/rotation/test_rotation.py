"""What a rotation does, what it costs, and how it goes beside other work."""

from collections import Counter
from datetime import timedelta

import pytest

from tenantry.plan import Plan
from tenantry.rotation import choose, observe
from tenantry.systems.credentials.pairs import PREVIOUS, SINCE, UNTIL
from tenantry.systems.harbor.robots import robot_id
from tests.support.harness import PLATFORM, Bench, Data, granted
from tests.support.rotation_harness import (
    PULL,
    ROTATED,
    SHOP,
    all_work,
    change_secret,
    enabled,
    logins,
    none_works,
    only,
    order,
    pairs_are_in_order,
    pass_time,
    published,
    push_image,
    robots,
    run,
    secret,
)


def requests(bench: Bench) -> Counter[str]:
    """The requests but for those that a run makes once, by what they are for."""
    names = {
        "GET /robots": "list robots",
        "POST /robots": "make a robot",
        "DELETE /robots": "delete a robot",
        "PUT /robots": "disable a robot",
        "GET /secrets": "read a Secret",
        "PATCH /secrets": "write a Secret",
        "GET /service": "ask for a token",
        "POST /v2": "start an upload",
        "DELETE /v2": "cancel an upload",
        "GET /v2": "pull a manifest",
        "GET /projects": "list images",
    }
    found: Counter[str] = Counter()
    for asked in bench.sandbox.requests.log:
        path = asked.target.partition("?")[0].removeprefix("/api/v2.0")
        first = next((part for part in path.split("/") if part in ("secrets",)), path.split("/")[1])
        if f"{asked.method} /{first}" in names and path != "/projects":
            found[names[f"{asked.method} /{first}"]] += 1
    return found


# The whole of it


def test_the_other_robot_is_published_and_the_old_one_is_deleted_later(shop: Bench) -> None:
    first = logins(shop)
    outcomes = run(shop)
    assert {outcome.state for outcome in outcomes.values()} == {"rotated"}
    assert {outcome.why for outcome in outcomes.values()} == {"age"}
    assert (published(shop), published(shop, "ci")) == ("pull-b", "ci-b")
    second = logins(shop)
    pairs_are_in_order(shop)
    assert all_work(shop, first)

    pass_time(shop, hours=23)
    assert {outcome.state for outcome in run(shop).values()} == {"overlapping"}
    assert all_work(shop, first)

    pass_time(shop, hours=2)
    run(shop)
    assert enabled(shop) == {"pull-b", "ci-b"}
    assert none_works(shop, first)
    pairs_are_in_order(shop)

    pass_time(shop, days=6)
    run(shop)
    assert len(robots(shop)) == 4
    pass_time(shop, days=2)
    run(shop)
    assert set(robots(shop)) == {"pull-b", "ci-b"}

    pass_time(shop, days=12)
    run(shop)
    assert (published(shop), published(shop, "ci")) == ("pull-a", "ci-a")
    assert all_work(shop, second)
    pairs_are_in_order(shop)


def test_credentials_that_are_not_due_are_not_changed(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    bench.sandbox.requests.reset()
    pass_time(bench, days=14)
    assert {outcome.state for outcome in run(bench).values()} == {"in sync"}
    assert bench.sandbox.requests.writes() == 0


def test_without_a_policy_only_forced_rotations_are_completed(
    bench: Bench,
) -> None:
    bench.declare({"name": "shop", "robots": {"ci": None}}).onboard()
    pass_time(bench, days=80)
    assert only(run(bench)).state == "in sync"
    assert only(run(bench, order(bench, force=True))).why == "forced"
    pass_time(bench, hours=25)
    run(bench)
    assert enabled(bench) == {"pull-b"}


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_the_secret_is_the_same_object_after_a_rotation(pull: Bench) -> None:
    """Kubelets know it by its uid: deleted and made anew, images in use would be pulled again."""
    before = secret(pull)["metadata"]
    run(pull)
    after = secret(pull)["metadata"]
    assert (after["uid"], after["labels"]) == (before["uid"], before["labels"])


def test_the_new_robot_is_as_declared(shop: Bench) -> None:
    run(shop)
    found = robots(shop)
    for purpose in ("pull", "ci"):
        old, new = found[f"{purpose}-a"], found[f"{purpose}-b"]
        assert (new.permissions, new.description) == (old.permissions, old.description)
        assert new.duration == 30
        assert new.expires_at - new.created.timestamp() == pytest.approx(30 * 86400, abs=1)


def test_a_robot_that_expires_before_it_is_old_is_rotated_in_time(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    robot = robots(bench)["pull-a"]
    robot.expires_at -= 26 * 86400
    pass_time(bench, days=2)
    assert only(run(bench)).why == "expiry"


@pytest.mark.parametrize("name", ["web", "apps/web"])
def test_an_image_of_the_project_is_pulled_where_there_is_one(name: str, shop: Bench) -> None:
    push_image(shop, repository=name)
    shop.sandbox.requests.reset()
    outcomes = run(shop)
    for outcome in outcomes.values():
        assert f"pulled a manifest of team-shop/{name}" in " ".join(outcome.done)
    assert requests(shop)["pull a manifest"] == 4  # before and after, for each


# What it costs


@pytest.mark.demand("rotate", "the exact requests of a rotation")
def test_the_requests_of_a_rotation(shop: Bench) -> None:
    shop.sandbox.requests.reset()
    run(shop, purposes=["pull"])
    assert requests(shop) == {
        "list robots": 2,  # before the lock, and under it
        "read a Secret": 2 + 1,  # ... and what was written is read back
        "ask for a token": 2 + 2 + 1,  # ... the published one's, the new one's, as a consumer
        "make a robot": 1,
        "write a Secret": 1,
    }
    shop.sandbox.requests.reset()
    run(shop, purposes=["ci"])
    assert requests(shop) == {
        "list robots": 2,
        "read a Secret": 3,
        "ask for a token": 5,
        "make a robot": 1,
        "start an upload": 1,
        "cancel an upload": 1,
        "write a Secret": 1,
    }


@pytest.mark.demand("rotate", "the exact requests of a run with nothing to do")
def test_the_requests_of_a_run_with_nothing_to_do(bench: Bench) -> None:
    bench.declare(SHOP, {**SHOP, "name": "data"})
    for team in bench.teams:
        bench.onboard(team.name)
    bench.sandbox.requests.reset()
    run(bench)
    assert requests(bench) == {"list robots": 2, "read a Secret": 4, "ask for a token": 4}


def test_the_requests_of_retiring_and_deleting(pull: Bench) -> None:
    run(pull)
    looks = {"list robots": 2, "read a Secret": 2, "ask for a token": 2}
    for hours, call in ((25, "disable a robot"), (24 * 8, "delete a robot")):
        pass_time(pull, hours=hours)
        pull.sandbox.requests.reset()
        run(pull)
        assert requests(pull) == looks | {call: 1}


# By hand


def test_a_forced_rotation_waits_for_the_end_of_an_overlap(pull: Bench) -> None:
    run(pull)
    pass_time(pull, hours=1)
    first = order(pull, force=True)
    outcome = only(run(pull, first))
    assert (outcome.state, outcome.why) == ("waiting", "forced")
    assert "still overlaps" in outcome.note
    pass_time(pull, hours=24)
    assert only(run(pull, first)).state == "rotated"
    pairs_are_in_order(pull)


def test_a_repeated_request_rotates_no_robot_twice(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, hours=1)
    given = order(bench, compromised=True)
    assert only(run(bench, given)).rotated
    assert not only(run(bench, given)).rotated


@pytest.mark.demand(
    "rotate",
    "compromised: the old robots are deleted first, and the report says how long tokens live",
)
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_compromised_robots_are_deleted_first_and_the_report_names_the_end_of_tokens(
    bench: Bench,
) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, hours=1)
    before = logins(bench)
    bench.sandbox.requests.reset()
    outcome = only(run(bench, order(bench, compromised=True)))
    writes = [each.method for each in bench.sandbox.requests.log if each.method != "GET"]
    assert [method for method in writes if method in ("DELETE", "PATCH")] == ["DELETE", "PATCH"]
    assert none_works(bench, before)
    end = bench.sandbox.clock.now() + timedelta(minutes=30)
    assert outcome.done[-1] == (
        f"tokens that Harbor issued to the old robots are valid until {end:%Y-%m-%d %H:%M} UTC"
    )
    assert outcome.until is None
    assert set(robots(bench)) == {"pull-b"}
    pairs_are_in_order(bench)


def test_compromised_robots_are_deleted_even_if_they_were_rotated_since_the_request(
    pull: Bench,
) -> None:
    """A run waited for its approval, and the daily one was faster."""
    old = logins(pull)
    asked = order(pull, compromised=True)
    now = pull.sandbox.clock.now()
    choose(observe(pull.systems, pull.teams, now), asked, now, most=9)
    pass_time(pull, minutes=10)
    run(pull)
    outcome = only(run(pull, asked))
    assert not outcome.rotated
    assert none_works(pull, old)
    assert set(robots(pull)) == {"pull-b"}
    pairs_are_in_order(pull)


def test_compromised_robots_are_deleted_even_without_their_secret(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    before = logins(bench)
    bench.sandbox.kubernetes.delete("Secret", "harbor-pull", "team-shop")
    pass_time(bench, hours=1)
    assert only(run(bench, order(bench, compromised=True))).rotated
    assert none_works(bench, before)
    pairs_are_in_order(bench)


# Its pace


@pytest.mark.demand("rotate", "at most the declared number of rotations per run")
def test_no_more_are_rotated_than_one_run_may_and_the_most_urgent_first(bench: Bench) -> None:
    teams = [{**PULL, "name": f"t{number}"} for number in range(4)]
    bench.declare(*teams, platform={**PLATFORM, "rotation": {"most_per_run": 2}})
    for team in bench.teams:
        bench.onboard(team.name)
    pass_time(bench, days=20)
    bench.systems.harbor_client.patch(f"/robots/{robots(bench, 'team-t3')['pull-a'].id}", {})
    outcomes = run(bench)
    rotated = [name for name, outcome in outcomes.items() if outcome.rotated]
    assert len(rotated) == 2
    assert "t3/pull" in rotated
    notes = {outcome.note for outcome in outcomes.values() if not outcome.rotated}
    assert notes == {"more than 2 rotations are due, the limit of one run: the next run continues"}
    assert sum(outcome.rotated for outcome in run(bench).values()) == 2


def test_the_overlap_is_never_shorter_than_the_lifetime_of_a_token(bench: Bench) -> None:
    rotation = {**ROTATED, "overlap_hours": 1}
    bench.declare({**PULL, "robots": {"pull": {"rotation": rotation}, "ci": None}}).onboard()
    bench.systems.harbor_client.put("/configurations", {"token_expiration": 120})
    until = only(run(bench, order(bench, force=True))).until
    assert until is not None
    left = until - bench.sandbox.clock.now()
    assert timedelta(minutes=119) < left < timedelta(minutes=120)


# Beside onboarding and drift


def test_onboarding_leaves_a_robot_alone_that_is_rotated_before_it_expires(bench: Bench) -> None:
    rotation = {"max_age_days": 27}
    bench.declare({**PULL, "robots": {"pull": {"expiry_days": 30, "rotation": rotation}}}).onboard()
    pass_time(bench, days=26)
    assert bench.plan() == Plan("shop")
    pass_time(bench, days=5)  # nothing rotated it: now it has to live again
    assert not bench.plan().is_empty
    bench.onboard()
    pairs_are_in_order(bench)


def test_onboarding_keeps_what_rotation_wrote(pull: Bench) -> None:
    run(pull)
    kept = {k: secret(pull)["metadata"]["annotations"][k] for k in (SINCE, PREVIOUS, UNTIL)}
    change_secret(pull, data={".dockerconfigjson": "e30="})
    pull.onboard()
    annotations = secret(pull)["metadata"]["annotations"]
    assert {k: annotations.get(k) for k in kept} == kept
    pairs_are_in_order(pull)


@pytest.mark.demand(
    "rotate", "drift: an overlapping old robot is not an extra, one past its retirement date is"
)
def test_an_old_robot_is_an_extra_only_after_its_retirement(pull: Bench) -> None:
    id = robot_id("team-shop", "pull-a")

    def is_past_retirement() -> bool:
        return pull.systems.credentials.is_past_retirement(pull.team(), id, pull.observe())

    run(pull)
    assert not is_past_retirement()
    pass_time(pull, hours=25)  # the next daily run has not come yet
    assert not is_past_retirement()
    pass_time(pull, hours=40)
    assert is_past_retirement()
    run(pull)
    assert not is_past_retirement()  # it waits for its deletion
    pass_time(pull, days=10)
    assert is_past_retirement()
    run(pull)
    assert set(robots(pull)) == {"pull-b"}


def test_an_old_robot_without_a_recorded_end_overlaps_from_now_on(pull: Bench) -> None:
    """Somebody took the annotations away: it may be in use for all that anybody knows."""
    first = logins(pull)
    run(pull)
    metadata = secret(pull)["metadata"]
    annotations = {k: v for k, v in metadata["annotations"].items() if k not in (PREVIOUS, UNTIL)}
    change_secret(pull, metadata={**metadata, "annotations": annotations})
    pass_time(pull, days=3)
    run(pull)
    assert all_work(pull, first)
    pass_time(pull, hours=25)
    run(pull)
    assert none_works(pull, first)


# Robots that somebody else made


def declare_otomis(bench: Bench) -> dict[str, tuple[str, str]]:
    """Declare a team that adopts Otomi's project and robot, and return the robot's login."""
    sinks = [{"namespace": "team-{team}", "name": "harbor-pullsecret"}]
    robot = {"replaces": ["otomi-team-{team}-pull"], "sinks": sinks, "rotation": ROTATED}
    declared = {"name": "shop", "robots": {"pull": robot, "ci": None}, "adopt": "yes"}
    allows: Data = {"replaces": ["otomi-team-{team}-*"], "adopt": "yes"}
    bench.declare(declared, platform=granted("shop", **allows))
    harbor = bench.systems.harbor_client
    harbor.put("/configurations", {"robot_name_prefix": "otomi-"})
    harbor.post("/projects", {"project_name": "team-shop"})
    access = [{"resource": "repository", "action": "pull"}]
    body = {
        "name": "team-shop-pull",
        "level": "system",
        "duration": -1,
        "permissions": [{"kind": "project", "namespace": "team-shop", "access": access}],
    }
    made = harbor.post("/robots", body).json()
    theirs = {"otomi": (made["name"], made["secret"])}
    assert made["name"] == "otomi-team-shop-pull"
    put_otomis_secret(bench)
    return theirs


@pytest.mark.demand("rotate", "Otomi's robots are adopted and rotated into Tenantry's")
def test_otomis_robots_are_adopted_and_retired_for_ours(bench: Bench) -> None:
    theirs = declare_otomis(bench)
    bench.onboard()
    assert logins(bench)["team-shop/harbor-pullsecret"][0] == "otomi-team-shop+pull-a"
    run(bench)
    assert all_work(bench, theirs)
    pairs_are_in_order(bench)
    pass_time(bench, hours=25)
    run(bench)
    assert none_works(bench, theirs)
    pass_time(bench, days=8)
    run(bench)
    left = [robot.name for robot in bench.sandbox.harbor.robots.values()]
    assert left == ["pull-a"]


def test_the_robots_of_an_adopted_project_keep_its_mark_when_they_are_rotated(
    bench: Bench,
) -> None:
    """The mark protects the project, which Tenantry did not create, from being taken for its own."""
    theirs = declare_otomis(bench)
    bench.onboard()
    first = robots(bench)["pull-a"].description
    assert first.startswith("Managed by Tenantry in an adopted project [")

    bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-a'].id}", {})
    outcome = only(run(bench))
    assert (outcome.why, outcome.rotated, outcome.error) == ("broken", True, None)
    assert robots(bench)["pull-b"].description == first
    assert all_work(bench, theirs), "the adopted robot overlaps, too"
    pass_time(bench, hours=25)
    run(bench)
    assert none_works(bench, theirs), "and no longer than ours"


def put_otomis_secret(bench: Bench) -> None:
    bench.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    )
    bench.sandbox.kubernetes.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "harbor-pullsecret", "namespace": "team-shop"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": "e30="},
        }
    )
