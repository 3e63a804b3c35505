"""The output of plans, for users and programs."""

import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tenantry import explain
from tenantry.errors import SystemUnavailable
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Left, Plan, Refusal
from tenantry.resources import PLATFORM, Amount, Difference, Elapsed, Exactly, Id, Live, Resource
from tenantry.systems.harbor import kinds
from tenantry.systems.kubernetes.kinds import ROLE_BINDING

PROJECT = Id(kinds.PROJECT, "team-shop")
MEMBER = Id(kinds.MEMBER, "team-shop/people")


def change(action: str, *differences: Difference, live: Live | None = None) -> Change:
    resource = Resource(PROJECT, {})
    return Change(action, resource, differences, live)  # type: ignore[arg-type]


def shown(*outcomes: Outcome) -> str:
    out = StringIO()
    Console(file=out, width=140, color_system=None).print(explain.table(outcomes))
    return out.getvalue()


CREATE = change("create", Difference("public", None, False))
MARK = Difference("mark", None, "tenantry")
UPDATE = change("update", Difference("quota", "5Gi", Amount("10Gi")), live=Live({}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(none)"),
        (True, "true"),
        (5, "5"),
        ([], "[]"),
        ({}, "{}"),
        (["a", {"b": 1}], "a, {b: 1}"),
        (Exactly({"a": [1, None]}), "a: [1, (none)]"),
        ("", '""'),
        (Amount("10Gi"), "10Gi"),
    ],
)
def test_a_value_is_shown_as_people_write_it(value: object, text: str) -> None:
    assert explain.text(value) == text


def test_a_long_value_is_cut_in_the_middle() -> None:
    text = explain.text("begin" + "x" * 500 + "end")
    assert len(text) <= 60
    assert text.startswith("beginxxx")
    assert text.endswith("xxxend")
    assert " … " in text
    assert explain.text("x" * 60) == "x" * 60


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3)), max_size=3),
    st.lists(st.text(max_size=3), min_size=2, max_size=2),
)
def test_the_hash_of_a_plan_does_not_depend_on_the_clock(
    fields: list[tuple[str, str]], texts: list[str]
) -> None:
    def hashed(text: str, fixed: str) -> str:
        aged = [Difference(name, {"at": [Elapsed(text, fixed)]}, new) for name, new in fields]
        return explain.plan_hash(explain.steps(Plan("shop", (change("update", *aged),))))

    assert hashed(texts[0], "on Monday") == hashed(texts[1], "on Monday")
    assert not fields or hashed(texts[0], "on Monday") != hashed(texts[0], "on Tuesday")


def test_a_created_resource_shows_only_the_new_values() -> None:
    assert explain.difference(CREATE, CREATE.differences[0]) == "public: false"
    assert explain.difference(UPDATE, UPDATE.differences[0]) == "quota: 5Gi → 10Gi"


def test_the_table_shows_each_change_refusal_and_wait() -> None:
    plan = Plan(
        "shop",
        (CREATE, UPDATE, change("replace"), change("delete"), change("adopt", MARK, live=Live({}))),
        (Refusal(MEMBER, "it is [bold]theirs[/]"),),
        (Refusal(MEMBER, "for the user"),),
        left=(Left(PROJECT, "it holds [bold]images[/]", "kept"),),
    )
    text = shown(Outcome("shop", plan), Outcome("data", Plan("data")))
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert "Team shop" in lines
    assert "+ create harbor/project/team-shop public: false" in lines
    assert "~ update harbor/project/team-shop quota: 5Gi → 10Gi" in lines
    assert "± replace harbor/project/team-shop" in lines
    assert "- delete harbor/project/team-shop" in lines
    assert "» adopt harbor/project/team-shop mark: (none) → tenantry" in lines
    assert "! refused harbor/member/team-shop/people it is [bold]theirs[/]" in lines
    assert "… waiting harbor/member/team-shop/people for the user" in lines
    assert "· kept harbor/project/team-shop no longer declared: it holds [bold]images[/]" in lines
    assert "Team data: in sync" in lines
    assert lines[-1] == (
        "2 teams: 1 to adopt, 1 to create, 1 to update, 1 to replace, 1 to delete, 1 refused, "
        "1 waiting, 1 no longer declared."
    )
    assert explain.summary([Outcome("shop", plan)], applied=True) == (
        "1 team: 1 adopted, 1 created, 1 updated, 1 replaced, 1 deleted, 1 refused, 1 waiting, "
        "1 no longer declared."
    )


