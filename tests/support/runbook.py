"""Reads the steps of the runbook of migrations from its page, and carries them out."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tenantry.files import FolderStore
from tenantry.migration import journal
from tests.support.approvals import wait_for_approval
from tests.support.flow_harness import kill_run

PAGE = Path(__file__).parents[2] / "docs" / "migrate.md"
GAP = "\0"
"""Stands for a value in a text."""


@dataclass(frozen=True)
class Step:
    """A run of a deployment, as the page describes it."""

    name: str
    deployment: str
    parameters: dict[str, Any]
    result: str
    """The message of the run; `<…>` stands for a value."""
    approval: str = ""
    """A sentence that the approval shows, if the run asks for one."""
    then: str = ""
    """The users who log in afterwards."""


def read_steps(part: str = "") -> list[Step]:
    """Return the page's steps, or those of a part: `A`, `C` or `back`."""
    blocks = re.findall(r"^```yaml run\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    found = [dict(YAML(typ="safe", pure=True).load(block)) for block in blocks]
    steps = [Step(name=each.pop("step"), **each) for each in found]
    return [step for step in steps if step.name.startswith(part)]


def template(text: str) -> str:
    """Return a text of the page with a gap for each of its values."""
    return re.sub(r"<[^<>]+>", GAP, " ".join(text.split()))


def is_said(wanted: str, text: str) -> bool:
    """Return whether a text equals a text of the page, apart from its values."""
    parts = [re.escape(part) for part in template(wanted).split(GAP)]
    return re.fullmatch(".+?".join(parts), text, re.DOTALL) is not None


@dataclass
class Operator:
    """A person who follows the page, and replaces only the names in it.

    Attributes:
        flows: Starts runs, and approves them.
        store: The store of the migration's journal.
        values: The value here of each example value on the page, such as the pilot's name.
        log_in: Logs users in to Harbor, given their names and the message of the step's run.
        names: All users who are moved; the first is the pilot.
        messages: The message of each step's run.
    """

    flows: Any
    store: FolderStore
    values: dict[str, str]
    log_in: Callable[[list[str], str], None]
    names: list[str]
    overrides: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def follow(self, part: str, *, kill_at: str = "", until: str = "") -> None:
        """Carry out the steps of a part of the page.

        Args:
            part: `A`, `C` or `back`.
            kill_at: The step whose run is killed between two waves.
            until: The last step to carry out; all if empty.
        """
        for step in read_steps(part):
            short = step.name.partition(",")[0]
            self.messages[short] = self._run(step, kill=short == kill_at)
            if step.then:
                pilot = step.then == "the pilot logs in"
                assert pilot or step.then == "everyone logs in", step.then
                self.log_in(self.names[:1] if pilot else self.names, self.messages[short])
            if short == until:
                return

    def _run(self, step: Step, *, kill: bool) -> str:
        platform = self.flows.platform
        before = self._waves_done()
        id = self.flows.start(step.deployment.removesuffix("-migration"), **self._given(step))
        if step.approval:
            asked = wait_for_approval(self.flows, id)
            shown = " ".join(asked.description.replace("\\", "").split())
            wanted = [re.escape(part) for part in template(step.approval).split(GAP)]
            assert re.search(".+?".join(wanted), shown), f"{step.name}: {shown}"
            self.flows.resume(id, asked.plan)
        runs = 0
        if kill:
            self._kill_between_waves(id, before)
            runs = platform.flow_run(id)["run_count"] - 1
        if kill:  # a crashed run is scheduled again by an automation
            platform.wait_for(lambda: platform.flow_run(id)["run_count"] > runs + 1, seconds=180)
        run = platform.wait_for_run(id, seconds=300)
        text = str(run["state"]["message"])
        assert run["state_type"] == "COMPLETED", f"{step.name}: {text}"
        assert is_said(step.result, " ".join(text.split())), f"{step.name}: {text}"
        return text

    def _given(self, step: Step) -> dict[str, Any]:
        """Return the parameters of a step, with example values replaced."""

        def named(value: Any) -> Any:
            if isinstance(value, list):
                return [named(each) for each in value]
            return self.values.get(value, value) if isinstance(value, str) else value

        more = self.overrides if step.deployment == "plan-migration" else {}
        return {name: named(value) for name, value in step.parameters.items()} | more

    def _waves_done(self) -> int:
        entry = journal.read(self.store)
        return entry.waves_done if entry else 0

    def _kill_between_waves(self, id: str, before: int) -> None:
        deadline = time.monotonic() + 180
        while self._waves_done() == before:
            assert time.monotonic() < deadline, "no wave was done"
            time.sleep(0.01)
        kill_run(id)
