"""The planner: what counts as a difference, what is done about it, and what is left alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tenantry.declared import Team
from tenantry.errors import InvalidResponse, NotOurs, SystemUnavailable
from tenantry.kinds import Kind, Stage
from tenantry.plan import Plan, refuse
from tenantry.planner import make_plan, may_adopt
from tenantry.resources import (
    Amount,
    Difference,
    Exactly,
    Id,
    Live,
    Observed,
    Resource,
    Unreadable,
    differences,
)
from tenantry.systems.harbor.kinds import MEMBER, PROJECT, ROBOT
from tenantry.systems.keycloak.kinds import GROUP
from tenantry.systems.kubernetes.kinds import NAMESPACE_MARK

THING = Id(PROJECT, "team-shop")
PART = Id(MEMBER, "team-shop/people")
OTHER = Id(MEMBER, "team-shop/others")
MARK = Id(NAMESPACE_MARK, "team-shop")
LABEL = "app.kubernetes.io/managed-by"


def wanted(
    fields: Mapping[str, Any],
    id: Id = THING,
    depends_on: tuple[Id, ...] = (),
) -> Resource:
    return Resource(id, fields, depends_on=depends_on)


def plan(
    *resources: Resource,
    live: Mapping[Id, Live] | None = None,
    adopt: str = "never",
    waiting: Mapping[Id, str] | None = None,
) -> Plan:
    observed = Observed()
    observed.live |= live or {}
    observed.waiting |= waiting or {}
    team = Team.model_validate({"name": "shop", "adopt": adopt})
    return make_plan(team, resources, observed)


# What counts as a difference


@pytest.mark.parametrize(
    ("desired", "actual", "found"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, [], id="more than declared is none"),
        pytest.param({"a": 1}, {"a": 2}, [("a", 2, 1)], id="another value"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 2, 1)], id="deep down"),
        pytest.param({"a": {"b": 1}}, {}, [("a.b", None, 1)], id="nothing there"),
        pytest.param({"a": {"b": 1}}, {"a": "x"}, [("a.b", None, 1)], id="no mapping there"),
        pytest.param({"a": [1, 2]}, {"a": [1, 2]}, [], id="the same list"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, [("a", [1, 2], [1])], id="a longer list"),
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, [("a", [2, 1], [1, 2])], id="another order"),
        pytest.param(
            {"a": [{"b": 1}]},
            {"a": [{"b": 1, "c": 2}]},
            [("a", [{"b": 1, "c": 2}], [{"b": 1}])],
            id="more in a list's item",
        ),
        pytest.param({"a": (1, 2)}, {"a": [1, 2]}, [], id="tuple and list"),
        pytest.param({"a": ""}, {}, [], id="empty text is absent"),
        pytest.param({"a": []}, {}, [], id="an empty list is absent"),
        pytest.param({"a": {}}, {"a": None}, [], id="an empty mapping is absent"),
        pytest.param({"a": None}, {"a": []}, [], id="None is empty"),
        pytest.param({"a": {}}, {"a": {"b": 1}}, [("a", {"b": 1}, {})], id="declared empty"),
        pytest.param({"a": False}, {}, [("a", None, False)], id="false is not absent"),
        pytest.param({"a": 0}, {}, [("a", None, 0)], id="0 is not absent"),
        pytest.param({"a": Amount("1")}, {"a": "1000m"}, [], id="the same amount"),
        pytest.param({"a": Amount("1Gi")}, {"a": "1024Mi"}, [], id="the same binary amount"),
        pytest.param({"a": Amount("1G")}, {"a": "1Gi"}, [("a", "1Gi", "1G")], id="G is not Gi"),
        pytest.param({"a": [Amount("1")]}, {"a": ["1000m"]}, [], id="amounts in a list"),
        pytest.param({"a": Amount("unlimited")}, {"a": "1"}, [("a", "1", "unlimited")], id="word"),
        pytest.param({"a": Amount("unlimited")}, {"a": "unlimited"}, [], id="the same word"),
    ],
)
def test_differences_are_the_declared_fields_that_are_otherwise(
    desired: Any, actual: Any, found: list[tuple[str, Any, Any]]
) -> None:
    assert list(differences(desired, actual)) == [Difference(*each) for each in found]


@pytest.mark.parametrize(
    ("desired", "actual", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1, "b": 2}, [("x.b", 2, None)]),
        ({"a": 1}, {"b": 2}, [("x.a", None, 1), ("x.b", 2, None)]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": []}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": [3]}}, [("x.a.c", [3], None)]),
        ({"a": 1}, None, [("x", None, {"a": 1})]),
        ({"a": [1]}, {"a": [2]}, [("x.a", [2], [1])]),
    ],
)
def test_an_exact_field_is_compared_as_a_whole_and_reported_by_its_deepest_paths(
    desired: Any, actual: Any, found: list[tuple[str, Any, Any]]
) -> None:
    compared = differences({"x": Exactly(desired)}, {"x": actual})
    assert list(compared) == [Difference(*each) for each in found]


# What is done


def test_what_is_not_there_is_created_with_every_declared_field() -> None:
    (change,) = plan(wanted({"a": {"b": 1}, "c": [2]})).changes
    assert (change.action, change.live) == ("create", None)
    assert change.differences == (Difference("a.b", None, 1), Difference("c", None, [2]))


def test_a_resource_in_sync_is_left_alone() -> None:
    assert plan(wanted({"a": 1}), live={THING: Live({"a": 1, "b": 2})}).is_empty


def test_what_differs_is_updated() -> None:
    (change,) = plan(wanted({"a": 1}), live={THING: Live({"a": 2})}).changes
    assert change.action == "update"


def test_a_difference_in_an_immutable_field_is_replaced() -> None:
    thing = Id(Kind("harbor", "thing", "Harbor", immutable_fields=("a",)), "team-shop")
    live = {thing: Live({"a": {"b": 2}, "c": 1})}
    (change,) = plan(wanted({"a": {"b": 1}, "c": 1}, thing), live=live).changes
    assert change.action == "replace"
    (change,) = plan(wanted({"a": {"b": 2}, "c": 2}, thing), live=live).changes
    assert change.action == "update"


def test_a_field_set_by_tenantry_and_no_longer_declared_is_dropped() -> None:
    owned = frozenset({("a",), ("b", "c"), ("b", "d")})
    live = {THING: Live({"a": 1, "b": {"c": 2}, "e": 3}, owned=owned)}
    (change,) = plan(wanted({"a": 1}), live=live).changes
    assert change.action == "update"
    assert change.differences == (Difference("b.c", 2, None),)


def test_a_field_that_we_set_inside_an_exact_value_is_not_dropped() -> None:
    live = {THING: Live({"a": {"b": 1}}, owned=frozenset({("a", "b")}))}
    assert plan(wanted({"a": Exactly({"b": 1})}), live=live).is_empty


def test_changes_come_in_the_order_of_the_stages_and_in_each_as_desired() -> None:
    stages: list[Stage] = [
        "Mark as applied",
        "Istio",
        "Credentials",
        "Harbor",
        "Keycloak",
        "Kubernetes",
    ]
    resources = [
        wanted({"a": 1}, Id(Kind("harbor", "x", stage), f"{stage}-{number}"))
        for number in range(2)
        for stage in stages
    ]
    made = plan(*resources)
    expected = [f"{stage}-{number}" for stage in reversed(stages) for number in range(2)]
    assert [change.id.key for change in made.changes] == expected
    assert [change.id.key for change in made.in_stage("Harbor")] == ["Harbor-0", "Harbor-1"]


def test_a_team_that_could_not_be_read_is_not_planned() -> None:
    observed = Observed()
    error = SystemUnavailable("harbor", "GET /x", "no answer")
    observed.unreadable[THING] = Unreadable(error, "shop")
    with pytest.raises(SystemUnavailable, match="Harbor: GET /x: no answer"):
        make_plan(Team(name="shop"), [wanted({"a": 1})], observed)


# What is not ours


def test_what_is_not_ours_is_refused_and_so_is_all_that_lies_inside() -> None:
    inner = Id(ROBOT, "team-shop/pull-a")
    made = plan(
        wanted({"a": 1}),
        wanted({"b": 1}, PART, depends_on=(THING,)),
        wanted({"c": 1}, inner, depends_on=(MARK, PART)),
        wanted({"d": 1}, MARK),
        live={THING: Live({"a": 1}, ours=False)},
    )
    assert made.changes == ()
    assert [refusal.id for refusal in made.refusals] == [THING]
    assert not made.is_empty


def test_what_does_not_lie_inside_is_done_all_the_same() -> None:
    other = Id(GROUP, "team-shop")
    made = plan(
        wanted({"a": 1}),
        wanted({"b": 1}, other),
        live={THING: Live({"a": 1}, ours=False)},
    )
    assert [change.id for change in made.changes] == [other]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"a": 1, "b": {"c": 1}},
            (
                "it exists and Tenantry did not create it; it differs in a, b.c. Rename or remove it, "
                "or let team 'shop' adopt it (adopt: yes in its file, and in policy.grants of "
                'platform.yaml: - {teams: [shop], reason: why, adopt: "yes"})'
            ),
        ),
        (
            {"a": 2},
            (
                "it exists and Tenantry did not create it; it matches its declaration. Rename or remove "
                "it, or let team 'shop' adopt it (adopt: if-identical in its file, and in "
                "policy.grants of platform.yaml: - {teams: [shop], reason: why, adopt: if-identical})"
            ),
        ),
        (
            {"a": 2, "labels": {LABEL: "tenantry", "tenantry.io/team": "shop"}},
            (
                "it exists and Tenantry did not create it; it matches its declaration. Rename or remove "
                "it, or let team 'shop' adopt it (adopt: if-identical in its file, and in "
                "policy.grants of platform.yaml: - {teams: [shop], reason: why, adopt: if-identical})"
            ),
        ),
    ],
)
def test_a_refusal_says_what_differs_and_what_can_be_done(
    fields: Mapping[str, Any], reason: str
) -> None:
    made = plan(wanted(fields), live={THING: Live({"a": 2, "b": {"c": 2}}, ours=False)})
    assert [refusal.reason for refusal in made.refusals] == [reason]
    with pytest.raises(NotOurs, match="Harbor: team 'shop': harbor/project/team-shop: it exists"):
        refuse(made)


def test_yes_adopts_what_differs_and_says_so() -> None:
    live = {THING: Live({"a": 2}, ours=False)}
    (change,) = plan(wanted({"a": 1}), live=live, adopt="yes").changes
    assert change.action == "adopt"
    assert not change.recreates
    assert change.differences == (
        Difference("mark", None, "tenantry"),
        Difference("a", 2, 1),
    )


def test_if_identical_adopts_what_differs_in_nothing_but_our_marks() -> None:
    fields = {"a": 1, "labels": {LABEL: "tenantry", "tenantry.io/team": "shop"}}
    live = {THING: Live({"a": 1, "labels": {LABEL: "helm"}}, ours=False)}
    (change,) = plan(wanted(fields), live=live, adopt="if-identical").changes
    assert change.action == "adopt"
    assert change.differences == (
        Difference("mark", None, "tenantry"),
        Difference(f"labels.{LABEL}", "helm", "tenantry"),
    )
    live = {THING: Live({"a": 2}, ours=False)}
    made = plan(wanted(fields), live=live, adopt="if-identical")
    assert made.changes == ()
    assert len(made.refusals) == 1


@pytest.mark.parametrize("adopt", ["if-identical", "yes"])
def test_a_plan_that_adopts_identical_objects_shows_only_their_marks(adopt: str) -> None:
    """The robot lost its description, which is its mark. The member has no mark of its own."""
    robot = Id(ROBOT, "team-shop/pull-a")
    resources = [
        wanted({"a": 1}),
        replace(wanted({"role": 2}, PART), owner=THING),
        replace(wanted({"access": "pull", "description": "Managed"}, robot), owner=THING),
        wanted({"x": 1}, MARK),
    ]
    live = {
        THING: Live({"a": 1}, ours=False),
        PART: Live({"role": 2}, ours=False),
        robot: Live({"access": "pull"}, ours=False),
    }
    made = plan(*resources, live=live, adopt=adopt)
    assert [(c.id, c.action, c.differences) for c in made.changes if c.id != MARK] == [
        (THING, "adopt", (Difference("mark", None, "tenantry"),)),
        (robot, "adopt", (Difference("mark", None, "tenantry"),)),
    ]
    assert made.only_adopts
    assert all(change.writes_only_marks for change in made.changes)


def test_a_part_of_an_adopted_object_that_differs_is_adopted_with_it() -> None:
    part = replace(wanted({"role": 2}, PART), owner=THING)
    live = {THING: Live({}, ours=False), PART: Live({"role": 1}, ours=False)}
    made = plan(wanted({}), part, live=live, adopt="yes")
    assert [(c.id, c.action) for c in made.changes] == [(THING, "adopt"), (PART, "adopt")]
    assert made.changes[1].differences == (Difference("role", 1, 2),)
    assert [change.writes_only_marks for change in made.changes] == [True, False]
    assert made.only_adopts
    assert not plan(wanted({}), part, live={THING: live[THING]}, adopt="yes").only_adopts


@pytest.mark.parametrize("adopt", ["if-identical", "yes"])
def test_an_object_of_another_owner_is_never_adopted(adopt: str) -> None:
    """Its intent must not be recorded either, which would make it ours in the next run."""
    observed = Observed()
    observed.live[THING] = Live({"a": 1}, ours=False, foreign="it belongs to team 'data'")
    team = Team.model_validate({"name": "shop", "adopt": adopt})
    resource = wanted({"a": 1})

    assert not may_adopt(team, resource, [resource], observed)
    assert not make_plan(team, [resource], observed).changes


@pytest.mark.parametrize("adopt", ["if-identical", "yes"])
def test_what_is_ours_is_never_adopted(adopt: str) -> None:
    (change,) = plan(wanted({"a": 1}), live={THING: Live({"a": 2})}, adopt=adopt).changes
    assert change.action == "update"


# The mark that all is applied


def test_the_mark_is_withheld_while_something_is_refused() -> None:
    mark = wanted({"x": 1}, MARK)
    assert [change.id for change in plan(mark).changes] == [MARK]
    made = plan(mark, wanted({"a": 1}), live={THING: Live({}, ours=False)})
    assert made.changes == ()


def test_the_mark_is_withheld_while_something_waits_and_waiting_is_no_work() -> None:
    made = plan(
        wanted({"x": 1}, MARK),
        wanted({"a": 1}),
        wanted({"b": 1}, PART, depends_on=(THING,)),
        waiting={THING: "for the user"},
    )
    assert made.changes == ()
    assert [(wait.id, wait.reason) for wait in made.waiting] == [(THING, "for the user")]
    assert made.is_empty
    refuse(made)


# Parts of an object that is not ours


def test_a_partial_plan_withholds_the_parts_of_an_object_that_is_not_ours() -> None:
    observed = Observed()
    observed.live |= {THING: Live({"a": 1}, ours=False), PART: Live({"b": 1})}
    parts = [wanted({"b": 2}, PART, (THING,)), wanted({"b": 2}, OTHER, (THING,))]
    team = Team.model_validate({"name": "shop"})

    made = make_plan(team, [wanted({"a": 1}), *parts], observed, partial=True)

    assert made.changes == ()
    assert [refusal.id for refusal in made.refusals] == [THING]
    assert [(change.id, change.action) for change in made.withheld] == [
        (PART, "update"),
        (OTHER, "create"),
    ]


def test_an_answer_of_an_unknown_form_is_an_invalid_response_of_its_system() -> None:
    observed = Observed()
    answer: dict[str, Any] = {}
    with observed.capture_errors(THING, "shop"):
        _ = answer["metadata"]["public"]

    error = observed.failure("shop")
    assert isinstance(error, InvalidResponse)
    assert str(error).startswith("Harbor: ")
    assert "an answer of an unexpected form (KeyError" in str(error)
