"""What a rotation does, and what it does where something is in its way."""

import base64
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from tenantry.connections import HarborAccount
from tenantry.errors import BrokenPromise, NotOurs, SystemRefused, SystemUnavailable
from tenantry.plan import Plan
from tenantry.rotation import Outcome
from tenantry.systems import check_harbor
from tenantry.systems.credentials.pairs import PREVIOUS, SINCE, UNTIL
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.harbor.robots import robot_id
from tests.bench import PLATFORM, Bench, Data
from tests.rotation_bench import (
    ROTATED,
    SHOP,
    SPREAD_OUT,
    add_namespace,
    all_open,
    enabled,
    logins,
    none_opens,
    order,
    pairs_are_in_order,
    pass_time,
    published,
    push_image,
    robots,
    run,
)

PULL: Data = {**SHOP, "robots": {"pull": SHOP["robots"]["pull"], "ci": None}}
UPLOADS = "/blobs/uploads/"


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A team whose two credentials are due."""
    bench.declare(SHOP).onboard()
    pass_time(bench, days=20)
    return bench


@pytest.fixture
def pull(bench: Bench) -> Bench:
    """A team whose only credential is due."""
    bench.declare(PULL).onboard()
    pass_time(bench, days=20)
    return bench


def secret(bench: Bench, name: str = "harbor-pull", namespace: str = "team-shop") -> dict[str, Any]:
    held = bench.sandbox.kubernetes.get("Secret", name, namespace)
    assert held is not None
    return held


def change_secret(bench: Bench, **changes: Any) -> None:
    bench.sandbox.kubernetes.put({**secret(bench), **changes})


def fail(bench: Bench, method: str, part: str, answer: Any) -> None:
    """Lets the requests of a method fail whose path has a part."""
    bench.sandbox.mishap = lambda system, asked, path: (
        answer if asked == method and part in path else None
    )


def mend(bench: Bench) -> None:
    bench.sandbox.mishap = lambda system, method, path: None


def the(outcomes: dict[str, Outcome]) -> Outcome:
    (outcome,) = outcomes.values()
    return outcome


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


def test_the_other_robot_takes_its_turn_and_the_old_one_goes_later(shop: Bench) -> None:
    first = logins(shop)
    outcomes = run(shop)
    assert {outcome.state for outcome in outcomes.values()} == {"rotated"}
    assert {outcome.why for outcome in outcomes.values()} == {"age"}
    assert (published(shop), published(shop, "ci")) == ("pull-b", "ci-b")
    second = logins(shop)
    pairs_are_in_order(shop)
    assert all_open(shop, first)

    pass_time(shop, hours=23)
    assert {outcome.state for outcome in run(shop).values()} == {"overlaps"}
    assert all_open(shop, first)

    pass_time(shop, hours=2)
    run(shop)
    assert enabled(shop) == {"pull-b", "ci-b"}
    assert none_opens(shop, first)
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
    assert all_open(shop, second)
    pairs_are_in_order(shop)


def test_what_is_not_due_is_left_alone(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    bench.sandbox.requests.reset()
    pass_time(bench, days=14)
    assert {outcome.state for outcome in run(bench).values()} == {"in order"}
    assert bench.sandbox.requests.writes() == 0


def test_without_a_policy_nothing_happens_by_itself_but_what_was_forced_is_finished(
    bench: Bench,
) -> None:
    bench.declare({"name": "shop", "robots": {"ci": None}}).onboard()
    pass_time(bench, days=80)
    assert the(run(bench)).state == "in order"
    assert the(run(bench, order(bench, force=True))).why == "forced"
    pass_time(bench, hours=25)
    run(bench)
    assert enabled(bench) == {"pull-b"}


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
    assert the(run(bench)).why == "expiry"


# What it costs


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


# What is in its way


@pytest.mark.parametrize(
    ("method", "part", "answer"),
    [
        ("POST", UPLOADS, 403),
        ("PATCH", "/secrets/harbor-ci", 422),
        ("PATCH", "/secrets/harbor-ci", 403),
    ],
)
def test_what_fails_before_it_is_published_is_dropped_and_the_old_one_stays(
    method: str, part: str, answer: Any, shop: Bench
) -> None:
    before = logins(shop)
    fail(shop, method, part, answer)
    outcome = run(shop, purposes=["ci"])["shop/ci"]
    assert outcome.state == "failed"
    assert isinstance(outcome.error, BrokenPromise | SystemRefused)
    assert not outcome.rotated
    mend(shop)
    assert logins(shop) == before
    assert set(robots(shop)) == {"ci-a", "pull-a"}
    assert all_open(shop, before)
    assert run(shop, purposes=["ci"])["shop/ci"].state == "rotated"


def test_a_robot_that_may_do_nothing_is_not_published(pull: Bench) -> None:
    """Harbor's token service answers 200 to it all the same: the token's access is empty."""
    real = pull.systems.credentials.issuer.make

    def make(project: str, short: str, robot: Any, mark: Any) -> Any:
        made = real(project, short, robot, mark)
        robots(pull)[short].permissions[0].access[:] = [("tag", "list")]
        return made

    pull.systems.credentials.issuer.make = make  # type: ignore[method-assign]
    outcome = the(run(pull))
    assert "logs in but may not pull in team-shop/" in str(outcome.error)
    assert set(robots(pull)) == {"pull-a"}
    assert published(pull) == "pull-a"


def test_a_secret_whose_answer_was_lost_is_looked_at(pull: Bench) -> None:
    fail(pull, "PATCH", "/secrets/", "lost")
    assert the(run(pull)).state == "rotated"
    mend(pull)
    pairs_are_in_order(pull)


def test_a_robot_whose_answer_was_lost_is_dropped_by_the_next_run(pull: Bench) -> None:
    fail(pull, "POST", "/robots", "lost")
    assert isinstance(the(run(pull)).error, SystemUnavailable)
    assert set(robots(pull)) == {"pull-a", "pull-b"}
    mend(pull)
    assert the(run(pull)).state == "rotated"
    pairs_are_in_order(pull)


def test_a_robot_that_nobody_came_to_publish_is_dropped_though_nothing_is_due(
    bench: Bench,
) -> None:
    bench.declare(PULL).onboard()
    bench.systems.credentials.issuer.make(
        "team-shop", "pull-b", bench.team().active_robots["pull"], "created"
    )
    assert the(run(bench)).done == ("deleted pull-b: it was made and never published",)
    assert published(bench) == "pull-a"
    pairs_are_in_order(bench)


def test_nothing_is_retired_while_what_is_published_does_not_work(pull: Bench) -> None:
    first = logins(pull)
    run(pull)
    pass_time(pull, hours=25)
    pull.declare({**PULL, "robots": {"pull": {"expiry_days": 30}, "ci": None}})
    robots(pull)["pull-b"].disabled = True
    outcome = the(run(pull))
    assert outcome.state == "broken"
    assert "robot 'pull-b' is disabled; no rotation is declared" in outcome.note
    assert all_open(pull, first)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"immutable": True}, "it is immutable"),
        ({"metadata": {"name": "harbor-pull", "namespace": "team-shop"}}, "Tenantry did not make"),
    ],
)
def test_a_secret_that_cannot_be_written_stops_it_before_anything_is_made(
    changes: Data, told: str, pull: Bench
) -> None:
    change_secret(pull, **changes)
    pull.sandbox.requests.reset()
    outcome = the(run(pull))
    assert told in str(outcome.error)
    assert isinstance(outcome.error, NotOurs | SystemRefused)
    assert pull.sandbox.requests.writes() == 0


def test_a_team_that_is_not_onboarded_waits_and_cannot_be_forced(bench: Bench) -> None:
    bench.declare(PULL)
    assert the(run(bench)).state == "waits"
    outcome = the(run(bench, order(bench, force=True)))
    assert "there is no such project. Onboard team 'shop' first." in str(outcome.error)


def test_a_robots_account_is_told_that_no_robot_may_rotate(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    username, password = bench.login("harbor-pull")
    url = bench.sandbox.addresses()["harbor"]["url"]
    account = HarborAccount(url=url, username=username, password=SecretStr(password))
    client = HarborClient(account)
    with pytest.raises(SystemRefused, match=r"no robot may renew another's secret"):
        check_harbor(client)
    client.close()


def test_a_lost_lock_stops_all_writes(pull: Bench) -> None:
    class Lost:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...
        def check(self) -> None:
            raise SystemUnavailable("prefect", "lock", "it is lost")

    pull.sandbox.requests.reset()
    assert "it is lost" in str(the(run(pull, lock=Lost())).error)
    assert pull.sandbox.requests.writes() == 0


def test_an_upload_that_cannot_be_cancelled_is_no_fault_of_the_credential(shop: Bench) -> None:
    fail(shop, "DELETE", UPLOADS, 503)
    assert run(shop, purposes=["ci"])["shop/ci"].state == "rotated"


def test_nothing_of_the_tests_stays_in_the_registry(shop: Bench) -> None:
    run(shop)
    assert shop.sandbox.harbor.uploads == {}
    assert shop.systems.harbor_client.get("/projects/team-shop", by_name=True)["repo_count"] == 0


@pytest.mark.parametrize("name", ["web", "apps/web"])
def test_an_image_of_the_project_is_pulled_where_there_is_one(name: str, shop: Bench) -> None:
    push_image(shop, repository=name)
    shop.sandbox.requests.reset()
    outcomes = run(shop)
    for outcome in outcomes.values():
        assert f"pulled a manifest of team-shop/{name}" in " ".join(outcome.done)
    assert requests(shop)["pull a manifest"] == 4  # before and after, for each


# Credentials that do not work


def test_a_dead_credential_is_exchanged(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    bench.systems.harbor_client.patch(f"/robots/{robots(bench)['pull-a'].id}", {})
    outcome = the(run(bench))
    assert (outcome.why, outcome.robot) == ("broken", "pull-b")
    pairs_are_in_order(bench)


def test_a_dead_one_beside_one_that_overlaps_is_made_anew_and_the_old_one_stays(
    pull: Bench,
) -> None:
    first = logins(pull)
    run(pull)
    pull.systems.harbor_client.patch(f"/robots/{robots(pull)['pull-b'].id}", {})
    assert the(run(pull)).robot == "pull-b"
    pairs_are_in_order(pull)
    assert all_open(pull, first)


def test_what_harbor_refuses_for_a_moment_is_not_deleted(pull: Bench) -> None:
    """It answers 401 also where it can't look a robot up; then it refuses everybody."""
    run(pull)
    before = logins(pull)
    fail(pull, "GET", "/service/token", 401)
    outcome = the(run(pull))
    assert "it refuses the connection's own account" in str(outcome.error)
    mend(pull)
    assert all_open(pull, before)
    assert set(robots(pull)) == {"pull-a", "pull-b"}
    assert the(run(pull)).state == "overlaps"


