"""A simulated Harbor 2.15.2. app.py describes what it simulates."""

from tenantry.sandbox.harbor.access import ADMIN, ADMIN_PASSWORD
from tenantry.sandbox.harbor.app import SimulatedHarbor
from tenantry.sandbox.harbor.model import Group, Member, Permission, Project, Quota, Robot, User
from tenantry.sandbox.harbor.wire import Refusal

__all__ = [
    "ADMIN",
    "ADMIN_PASSWORD",
    "Group",
    "Member",
    "Permission",
    "Project",
    "Quota",
    "Refusal",
    "Robot",
    "SimulatedHarbor",
    "User",
]
