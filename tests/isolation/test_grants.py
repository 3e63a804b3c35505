"""A grant for one team has effect for that team only, end to end.

What a team is granted reaches something that is not its own. Served with the grant, exactly that
changes; with the same grant for another team, nothing does. It also shows that the snapshot of
`test_bystanders.py` would notice the attack.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import stamina

from tests.isolation.team_files import NAME
from tests.isolation.town import ISOLATION_ONLY, Town
from tests.support.harness import Data

OTHER = "data"


class Granted(NamedTuple):
    """What Mallory declares, the grant that allows it, and what it then reaches."""

    content: Data
    allows: Data
    effects: tuple[str, ...]
    """The beginnings of what the snapshot notices; all that it may notice."""


def robot(**fields: Any) -> Data:
    return {"robots": {"pull": {"expiry_days": 90, **fields}, "ci": None}}


GRANTS: dict[str, Granted] = {
    "a sink": Granted(
        robot(sinks=[{"namespace": "pipelines", "name": "harbor-mallory"}]),
        {"sinks": ["pipelines/harbor-mallory"]},
        ("created: kubernetes/Secret/pipelines/harbor-mallory",),
    ),
    "a replaced robot": Granted(
        robot(replaces=["robot$mallory-old"]),
        {"replaces": ["robot$mallory-old"]},
        ("deleted: harbor/robots/+mallory-old", "changed: harbor/robots/+mallory-old"),
    ),
    "a group": Granted(
        {"group": "mallory-people"},
        {"groups": ["mallory-people"]},
        (
            "created: keycloak/platform/groups/mallory-people",
            "created: harbor/groups/mallory-people",
            "a role binding gives tenantry-team-member to ['mallory-people']",
        ),
    ),
    "privileged pods": Granted(
        {"namespace": {"pod_security": "privileged"}},
        {"pod_security": "privileged"},
        ("a namespace has privileged pods",),
    ),
    "a role": Granted(
        {"namespace": {"cluster_role": "edit"}},
        {"cluster_roles": ["edit"]},
        ("a role binding gives edit",),
    ),
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with (
        stamina.set_testing(True, attempts=4, cap=True),
        Town(tmp_path_factory.mktemp("town"), ISOLATION_ONLY) as made,
    ):
        yield made


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_gives_what_it_names_and_nothing_else(town: Town, name: str) -> None:
    granted = GRANTS[name]
    content = {"name": NAME, **granted.content}
    with town.granted(NAME, **granted.allows):
        served = town.serve(content)

    assert NAME in served.accepted
    assert not town.failures(served)
    harm = town.harm(content)
    assert harm, "the snapshot notices what is granted"
    assert [each for each in harm if not each.startswith(granted.effects)] == []


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_for_another_team_has_no_effect(town: Town, name: str) -> None:
    granted = GRANTS[name]
    content = {"name": NAME, **granted.content}
    with town.granted(OTHER, **granted.allows):
        served = town.serve(content)

    assert NAME not in served.accepted
    assert not town.failures(served)
    assert town.harm(content) == []
