"""The site is built from the pages, and a broken page is an error."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site.markdown import rewrite
from docs.site.pages import navigation, navigation_faults, sources
from tests.docs.test_docs import ROOT
from tests.support.demands import Figure

each_fault = pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x](no-such-page.md)", "the link no-such-page.md leads nowhere"),
        ("[x](drift.md#no-such-heading)", "anchor does not exist"),
        ("[x](../../outside.md)", "leads nowhere"),
    ],
)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "docs.site"], cwd=folder, capture_output=True, text=True, check=False
    )


def copy_of_checkout(folder: Path) -> Path:
    """Copy the tracked and new files, with their times, and return the folder of the copy."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists() and not name.startswith("tests/"):
            target = folder / "checkout" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder / "checkout"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the tracked and new files."""
    return copy_of_checkout(tmp_path)


@pytest.mark.demand("operate", "documentation: every page is in the navigation of the site")
def test_every_page_is_in_the_navigation(figure: Figure) -> None:
    assert navigation_faults() == []
    assert sorted(navigation()) == sorted(sources().values())
    figure(f"{len(navigation())} pages")


@pytest.mark.long
@pytest.mark.demand(
    "operate",
    "documentation: the site is built without a warning, and loads nothing from elsewhere",
)
def test_the_site_is_built_and_loads_nothing_from_elsewhere(checkout: Path, figure: Figure) -> None:
    done = build(checkout)

    assert done.returncode == 0, done.stdout + done.stderr
    html = sorted((checkout / ".site" / "html").rglob("*.html"))
    assert {page.name for page in html} >= {f"{Path(page).stem}.html" for page in navigation()}
    for page in html:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?([^\s\">]+)", text)
        assert [each for each in loaded if re.match(r"(https?:)?//", each)] == [], page.name
        assert 'class="mermaid"' not in text, f"{page.name}: mermaid is loaded from elsewhere"
    figure(f"{len(html)} pages")


@pytest.mark.long
@pytest.mark.demand(
    "operate", "documentation: a broken link, anchor or unlisted page stops the build"
)
@each_fault
def test_a_broken_link_stops_the_build(checkout: Path, text: str, message: str) -> None:
    page = checkout / "docs" / "api.md"
    page.write_text(f"{page.read_text()}\n{text}\n")

    done = build(checkout)

    assert done.returncode != 0
    assert message in re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)


@pytest.mark.demand(
    "operate", "documentation: a broken link, anchor or unlisted page stops the build"
)
def test_a_page_that_is_not_in_the_navigation_stops_the_build(checkout: Path) -> None:
    (checkout / "docs" / "lost.md").write_text("# Lost\n")

    done = build(checkout)

    assert done.returncode == 1
    assert done.stderr == "lost.md: is not in the navigation of zensical.toml\n"


# What Python-Markdown reads differently from CommonMark


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("text\n- a\n  more\n- b", "text\n\n- a\n    more\n- b"),
        ("- a\n  - b\n    - c\n- d", "- a\n    - b\n        - c\n- d"),
        ("1. a\n\n   text\n\n2. b", "1. a\n\n    text\n\n2. b"),
        ("10. a\n    text", "10. a\n    text"),
        ("- a\n\n      code", "- a\n\n        code"),
        ("- a\n\ntext\n\n    code", "- a\n\ntext\n\n    code"),
        (
            "1. a\n\n   ```csv\n   - x\n     y\n   ```",
            "1. a\n\n    ```csv\n    - x\n      y\n    ```",
        ),
        ("```yaml run\n- a\n  - b\n```", "```yaml\n- a\n  - b\n```"),
        ("```\n[a](b.md)\n```", "```\n[a](b.md)\n```"),
        ("[a](b.md) ![c](d.svg)", "[a](<b.md>) ![c](<d.svg>)"),
    ],
)
def test_a_page_is_rewritten_for_the_site(page: str, expected: str) -> None:
    assert rewrite(page, lambda link: f"<{link}>") == expected
