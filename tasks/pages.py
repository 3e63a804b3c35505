"""Markdown artifacts, many at once, such as a page for each team; and progress artifacts."""

import re
from collections.abc import Iterable
from typing import cast
from uuid import UUID

from prefect import artifacts
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run, task_run

from tasks.prefect_api import best_effort
from tenantry.text import Markdown


def artifact_key(*parts: str) -> str:
    """Return a stable key, so that the UI shows the history of an artifact."""
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(parts))


def publish_pages(pages: Iterable[tuple[str, Markdown]]) -> None:
    """Publish Markdown by its keys; log a warning for each that Prefect's API does not accept.

    All share one client, since a client costs more than a call.
    """
    with get_client(sync_client=True) as client:
        for key, text in pages:
            artifact = ArtifactCreate(
                key=key,
                type="markdown",
                data=text,
                flow_run_id=flow_run.id,
                task_run_id=task_run.id,
            )
            with best_effort(f"artifact '{key}'"):
                client.create_artifact(artifact)


def publish_progress(key: str, percent: float, description: Markdown) -> UUID | None:
    """Publish a progress artifact; return its id, or None if Prefect's API does not accept it."""
    made: UUID | None = None
    with best_effort(f"artifact '{key}'"):
        made = cast(UUID, artifacts.create_progress_artifact(percent, key, description))
    return made


def update_progress(artifact: UUID | None, key: str, percent: float, description: Markdown) -> None:
    """Update a progress artifact, if it could be published."""
    if artifact is not None:
        with best_effort(f"artifact '{key}'"):
            artifacts.update_progress_artifact(artifact, percent, description)
