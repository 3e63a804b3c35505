"""The forms in the browser: a run of onboard-team, and an approval.

Prefect 3.9.1 has two UIs. `/` opens the second, and links to the first still work.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from tests.e2e.conftest import SandboxBench
from tests.sandbox.calls import Caller
from tests.support.approvals import wait_for_approval
from tests.support.browser import answer_approval, open_approval, open_ui
from tests.support.images import image, push
from tests.support.narrowing import present

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.demand("reality", "all of tests/e2e/test_form.py", sample=True),
]

UIS = pytest.mark.parametrize("ui", ["", "/v2"], ids=["V1", "V2"])
PLATFORM = """name: test
profiles:
  production:
    harbor:
      storage_quota: 100Gi
      auto_scan: true
      immutable_tags: [{tags: v*}]
    namespace: {pod_security: restricted}
"""


@pytest.fixture
def page() -> Iterator[Page]:
    with open_ui() as page:
        yield page
        if folder := os.environ.get("TENANTRY_TEST_SCREENSHOTS"):  # to look at the form
            page.screenshot(path=Path(folder) / "form.png", full_page=True)


def open_form(page: Page, bench: SandboxBench) -> None:
    id = bench.platform.call("GET", "deployments/name/onboard-team/onboard-team")["id"]
    page.goto(f"{bench.platform.url}/v2/deployments/deployment/{id}/run")
    page.get_by_label("Name", exact=True).wait_for()
    page.wait_for_timeout(3000)  # the form fills in the defaults of the other parameters


def submit(page: Page) -> None:
    """Submit the form. The UI validates it first, and starts nothing if it has a fault."""
    page.wait_for_timeout(1000)  # the form stores the input with a delay
    with page.expect_request("**/api/ui/schemas/validate"):
        page.get_by_role("button", name="Submit").click()


def start(page: Page, bench: SandboxBench) -> dict[str, Any]:
    """Submit the form as a user does, and return the ended run.

    If the server answers 503, as on SQLite during another write, the form remains open and is
    submitted again.
    """
    for name, block in bench.blocks.items():
        page.get_by_label(name).fill(block)
    for _ in range(20):
        page.wait_for_timeout(1000)
        with page.expect_response("**/create_flow_run") as answered:
            page.get_by_role("button", name="Submit").click()
        if answered.value.status != 503:
            break
    assert answered.value.status == 201, answered.value.text()
    return bench.platform.wait_for_run(answered.value.json()["id"])


@pytest.mark.demand(
    "reality",
    "headless Chromium: fields that the user leaves untouched come from the platform",
    sample=True,
)
def test_what_the_form_leaves_untouched_comes_from_the_platform(
    bench: SandboxBench, page: Page
) -> None:
    bench.declare_platform(PLATFORM)
    page.goto(f"{bench.platform.url}/")
    page.wait_for_url("**/v2/**")
    open_form(page, bench)
    for label in (
        "Display name",
        "Contact",
        "Profile",
        "Members",
        "Storage quota",
        "Roles",
        "More",
    ):
        assert page.get_by_text(f"{label} (Optional)", exact=True).is_visible(), label
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Profile").fill("production")

    run = start(page, bench)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["parameters"]["team"] == {"name": "shop", "profile": "production"}
    file = bench.declared / "teams" / "shop.yaml"
    assert file.read_text() == "name: shop\nprofile: production\n"
    project = bench.sandbox.harbor.projects["team-shop"]
    assert present(project.quota).hard == 100 * 2**30
    assert project.metadata["auto_scan"] == "true"
    assert project.immutable_rules
    namespace = present(bench.sandbox.kubernetes.get("Namespace", "team-shop"))
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"


@pytest.mark.demand("reality", "a bad name is refused in words", sample=True)
def test_a_bad_name_is_refused_with_a_message_at_its_field(bench: SandboxBench, page: Page) -> None:
    open_form(page, bench)
    page.get_by_label("Name", exact=True).fill("Web Shop")

    submit(page)

    rule = "'1 to 58 lower-case letters and digits, in words joined by single dashes"
    page.get_by_text(rule).first.wait_for()
    assert "(?=" not in page.inner_text("body")


@pytest.mark.parametrize("approve", [True, False])
def test_a_plan_is_approved_or_refused_in_the_ui(
    approve: bool, bench: SandboxBench, page: Page
) -> None:
    bench.declare_platform("name: test\nmesh: {gateway: istio-ingress/public}\n")
    route = "routes: {web: {host: a.example.com, paths: [{service: web, port: 80}]}}\n"
    bench.declare("shop", route)
    run = bench.run("onboard-teams")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    id = bench.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    plan = wait_for_approval(bench, id).plan

    dialog = open_approval(page, bench.platform.url, id)
    listed = dialog.get_by_role("listitem").filter(has_text="VirtualService team-shop/web")
    listed.wait_for()
    assert dialog.get_by_label("Plan").input_value() == plan
    assert dialog.get_by_text("If this is off, the plan is rejected.").is_visible()
    answer_approval(page, dialog, approve=approve)

    run = bench.platform.wait_for_run(id)
    assert f"Plan {plan} needs an approval" in bench.platform.whole_log(id)
    file = (bench.declared / "teams" / "shop.yaml").read_text()
    if approve:
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        assert file == "name: shop\n"
    else:
        assert run["state"]["message"] == f"Ann rejected plan {plan}: it was not applied."
        assert file == f"name: shop\n{route}"


def inputs(parent: Page | Locator) -> list[str]:
    """Return the values of the text fields of a form, from top to bottom."""
    return [field.input_value() for field in parent.locator("textarea").all()]


@UIS
@pytest.mark.demand("lifecycle", "the form of an import shows the defaults")
def test_the_form_of_an_import_shows_the_defaults(ui: str, bench: SandboxBench, page: Page) -> None:
    id = bench.platform.call("GET", "deployments/name/import-teams/import-teams")["id"]
    page.goto(f"{bench.platform.url}{ui}/deployments/deployment/{id}/run")
    page.get_by_text("{team} stands for the name of the team.").wait_for()
    page.get_by_text("patterns (Optional)", exact=True).wait_for()
    page.wait_for_timeout(3000)  # the form fills in the defaults

    shown = inputs(page)
    assert shown[0] == "team-{team}"
    assert shown[-2:] == ["tenantry-import", "default"]
    assert "Property is type" not in page.inner_text("body")


@UIS
@pytest.mark.demand(
    "lifecycle", "the approval of a removal shows the images, what is kept, the hash"
)
def test_the_approval_of_a_removal_shows_what_is_deleted_and_kept(
    ui: str, bench: SandboxBench, page: Page
) -> None:
    for name in ("shop", "data"):
        bench.declare(name)
    run = bench.run("onboard-teams", scope="all")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    harbor = bench.sandbox.addresses()["harbor"]
    admin = Caller(harbor["url"], harbor["username"], harbor["password"])
    for name in ("shop", "data"):
        assert push(admin, f"team-{name}/web", image(name), "1.0").status_code == 201
        parameters = {"team": name, "confirm": name, "grace_days": 0}
        run = bench.run("offboard-team", **parameters, delete_images=name == "shop")
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
    id = bench.start("remove-offboarded-teams")
    plan = wait_for_approval(bench, id).plan

    dialog = open_approval(page, bench.platform.url, id, ui)

    deleted = dialog.get_by_role("listitem").filter(has_text="team-shop/web")
    deleted.wait_for()
    assert re.fullmatch(
        r"team-shop/web: 1 artifact \(1\.0\), \d+ B, last pull: never", deleted.inner_text().strip()
    )
    text = dialog.inner_text()
    assert text.count("team-shop/web") == 1
    assert "All images are deleted: 1 repository" in text
    kept = "harbor project team-data: it contains 1 repository, and the images are to be kept"
    assert kept in text
    assert f"To apply plan {plan}, turn on Approve below." in text
    assert plan in inputs(dialog)


@UIS
@pytest.mark.demand("lifecycle", "a wrong confirmation is explained at the run")
def test_a_wrong_confirmation_is_explained_at_the_run(
    ui: str, bench: SandboxBench, page: Page
) -> None:
    run = bench.run("offboard-team", team="shop", confirm="shpo")

    page.goto(f"{bench.platform.url}{ui}/runs/flow-run/{run['id']}")

    message = "'confirm' is 'shpo', and must be the name of the team, 'shop'. Nothing was changed."
    page.get_by_text(message).first.wait_for()
