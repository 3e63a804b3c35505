"""Creates or updates the automations that ship with the deployments.

    python deployments/automations.py

Run it once against a new server, and again after an update: nothing is made twice.
"""

from datetime import timedelta

from prefect.automations import Automation
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.states import StateType

HEARTBEAT = timedelta(seconds=30)
"""PREFECT_FLOWS_HEARTBEAT_FREQUENCY of the deployments in prefect.yaml."""
_OURS = {"prefect.resource.id": "prefect.tag.tenantry", "prefect.resource.role": "tag"}
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
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.Cancelled",
                "prefect.flow-run.Crashed",
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


def put(automation: Automation) -> None:
    """Creates an automation, or makes the one of that name like it."""
    try:
        existing = Automation.read(name=automation.name)
    except ValueError:  # there is none
        automation.create()
    else:
        automation.id = existing.id
        automation.update()


if __name__ == "__main__":
    for automation in automations():
        put(automation)
        print(f"{automation.name}: in place")
