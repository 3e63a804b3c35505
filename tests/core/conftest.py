"""The demand that these tests prove together, and the command line."""

import os
import sys

import pytest

from tenantry import cli
from tests.support.command_line import Run
from tests.support.demands import mark_folder


def pytest_itemcollected(item: pytest.Item) -> None:
    mark_folder(item, "reality", "all of tests/declared, tests/core, tests/systems, and user files")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_waiting: None
) -> Run:
    """Return a function that runs `tenantry` and returns its exit status, output and errors."""
    for name in list(os.environ):
        if name.startswith(("TENANTRY_", "KUBERNETES_SERVICE")):
            monkeypatch.delenv(name)

    def run(*arguments: object, **variables: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tenantry", *map(str, arguments)])
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code or 0, out, err  # type: ignore[return-value]

    return run
