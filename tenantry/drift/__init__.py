"""Drift detection: differences between the systems and the declared state, and their remediation."""

from tenantry.drift.detect import Detected, detect
from tenantry.drift.findings import SYSTEMS, Finding, Report, Scope, SystemName
from tenantry.drift.observations import observe
from tenantry.drift.remedy import Order, Remediate, Remedy, choose
from tenantry.drift.run import (
    Remediated,
    Remediation,
    detect_drift,
    find_drift,
    remediate,
    remediate_teams,
)

__all__ = [
    "SYSTEMS",
    "Detected",
    "Finding",
    "Order",
    "Remediate",
    "Remediated",
    "Remediation",
    "Remedy",
    "Report",
    "Scope",
    "SystemName",
    "choose",
    "detect",
    "detect_drift",
    "find_drift",
    "observe",
    "remediate",
    "remediate_teams",
]
