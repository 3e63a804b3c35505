"""The run form of onboard-team and the approval form, filled in by a person in a browser.

Prefect 3.9.1 ships two UIs: `/` opens the second; links of the first still work.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from demo.blocks import fill_in
from tests.browser import open_ui
from tests.flow_bench import paused

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(300)]

PLATFORM = """name: test
mesh: {gateway: istio-ingress/public}
profiles:
  production:
    harbor:
      storage_quota: 100Gi
      auto_scan: true
      immutable_tags: [{tags: v*}]
    namespace: {pod_security: restricted}
"""


@pytest.fixture
def page(bench: Any) -> Iterator[Page]:
    with open_ui(bench.platform.url) as page:
        yield page


@pytest.fixture
def started(bench: Any) -> Any:
    """Waits for a run of onboard-team that the UI starts, and gives it when it has ended."""
    bench.declare_platform(PLATFORM)
    fill_in(bench.sandbox.addresses(), bench.declared)  # as `default`, which the form shows
    body = {
        "deployments": {"name": {"any_": ["onboard-team"]}},
        "sort": "EXPECTED_START_TIME_DESC",
    }
    before = {run["id"] for run in bench.platform.call("POST", "flow_runs/filter", body)}

    def new() -> list[dict[str, Any]]:
        runs = bench.platform.call("POST", "flow_runs/filter", body)
        return [run for run in runs if run["id"] not in before]

    def wait() -> dict[str, Any]:
        bench.platform.wait_for(new)
        (run,) = new()
        return dict(bench.platform.wait_for_run(run["id"]))

    return wait


def shot(page: Page, name: str) -> None:
    """A picture for a person who looks at the test."""
    if folder := os.environ.get("TENANTRY_TEST_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def open_form(page: Page, bench: Any, under: str) -> None:
    id = bench.platform.call("GET", "deployments/name/onboard-team/onboard-team")["id"]
    page.goto(f"{bench.platform.url}{under}/deployments/deployment/{id}/run")
    page.get_by_label("Name", exact=True).wait_for()


def assert_from_the_profile(bench: Any, name: str) -> None:
    """What the form left untouched is the profile's."""
    project = bench.sandbox.harbor.projects[f"team-{name}"]
    assert project.quota.hard == 100 * 2**30
    assert project.metadata["auto_scan"] == "true"
    assert project.immutable_rules
    namespace = bench.sandbox.kubernetes.get("Namespace", f"team-{name}")
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"


def test_what_the_form_leaves_untouched_comes_from_the_platform(bench, page, started):
    page.goto(f"{bench.platform.url}/")
    page.wait_for_url("**/v2/**")
    open_form(page, bench, "/v2")
    shot(page, "form")
    for field in (
        "Display name",
        "Contact",
        "Profile",
        "Members",
        "Storage quota",
        "Roles",
        "More",
    ):
        assert page.get_by_text(f"{field} (Optional)", exact=True).is_visible(), field
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Profile (Optional)").fill("production")
    time.sleep(1)  # the form keeps what was typed a moment later
    page.get_by_role("button", name="Submit").click()

    run = started()

    shot(page, "submitted")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"] == "onboard shop"
    assert run["parameters"]["team"] == {"name": "shop", "profile": "production"}
    file = bench.declared / "teams" / "shop.yaml"
    assert file.read_text() == "name: shop\nprofile: production\n"
    assert_from_the_profile(bench, "shop")


def test_a_bad_name_is_refused_in_words_beside_its_field(bench, page):
    open_form(page, bench, "/v2")
    page.get_by_label("Name", exact=True).fill("Web Shop")
    time.sleep(1)
    page.get_by_role("button", name="Submit").click()

    told = page.get_by_text(
        "'1 to 58 lower-case letters and digits, in words joined by single dash"
    )
    told.first.wait_for()
    shot(page, "refused")
    assert "(?=" not in page.inner_text("body")


def test_more_is_yaml_in_one_field(bench, page, started):
    open_form(page, bench, "/v2")
    page.get_by_label("Name", exact=True).fill("shop")
    more = page.get_by_role("tabpanel").get_by_role("textbox")
    more.fill("namespace:\n  pod_security: privileged\nharbor:\n  public: true\n")
    shot(page, "more")
    time.sleep(1)
    page.get_by_role("button", name="Submit").click()

    run = started()

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    text = (bench.declared / "teams" / "shop.yaml").read_text()
    assert text == "name: shop\nharbor:\n  public: true\nnamespace:\n  pod_security: privileged\n"


def test_a_person_approves_a_replacement_in_the_ui(bench, page):
    bench.declare_platform(PLATFORM)
    route = "{host: shop.example.com, paths: [{service: web, port: 80}]}"
    bench.declare("shop", f"routes:\n  web: {route}\n")
    assert bench.run("onboard-teams")["state_type"] == "COMPLETED"
    id = bench.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    plan = paused(bench, id).plan

    page.goto(f"{bench.platform.url}/v2/runs/flow-run/{id}")
    page.get_by_text("Suspended").first.wait_for()
    shot(page, "suspended")
    page.locator("button[aria-haspopup=menu]:has(svg[class*=vertical])").first.click()
    page.get_by_role("menuitem", name="Resume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("deletes 1 resource").wait_for()
    dialog.get_by_label("Approve (Optional)").click()
    dialog.get_by_label("Your name (Optional)").fill("Ann")
    assert dialog.get_by_label("Plan (Optional)").input_value() == plan
    shot(page, "approval")
    time.sleep(1)
    dialog.get_by_role("button", name="Resume").click()

    run = bench.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert (bench.declared / "teams" / "shop.yaml").read_text() == "name: shop\n"
