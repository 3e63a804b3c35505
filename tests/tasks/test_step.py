"""The tasks that run the steps of a walk."""

from prefect._internal.engine import resolve_custom_task_run_name

from tasks.step import _step_of


def test_a_name_with_braces_is_not_a_template() -> None:
    """A step is named after a team, whose name can come from a mark in a system."""
    task = _step_of("remediate {team.name}{}", lambda retry: None)._task

    assert resolve_custom_task_run_name(task, {}) == "remediate {team.name}{}"
