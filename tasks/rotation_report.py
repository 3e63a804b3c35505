"""What a run of rotation publishes: events, tables, pages, and its final state."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State

from tasks import tables
from tasks.events import ROBOT_ROTATED, ROTATION_FAILED
from tasks.pages import artifact_key, publish_pages
from tasks.prefect_api import emit
from tasks.states import complete, fail
from tenantry.rotation import Outcome, RotationRun, report
from tenantry.rotation.audit import Trail
from tenantry.text import Markdown, markdown


def emit_events(outcomes: Iterable[Outcome]) -> None:
    """Emit an event for each pair that was rotated, and for each that could not be."""
    for outcome in outcomes:
        payload = {"team": outcome.team, "purpose": outcome.purpose, "why": outcome.why}
        resource = {
            "prefect.resource.id": f"tenantry.robot.{outcome.team}.{outcome.purpose}",
            "prefect.resource.name": outcome.name,
        }
        if outcome.rotated:
            until = outcome.until.isoformat() if outcome.until else None
            more = {"robot": outcome.robot, "old_until": until}
            emit(ROBOT_ROTATED, resource, payload | more)
        if outcome.error is not None:
            more = {"error": str(outcome.error)}
            emit(ROTATION_FAILED, resource, payload | more)


def publish_table(outcomes: Sequence[Outcome], now: datetime) -> None:
    """Publish the state of all pairs as a table artifact."""
    text = markdown("{}", report.summary(outcomes))
    widths = {"robot": 20, "state": 10, "note": 30}
    tables.publish_table("robots", report.rows(outcomes, now), text, widths)


def publish_pages_of(outcomes: Iterable[Outcome], now: datetime) -> None:
    """Publish a page for each pair that was changed, or could not be."""
    publish_pages(_pages(outcomes, now))


def _pages(outcomes: Iterable[Outcome], now: datetime) -> Iterator[tuple[str, Markdown]]:
    for outcome in outcomes:
        if outcome.done or outcome.error:
            key = artifact_key("rotation", f"{outcome.team}--{outcome.purpose}")
            yield key, report.page(outcome, now)


def conclude(run: RotationRun, trail: Trail, outcomes: Sequence[Outcome]) -> State[Any]:
    """Return the final state of a run."""
    message = report.summary(outcomes)
    reasons = report.problems(run, trail, outcomes)
    if not reasons:
        return complete(message)
    return fail("\n".join([message, *reasons]))
