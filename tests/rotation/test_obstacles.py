"""What is in the way of a rotation: failures, lost answers, rights that are missing."""

from typing import Any

import pytest
from pydantic import SecretStr

from tenantry.connections import HarborAccount
from tenantry.declared import Robot, Team
from tenantry.errors import NotEffective, NotOurs, SystemRefused, SystemUnavailable
from tenantry.marks import MARK, ProjectMark
from tenantry.systems.credentials.issuing import Created
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.health import check_harbor
from tests.support.harness import Bench, granted
from tests.support.rotation_harness import (
    PULL,
    all_work,
    change_secret,
    clear_faults,
    inject_fault,
    logins,
    only,
    order,
    pairs_are_in_order,
    pass_time,
    published,
    robots,
    run,
)

UPLOADS = "/blobs/uploads/"


@pytest.mark.parametrize(
    ("method", "part", "answer"),
    [
        ("POST", UPLOADS, 403),
        ("PATCH", "/secrets/harbor-ci", 422),
        ("PATCH", "/secrets/harbor-ci", 403),
    ],
)
def test_a_robot_that_fails_its_test_is_deleted_and_the_old_one_stays(
    method: str, part: str, answer: Any, shop: Bench
) -> None:
    before = logins(shop)
    inject_fault(shop, method, part, answer)
    outcome = run(shop, purposes=["ci"])["shop/ci"]
    assert outcome.state == "failed"
    assert isinstance(outcome.error, NotEffective | SystemRefused)
    assert not outcome.rotated
    clear_faults(shop)
    assert logins(shop) == before
    assert set(robots(shop)) == {"ci-a", "pull-a"}
    assert all_work(shop, before)
    assert run(shop, purposes=["ci"])["shop/ci"].state == "rotated"


def test_a_robot_that_may_do_nothing_is_not_published(pull: Bench) -> None:
    """Harbor's token service answers 200 to it all the same: the token's access is empty."""
    real = pull.systems.credentials.issuer.create

    def create(team: Team, short: str, robot: Robot, mark: ProjectMark) -> Created:
        made = real(team, short, robot, mark)
        robots(pull)[short].permissions[0].access[:] = [("tag", "list")]
        return made

    pull.systems.credentials.issuer.create = create  # type: ignore[method-assign]
    outcome = only(run(pull))
    assert "logs in but may not pull in team-shop/" in str(outcome.error)
    assert set(robots(pull)) == {"pull-a"}
    assert published(pull) == "pull-a"


def test_a_secret_whose_answer_was_lost_is_read_again(pull: Bench) -> None:
    inject_fault(pull, "PATCH", "/secrets/", "lost")
    assert only(run(pull)).state == "rotated"
    clear_faults(pull)
    pairs_are_in_order(pull)


def test_a_robot_whose_answer_was_lost_is_deleted_by_the_next_run(pull: Bench) -> None:
    inject_fault(pull, "POST", "/robots", "lost")
    assert isinstance(only(run(pull)).error, SystemUnavailable)
    assert set(robots(pull)) == {"pull-a", "pull-b"}
    clear_faults(pull)
    assert only(run(pull)).state == "rotated"
    pairs_are_in_order(pull)


def test_an_unpublished_robot_is_deleted_although_nothing_is_due(
    bench: Bench,
) -> None:
    bench.declare(PULL).onboard()
    bench.systems.credentials.issuer.create(
        bench.team(), "pull-b", bench.team().active_robots["pull"], "created"
    )
    assert only(run(bench)).done == ("deleted pull-b: it was never published",)
    assert published(bench) == "pull-a"
    pairs_are_in_order(bench)


@pytest.mark.demand("rotate", "nothing is retired while the published credential fails its test")
def test_no_robot_is_retired_while_the_published_credential_does_not_work(pull: Bench) -> None:
    first = logins(pull)
    run(pull)
    pass_time(pull, hours=25)
    pull.declare({**PULL, "robots": {"pull": {"expiry_days": 30}, "ci": None}})
    robots(pull)["pull-b"].disabled = True
    outcome = only(run(pull))
    assert outcome.state == "broken"
    assert "robot 'pull-b' is disabled; no rotation is declared" in outcome.note
    assert all_work(pull, first)


def test_a_secret_of_another_owner_stops_the_rotation_before_any_change(pull: Bench) -> None:
    theirs = {"name": "harbor-pull", "namespace": "team-shop"}
    change_secret(pull, metadata=theirs, data={".dockerconfigjson": "e30="})
    pull.sandbox.requests.reset()
    outcome = only(run(pull))
    assert "Tenantry did not create" in str(outcome.error)
    assert isinstance(outcome.error, NotOurs)
    assert pull.sandbox.requests.writes() == 0


