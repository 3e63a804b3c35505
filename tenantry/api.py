"""The public Python API, described in docs/python.md. All other modules may change in any release."""

from tenantry.connections import Connections
from tenantry.declared import Declaration, Team, load
from tenantry.drift import Finding, Report, detect_drift
from tenantry.drift.reports import write as write_report
from tenantry.errors import (
    DeclarationError,
    NotOurs,
    SystemRefused,
    SystemUnavailable,
    TenantryError,
)
from tenantry.onboarding import onboard
from tenantry.onboarding import plan_all as plan_teams
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems

__all__ = [
    "Change",
    "Connections",
    "Declaration",
    "DeclarationError",
    "Finding",
    "NotOurs",
    "Outcome",
    "Plan",
    "Report",
    "SystemRefused",
    "SystemUnavailable",
    "Systems",
    "Team",
    "TenantryError",
    "connect",
    "detect_drift",
    "load",
    "onboard",
    "plan_teams",
    "write_report",
]
