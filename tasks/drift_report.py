"""The artifacts, events and files that a run of drift detection publishes, and its final state."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State

from tasks.events import DRIFT_CLEARED, DRIFT_DETECTED
from tasks.pages import publish_pages
from tasks.prefect_api import emit, needed
from tasks.states import complete, fail
from tasks.tables import publish_table, read_table
from tenantry.drift import Finding, Remediation, Report
from tenantry.drift.findings import CLASSES, DECLARED, SEVERITIES, team_name
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, summary, write
from tenantry.files import FileStore
from tenantry.text import markdown
from tenantry.wording import count

FINDINGS, SUMMARY = "drift-findings", "drift-summary"
"""Keys of the artifacts."""
FailOn = Literal["never", "drift", "unreadable"]
_ROWS = 1000
_IDS = 200


class Before:
    """The findings that were open before this run."""

    def __init__(self, store: FileStore | None) -> None:
        """Read them from the history in the store; without a store, from the artifact of the last run."""
        self.history = History.read(store) if store else History.empty()
        if store:
            episodes = self.history.tables.open()
            self.ids = set(episodes["id"])
            self.teams = set(episodes["team"])
        else:
            rows = _last_findings()
            self.ids = {f"{row['class']}: {row['resource']}" for row in rows}
            self.teams = {row["team"].replace("(platform)", "") for row in rows}


def _last_findings() -> list[dict[str, Any]]:
    with needed("read the artifact of the last run"), get_client(sync_client=True) as client:
        found = client.read_latest_artifacts(
            artifact_filter=ArtifactCollectionFilter(
                key=ArtifactCollectionFilterKey(any_=[FINDINGS])
            )
        )
    return read_table(found[0].data) if found else []


def publish(
    report: Report,
    before: Before,
    first: Report,
    outcome: Remediation,
    store: FileStore | None,
    parameters: Mapping[str, str | None],
) -> None:
    """Publish the artifacts, files and events of a run.

    Args:
        report: the last report of the run.
        before: the findings that were open before the run.
        first: the first report of the run.
        outcome: the result of remediation.
        store: the store of the files, if one is configured.
        parameters: the run's parameters that a run which remediates the findings needs, too.
    """
    done = [str(change.id) for each in outcome.teams for change in each.done]
    history = before.history.after(report, done)
    since = history.open_since()
    rows = [summary.row(each, since, report.time) for each in report.findings[:_ROWS]]
    more = len(report.findings) - len(rows)
    shown = markdown(" The first {} are shown.", _ROWS) if more > 0 else markdown("")
    text = markdown("{}{}", report.summary, shown)
    publish_table(FINDINGS, rows, text, summary.WIDTHS)
    if store:
        history.write(store)
        for format, name in FILES.items():
            store.write(name, write(format, report, history).encode())
    where = store.name if store else ""
    publish_pages([(SUMMARY, summary.page(report, history, done, where))])
    _emit_events(report, before, first, parameters, remediated=bool(outcome.teams))


def _emit_events(
    report: Report,
    before: Before,
    first: Report,
    parameters: Mapping[str, str | None],
    *,
    remediated: bool,
) -> None:
    """Emit an event for each team that has findings, or no longer has any, and one for the run."""
    open_before = before.teams | {finding.team for finding in first.findings}
    scope = set(report.scope.teams) | ({""} if report.scope.all_teams else set())
    now = {finding.team for finding in report.findings}
    for team in sorted(now):
        _emit(DRIFT_DETECTED, team, report.of(team), before.ids, remediated)
    for team in sorted((open_before & scope) - now):
        _emit(DRIFT_CLEARED, team, (), before.ids, remediated)
    if report.findings:
        _emit_run(report, before.ids, parameters, remediated)


def _emit(
    event: str, team: str, found: Sequence[Finding], known: Collection[str], remediated: bool
) -> None:
    emit(
        event,
        resource={
            "prefect.resource.id": f"tenantry.team.{team}" if team else "tenantry.platform",
            "prefect.resource.name": team_name(team),
            **_labels(found, known, remediated),
        },
        payload=_counts(found) | {"resources": [str(f.resource) for f in found[:_IDS]]},
    )


def _emit_run(
    report: Report, known: Collection[str], parameters: Mapping[str, str | None], remediated: bool
) -> None:
    """Emit the event that automations react to: one for each run, however many teams it covers."""
    found = report.findings
    mendable = sorted({each.team for each in found if each.team and _is_safe(each)})
    emit(
        DRIFT_DETECTED,
        resource={
            "prefect.resource.id": "tenantry.drift",
            "prefect.resource.name": report.platform,
            **_labels(found, known, remediated),
        },
        payload={
            **_counts(found),
            **parameters,
            "summary": report.summary,
            "teams": sorted({each.team for each in found if each.team}),
            "mendable_teams": mendable,
            "new": sum(each.id not in known for each in found),
            "worst": [f"{f.severity}: {f.resource} is {f.class_}" for f in found[:10]],
        },
    )


def _labels(found: Sequence[Finding], known: Collection[str], remediated: bool) -> dict[str, str]:
    """Return the labels by which an automation can filter events."""
    return {
        "tenantry.remediated": _word(remediated),
        "tenantry.mendable": _word(any(_is_safe(each) for each in found)),
        "tenantry.new": _word(any(each.id not in known for each in found)),
        "tenantry.severity": found[0].severity if found else "none",
    }


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _is_safe(found: Finding) -> bool:
    return found.remedy in ("create", "update", "replace")


def _counts(found: Sequence[Finding]) -> dict[str, Any]:
    classes, severities = Counter(f.class_ for f in found), Counter(f.severity for f in found)
    return {
        "findings": len(found),
        "by_class": {class_: classes[class_] for class_ in CLASSES},
        "by_severity": {severity: severities[severity] for severity in SEVERITIES},
    }


def conclude(report: Report, outcome: Remediation, fail_on: FailOn) -> State[Any]:
    """Return the final state of a run."""
    done = sum(len(each.done) for each in outcome.teams)
    failed = [each for each in outcome.teams if each.error is not None]
    words = [
        report.summary,
        *report.unread_systems,
        f"{count(done, 'change')} made." if done else "",
        outcome.note,
    ]
    words += [str(outcome.error or ""), *(f"\n{team_name(m.team)}: {m.error}" for m in failed)]
    message = " ".join(word for word in words if word)
    get_run_logger().info(message)
    absent = [found for found in report.unreadable if found.resource.system == DECLARED]
    if absent:
        message = "\n".join([message, *(f"{found.resource}: {found.detail}" for found in absent)])
    fails = failed or outcome.error or absent or (fail_on == "drift" and report.findings)
    if fails or (fail_on == "unreadable" and report.unreadable):
        return fail(message)
    return complete(message)