def test_a_robot_whose_secret_cannot_be_written_is_disabled_when_it_is_far_too_old(
    bench: Bench,
) -> None:
    """Otherwise a team could keep its credential forever: it only has to change its Secret."""
    endless = {"expiry_days": "never", "rotation": {"max_age_days": 20}}
    bench.declare({**PULL, "robots": {"pull": endless, "ci": None}}).onboard()
    login = bench.login("harbor-pull")
    theirs = {"name": "harbor-pull", "namespace": "team-shop"}
    change_secret(bench, metadata=theirs, data={".dockerconfigjson": "e30="})
    pass_time(bench, days=20)
    assert only(run(bench)).done == ()
    assert bench.systems.harbor_client.accepts(*login)
    pass_time(bench, days=4)
    outcome = only(run(bench))
    assert outcome.done == ("disabled pull-a",)
    assert "Tenantry did not create" in str(outcome.error)
    assert not bench.systems.harbor_client.accepts(*login)
    assert only(run(bench)).done == ()


@pytest.mark.parametrize("level", ["system", "a future level"])
def test_only_the_robots_of_the_project_show_that_it_belongs_to_another_platform(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """The marks of an earlier release do not name the platform. Robots outside of the project do
    not show its owner, even if their names and descriptions are those of another platform."""
    robot = {"replaces": ["theirs-{team}"], "expiry_days": 30}
    declared = {"name": "shop", "robots": {"pull": robot, "ci": None}}
    bench.declare(declared, platform=granted("shop", replaces=["theirs-{team}"])).onboard()
    for made in robots(bench).values():
        made.description = "Managed by Tenantry"
    namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert namespace is not None
    del namespace["metadata"]["annotations"][MARK]
    bench.sandbox.kubernetes.put(namespace)
    theirs: dict[str, Any] = {
        "id": 4711,
        "name": "robot$other",
        "level": level,
        "description": "Managed by Tenantry [v1:other:shop]",
    }
    real = HarborClient.pages

    def pages(client: HarborClient, path: str, **query: Any) -> Any:
        yield from real(client, path, **query)
        if path == "/robots":
            yield theirs

    monkeypatch.setattr(HarborClient, "pages", pages)
    assert only(run(bench)).error is None
    theirs["level"] = "project"
    assert "belongs to platform 'other'" in str(only(run(bench)).error)


def test_a_team_that_is_not_onboarded_waits_and_cannot_be_forced(bench: Bench) -> None:
    bench.declare(PULL)
    assert only(run(bench)).state == "waiting"
    outcome = only(run(bench, order(bench, force=True)))
    assert "the project does not exist. Onboard team 'shop' first." in str(outcome.error)


@pytest.mark.demand("rotate", "a robot's account is refused")
def test_the_check_explains_why_a_robots_account_is_refused(bench: Bench) -> None:
    bench.declare(PULL).onboard()
    username, password = bench.login("harbor-pull")
    url = bench.sandbox.addresses()["harbor"]["url"]
    account = HarborAccount(url=url, username=username, password=SecretStr(password))
    client = HarborClient(account)
    with pytest.raises(SystemRefused, match=r"a robot cannot renew the secrets of other robots"):
        check_harbor(client)
    client.close()


def test_a_lost_lock_stops_all_writes(pull: Bench) -> None:
    class Lost:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...
        def hold(self) -> None: ...
        def check(self) -> None:
            raise SystemUnavailable("prefect", "lock", "it is lost")

    pull.sandbox.requests.reset()
    assert "it is lost" in str(only(run(pull, lock=Lost())).error)
    assert pull.sandbox.requests.writes() == 0


def test_an_upload_that_cannot_be_cancelled_is_no_fault_of_the_credential(shop: Bench) -> None:
    inject_fault(shop, "DELETE", UPLOADS, 503)
    assert run(shop, purposes=["ci"])["shop/ci"].state == "rotated"


def test_nothing_of_the_tests_stays_in_the_registry(shop: Bench) -> None:
    run(shop)
    assert shop.sandbox.harbor.uploads == {}
    assert shop.systems.harbor_client.get("/projects/team-shop", by_name=True)["repo_count"] == 0


def test_a_team_that_could_not_be_read_is_observed_again(pull: Bench) -> None:
    tries = 0

    def fault_for(system: str, method: str, path: str) -> Any:
        nonlocal tries
        if (method, path) != ("GET", "/api/v2.0/robots"):
            return None
        tries += 1
        return 503 if tries <= 4 else None

    pull.sandbox.fault_for = fault_for
    outcome = only(run(pull))
    assert (outcome.rotated, outcome.error) == (True, None)
