"""Waits for the approval form of a suspended run, and answers it through the API."""

import json
from typing import Any, NamedTuple

import httpx

from demo.processes import LocalPlatform


class ApprovalForm(NamedTuple):
    """The approval form of a suspended run."""

    description: str
    schema: dict[str, Any]
    keyset: dict[str, str]

    @property
    def plan(self) -> str:
        """The hash of the plan to approve."""
        return str(self.schema["properties"]["plan"]["default"])


def wait_for_approval(bench: Any, id: str) -> ApprovalForm:
    """Wait until a run is suspended, and return its approval form."""
    platform: LocalPlatform = bench.platform
    platform.wait_for(lambda: platform.flow_run(id)["state_type"] == "PAUSED")
    keyset = platform.flow_run(id)["state"]["state_details"]["run_input_keyset"]
    form: list[Any] = []

    def is_stored() -> bool:
        """Return whether the form and its text are stored, which is after the state is set."""
        try:
            form[:] = [
                platform.call("GET", f"flow_runs/{id}/input/{keyset[part]}")
                for part in ("schema", "description")
            ]
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
        return bool(form)

    platform.wait_for(is_stored)
    schema, described = form
    schema = schema if isinstance(schema, dict) else json.loads(schema)
    return ApprovalForm(str(described), schema, keyset)


def next_approval(bench: Any, id: str, before: ApprovalForm) -> ApprovalForm:
    """Wait until a run has another approval form than this one, and return it."""
    bench.platform.wait_for(
        lambda: (
            bench.platform.flow_run(id)["state_type"] == "PAUSED"
            and wait_for_approval(bench, id).keyset != before.keyset
        )
    )
    return wait_for_approval(bench, id)


def answer(
    bench: Any, id: str, *, approve: bool, plan: str | None = None, your_name: str = ""
) -> str:
    """Answer a run's approval form, and return the hash of the plan in it."""
    asked = wait_for_approval(bench, id).plan
    given = {"approve": approve, "plan": asked if plan is None else plan, "your_name": your_name}
    answered = bench.platform.call("POST", f"flow_runs/{id}/resume", {"run_input": given})
    assert answered["status"] == "ACCEPT", answered
    return asked
