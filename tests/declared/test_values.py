"""Values that a system would accept or refuse: `validate` on the table of cases."""

from pathlib import Path

import pytest

from tenantry import declared
from tenantry.declared.types import storage_bytes
from tenantry.errors import DeclarationError
from tests.declared.cases import ALL
from tests.declared.making import Case
from tests.support.harness import write


@pytest.mark.demand(
    "reality", "values, {case.kind}: what the systems refuse is refused first, and nothing else"
)
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.kind}-{case.id}")
def test_values_that_the_systems_refuse_are_refused_first_and_no_others(
    case: Case, tmp_path: Path
) -> None:
    folder = write(tmp_path, {"name": "shop", **case.content})
    if case.fault is None:
        state = declared.load(folder)
        assert list(state.teams) == ["shop"]
        warnings = [warning.partition(": ")[2] for warning in state.warnings]
        assert len(warnings) == bool(case.warning), warnings
        assert all(warning.startswith(case.warning) for warning in warnings), warnings
        return
    with pytest.raises(DeclarationError) as refused:
        declared.load(folder)
    [fault] = refused.value.faults
    where, _, said = fault.partition(": ")
    assert where.startswith("teams/shop.yaml:"), fault
    assert said.startswith(case.fault), fault


def test_an_unlimited_quota_is_harbors_number_for_no_limit() -> None:
    assert [storage_bytes(value) for value in ("unlimited", "1Ki")] == [-1, 1024]
