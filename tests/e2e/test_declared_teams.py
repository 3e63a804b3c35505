"""onboard-team for a team that is already declared, through a real Prefect server."""

import json
from pathlib import Path

import pytest

from tenantry.declared import load
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.e2e.conftest import SandboxBench
from tests.support.approvals import answer, next_approval, wait_for_approval
from tests.support.harness import connections

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand(
        "reality",
        "calls for declared teams: refused unless confirmed; merge, replace, approval "
        "before the save, no conflict",
    ),
]

ROUTES = """routes:  # agreed with the network team
  web:
    host: shop.example.com
    paths: [{service: web, port: 80}]
"""
FILE = f"# The web shop\nname: shop\ncontact: '#shop' # ask Ann\n{ROUTES}"


def file_of(bench: SandboxBench) -> Path:
    """Return the file of team `shop`."""
    return bench.declared / "teams" / "shop.yaml"


@pytest.fixture
def shop(bench: SandboxBench) -> SandboxBench:
    """Return a bench with an onboarded team that has a route."""
    bench.declare_platform("name: test\nmesh: {gateway: istio-ingress/public}\n")
    file_of(bench).write_text(FILE)
    state = load(bench.declared)
    with Systems(connections(bench.sandbox), state) as systems:
        onboard(systems, state.teams["shop"])
    assert has_route(bench)
    bench.sandbox.requests.reset()
    return bench


def has_route(bench: SandboxBench) -> bool:
    return any(
        (manifest["kind"], manifest["metadata"].get("namespace")) == ("VirtualService", "team-shop")
        for manifest in bench.sandbox.kubernetes.objects
    )


def test_a_declared_team_is_not_changed_unasked_and_the_difference_is_shown(
    shop: SandboxBench,
) -> None:
    run = shop.run("onboard-team", team={"name": "shop", "contact": "#new"})

    assert run["state_type"] == "FAILED"
    message = run["state"]["message"]
    assert message.startswith("Team 'shop' is already declared in teams/shop.yaml")
    assert "contact: '#shop' → '#new'" in message
    assert "routes: " in message
    assert "if_declared = 'merge'" in message
    table = json.loads(shop.artifact("difference-shop", run)["data"])
    assert [row["field"] for row in table] == ["contact", "routes"]
    assert file_of(shop).read_text() == FILE
    assert shop.sandbox.requests.total() == 0


@pytest.mark.long
def test_the_same_declaration_again_is_no_conflict(shop: SandboxBench) -> None:
    route = {"host": "shop.example.com", "paths": [{"service": "web", "port": 80}]}
    run = shop.run(
        "onboard-team", team={"name": "shop", "contact": "#shop", "routes": {"web": route}}
    )

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert file_of(shop).read_text() == FILE
    assert shop.sandbox.requests.writes() == 0


@pytest.mark.demand(
    "reality",
    "merged without asking if nothing is deleted; replaced only if approved",
    sample="only",
)
@pytest.mark.long
def test_merge_adds_findings_and_needs_no_approval(shop: SandboxBench) -> None:
    team = {"name": "shop", "contact": "#team", "quota": "5Gi"}
    run = shop.run("onboard-team", team=team, if_declared="merge")

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    text = FILE.replace("'#shop'", "'#team'") + "harbor:\n  storage_quota: 5Gi\n"
    assert file_of(shop).read_text() == text
    assert has_route(shop)


@pytest.mark.demand(
    "reality",
    "merged without asking if nothing is deleted; replaced only if approved",
    sample="only",
)
@pytest.mark.long
def test_a_replacement_that_deletes_something_is_saved_only_when_a_person_approved_it(
    shop: SandboxBench,
) -> None:
    id = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    asked = wait_for_approval(shop, id)
    assert "VirtualService" in asked.description
    assert asked.plan in asked.description
    assert all(field["description"] for field in asked.schema["properties"].values())
    assert file_of(shop).read_text() == FILE, "a scheduled run would apply an unapproved file"
    assert shop.sandbox.requests.writes() == 0

    answer(shop, id, approve=True, your_name="Ann")

    run = shop.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert file_of(shop).read_text() == "# The web shop\nname: shop\n"
    assert not has_route(shop)


