"""Checks of profiles that no team uses."""

from collections.abc import Collection, Iterator

from pydantic import ValidationError

from tenantry.declared import rules
from tenantry.declared.faults import Document, Place, explain
from tenantry.declared.merge import complete
from tenantry.declared.platform import Platform
from tenantry.declared.salvage import is_consequence
from tenantry.declared.state import Documents
from tenantry.declared.team import Team

PLACEHOLDER_NAME = "a"
"""The name used to check a team whose file gives no name: short enough to pass length rules."""


def check_profile(
    platform: Platform, file: Document, profile: str, left_out: Collection[Place]
) -> Iterator[str]:
    """Yield the faults of a team that declares only a profile, each as `file:line: field: …`.

    Args:
        platform: the platform.
        file: the platform's file.
        profile: the profile.
        left_out: the team fields whose defaults are faulty, and therefore unknown.
    """
    team_file = Document("", {})
    note = f"(no team uses profile '{profile}' yet)"
    try:
        team = complete(platform, Team(name=PLACEHOLDER_NAME, profile=profile))
    except ValidationError as error:
        for fault in explain(error, Team, team_file):
            yield file.fault(("profiles", profile), f"{fault.removeprefix(':1: ')} {note}")
        return
    layers = (("profiles", profile), ("defaults",))

    def is_given(place: Place) -> bool:
        return any(file.has((*layer, *place)) for layer in layers)

    for place, text in (*rules.check_team(team), *rules.check_on_platform(platform, team)):
        found, at = Documents(file, {}).layer(team_file, place, profile)
        if found is file and not is_consequence(place, left_out, is_given):
            yield file.fault(at, f"{text} {note}")
