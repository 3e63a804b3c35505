"""The declared state: what the platform and its teams are to be, and every rule it must meet."""

from tenantry.declared.platform import Platform
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.declared.state import (
    Declaration,
    check_alone,
    complete,
    declare,
    load,
    save_team,
)
from tenantry.declared.team import Namespace, OidcClient, Robot, Route, Team, TeamSettings

__all__ = [
    "Declaration",
    "ExternalProvider",
    "Namespace",
    "OidcClient",
    "Platform",
    "Robot",
    "Route",
    "Team",
    "TeamSettings",
    "check_alone",
    "complete",
    "declare",
    "load",
    "save_team",
]
