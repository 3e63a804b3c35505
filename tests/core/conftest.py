"""The demand that these tests prove together."""

import pytest

from tests.support.demands import mark_folder


def pytest_itemcollected(item: pytest.Item) -> None:
    mark_folder(item, "reality", "all of tests/declared, tests/core, tests/systems, and user files")
