"""The round trip of a declared state: onboard, lose the declared state and the marks, import, adopt."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from tenantry.drift import Finding
from tenantry.importing.importer import Imported, import_state
from tenantry.importing.recognition import Recognition
from tenantry.importing.writer import write
from tests.lifecycle.site import Site, changes_by_action, files
from tests.support.unmark import remove_marks
from tests.support.varied_teams import OLD


@dataclass
class RoundTrip:
    """What a round trip found.

    Attributes:
        imported: the import.
        planned: the resources in the plan after the import, by action.
        after: the resources in the plan after the adoption, by action.
        findings: the drift after the adoption.
        files: the files of the declared state after the import.
        second: the files after a second import.
    """

    imported: Imported
    planned: dict[str, list[str]]
    after: dict[str, list[str]]
    findings: tuple[Finding, ...]
    files: dict[str, bytes]
    second: dict[str, bytes]


def lose_everything(site: Site, *, marks: bool = True) -> None:
    """Delete the declared state of onboarded teams, and all marks in the systems."""
    with site.systems() as systems:
        if marks:
            assert remove_marks(systems, site.suffix) > 0
    shutil.rmtree(site.folder)


def import_site(site: Site, groups: Mapping[str, str] | None = None) -> Imported:
    """Import the platform into the site's folder, with the grants that its teams need."""
    imported = import_state(
        site.connections,
        Recognition(patterns=("team-{team}", OLD), groups=groups or {}),
        into=site.folder,
        realm=site.realm,
        write_grants=True,
        clock=site.clock,
    )
    write(imported, site.folder)
    return imported


def travel(site: Site, groups: Mapping[str, str] | None = None, *, marks: bool = True) -> RoundTrip:
    """Make the round trip of onboarded teams.

    Args:
        site: the site.
        groups: the groups of the teams whose groups follow no pattern: a person tells the import.
        marks: delete the marks, too, not only the declared state.
    """
    lose_everything(site, marks=marks)
    imported = import_site(site, groups)
    planned = changes_by_action(site.plans())
    site.onboard()
    after = changes_by_action(site.plans())
    findings = tuple(site.drift().findings)
    before = files(site.folder)
    import_site(site, groups)
    return RoundTrip(imported, planned, after, findings, before, files(site.folder))
