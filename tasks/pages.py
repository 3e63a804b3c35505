"""Markdown artifacts, many at once: a page a team, or a page a robot's credential."""

import re
from collections.abc import Iterable

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run, task_run


def artifact_key(*parts: str) -> str:
    """A stable key, so that the UI shows an artifact's history."""
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(parts))


def publish_pages(pages: Iterable[tuple[str, str]]) -> None:
    """Publishes Markdown by its keys; one client for all, since each costs more than a call."""
    with get_client(sync_client=True) as client:
        for key, text in pages:
            client.create_artifact(
                ArtifactCreate(
                    key=key,
                    type="markdown",
                    data=text,
                    flow_run_id=flow_run.id,
                    task_run_id=task_run.id,
                )
            )
