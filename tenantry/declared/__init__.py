"""The declared state: the configuration of the platform and its teams, and the rules for it."""

from tenantry.declared.added_team import add_team
from tenantry.declared.changes import FieldChange
from tenantry.declared.drift import Drift, IgnoreRule
from tenantry.declared.form import read_form
from tenantry.declared.form_schema import form_schema
from tenantry.declared.harbor_project import Robot, Rotation, SecretSink
from tenantry.declared.merge import complete
from tenantry.declared.namespace import Namespace
from tenantry.declared.platform import Platform
from tenantry.declared.policy_proposal import propose_policy
from tenantry.declared.proposal import IfDeclared, Proposal
from tenantry.declared.reading import load, read
from tenantry.declared.saving import propose, save
from tenantry.declared.single_sign_on import ExternalProvider
from tenantry.declared.state import Declaration, LeftOut, Location
from tenantry.declared.team import OidcClient, Route, Team, TeamSettings

__all__ = [
    "Declaration",
    "Drift",
    "ExternalProvider",
    "FieldChange",
    "IfDeclared",
    "IgnoreRule",
    "LeftOut",
    "Location",
    "Namespace",
    "OidcClient",
    "Platform",
    "Proposal",
    "Robot",
    "Rotation",
    "Route",
    "SecretSink",
    "Team",
    "TeamSettings",
    "add_team",
    "complete",
    "form_schema",
    "load",
    "propose",
    "propose_policy",
    "read",
    "read_form",
    "save",
]
