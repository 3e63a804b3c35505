"""The declared state: what the platform and its teams are to be, and every rule it must meet."""

from tenantry.declared.drift import Drift, IgnoreRule
from tenantry.declared.merge import complete
from tenantry.declared.platform import Platform
from tenantry.declared.reading import check_alone, load, read
from tenantry.declared.saving import declare, save_team
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.declared.state import Declaration, LeftOut, Location
from tenantry.declared.team import (
    Namespace,
    OidcClient,
    Robot,
    Rotation,
    Route,
    SecretSink,
    Team,
    TeamSettings,
)

__all__ = [
    "Declaration",
    "Drift",
    "ExternalProvider",
    "IgnoreRule",
    "LeftOut",
    "Location",
    "Namespace",
    "OidcClient",
    "Platform",
    "Robot",
    "Rotation",
    "Route",
    "SecretSink",
    "Team",
    "TeamSettings",
    "check_alone",
    "complete",
    "declare",
    "load",
    "read",
    "save_team",
]
