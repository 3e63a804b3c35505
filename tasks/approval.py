"""A person's approval of a plan, asked for in the same form by every flow.

The run is suspended meanwhile, not paused: no process waits with it, and it starts from its
beginning when it is answered. Read in Prefect 3.9.1: a paused run of a deployment with a concurrency
limit gives its slot back, and its process is ended within four minutes, when it cannot renew the
lease of the slot.
"""

from collections.abc import Sequence
from typing import Any, cast

from prefect import get_run_logger
from prefect.flow_runs import suspend_flow_run
from prefect.input import (
    RunInput,
    create_flow_run_input,
    delete_flow_run_input,
    read_flow_run_input,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tasks.prefect_api import needed
from tenantry.errors import TenantryError
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
    """A person refused a plan, or approved another one."""


def bullets(changes: Sequence[Change]) -> Markdown:
    """Return changes as a list: the UI's dialog is too narrow for a table of them."""
    lines = [
        markdown("- **{}** {} {} {}", each.action, *each.id.parts) for each in changes[:_SHOWN]
    ]
    more = len(changes) - len(lines)
    return joined("\n", lines + [markdown("- … and {} more", more)] * (more > 0))


def require_approval(question: Markdown, plan: str, *, patience: int = DAY) -> str:
    """Return who approved a plan; suspend the run if no person has answered yet.

    The flow must come here again with the same plan after it was resumed. If the plan is another
    one by then, it is asked for again.

    Args:
        question: what the plan does.
        plan: the plan's hash. Only an answer that names it counts.
        patience: seconds in which an answer is accepted.

    Returns:
        The name of the person, or a stand-in for it.

    Raises:
        NotApproved: the plan is not approved, and why.
        Pause: of Prefect's, to end the process until a person answers.
    """
    days = count(patience // DAY, "day")
    get_run_logger().info(
        "Plan %s waits for an approval, for %s: open this run in the UI and choose Resume, in the "
        "menu at the top right.",
        plan,
        days,
    )
    text = markdown("{}\n\nPlan {}. It can be approved within {}.", question, code(plan), days)
    form = _form(plan).with_initial_data(description=text)
    try:
        with needed("suspend the flow run"):
            key = f"approve-{plan[:12]}"
            answer = suspend_flow_run(wait_for_input=form, timeout=patience, key=key)
    except RuntimeError as error:
        raise NotApproved(
            f"The plan needs an approval, and this run cannot be suspended: {error} Start it as a "
            "run of its deployment."
        ) from None
    return _check(answer, plan)


def remember(key: str, value: dict[str, Any]) -> None:
    """Keep a value with the run, for the process that goes on if this one dies.

    Raises:
        SystemUnavailable, SystemRefused: Prefect's API did not take it.
    """
    with needed("keep an approval with the flow run"):
        if read_flow_run_input(key) is not None:
            delete_flow_run_input(key)
        create_flow_run_input(key, value)


def recall(key: str) -> dict[str, Any] | None:
    """Return what an earlier process of the run kept; None if it kept nothing.

    Raises:
        SystemUnavailable, SystemRefused: Prefect's API did not give it.
    """
    with needed("read the approval that the flow run has"):
        return cast(dict[str, Any] | None, read_flow_run_input(key))


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
