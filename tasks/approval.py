"""The approval of a plan by a user, in the same form in all flows.

Until the user answers, the run is suspended, not paused: no process waits, and the run starts from its
beginning after the answer. Read in Prefect 3.9.1: a paused run of a deployment with a concurrency
limit returns its slot, and its process is terminated within four minutes, when it cannot renew the
lease of the slot.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import suspend_flow_run
from prefect.input import (
    RunInput,
    create_flow_run_input,
    delete_flow_run_input,
    read_flow_run_input,
)
from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tasks.prefect_api import needed
from tenantry.outcomes import NotApproved
from tenantry.plan import Change
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count

DAY = 24 * 3600
_LONGEST_NAME = 200
_SHOWN = 100


def _plan(value: str) -> Any:
    return Field(
        default=value,
        title="Plan",
        description="The hash of the plan that you approve. Do not change it: an approval of "
        "another plan is rejected.",
    )


class Approval(RunInput):
    """The form that a user fills in before a run deletes or moves anything."""

    approve: bool = Field(
        default=False,
        title="Approve",
        description="Apply the plan above. If this is off, the plan is rejected.",
    )
    plan: str = _plan("")
    your_name: str = Field(
        default="",
        title="Your name",
        description="The name of the user who approves or rejects, for the log. Prefect does not "
        "verify it.",
    )


class _Answer(BaseModel):
    """The validation of an answer: a program may have sent it through the API."""

    model_config = ConfigDict(strict=True)

    approve: bool
    plan: str = Field(min_length=1, max_length=100)
    your_name: str = Field(default="", max_length=_LONGEST_NAME)


def bullets(changes: Sequence[Change]) -> Markdown:
    """Return the changes as a list: the dialog of the UI is too narrow for a table."""
    lines = [
        markdown("- **{}** {} {} {}", each.action, *each.id.parts) for each in changes[:_SHOWN]
    ]
    more = len(changes) - len(lines)
    return joined("\n", lines + [markdown("- … and {} more", more)] * (more > 0))


def request_approval(question: Markdown, plan: str, *, patience: int = DAY) -> str:
    """Return the user who approved a plan; suspend the run if there is no answer yet.

    After the run is resumed, the flow must call this function again with its current plan. If the plan
    has changed, the run is suspended again.

    Args:
        question: the effects of the plan.
        plan: the hash of the plan. Only an answer with this hash is valid.
        patience: seconds in which an answer is accepted.

    Returns:
        The name of the user, or a placeholder if the answer has no name.

    Raises:
        NotApproved: the plan is not approved, and why.
        Pause: raised by Prefect to end the process until a user answers.
    """
    days = count(patience // DAY, "day")
    get_run_logger().info(
        "Plan %s needs an approval within %s. Open this run in the UI and choose Resume in the "
        "menu at the top right.",
        plan,
        days,
    )
    text = markdown(
        "To apply plan {}, turn on *Approve* below. Otherwise it is rejected. It can be approved within "
        "{}.\n\n{}",
        code(plan),
        days,
        question,
    )
    form = _form(plan).with_initial_data(description=text)
    try:
        with needed("suspend the flow run"):
            answer = suspend_flow_run(wait_for_input=form, timeout=patience, key=_key(plan))
    except RuntimeError as error:
        raise NotApproved(
            f"The plan needs an approval, and this run cannot be suspended: {error} Start it as a "
            "run of its deployment."
        ) from None
    return _check(answer, plan)


def remember(key: str, value: dict[str, Any]) -> None:
    """Store a value with the flow run, for the next process if this one is terminated.

    Raises:
        SystemUnavailable, SystemRefused: Prefect's API did not store it.
    """
    with needed("store a value with the flow run"):
        if read_flow_run_input(key) is not None:
            delete_flow_run_input(key)
        create_flow_run_input(key, value)


def recall(key: str) -> dict[str, Any] | None:
    """Return the value that an earlier process stored with the flow run; None if there is none.

    Raises:
        SystemUnavailable, SystemRefused: Prefect's API did not return it.
    """
    with needed("read a value of the flow run"):
        return cast(dict[str, Any] | None, read_flow_run_input(key))


def find_waiting(plan: str) -> str | None:
    """Return the name of another run of this flow that already waits for the approval of a plan.

    A schedule starts runs while an earlier one waits. They must not ask for the same approval.

    Raises:
        SystemUnavailable, SystemRefused: Prefect's API did not answer.
    """
    with needed("read the suspended runs"), get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[str(flow_run.flow_name)])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
            ),
        )
    for run in found:
        details = run.state.state_details if run.state else None
        if details is None or str(run.id) == flow_run.id or details.pause_key != _key(plan):
            continue
        if details.pause_timeout is None or details.pause_timeout > datetime.now(UTC):
            return run.name
    return None


def _key(plan: str) -> str:
    return f"approve-{plan[:12]}"


def _form(plan: str) -> type[Approval]:
    """Return the form with the hash of a plan filled in.

    Read in Prefect 3.9.1: `with_initial_data` drops the descriptions of the fields that it fills in.
    """
    return create_model("Approval", __base__=Approval, plan=(str, _plan(plan)))


def _check(answer: Any, plan: str) -> str:
    """Return the user who approved the plan.

    Raises:
        NotApproved: the answer does not approve it.
    """
    given = answer.model_dump(exclude_unset=True) if isinstance(answer, BaseModel) else {}
    try:
        valid = _Answer.model_validate(
            {k: v for k, v in given.items() if k in _Answer.model_fields}
        )
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False)
        )
        raise NotApproved(
            f"The answer is not valid ({faults}): plan {plan} was not applied."
        ) from None
    name = " ".join(valid.your_name.split())
    if not valid.approve:
        raise NotApproved(f"{name or 'Someone'} rejected plan {plan}: it was not applied.")
    if valid.plan != plan:
        raise NotApproved(
            f"The answer approves plan {valid.plan}, but the current plan is {plan}: it was not "
            "applied. Start the run again, and approve the plan that it shows."
        )
    get_run_logger().info("%s approved plan %s.", name or "Someone", plan)
    return name or "someone in the UI"
