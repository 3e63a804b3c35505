"""Runs every command of the tutorial in its order, and compares the output with the page."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import ROOT, Process
from tests.docs.test_docs import read
from tests.docs.test_site import copy_of_checkout
from tests.support.demands import Figure

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("prefect"),
]

PAGE = "docs/tutorial.md"
STEP = re.compile(
    r"^```shell\n(?P<commands>.*?)^```$(?:(?:(?!^```).)*?^```text\n(?P<output>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
READY = "Everything runs until you press Ctrl-C."
SECONDS = 1200.0


def steps() -> Iterator[tuple[str, list[str]]]:
    """Yield each block of commands with the lines that its output must contain."""
    for found in STEP.finditer(read(PAGE)):
        yield found["commands"], (found["output"] or "").splitlines()


class Terminal:
    """A shell in a checkout: variables that a block exports are kept for the next one."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "TENANTRY_", "VIRTUAL_ENV", "KUBECONFIG"))
        }
        self._env |= {"PREFECT_HOME": str(checkout / "prefect"), "COLUMNS": "200"}

    def start(self, command: str) -> Process:
        """Start a command that keeps running."""
        log = self._checkout / "demo.log"
        words = ["bash", "-c", f"exec {command}"]
        return Process(command, words, self._env, log, cwd=self._checkout)

    def run(self, block: str) -> str:
        """Run a block, check the status that its last line names, and return the output."""
        named = re.search(r"# ends with status (\d+)\n$", block)
        after = self._checkout / "environment"
        script = f"trap 'env -0 > {after}' EXIT\nset -euo pipefail\nset +u\n{block}"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._env,
            cwd=self._checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == int(named[1] if named else 0), f"{block}\n{output}"
        pairs = (entry.partition("=") for entry in after.read_text().split("\0") if entry)
        self._env = {name: value for name, _, value in pairs}
        return output


@pytest.mark.demand(
    "operate",
    "documentation: every command of the tutorial works, from nothing to drift remediated",
)
def test_each_command_works_in_the_order_of_the_page(tmp_path: Path, figure: Figure) -> None:
    checkout = copy_of_checkout(tmp_path)
    (checkout / ".venv").symlink_to(ROOT / ".venv")  # so that `make setup` has nothing to do
    terminal = Terminal(checkout)
    demo: Process | None = None
    began, count = time.monotonic(), 0
    try:
        for block, expected in steps():
            count += len([line for line in block.splitlines() if re.match(r"[a-z.]", line)])
            if block.startswith("make demo"):
                demo = terminal.start(block.strip())
                wait_until_ready(demo)
                output = demo.log.read_text()
            else:
                output = terminal.run(block)
            for line in expected:
                assert line in output, f"{block}\ndoes not print {line!r}, but:\n{output}"
    finally:
        if demo:
            demo.stop()
    assert not (checkout / ".demo" / "env.sh").exists()
    figure(f"{count} commands, {time.monotonic() - began:.0f} s")


def wait_until_ready(demo: Process) -> None:
    deadline = time.monotonic() + SECONDS
    while READY not in demo.log.read_text(errors="replace"):
        demo.check()
        assert time.monotonic() < deadline, demo.log.read_text()
        time.sleep(0.5)


def test_the_tutorial_is_a_whole_walk() -> None:
    """The commands that a reader must not miss are on the page, in this order."""
    commands = "\n".join(block for block, _ in steps())
    walk = ["make setup", "make demo", "tenantry validate", "tenantry plan", "onboard-teams"]
    walk += ["curl", "tenantry drift", "remediate=safe", "tenantry drift"]
    place = 0
    for each in walk:
        place = commands.find(each, place)
        assert place >= 0, each
        place += len(each)
