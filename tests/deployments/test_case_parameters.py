"""The long searches for secrets call the flows with parameters that exist.

They run for minutes and not in `make test`, so a renamed parameter would go unnoticed until they do.
"""

import inspect

import pytest

from flows.onboard import onboard_team, onboard_teams
from flows.rotate import rotate_robots
from tests.e2e import test_rotation_secrets, test_secrets
from tests.e2e.test_secrets import Case

FLOWS = {flow.name: flow for flow in (onboard_team, onboard_teams, rotate_robots)}


@pytest.mark.parametrize(
    "case",
    [*test_secrets.CASES, *test_rotation_secrets.CASES],
    ids=lambda case: f"{case.flow}: {case.name}",
)
def test_a_case_calls_its_flow_with_parameters_that_exist(case: Case) -> None:
    known = inspect.signature(FLOWS[case.flow].fn).parameters
    assert set(case.parameters) <= set(known)
