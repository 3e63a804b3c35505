"""The intent mark: a team's namespace records the owner of its Harbor project.

Harbor's projects have no place for a mark.
"""

from collections.abc import Callable, Iterator

from tenantry.declared import Team
from tenantry.marks import MARK, Intent, parse
from tenantry.resources import Id, Live, Observed, get_path
from tenantry.systems.harbor import kinds as harbor_kinds
from tenantry.systems.kubernetes import kinds

PROJECT = "tenantry.io/harbor-project"
"""Annotation: the name of the Harbor project that Tenantry created, or was about to create."""
PROJECT_ADOPTED = "tenantry.io/harbor-project-adopted"
"""Annotation: the project existed before, and was adopted."""


def project_intent(team: Team, observed: Observed) -> Intent | None:
    """Return the intent mark of a team's namespace; None if it has none."""
    if _annotation(team, observed, PROJECT) != team.project:
        return None
    is_certain = parse(_annotation(team, observed, MARK)) is not None
    adopted = _annotation(team, observed, PROJECT_ADOPTED)
    return Intent("adopted" if adopted else "created", is_certain)


def recorded_project(team: Team, observed: Observed) -> str | None:
    """Return the project that a team's namespace records; None if it records none."""
    return _annotation(team, observed, PROJECT)


def recorded_projects(observed: Observed) -> Iterator[str]:
    """Yield the projects that the observed namespaces with Tenantry's mark record."""
    for id, live in observed.live.items():
        if id.kind == kinds.NAMESPACE and live.ours:
            project = get_path(live.fields, ("metadata", "annotations", PROJECT))
            if project is not None:
                yield str(project)


def intent_annotations(
    team: Team, observed: Observed, adopts_project: Callable[[Team, Observed], bool]
) -> dict[str, str]:
    """Return the annotations of the intent mark.

    The mark is written if the project does not exist yet, if it is Tenantry's already, or if the
    declared state adopts it.

    Args:
        team: the team.
        observed: what was observed of it.
        adopts_project: returns whether the team's plan adopts the project.
    """
    project = Id(harbor_kinds.PROJECT, team.project)
    live = observed.live.get(project)
    if not observed.is_known(project) or _keeps_another(team, observed, live):
        kept = {key: _annotation(team, observed, key) for key in (PROJECT, PROJECT_ADOPTED)}
        return {key: value for key, value in kept.items() if value is not None}
    if live is None:
        return {PROJECT: team.project}
    if live.ours and not live.handle["adopted"]:
        return {PROJECT: team.project}
    if live.ours or adopts_project(team, observed):
        return {PROJECT: team.project, PROJECT_ADOPTED: "true"}
    return {}


def _keeps_another(team: Team, observed: Observed, live: Live | None) -> bool:
    """Return whether the namespace records another project, which the team has to keep."""
    recorded = recorded_project(team, observed)
    return recorded not in (None, team.project) and live is not None and bool(live.foreign)


def _annotation(team: Team, observed: Observed, key: str) -> str | None:
    for kind in (kinds.NAMESPACE, kinds.TERMINATING_NAMESPACE):
        live: Live | None = observed.live.get(Id(kind, team.home_namespace))
        if live is not None and live.ours:
            value = get_path(live.fields, ("metadata", "annotations", key))
            if value is not None:
                return str(value)
    return None
