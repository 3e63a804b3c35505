"""Each check is explained, and none that is not there."""

from tenantry.checks import CHECKS
from tests.checks.faults import FAULTS
from tests.docs.test_docs import cells, read


def test_the_table_of_checks_has_every_check_with_all_its_columns() -> None:
    told = cells(read("docs/checks.md"))
    assert tuple(told) == CHECKS
    for name, (symptom, cause, remedy, _) in told.items():
        assert symptom, name
        assert cause, name
        assert remedy, name


def test_every_check_has_its_planted_fault() -> None:
    """Some have a test of their own: a robots' prefix breaks two Secrets, a team file no system."""
    assert {fault.check for fault in FAULTS} | {"robot prefix", "team files"} == set(CHECKS)
