"""The approvals of a migration: of its plan, its finish and its rollback.

Each names the hash of the consequences that a person has read. The person answers a form while the
run is suspended, or starts a run with the hash as a parameter.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from tasks.approval import recall, remember, request_approval
from tasks.migration import MigrationRun, approve
from tasks.prefect_api import needed
from tasks.step import step
from tenantry.errors import TenantryError
from tenantry.migration import preview
from tenantry.migration.consequences import Consequences
from tenantry.migration.snapshot import INSPECTION
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count

PATIENCE = 14 * 24 * 3600
"""The seconds in which a suspended run can be approved. No process waits."""
_REQUESTED = "asked"
"""The key under which a suspended run keeps its request. It does not change: suspended runs of an
earlier version have it."""


class Approved(NamedTuple):
    """The approval of a step's consequences."""

    by: str
    numbers: dict[str, int]
    """The largest approved number of people for each kind of consequence."""


def request_plan_approval(run: MigrationRun, approved: str) -> None:
    """Record an approval of the plan, unless it is already approved.

    Args:
        run: the migration.
        approved: the hash that the run's parameters approve; empty to suspend the run for a form.

    Raises:
        TenantryError: the plan was rejected, or another plan was approved.
    """
    entry = run.migration.entry
    if approved:
        approve(run, approved, f"{_creator()}, by parameter")
    elif entry.phase == "exported":
        text = _describe_plan(run)
        approve(run, entry.plan, request_approval(text, entry.plan, patience=PATIENCE))


def _describe_plan(run: MigrationRun) -> Markdown:
    entry, snapshot = run.migration.entry, run.migration.snapshot
    waves = (
        markdown("1. {}: {}", name, len(snapshot.wave(number)))
        for number, name in enumerate(snapshot.waves)
    )
    return markdown(
        "**{}** to move from {} to {}.\n\n{}\n\nThe waves:\n\n{}\n\nThe list of people is the file {} "
        "in block {}. The findings are in the artifact `migration-inspection` of the run that created "
        "the plan.",
        count(len(snapshot.moving), "person", "people"),
        code(entry.old),
        code(entry.new),
        _bullets(_preview_plan(run)),
        joined("\n", waves),
        code(INSPECTION),
        code(run.store.name),
    )


@step("describe plan")
def _preview_plan(run: MigrationRun) -> tuple[str, ...]:
    return preview.preview_plan(run.migration)


def request_finish_approval(
    run: MigrationRun, exclude: Sequence[str], skip_soak: bool, approved: str
) -> Approved:
    """Return the approval of the finish; suspend the run until a person approves.

    Raises:
        TenantryError: it is too early, people are pending, or the finish was rejected.
    """
    return _request(_preview_finish(run, exclude, skip_soak), approved)


@step("describe finish")
def _preview_finish(run: MigrationRun, exclude: Sequence[str], skip_soak: bool) -> Consequences:
    return preview.preview_finish(run.migration, exclude, skip_soak=skip_soak)


def request_rollback_approval(run: MigrationRun, exclude: Sequence[str], approved: str) -> Approved:
    """Return the approval of the rollback; suspend the run until a person approves.

    Raises:
        TenantryError: it is too late, or the rollback was rejected.
    """
    return _request(_preview_rollback(run, exclude), approved)


@step("describe rollback")
def _preview_rollback(run: MigrationRun, exclude: Sequence[str]) -> Consequences:
    run.progress.begin("Finding the users to delete")
    return preview.preview_rollback(run.migration, exclude)


def _request(found: Consequences, approved: str) -> Approved:
    """Return the approval of consequences.

    It also covers smaller numbers: people may log in while the run is suspended.
    """
    if approved:
        if approved != found.hash:
            shown = "\n".join(f"- {line}" for line in found.lines)
            raise TenantryError(
                f"Hash {approved[:12]} was approved, but the consequences of this run have hash "
                f"{found.hash}. Nothing was changed. Read them, and approve this hash:\n{shown}"
            )
        return Approved(f"{_creator()}, by parameter", found.numbers)
    kept: dict[str, Any] = recall(_REQUESTED) or {}
    if kept.get("subject") == found.subject and found.is_within(kept["numbers"]):
        plan, numbers = kept["plan"], kept["numbers"]
    else:
        plan, numbers = found.hash, found.numbers
        remember(_REQUESTED, {"subject": found.subject, "numbers": numbers, "plan": plan})
    return Approved(request_approval(_bullets(found.lines), plan, patience=PATIENCE), numbers)


def _bullets(lines: Sequence[str]) -> Markdown:
    return joined("\n", [markdown("- {}", line) for line in lines])


def _creator() -> str:
    """Return who started the run, as far as Prefect knows."""
    with needed("read the flow run"), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    return (run.created_by and run.created_by.display_value) or "the API"
