"""Rotation: robots' credentials are exchanged so that no pull and no push fails.

Two robots take turns. The new one is made, tested, and put where the old one's credential was;
the old one serves on until everybody has read the new one, and is then disabled, later deleted.
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