@pytest.mark.demand(
    "reality",
    "merged without asking if nothing is deleted; replaced only if approved",
    sample="only",
)
@pytest.mark.long
def test_a_file_that_cannot_be_read_is_overwritten_only_when_a_person_approved_it(
    shop: SandboxBench,
) -> None:
    """Nothing is deleted from the systems, but the declarations in the file are lost."""
    file_of(shop).write_text(unreadable := "name: shop\nroutes: [\n")
    team = {"name": "shop", "contact": "#shop", "more": ROUTES}
    id = shop.start("onboard-team", team=team, if_declared="replace")
    asked = wait_for_approval(shop, id)
    assert "which cannot be read" in asked.description
    assert file_of(shop).read_text() == unreadable
    assert shop.sandbox.requests.writes() == 0

    answer(shop, id, approve=True, your_name="Ann")

    run = shop.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert file_of(shop).read_text().startswith("name: shop\n")
    assert has_route(shop)


@pytest.mark.long
@pytest.mark.parametrize(("approve", "plan"), [(False, None), (True, "0" * 12), (True, "")])
def test_what_is_refused_or_approved_for_another_plan_leaves_everything_as_it_is(
    shop: SandboxBench, approve: bool, plan: str | None
) -> None:
    id = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")

    answer(shop, id, approve=approve, plan=plan)

    run = shop.platform.wait_for_run(id)
    assert run["state_type"] == "FAILED"
    assert "not applied" in run["state"]["message"]
    assert file_of(shop).read_text() == FILE
    assert shop.sandbox.requests.writes() == 0


@pytest.mark.long
@pytest.mark.parametrize("changed", ["a system", "the file"])
def test_what_changes_while_a_person_decides_is_asked_for_again(
    shop: SandboxBench, changed: str
) -> None:
    id = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    first = wait_for_approval(shop, id)
    file = FILE
    if changed == "a system":
        shop.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-shop")
    else:
        file = f"{FILE}display_name: Theirs\n"
        file_of(shop).write_text(file)

    answer(shop, id, approve=True)

    second = next_approval(shop, id, first)
    assert second.plan != first.plan
    assert file_of(shop).read_text() == file
    assert has_route(shop)
    answer(shop, id, approve=False, your_name="Ann")
    run = shop.platform.wait_for_run(id)
    assert run["state"]["message"] == f"Ann rejected plan {second.plan}: it was not applied."
    assert file_of(shop).read_text() == file
    assert has_route(shop)


@pytest.mark.long
def test_no_process_waits_with_a_run_that_waits_for_a_person(shop: SandboxBench) -> None:
    """A paused run would end within minutes, because the lease of its slot cannot be renewed."""
    id = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    wait_for_approval(shop, id)

    assert shop.platform.flow_run(id)["state_name"] == "Suspended"
    limit = shop.platform.call("GET", "deployments/name/onboard-team/onboard-team")["id"]
    held = shop.platform.call("GET", f"v2/concurrency_limits/deployment:{limit}")["active_slots"]
    assert held == 0


@pytest.mark.long
def test_a_caller_that_no_person_attends_is_not_asked(shop: SandboxBench) -> None:
    run = shop.run(
        "onboard-team", team={"name": "shop"}, if_declared="replace", require_approval=False
    )

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert not has_route(shop)
    assert file_of(shop).read_text() == "# The web shop\nname: shop\n"


@pytest.mark.demand(
    "reality",
    "merged without asking if nothing is deleted; replaced only if approved",
    sample="only",
)
@pytest.mark.long
def test_a_removed_team_is_taken_over_only_when_a_person_approved_it(shop: SandboxBench) -> None:
    """A caller of the API chooses the name, and the objects may belong to another team."""
    file_of(shop).unlink()
    unattended = shop.run("onboard-team", team={"name": "shop"}, require_approval=False)
    assert unattended["state_type"] == "FAILED"
    assert "resources of a removed team of this name exist" in unattended["state"]["message"]

    id = shop.start("onboard-team", team={"name": "shop", "members": ["mallory"]})
    asked = wait_for_approval(shop, id)
    assert "takes over" in asked.description
    assert "take over kubernetes Namespace team-shop" in asked.description
    assert not file_of(shop).exists()
    assert shop.sandbox.requests.writes() == 0

    answer(shop, id, approve=True, your_name="Ann")

    run = shop.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert file_of(shop).exists()


@pytest.mark.long
def test_a_run_keeps_the_name_that_was_typed(bench: SandboxBench) -> None:
    for flow, more in (
        ("onboard-team", {"team": {"name": "demo"}, "dry_run": True}),
        ("detect-drift", {}),
        ("rotate-robots", {"dry_run": True}),
    ):
        id = bench.start(flow, named="My request 4711", **more)
        assert bench.platform.wait_for_run(id)["name"] == "My request 4711"
