"""Create or update the automations that belong to the deployments.

    python deployments/automations.py
    python deployments/automations.py --notify slack-webhook/platform-team

Run it against a new server after the flows are deployed, and again after each update. It creates no
automation twice, and leaves an automation enabled or disabled as it is.
"""

import argparse
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

HEARTBEAT = timedelta(seconds=30)
"""PREFECT_FLOWS_HEARTBEAT_FREQUENCY of the deployments in prefect.yaml."""
START = timedelta(minutes=10)
"""How long a run may take from Pending to Running: pulling an image or adding a node takes minutes."""
_OURS = {"prefect.resource.id": "prefect.tag.tenantry", "prefect.resource.role": "tag"}
_RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
_RESTARTED = ("0", "1", "2")
"""The run counts at which a crashed run is scheduled again: 0 is a crash before the first start.

A resumed run keeps its count (read and tested in Prefect 3.9.1).
"""
_RENAMED = {
    "tenantry: a crashed run is scheduled again": "tenantry: a crashed run is scheduled again, once",
    "tenantry: drift is remediated (safe only)": "tenantry: drift is mended (safe only)",
    "tenantry: drift is reported": "tenantry: drift is told of",
}
"""Automations by the name that an earlier version gave them."""
_NEEDS_NO_PROCESS = {
    "prefect.flow-run.Completed",
    "prefect.flow-run.Failed",
    # The server itself turns Cancelling into Cancelled if no process does so within 300 s.
    "prefect.flow-run.Cancelling",
    "prefect.flow-run.Cancelled",
    # Not `Crashed`: the server hands one event to several automations in turn. Where SQLite is
    # locked and this automation cannot take the event, the one that restarts would miss it, too.
    "prefect.flow-run.AwaitingRetry",
    "prefect.flow-run.Suspended",
}
"""The states in which no process is expected: the run has ended, or waits for a person or a worker."""


def automations(silence: timedelta = 3 * HEARTBEAT, start: timedelta = START) -> list[Automation]:
    """Return the automations that find and restart runs whose process died.

    Args:
        silence: a run without a heartbeat for this long is marked as crashed.
        start: a run that is Pending for this long is marked as crashed.
    """
    silent = _absence(
        "tenantry: a silent run has crashed",
        f"Marks a run as crashed after {silence.total_seconds():.0f} s without a heartbeat: if its "
        "machine died, no process is left to report it.",
        # `Running` comes from the server: a machine may die before its first heartbeat arrives.
        after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},
        expect=_NEEDS_NO_PROCESS,
        within=silence,
        message="Its heartbeat stopped.",
    )
    stuck = _absence(
        "tenantry: a run that does not start has crashed",
        f"Marks a run as crashed if it is Pending for {start.total_seconds() / 60:.0f} minutes: if "
        "its worker died before the run started, no heartbeat was ever sent.",
        after={"prefect.flow-run.Pending"},
        expect=_NEEDS_NO_PROCESS
        | {"prefect.flow-run.Running", "prefect.flow-run.AwaitingConcurrencySlot"},
        within=start,
        message="It was Pending and never started.",
    )
    again = Automation(
        name="tenantry: a crashed run is scheduled again",
        description="The next attempt finishes what is left. A run is scheduled again "
        f"{len(_RESTARTED)} times at most.",
        trigger=EventTrigger(
            match={**_RUNS, "prefect.run-count": list(_RESTARTED)},
            match_related=_OURS,
            expect={"prefect.flow-run.Crashed"},
            # Once a day for each count: a run that always dies before it starts keeps its count.
            for_each={"prefect.resource.id", "prefect.run-count"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(days=1),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="Its process died. The next attempt continues where it stopped.",
                force=True,
            )
        ],
    )
    return [silent, stuck, again]


def _absence(
    name: str,
    description: str,
    *,
    after: set[str],
    expect: set[str],
    within: timedelta,
    message: str,
) -> Automation:
    """Return an automation that marks a run as crashed if none of the expected events arrives."""
    return Automation(
        name=name,
        description=description,
        trigger=EventTrigger(
            match=_RUNS,
            match_related=_OURS,
            after=after,
            # An event that is in both sets starts the time again, for each attempt of a run.
            expect=expect | after,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)],
    )


