"""A person's approval of a plan, asked for in the same form by every flow."""

from typing import Any

from prefect import get_run_logger
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tenantry.errors import TenantryError
from tenantry.wording import count

HOUR = 3600
_LONGEST_NAME = 200


def _plan(value: str) -> Any:
    return Field(
        default=value,
        title="Plan",
        description="The hash of the plan that you approve. Leave it as it is: an approval of "
        "another plan is refused.",
    )


class Approval(RunInput):
    """The form that a person fills in before a run deletes or moves anything."""

    approve: bool = Field(
        default=False,
        title="Approve",
        description="Carry out the plan above. If this is off, the plan is refused.",
    )
    plan: str = _plan("")
    your_name: str = Field(
        default="",
        title="Your name",
        description="Who approves or refuses, for the log. Prefect does not verify it.",
    )


class _Answer(BaseModel):
    """An answer with all its rules: what comes by the API may have been made by a program."""

    model_config = ConfigDict(strict=True)

    approve: bool
    plan: str = Field(min_length=1, max_length=100)
    your_name: str = Field(default="", max_length=_LONGEST_NAME)


class NotApproved(TenantryError):
    """A person refused a plan, approved another one, or did not answer in time."""


def require_approval(
    question: str, plan: str, *, key: str, patience: int = HOUR, suspend: bool = False
) -> str:
    """Wait until a person approves a plan in the UI or by the API.

    Args:
        question: what the plan does, as Markdown.
        plan: the plan's hash. Only an answer that names it counts.
        key: names the question within the run; another plan needs another key, so that an answer
            to the first question does not count for the second.
        patience: seconds to wait.
        suspend: end the process meanwhile. The run starts from its beginning when it is resumed.

    Returns:
        The name of the person, or a stand-in for it.

    Raises:
        NotApproved: the plan is not approved, and why.
    """
    text = f"{question}\n\nPlan `{plan}`. The run waits {_duration(patience)} for an answer."
    form = _form(plan).with_initial_data(description=text)
    wait: Any = suspend_flow_run if suspend else pause_flow_run
    try:
        answer = wait(wait_for_input=form, timeout=patience, key=key)
    except FlowPauseTimeout:
        raise NotApproved(
            f"No one answered within {_duration(patience)}: plan {plan} was not carried out. Start "
            "the run again to ask again."
        ) from None
    return _check(answer, plan)


def _form(plan: str) -> type[Approval]:
    """Return the form with a plan's hash filled in.

    Read in Prefect 3.9.1: `with_initial_data` loses the descriptions of fields that it fills in.
    """
    return create_model("Approval", __base__=Approval, plan=(str, _plan(plan)))


def _check(answer: Any, plan: str) -> str:
    """Return who approved the plan.

    Raises:
        NotApproved: this answer does not approve it.
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
            f"The answer is not valid ({faults}): plan {plan} was not carried out."
        ) from None
    name = " ".join(valid.your_name.split())
    if not valid.approve:
        raise NotApproved(f"{name or 'Someone'} refused plan {plan}: it was not carried out.")
    if valid.plan != plan:
        raise NotApproved(
            f"The answer approves plan {valid.plan}, and the present plan is {plan}: it was not "
            "carried out. Start the run again, and approve the plan that it shows."
        )
    get_run_logger().info("%s approved plan %s.", name or "Someone", plan)
    return name or "someone in the UI"


def _duration(seconds: int) -> str:
    days, minutes = seconds // 86400, seconds // 60
    return count(days, "day") if days else count(minutes, "minute")
