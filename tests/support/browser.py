"""Prefect's UI in a headless Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    # Otherwise it searches for updates and accounts.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # The UI would load statistics and logos from other hosts.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def open_ui() -> Iterator[Page]:
    """Return a page of a browser that reaches only servers on this machine."""
    chromium = shutil.which("chromium")
    assert chromium, "the tests of the UI need Chromium: install it (apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(30_000)
        try:
            yield page
        finally:
            browser.close()


def open_approval(page: Page, url: str, id: str, ui: str = "/v2") -> Locator:
    """Open the dialog that resumes a suspended run, and return it.

    Args:
        page: a page of the browser.
        url: address of the Prefect server.
        id: the run's id.
        ui: path of the UI; empty for the V1 UI.
    """
    page.goto(f"{url}{ui}/runs/flow-run/{id}")
    if ui:
        page.locator("button:has(svg.lucide-ellipsis-vertical)").first.click()
        page.get_by_role("menuitem", name="Resume").click()
    else:
        page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    if folder := os.environ.get("TENANTRY_TEST_SCREENSHOTS"):
        dialog.locator("textarea").first.wait_for()
        page.screenshot(path=Path(folder) / f"approval-{id[:8]}.png")
    return dialog


def answer_approval(page: Page, dialog: Locator, *, approve: bool = True) -> None:
    """Approve or reject in the dialog. Prefect answers 503 while SQLite is locked."""
    if approve:
        dialog.get_by_role("switch").click()
    dialog.get_by_label("Your name").fill("Ann")
    page.wait_for_timeout(1000)  # the form stores the input a moment later
    for _ in range(20):
        with page.expect_response("**/resume") as answered:
            dialog.get_by_role("button", name="Resume").click()
        if answered.value.status != 503:
            break
        page.wait_for_timeout(1000)
