"""A Harbor's quotas: the storage of projects."""

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, done
from tests.sandbox.calls import refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: quotas"),
]


@pytest.fixture
def quota(caller: HarborCaller) -> dict:
    """The quota of a new project, as it is listed: of 1024 bytes."""
    body = {"project_name": unique("conformance"), "storage_limit": 1024}
    project = caller.made("/projects", body)
    [quota] = caller.json(f"/quotas?reference=project&reference_id={project}")
    assert (quota["ref"]["id"], quota["ref"]["name"]) == (project, body["project_name"])
    return quota


def test_a_quota_is_found_by_its_project(caller: HarborCaller, quota: dict) -> None:
    assert set(quota) == {"id", "hard", "used", "ref", "creation_time", "update_time"}
    assert (quota["hard"], quota["used"]) == ({"storage": 1024}, {"storage": 0})
    assert set(quota["ref"]) == {"id", "name", "owner_name"}
    assert quota["ref"]["owner_name"] == ""
    assert caller.json(f"/quotas?reference=project&reference_id={MISSING}") == []


def test_alone_it_has_no_time_of_change(caller: HarborCaller, quota: dict) -> None:
    alone = caller.json(f"/quotas/{quota['id']}")
    assert alone == {**quota, "update_time": "0001-01-01T00:00:00.000Z"}


def test_it_is_changed_under_its_own_id(caller: HarborCaller, quota: dict) -> None:
    for limit in (2048, -1):
        assert done(caller("PUT", f"/quotas/{quota['id']}", json={"hard": {"storage": limit}}))
        summary = caller.json(f"/projects/{quota['ref']['name']}/summary")
        assert summary["quota"] == {"hard": {"storage": limit}, "used": {"storage": 0}}


def test_without_a_limit_it_is_the_default_one(caller: HarborCaller) -> None:
    default = caller.json("/configurations")["storage_per_project"]["value"]
    for limit in (None, 0):
        body = {"project_name": unique("conformance"), "storage_limit": limit}
        caller.made("/projects", body)
        summary = caller.json(f"/projects/{body['project_name']}/summary")
        assert summary["quota"]["hard"] == {"storage": default}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"hard": {"storage": 0}}, "invalid non-positive value for quota limit, value=0"),
        ({"hard": {"storage": -2}}, "invalid non-positive value for quota limit, value=-2"),
        ({}, "hard required in body"),
        ({"hard": {"count": 1}}, "resource count not support"),
    ],
)
def test_what_no_quota_can_be(caller: HarborCaller, quota: dict, body: dict, message: str) -> None:
    assert refused(caller("PUT", f"/quotas/{quota['id']}", json=body), 400, message)


def test_other_faults_of_quotas(caller: HarborCaller, quota: dict) -> None:
    path = f"/quotas/{quota['id']}"
    assert caller("PUT", path, json={"hard": {"storage": 1.5}}).status_code == 422
    assert caller("PUT", path, json={"hard": {"storage": 1024**5 + 1}}).status_code == 400
    assert done(caller("PUT", path, json={"hard": {"storage": 1024**5}}))
    answer = caller("PUT", f"/quotas/{MISSING}", json={"hard": {"storage": 1}})
    assert refused(answer, 404, f"quota {MISSING} not found")
