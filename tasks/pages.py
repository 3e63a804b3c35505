"""Markdown artifacts, many at once: a page a team, or a page a robot's credential."""

import re
from collections.abc import Iterable

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run, task_run

from tasks.prefect_api import best_effort


def artifact_key(*parts: str) -> str:
    """A stable key, so that the UI shows an artifact's history."""
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(parts))


def publish_pages(pages: Iterable[tuple[str, str]]) -> None:
    """Publish Markdown by its keys; log a warning for each that Prefect's API does not take.

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