def test_an_adopted_object_that_is_created_again_says_so() -> None:
    binding = Resource(Id(ROLE_BINDING, "team-shop/people"), {})
    differences = (MARK, Difference("roleRef", "view", "edit"))
    made = Change("adopt", binding, differences, Live({}))
    (row,) = explain.rows([made])
    assert row["action"] == "adopt"
    assert row["fields"].splitlines() == [
        "mark: (none) → tenantry",
        "roleRef: view → edit",
        "deleted and created again",
    ]
    (document,) = explain.document([Outcome("shop", Plan("shop", (made,)))])
    assert [each["recreates"] for each in document["changes"]] == [True]


def test_a_team_that_cannot_be_read_shows_the_reason() -> None:
    error = SystemUnavailable("harbor", "GET /x", "no answer (ConnectError)")
    text = shown(Outcome("shop", error=error))
    assert "Team shop: cannot be read: Harbor: GET /x: no answer (ConnectError)" in text
    assert "\n1 team could not be read." in text
    expected = {"team": "shop", "error": "Harbor: GET /x: no answer (ConnectError)"}
    assert explain.document([Outcome("shop", error=error)]) == [expected]


def test_an_empty_plan_is_reported() -> None:
    assert explain.summary([Outcome("shop", Plan("shop"))]) == "1 team: in sync."


def test_a_summary_separates_the_resources_from_the_teams_that_could_not_be_read() -> None:
    error = SystemUnavailable("harbor", "GET /x", "no answer (ConnectError)")
    plan = Plan("shop", (change("create"),), (Refusal(MEMBER, "theirs"),))
    read, unread = Outcome("shop", plan), Outcome("data", error=error)
    assert explain.summary([read, unread]) == (
        "2 teams: 1 to create, 1 refused; 1 team could not be read."
    )
    platform = Outcome(PLATFORM, error=error)
    assert explain.summary([platform, read, unread]) == (
        "The platform and 2 teams: 1 to create, 1 refused; the platform and 1 team could not be read."
    )
    assert explain.summary([platform]) == "The platform could not be read."


def test_the_document_has_everything_in_full_and_is_json() -> None:
    long = "x" * 500
    made = change(
        "update",
        Difference("a", None, Exactly({"b": (Amount("1Gi"), long)})),
        Difference("c", 1.5, True),
        live=Live({}, handle="never shown"),
    )
    plan = Plan(
        "shop",
        (made,),
        (Refusal(MEMBER, "theirs"),),
        (Refusal(PROJECT, "soon"),),
        left=(Left(PROJECT, "images", "kept"),),
    )
    document = explain.document([Outcome("shop", plan)])
    assert json.loads(json.dumps(document)) == [
        {
            "team": "shop",
            "changes": [
                {
                    "action": "update",
                    "system": "harbor",
                    "kind": "project",
                    "key": "team-shop",
                    "recreates": False,
                    "differences": [
                        {"field": "a", "old": None, "new": {"b": ["1Gi", long]}},
                        {"field": "c", "old": 1.5, "new": True},
                    ],
                }
            ],
            "refused": [{"resource": "harbor/member/team-shop/people", "reason": "theirs"}],
            "waiting": [{"resource": "harbor/project/team-shop", "reason": "soon"}],
            "no_longer_declared": [
                {"resource": "harbor/project/team-shop", "removal": "kept", "reason": "images"}
            ],
        }
    ]


def test_there_is_one_row_per_change() -> None:
    assert explain.rows([UPDATE]) == [
        {
            "action": "update",
            "resource": "harbor project\nteam-shop",
            "fields": "quota: 5Gi → 10Gi",
        }
    ]


def test_no_output_shows_more_of_a_change_than_its_fields() -> None:
    secret = "Hunter2Hunter2"
    live = Live({}, handle={"secret": secret})
    resource = Resource(PROJECT, {}, body=secret)
    made = Change("update", resource, (Difference("a", 1, 2),), live)
    outcome = Outcome("shop", Plan("shop", (made,)), (made,))
    parts = [shown(outcome), explain.document([outcome]), explain.rows([made]), outcome, made]
    assert secret not in "".join(f"{part}{part!r}" for part in parts)
