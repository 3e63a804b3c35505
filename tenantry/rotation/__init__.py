"""Rotation: replaces the credentials of robots without a failed pull or push.

Each purpose has a pair of robots. A rotation re-creates the robot that is not in use, tests it, and
publishes its credential in place of the old one. The old robot keeps working until all clients have
loaded the new credential. Then it is disabled, and later deleted.
"""

from tenantry.rotation.assess import Outcome, assess
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.left_out import left_out_teams
from tenantry.rotation.observe import observe
from tenantry.rotation.pair import Pair, Unread
from tenantry.rotation.run import RotationRun, choose, rotate
from tenantry.rotation.sinks import Sink

__all__ = [
    "Outcome",
    "Pair",
    "RotationRequest",
    "RotationRun",
    "Sink",
    "Unread",
    "assess",
    "choose",
    "left_out_teams",
    "observe",
    "rotate",
]
