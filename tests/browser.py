"""Prefect's UI in a headless Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    # It looks for updates and accounts otherwise.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # The UI asks for statistics and logos elsewhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def open_ui() -> Iterator[Page]:
    """A page of a browser that reaches servers on this machine and nothing else."""
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