def test_an_expired_robot_is_explained_and_exchanged(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, days=31)
    bench.declare({**PULL, "robots": {"pull": {"expiry_days": 30}, "ci": None}})
    assert "robot 'pull-a' expired at" in the(run(bench)).note
    bench.declare(PULL)
    assert the(run(bench)).state == "rotated"
    pairs_are_in_order(bench)


def test_a_changed_prefix_is_explained_and_no_password_is_changed(pull: Bench) -> None:
    run(pull)
    (_, password), *_ = logins(pull).values()
    pull.systems.harbor_client.put("/configurations", {"robot_name_prefix": "bot-"})
    outcome = the(run(pull))
    assert "its robot_name_prefix was changed, which renames all robots at once" in outcome.note
    assert not outcome.rotated
    assert set(logins(pull).values()) == {("bot-team-shop+pull-b", password)}
    pairs_are_in_order(pull)


def test_onboarding_mends_a_changed_prefix_without_new_passwords_too(pull: Bench) -> None:
    (_, password), *_ = logins(pull).values()
    pull.systems.harbor_client.put("/configurations", {"robot_name_prefix": "bot-"})
    pull.onboard()
    assert set(logins(pull).values()) == {("bot-team-shop+pull-a", password)}


def test_a_renamed_registry_is_written_and_no_password_is_changed(pull: Bench) -> None:
    run(pull)
    (_, password), *_ = logins(pull).values()
    pull.declare({**PULL}, platform={**PLATFORM, "harbor": {"registry": "new.example.com"}})
    outcome = the(run(pull))
    assert "Harbor's registry is 'new.example.com'" in outcome.note
    assert not outcome.rotated
    content = json.loads(base64.b64decode(secret(pull)["data"][".dockerconfigjson"]))
    assert content["auths"]["new.example.com"]["password"] == password


