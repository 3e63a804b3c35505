"""The events that the flows emit through Prefect, for automations and other programs."""

from typing import NamedTuple


class Event(NamedTuple):
    """An event, as the reference describes it. The texts are Markdown.

    Attributes:
        name: The name of the event.
        resource: The id of its resource.
        flows: The deployments whose runs emit it; empty for every flow that writes.
        when: When it is emitted, and what its payload has.
    """

    name: str
    resource: str
    flows: tuple[str, ...]
    when: str


DRIFT_DETECTED = "tenantry.drift.detected"
DRIFT_CLEARED = "tenantry.drift.cleared"
ROBOT_ROTATED = "tenantry.robot.rotated"
ROTATION_FAILED = "tenantry.robot.rotation_failed"
LOCK_TAKEN = "tenantry.lock.taken"

EVENTS = (
    Event(
        DRIFT_DETECTED,
        "`tenantry.team.<name>`, or `tenantry.platform` for resources of no team",
        ("detect-drift",),
        "In each run in which the team has findings. The payload has the counts by class and "
        "severity, and the resources.",
    ),
    Event(
        DRIFT_CLEARED,
        "`tenantry.team.<name>` or `tenantry.platform`",
        ("detect-drift",),
        "The team has no findings, and had some in the previous run, or before this run remediated "
        "them.",
    ),
    Event(
        DRIFT_DETECTED,
        "`tenantry.drift`",
        ("detect-drift",),
        "Once in each run with findings, for automations: the summary, the teams, the teams that can "
        "be remediated, and the names of the run's blocks.",
    ),
    Event(
        ROBOT_ROTATED,
        "`tenantry.robot.<team>.<purpose>`",
        ("rotate-robots",),
        "A credential was rotated. The payload has the robot that is published now, the reason, and "
        "until when the old one works.",
    ),
    Event(
        ROTATION_FAILED,
        "`tenantry.robot.<team>.<purpose>`",
        ("rotate-robots",),
        "A credential could not be rotated. The payload has the reason.",
    ),
    Event(
        LOCK_TAKEN,
        "`tenantry.lock.<lease>`",
        (),
        "A run has taken locks. The related resources with the role `lock` are the concurrency limits, "
        "such as `tenantry.team-shop`.",
    ),
)
"""All events."""
