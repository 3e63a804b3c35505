"""The examples of docs/python.md run in the order of the page, with the output that it shows."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantry import api
from tests.docs.test_docs import fences, read
from tests.support.harness import SHOP, Bench, environment

EXAMPLE = re.compile(
    r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)


def examples() -> Iterator[tuple[str, str, str]]:
    """Each example with its heading and its output; the output is empty if the page shows none."""
    page = read("docs/python.md")
    for found in EXAMPLE.finditer(page):
        heading = re.findall(r"^## (.+)$", page[: found.start()], re.MULTILINE)[-1]
        yield heading, found[1], found[2] or ""


def test_the_examples_print_what_the_page_shows(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-platform"
    (folder / "teams").mkdir(parents=True)
    (folder / "platform.yaml").write_text("name: My platform\n")
    (folder / "teams" / "shop.yaml").write_text(*fences(read("README.md"), "yaml"))
    monkeypatch.chdir(tmp_path)
    for name, value in environment(bench.sandbox).items():
        monkeypatch.setenv(name, value)
    harbor = bench.declare(SHOP).systems.harbor_client
    names: dict[str, Any] = {}

    for heading, code, shown in examples():
        if heading == "Read a report":
            harbor.put("/projects/team-shop", {"metadata": {"public": "true"}})
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, f"docs/python.md, {heading}", "exec"), names)
        assert printed.getvalue() == shown, heading

    assert (tmp_path / "drift.json").is_file()


def test_every_public_name_is_documented() -> None:
    page = read("docs/python.md")

    assert {name for name in api.__all__ if not re.search(rf"\b{name}\b", page)} == set()
    assert api.__all__ == sorted(api.__all__)
