"""The documentation explains exactly the existing checks."""

import pytest

from tenantry.checks import CHECKS
from tests.checks import test_checks
from tests.checks.faults import FAULTS, OWN_TESTS
from tests.docs.test_docs import cells, read

pytestmark = [
    pytest.mark.demand("platform", "docs/checks.md explains each check"),
    pytest.mark.demand("platform", "all tests of the checks"),
]


def test_the_table_of_checks_has_every_check_with_all_its_columns() -> None:
    documented = cells(read("docs/checks.md"))
    assert tuple(documented) == CHECKS
    for name, (symptom, cause, remedy, _) in documented.items():
        assert symptom, name
        assert cause, name
        assert remedy, name


def test_every_check_has_its_planted_fault() -> None:
    assert {fault.check for fault in FAULTS} | set(OWN_TESTS) == set(CHECKS)
    assert all(hasattr(test_checks, name) for name in OWN_TESTS.values())
