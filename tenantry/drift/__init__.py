"""Drift: what of the systems is not as declared, told to people and mended where told to."""

from tenantry.drift.detect import Detected, detect, detect_drift
from tenantry.drift.findings import SYSTEMS, Finding, Report, Scope, SystemName
from tenantry.drift.observations import observe
from tenantry.drift.remedy import Mended, Order, Remediate, Remedy, choose, mend

__all__ = [
    "SYSTEMS",
    "Detected",
    "Finding",
    "Mended",
    "Order",
    "Remediate",
    "Remedy",
    "Report",
    "Scope",
    "SystemName",
    "choose",
    "detect",
    "detect_drift",
    "mend",
    "observe",
]
