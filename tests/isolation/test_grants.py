"""A grant for one team applies to that team only, end to end.

The granted values change something that does not belong to the team. With the grant, exactly that
changes; with the same grant for another team, nothing does. This also proves that the snapshot of
`test_bystanders.py` would notice the attack.
"""

import operator
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import pytest
import stamina

from tenantry import declared
from tenantry.declared.merge import merge
from tests.isolation.team_files import NAME
from tests.isolation.town import ISOLATION_ONLY, Town, yaml_of
from tests.support.harness import Data

pytestmark = pytest.mark.demand(
    "isolation", "end to end: a grant gives what it names, and nothing else that is not the team's"
)

OTHER = "data"


class Granted(NamedTuple):
    """A declaration of Mallory, the grant that allows it, and its effects."""

    content: Data
    allows: Data
    effects: tuple[str, ...]
    """The beginnings of all changes that the snapshot may report."""


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


CONTENTS: list[dict[str, Any]] = [{"name": NAME}, *(dict(each.content) for each in GRANTS.values())]
ALL: dict[str, Any] = reduce(merge, CONTENTS)
ALL_ALLOWED: Data = reduce(operator.or_, (each.allows for each in GRANTS.values()))


def test_grants_give_what_they_name_and_nothing_else(town: Town) -> None:
    with town.granted(NAME, **ALL_ALLOWED):
        served = town.serve(ALL)

    assert NAME in served.accepted
    assert not town.failures(served)
    harm = town.harm(ALL)
    for name, granted in GRANTS.items():
        assert [change for change in harm if change.startswith(granted.effects)], (
            f"{name} is noticed"
        )
    effects = tuple(effect for granted in GRANTS.values() for effect in granted.effects)
    assert [change for change in harm if not change.startswith(effects)] == []


def test_grants_for_another_team_have_no_effect(town: Town) -> None:
    with town.granted(OTHER, **ALL_ALLOWED):
        served = town.serve(ALL)

    assert NAME not in served.accepted
    assert not town.failures(served)
    assert town.harm(ALL) == []


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_admits_the_team_that_it_names_and_no_other(town: Town, name: str) -> None:
    granted = GRANTS[name]
    file = town.folder / "teams" / f"{NAME}.yaml"
    file.write_text(yaml_of({"name": NAME, **granted.content}))
    try:
        for team, is_admitted in ((NAME, True), (OTHER, False)):
            with town.granted(team, **granted.allows):
                assert (NAME in declared.read(town.folder).teams) is is_admitted
    finally:
        file.unlink()
