"""Runs the examples of pages in their order, and compares their output with the page."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantry import api, drift
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.docs.test_docs import fences, read
from tests.drift.catalogue import findings_of, mutations
from tests.drift.watch import remediate
from tests.support.harness import SHOP, Bench, environment

EXAMPLE = re.compile(
    r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)


def examples(page: str) -> Iterator[tuple[str, str, str]]:
    """Return each example with its heading and its output; the output is empty if none is shown."""
    text = read(page)
    for found in EXAMPLE.finditer(text):
        heading = re.findall(r"^## (.+)$", text[: found.start()], re.MULTILINE)[-1]
        yield heading, found[1], found[2] or ""


@pytest.fixture
def my_platform(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Declare the team of docs/python.md, use the sandbox as platform, and return the folder."""
    folder = tmp_path / "my-platform"
    (folder / "teams").mkdir(parents=True)
    (folder / "platform.yaml").write_text("name: My platform\n")
    (folder / "teams" / "shop.yaml").write_text(*fences(read("docs/python.md"), "yaml"))
    monkeypatch.chdir(tmp_path)
    for name, value in environment(bench.sandbox).items():
        monkeypatch.setenv(name, value)
    return folder


def run_examples(page: str, before: Callable[[str], None] = lambda heading: None) -> dict[str, Any]:
    """Run the examples of a page in their order, compare their output, and return their names."""
    names: dict[str, Any] = {}
    for heading, code, shown in examples(page):
        before(heading)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, f"{page}, {heading}", "exec"), names)
        assert printed.getvalue() == shown, heading
    return names


def test_the_examples_print_what_the_page_shows(bench: Bench, my_platform: Path) -> None:
    harbor = bench.declare(SHOP).systems.harbor_client

    def change_by_hand(heading: str) -> None:
        if heading == "Read a report":
            harbor.put("/projects/team-shop", {"metadata": {"public": "true"}})

    run_examples("docs/python.md", change_by_hand)

    assert (my_platform.parent / "drift.json").is_file()


def test_a_kind_is_added_as_its_page_says(my_platform: Path) -> None:
    """The catalogue of drift finds its mutations in the new kind, too."""
    names = run_examples("docs/add-a-kind.md")

    with names["connect"]() as systems:
        team = systems.state.teams["shop"]
        seen = observe_owners(systems.team_adapters, [team])
        found = [
            each for each in mutations(systems, team, seen) if each.id.kind == names["CONTACT"]
        ]
        for mutation in found:
            mutation.act(systems)
            detected = detect(systems)
            assert findings_of(detected.report) == mutation.expected
            remediate(systems, detected)
            assert findings_of(detect(systems).report) == set()
    assert [each.name.split()[0] for each in found] == ["delete", "kubernetes/Namespace"]


def detect(systems: Systems) -> drift.Detected:
    teams = list(systems.state.teams.values())
    return drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS), drift.SYSTEMS)


def test_every_public_name_is_documented() -> None:
    page = read("docs/python.md")

    assert {name for name in api.__all__ if not re.search(rf"\b{name}\b", page)} == set()
    assert api.__all__ == sorted(api.__all__)
