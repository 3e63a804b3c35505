"""Creates or updates the automations that ship with the deployments.

    python deployments/automations.py
    python deployments/automations.py --notify slack-webhook/platform-team

Run it once against a new server after the flows are deployed, and again after an update: nothing
is made twice, and an automation that somebody switched on or off stays so.
"""

import argparse
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.states import StateType

HEARTBEAT = timedelta(seconds=30)
"""PREFECT_FLOWS_HEARTBEAT_FREQUENCY of the deployments in prefect.yaml."""
_OURS = {"prefect.resource.id": "prefect.tag.tenantry", "prefect.resource.role": "tag"}
_BLOCKS = ("declared_state", "harbor", "keycloak", "cluster")
_RUNS = {"prefect.resource.id": "prefect.flow-run.*"}


def automations(silence: timedelta = 3 * HEARTBEAT) -> list[Automation]:
    """The automations.

    Args:
        silence: a run that says nothing for so long has died with its machine.
    """
    died = Automation(
        name="tenantry: a silent run has crashed",
        description="A run whose machine died can't say so itself: after "
        f"{silence.total_seconds():.0f} s without a heartbeat it is taken for crashed.",
        trigger=EventTrigger(
            match=_RUNS,
            match_related=_OURS,
            # `Running` comes from the server: a machine may die before its first heartbeat arrives.
            after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.Cancelled",
                # Not `Crashed`: the server gives one event to both automations in turn, and where
                # SQLite is locked it can't take this one in, which would keep it from the other.
                "prefect.flow-run.AwaitingRetry",
                # It waits for a person, and no process is held.
                "prefect.flow-run.Suspended",
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name="Crashed", message="Its heartbeat stopped."
            )
        ],
    )
    again = Automation(
        name="tenantry: a crashed run is scheduled again, once",
        description="Running again finishes what is left. A run that died twice is left alone.",
        trigger=EventTrigger(
            match={**_RUNS, "prefect.run-count": "1"},
            match_related=_OURS,
            expect={"prefect.flow-run.Crashed"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="Its process died; it goes on where it was.",
                force=True,
            )
        ],
    )
    return [died, again]


def remediation(deployment: UUID) -> Automation:
    """Mends drift as soon as it is found, by a run of `detect-drift` with `safe`.

    It ships switched off: whether to mend unasked is for the platform's people to say.

    Args:
        deployment: the id of the deployment `detect-drift`.
    """
    return Automation(
        name="tenantry: drift is mended (safe only)",
        description="Creates and updates what is ours where drift is found; removes nothing. "
        "A run that has mended something does not set it off again.",
        enabled=False,
        trigger=_drift({"tenantry.mendable": "yes", "tenantry.remediated": "no"}),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                parameters={
                    "remediate": "safe",
                    "teams": _as_json("event.payload.mendable_teams"),
                    "store": _as_json("event.payload.store"),
                    **{name: f"{{{{ event.payload.{name} }}}}" for name in _BLOCKS},
                },
            )
        ],
    )


def notification(block: UUID) -> Automation:
    """Tells of drift that was not there at the run before.

    Args:
        block: the id of a notification block's document.
    """
    return Automation(
        name="tenantry: drift is told of",
        description="Sends a message when a run finds something that the run before did not.",
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
    """A parameter that is no text: rendered alone it would be, and no run be made of it."""
    template = {"__prefect_kind": "jinja", "template": f"{{{{ {path} | tojson }}}}"}
    return {"__prefect_kind": "json", "value": template}


def _drift(labels: dict[str, str]) -> EventTrigger:
    """Each run that found drift with these labels."""
    return EventTrigger(
        match={"prefect.resource.id": "tenantry.drift", **labels},
        expect={"tenantry.drift.detected"},
        posture=Posture.Reactive,
        threshold=1,
    )


def deployment_id(name: str) -> UUID | None:
    """A deployment's id; None if it is not deployed yet."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name).id
        except ObjectNotFound:
            return None


def block_id(name: str) -> UUID:
    """The id of a block, named as type/name."""
    kind, _, own = name.partition("/")
    with get_client(sync_client=True) as client:
        try:
            found = client.read_block_document_by_name(own, kind)
        except ObjectNotFound:
            raise SystemExit(f"There is no block '{name}'; create it in the UI.") from None
        return found.id


def put(automation: Automation) -> None:
    """Creates an automation, or makes the one of that name like it."""
    try:
        existing = Automation.read(name=automation.name)
    except ValueError:  # there is none
        automation.create()
    else:
        automation.id = existing.id
        automation.enabled = existing.enabled
        automation.update()


def main() -> None:
    """Puts them all in place, and says which."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    told = "notification block, as type/name, that is told of drift"
    parser.add_argument("--notify", metavar="BLOCK", help=told)
    notify = parser.parse_args().notify
    wanted = automations()
    if found := deployment_id("detect-drift/detect-drift"):
        wanted.append(remediation(found))
    else:
        print("detect-drift is not deployed yet: run this again when it is, to have drift mended")
    if notify:
        wanted.append(notification(block_id(notify)))
    for automation in wanted:
        put(automation)
        print(f"{automation.name}: in place" + ("" if automation.enabled else ", switched off"))


if __name__ == "__main__":
    main()