# By hand


def test_a_forced_rotation_waits_for_the_end_of_an_overlap(pull: Bench) -> None:
    run(pull)
    pass_time(pull, hours=1)
    first = order(pull, force=True)
    outcome = the(run(pull, first))
    assert (outcome.state, outcome.why) == ("waits", "forced")
    assert "still overlaps" in outcome.note
    pass_time(pull, hours=24)
    assert the(run(pull, first)).state == "rotated"
    pairs_are_in_order(pull)


def test_an_order_that_was_carried_out_is_not_carried_out_again(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, hours=1)
    given = order(bench, compromised=True)
    assert the(run(bench, given)).rotated
    assert not the(run(bench, given)).rotated


def test_what_is_compromised_dies_first_and_the_report_tells_of_tokens(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    pass_time(bench, hours=1)
    before = logins(bench)
    bench.sandbox.requests.reset()
    outcome = the(run(bench, order(bench, compromised=True)))
    writes = [each.method for each in bench.sandbox.requests.log if each.method != "GET"]
    assert [method for method in writes if method in ("DELETE", "PATCH")] == ["DELETE", "PATCH"]
    assert none_opens(bench, before)
    end = bench.sandbox.clock.now() + timedelta(minutes=30)
    assert outcome.done[-1] == (
        f"tokens that Harbor issued to the old robots may be used until {end:%Y-%m-%d %H:%M} UTC"
    )
    assert outcome.until is None
    assert set(robots(bench)) == {"pull-b"}
    pairs_are_in_order(bench)


def test_what_is_compromised_goes_though_it_was_rotated_since_that_was_asked_for(
    pull: Bench,
) -> None:
    """A run waited for its approval, and the daily one was faster."""
    old = logins(pull)
    asked = order(pull, compromised=True)
    pass_time(pull, minutes=10)
    run(pull)
    outcome = the(run(pull, asked))
    assert not outcome.rotated
    assert none_opens(pull, old)
    assert set(robots(pull)) == {"pull-b"}
    pairs_are_in_order(pull)


def test_what_is_compromised_goes_though_its_secret_is_gone(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    before = logins(bench)
    bench.sandbox.kubernetes.delete("Secret", "harbor-pull", "team-shop")
    pass_time(bench, hours=1)
    assert the(run(bench, order(bench, compromised=True))).rotated
    assert none_opens(bench, before)
    pairs_are_in_order(bench)


# Sinks


@pytest.fixture
def spread_out(bench: Bench) -> Bench:
    """A credential in four Secrets, due."""
    add_namespace(bench)
    bench.declare(SPREAD_OUT).onboard()
    pass_time(bench, days=20)
    return bench


def test_every_sink_gets_the_new_credential(spread_out: Bench) -> None:
    before = logins(spread_out)
    assert len(before) == 4
    the(run(spread_out))
    after = logins(spread_out)
    assert len(set(after.values())) == 1
    assert after.items().isdisjoint(before.items())
    assert secret(spread_out, "pull-shop", "pipelines")["type"] == "kubernetes.io/basic-auth"
    pairs_are_in_order(spread_out)


def test_a_sink_that_fails_gets_it_later_and_the_old_one_serves_that_much_longer(
    spread_out: Bench,
) -> None:
    before = logins(spread_out)
    fail(spread_out, "PATCH", "/pipelines/secrets/pull-shop", 403)
    outcome = the(run(spread_out))
    assert outcome.rotated
    assert outcome.error is not None
    pass_time(spread_out, hours=30)
    assert the(run(spread_out)).error is not None
    assert all_open(spread_out, before), "nothing is retired while a sink holds the old one"
    mend(spread_out)
    run(spread_out)
    pairs_are_in_order(spread_out)
    pass_time(spread_out, hours=23)
    run(spread_out)
    assert all_open(spread_out, before)
    pass_time(spread_out, hours=2)
    run(spread_out)
    assert none_opens(spread_out, before)


def test_a_sink_whose_namespace_is_missing_is_waited_for(bench: Bench) -> None:
    bench.declare(SPREAD_OUT).onboard()
    waiting = {str(wait.id): wait.reason for wait in bench.plan().waiting}
    assert set(waiting.values()) == {"there is no namespace 'pipelines'"}
    add_namespace(bench)
    bench.onboard()
    pairs_are_in_order(bench)


def test_a_sink_whose_namespace_is_missing_keeps_no_robot_from_its_turn(bench: Bench) -> None:
    bench.declare(SPREAD_OUT).onboard()
    outcome = the(run(bench))
    assert (outcome.steps, outcome.error) == ((), None)
    assert outcome.note.startswith("there is no namespace yet for pipelines/")
    pass_time(bench, days=20)
    outcome = the(run(bench))
    assert (outcome.rotated, outcome.error) == (True, None)
    add_namespace(bench)
    bench.onboard()
    pairs_are_in_order(bench)


def test_a_sink_that_is_refused_keeps_neither_the_others_nor_the_robot_from_their_turn(
    spread_out: Bench,
) -> None:
    before = logins(spread_out)
    _, refused, *_ = before
    namespace, name = refused.split("/")
    fail(spread_out, "PATCH", f"/{namespace}/secrets/{name}", 403)
    assert the(run(spread_out)).error is not None
    after = logins(spread_out)
    assert [place for place in after if after[place] == before[place]] == [refused]
    pass_time(spread_out, days=20)
    outcome = the(run(spread_out))
    assert outcome.rotated, "what the sink still holds has expired anyway"
    assert outcome.error is not None
    mend(spread_out)
    run(spread_out)
    pairs_are_in_order(spread_out)


# What could not be read


def test_a_team_that_could_not_be_read_is_looked_at_once_more(pull: Bench) -> None:
    tries = 0

    def mishap(system: str, method: str, path: str) -> Any:
        nonlocal tries
        if (method, path) != ("GET", "/api/v2.0/robots"):
            return None
        tries += 1
        return 503 if tries <= 4 else None

    pull.sandbox.mishap = mishap
    outcome = the(run(pull))
    assert (outcome.rotated, outcome.error) == (True, None)


# Its pace


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
    assert notes == {"more than the 2 of one run are due: it is for the next run"}
    assert sum(outcome.rotated for outcome in run(bench).values()) == 2


def test_the_overlap_is_never_shorter_than_a_token_lives(bench: Bench) -> None:
    rotation = {**ROTATED, "overlap_hours": 1}
    bench.declare({**PULL, "robots": {"pull": {"rotation": rotation}, "ci": None}}).onboard()
    bench.systems.harbor_client.put("/configurations", {"token_expiration": 120})
    until = the(run(bench, order(bench, force=True))).until
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


def test_an_old_robot_is_no_extra_until_it_has_outstayed(pull: Bench) -> None:
    id = robot_id("team-shop", "pull-a")

    def outstayed() -> bool:
        return pull.systems.credentials.outstayed(pull.team(), id, pull.look())

    run(pull)
    assert not outstayed()
    pass_time(pull, hours=25)  # the next daily run has not come yet
    assert not outstayed()
    pass_time(pull, hours=40)
    assert outstayed()
    run(pull)
    assert not outstayed()  # it waits for its deletion
    pass_time(pull, days=10)
    assert outstayed()
    run(pull)
    assert set(robots(pull)) == {"pull-b"}


def test_an_old_robot_of_which_nothing_is_written_overlaps_from_now_on(pull: Bench) -> None:
    """Somebody took the annotations away: it may be in use for all that anybody knows."""
    first = logins(pull)
    run(pull)
    metadata = secret(pull)["metadata"]
    annotations = {k: v for k, v in metadata["annotations"].items() if k not in (PREVIOUS, UNTIL)}
    change_secret(pull, metadata={**metadata, "annotations": annotations})
    pass_time(pull, days=3)
    run(pull)
    assert all_open(pull, first)
    pass_time(pull, hours=25)
    run(pull)
    assert none_opens(pull, first)


# Robots that somebody else made


def test_otomis_robots_are_adopted_and_retired_for_ours(bench: Bench) -> None:
    sinks = [{"namespace": "team-{team}", "name": "harbor-pullsecret"}]
    robot = {"replaces": ["otomi-team-{team}-pull"], "sinks": sinks, "rotation": ROTATED}
    declared = {"name": "shop", "robots": {"pull": robot, "ci": None}, "adopt": "yes"}
    bench.declare(declared)
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

    bench.onboard()
    assert logins(bench)["team-shop/harbor-pullsecret"][0] == "otomi-team-shop+pull-a"
    run(bench)
    assert all_open(bench, theirs)
    pairs_are_in_order(bench)
    pass_time(bench, hours=25)
    run(bench)
    assert none_opens(bench, theirs)
    pass_time(bench, days=8)
    run(bench)
    left = [robot.name for robot in bench.sandbox.harbor.robots.values()]
    assert left == ["pull-a"]


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
