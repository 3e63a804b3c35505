"""Runs pytest for some of the tests of its arguments' files: `python runner.py FILE [ARGUMENT …]`.

FILE lists the ids of the tests to run, one a line. Naming the tests on the command line instead would
be an error where a mutant changes with which parameters a test is collected.
"""

import sys
from pathlib import Path

import pytest


class Only:
    """A plugin that deselects all tests but some."""

    def __init__(self, ids: set[str]) -> None:
        self._ids = ids

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep the tests with these ids."""
        config.hook.pytest_deselected(
            items=[item for item in items if item.nodeid not in self._ids]
        )
        items[:] = [item for item in items if item.nodeid in self._ids]


if __name__ == "__main__":
    listed, *arguments = sys.argv[1:]
    wanted = set(Path(listed).read_text(encoding="utf-8").splitlines())
    sys.exit(pytest.main(arguments, plugins=[Only(wanted)]))
