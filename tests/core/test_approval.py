"""The approval form of all flows, and the answers that it accepts."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from flows.onboard import onboard_team
from tasks import approval, onboarding, proposals
from tasks.approval import request_approval
from tenantry.declared import Team, propose, save
from tenantry.outcomes import NotApproved
from tenantry.plan import Change, Plan
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.istio.kinds import VIRTUAL_SERVICE
from tenantry.systems.kubernetes.kinds import NAMESPACE, ROLE_BINDING
from tenantry.text import Markdown
from tests.support.harness import write

pytestmark = pytest.mark.demand(
    "reality", "one approval form in all flows, bound to the plan's hash"
)

PLAN = "0123456789ab"


@pytest.fixture(autouse=True)
def _without_prefect() -> Iterator[None]:
    with disable_run_logger():
        yield


def ask(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any] | None) -> tuple[str, Any]:
    """Require an approval, with an answer as Prefect passes it on; return the name and the form."""
    forms = []

    def suspend(wait_for_input: Any, timeout: int, key: str) -> Any:
        forms.append(wait_for_input)
        return None if given is None else wait_for_input(**given)

    monkeypatch.setattr(approval, "suspend_flow_run", suspend)
    return request_approval(Markdown("Much is deleted."), PLAN), forms[0]


def test_the_form_says_what_each_field_is_and_shows_the_plans_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, form = ask(monkeypatch, {"approve": True, "plan": PLAN, "your_name": " Ann\nB. "})
    assert name == "Ann B."
    fields = form.model_json_schema()["properties"]
    assert list(fields) == ["approve", "plan", "your_name"]
    assert all(field["title"] and field["description"] for field in fields.values())
    assert fields["plan"]["default"] == PLAN
    assert fields["approve"]["default"] is False
    assert PLAN in form._description


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"approve": False, "plan": PLAN, "your_name": "Ann"}, f"Ann rejected plan {PLAN}"),
        ({"approve": True, "plan": "ba9876543210"}, "The answer approves plan ba9876543210"),
        ({"approve": True, "plan": ""}, "The answer is not valid (plan: "),
        ({"approve": True}, "The answer is not valid (plan: "),
        ({"plan": PLAN}, "The answer is not valid (approve: "),
        ({}, "The answer is not valid"),
        (None, "The answer is not valid"),
        ({"approve": True, "plan": PLAN, "your_name": "x" * 300}, "The answer is not valid (your_"),
    ],
)
def test_only_an_answer_that_names_the_present_plan_counts(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any] | None, reason: str
) -> None:
    with pytest.raises(NotApproved) as refused:
        ask(monkeypatch, given)
    assert str(refused.value).startswith(reason)
    assert "not applied" in str(refused.value)


def test_a_run_that_cannot_be_suspended_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def suspend(**_: Any) -> None:
        raise RuntimeError(
            "Flow run cannot be suspended: Cannot suspend flows without a deployment."
        )

    monkeypatch.setattr(approval, "suspend_flow_run", suspend)
    with pytest.raises(NotApproved, match="Start it as a run of its deployment"):
        request_approval(Markdown("Much is deleted."), PLAN)


def test_what_replaces_a_file_that_cannot_be_read_is_approved_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr(proposals, "request_approval", lambda text, plan: questions.append(text))
    path = write(tmp_path) / "teams" / "shop.yaml"
    path.write_text("name: [shop\n")
    proposal = propose(tmp_path, Team(name="shop"), "replace")
    id = Id(VIRTUAL_SERVICE, "team-shop/web")
    proposals.approve(proposal, Plan("shop", (Change("delete", Resource(id, {}), ()),)))

    (question,) = questions
    assert "writes `teams/shop.yaml`, **which cannot be read now** and is overwritten" in question
    assert "team-shop/web" in question


DELETES = (Change("delete", Resource(Id(VIRTUAL_SERVICE, "x/y"), {}), ()),)


@pytest.mark.parametrize(
    ("text", "changes", "needed"),
    [
        (None, (), False),
        (None, DELETES, True),
        ("name: [shop\n", (), True),
        ("name: [shop\n", DELETES, True),
        ("name: shop\nmembers: [ann]\n", (), False),
        ("name: shop\nmembers: [ann]\n", DELETES, True),
        ("name: shop\n", DELETES, False),
    ],
)
def test_a_person_is_asked_before_something_is_deleted_or_a_file_is_lost(
    text: str | None, changes: tuple[Change, ...], needed: bool, tmp_path: Path
) -> None:
    path = write(tmp_path) / "teams" / "shop.yaml"
    if text is not None:
        path.write_text(text)
    proposal = propose(tmp_path, Team(name="shop"), "replace")
    assert proposals.needs_approval(proposal, Plan("shop", changes)) is needed


def test_the_hash_of_an_approval_covers_the_plan_and_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    monkeypatch.setattr(proposals, "request_approval", lambda text, plan: hashes.append(plan))
    path = write(tmp_path) / "teams" / "shop.yaml"
    for text, name, changes in (
        ("name: [shop\n", "Ours", ()),
        ("name: [shop\n", "Ours", ()),
        ("name: [shop\n", "Theirs", ()),
        ("name: [shop\n", "Ours", DELETES),
        ("name: shop\n", "Ours", ()),
    ):
        path.write_text(text)
        proposal = propose(tmp_path, Team(name="shop", display_name=name), "replace")
        proposals.approve(proposal, Plan("shop", changes))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_file_that_cannot_be_read_is_overwritten_after_the_approval_only(
    is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This runs the flow with a plan that changes nothing in the systems."""
    path = write(tmp_path) / "teams" / "shop.yaml"
    path.write_text("name: [shop\n")
    proposal = propose(tmp_path, Team(name="shop"), "replace")
    asked: list[str] = []

    def ask(text: str, plan: str) -> None:
        asked.append(path.read_text())
        if is_refused:
            raise NotApproved("Ann refused it.")

    systems = SimpleNamespace(
        state=proposal.declaration,
        team_adapters=(),
        plan=lambda team, observed: Plan(team.name, ()),
    )
    monkeypatch.setattr(proposals, "request_approval", ask)
    monkeypatch.setattr(proposals, "check_declaration", lambda *_: proposal)
    monkeypatch.setattr(proposals, "save_team", lambda *_: save(tmp_path, proposal))
    monkeypatch.setattr("flows.onboard.load_platform", lambda name: None)
    monkeypatch.setattr("flows.onboard.connected", lambda *_: nullcontext(systems))
    monkeypatch.setattr("flows.onboard.check_connections", lambda *_: None)
    for name in ("publish_plan", "publish_guide"):
        monkeypatch.setattr(onboarding, name, lambda *_: None)
    state = onboard_team.fn({"name": "shop"}, "replace")

    assert asked == ["name: [shop\n"]
    assert state.is_failed() is is_refused
    assert path.read_text() == ("name: [shop\n" if is_refused else "name: shop\n")


def test_only_a_new_declaration_takes_over_what_is_left_of_a_removed_team(tmp_path: Path) -> None:
    left = Id(NAMESPACE, "team-shop")
    observed = Observed()
    observed.live[left] = Live({}, marked=True)
    rights = Id(ROLE_BINDING, "team-shop/tenantry-team")
    observed.live[rights] = Live({}, marked=True, team="shop")
    observed.live[Id(NAMESPACE, "team-data")] = Live({}, marked=True, team="data")
    new = propose(write(tmp_path), Team(name="shop"), "refuse")
    assert proposals.taken_over(new, observed) == [left, rights]
    assert proposals.needs_approval(new, Plan("shop"), [left])
    with pytest.raises(NotApproved, match="Namespace team-shop"):
        proposals.refuse_unattended("shop", [left])
    foreign = Observed()
    foreign.live[left] = Live({}, ours=False)
    assert proposals.taken_over(new, foreign) == []
    assert proposals.taken_over(new, Observed()) == []

    known = propose(write(tmp_path, {"name": "shop"}), Team(name="shop", members=["ann"]), "merge")
    assert proposals.taken_over(known, observed) == []