def remediation(deployment: UUID) -> Automation:
    """Return the automation that remediates drift when it is found, by `detect-drift` with `safe`.

    It is disabled at first: the operators of the platform decide whether to remediate automatically.

    Args:
        deployment: the id of the deployment `detect-drift`.
    """
    return Automation(
        name="tenantry: drift is remediated (safe only)",
        description="Creates and updates resources that Tenantry owns where drift is found; removes "
        "nothing. A run that has remediated something does not trigger it again.",
        enabled=False,
        trigger=_drift({"tenantry.mendable": "yes", "tenantry.remediated": "no"}),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                parameters={
                    "remediate": "safe",
                    "teams": _as_json("event.payload.mendable_teams"),
                    "report_storage": _as_json("event.payload.report_storage"),
                    "platform": "{{ event.payload.platform }}",
                },
            )
        ],
    )


def notification(block: UUID) -> Automation:
    """Return the automation that notifies about new drift.

    Args:
        block: the id of a notification block's document.
    """
    return Automation(
        name="tenantry: drift is reported",
        description="Sends a message when a run finds drift that the previous run did not find.",
        trigger=_drift({"tenantry.new": "yes"}),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="Drift of {{ event.resource.name }}",
                body="{{ event.payload.summary }} {{ event.payload.new }} are new.\n"
                "{% for each in event.payload.worst %}{{ each }}\n{% endfor %}",
            )
        ],
    )


def _as_json(path: str) -> dict[str, Any]:
    """Return a parameter that is not text: a plain template would be rendered as text."""
    template = {"__prefect_kind": "jinja", "template": f"{{{{ {path} | tojson }}}}"}
    return {"__prefect_kind": "json", "value": template}


def _drift(labels: dict[str, str]) -> EventTrigger:
    """Return the trigger for each run that found drift with these labels."""
    return EventTrigger(
        match={"prefect.resource.id": "tenantry.drift", **labels},
        expect={"tenantry.drift.detected"},
        posture=Posture.Reactive,
        threshold=1,
    )


def deployment_id(name: str) -> UUID | None:
    """Return the id of a deployment; None if it does not exist."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name).id
        except ObjectNotFound:
            return None


def block_id(name: str) -> UUID:
    """Return the id of a block, named as type/name."""
    kind, _, own = name.partition("/")
    with get_client(sync_client=True) as client:
        try:
            found = client.read_block_document_by_name(own, kind)
        except ObjectNotFound:
            raise SystemExit(f"There is no block '{name}'; create it in the UI.") from None
        return found.id


def put(automation: Automation) -> None:
    """Create an automation, or update the one of that name or of its former name."""
    existing = _find(automation.name) or _find(_RENAMED.get(automation.name, automation.name))
    if existing is None:
        automation.create()
    else:
        automation.id = existing.id
        automation.enabled = existing.enabled
        automation.update()


def _find(name: str) -> Automation | None:
    """Return the automation of that name; None if the server has none."""
    try:
        # Without an event loop Prefect calls it synchronously, which its types do not show.
        return Automation.read(name=name)  # type: ignore[return-value]
    except ValueError:
        return None


def main() -> None:
    """Create or update all automations, and print their names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    text = "notification block, as type/name, that sends a message about new drift"
    parser.add_argument("--notify", metavar="BLOCK", help=text)
    notify = parser.parse_args().notify
    wanted = automations()
    if found := deployment_id("detect-drift/detect-drift"):
        wanted.append(remediation(found))
    else:
        print("detect-drift is not deployed. Deploy it and run this again to remediate drift.")
    if notify:
        wanted.append(notification(block_id(notify)))
    for automation in wanted:
        put(automation)
        print(f"{automation.name}: " + ("enabled" if automation.enabled else "disabled"))


if __name__ == "__main__":
    main()
