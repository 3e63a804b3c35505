"""The artifacts of a migration's run. They hold counts, and no user names."""

import time
from collections import Counter
from contextvars import copy_context
from typing import Any

from prefect import get_run_logger

from tasks.pages import publish_pages, publish_progress, update_progress
from tasks.store import BlockStore
from tasks.tables import publish_table
from tenantry.declared import Declaration
from tenantry.migration import report
from tenantry.migration.inspection import Inspection
from tenantry.migration.machine import Migration, Status
from tenantry.migration.pilots import PilotLinks
from tenantry.migration.report import Right
from tenantry.migration.snapshot import INSPECTION, people_file
from tenantry.text import code, joined, link, markdown
from tenantry.wording import count

_SECONDS_BETWEEN_UPDATES = 5.0
_PROGRESS = "migration-progress"


class Progress:
    """The progress artifact, with an estimate of the remaining time."""

    def __init__(self) -> None:
        self._artifact: Any = None
        self._work = ""
        self._began = self._updated = 0.0
        self._context = copy_context()

    def begin(self, work: str) -> None:
        """Begin at zero with another piece of work, such as `Wave pilot`."""
        self._work, self._began, self._updated = work, time.monotonic(), 0.0
        self._context = copy_context()

    def __call__(self, done: int, total: int) -> None:
        """Update the artifact, every few seconds and at the end."""
        now = time.monotonic()
        if done < total and now < self._updated + _SECONDS_BETWEEN_UPDATES:
            return
        self._updated = now
        # The core calls this from its own threads, which do not have the run's context.
        self._context.copy().run(self._update, done, total, now)

    def _update(self, done: int, total: int, now: float) -> None:
        left = (now - self._began) * (total - done) / max(done, 1)
        text = f"{self._work}: {done} of {total}, about {left / 60:.0f} min left"
        shown = markdown("{}", text)
        if self._artifact is None:
            self._artifact = publish_progress(_PROGRESS, 0.0, shown)
        update_progress(self._artifact, _PROGRESS, 100 * done / max(total, 1), shown)
        get_run_logger().info(text)


def publish_inspection(store: BlockStore, found: Inspection) -> None:
    """Publish the notices of an inspection as a table and as a page, without user names."""
    where = markdown(
        "The list of people is the file {} in block {}.", code(INSPECTION), code(store.name)
    )
    publish_table(
        "migration-inspection",
        report.notice_rows(found),
        markdown("{} {}", found.summary, where),
        {"notice": 14, "blocking": 8, "people": 6, "remedy": 28, "finding": 30},
    )
    # The V2 UI truncates each row of a table to one line. It wraps a list.
    lines = [
        markdown(
            "- {}**{}**: {}",
            "Blocking: " if notice.blocking else "",
            notice.what,
            notice.sentence,
        )
        for notice in sorted(found.notices, key=lambda notice: not notice.blocking)
    ]
    text = markdown("{}\n\n{}\n\n{}", found.summary, where, joined("\n", lines))
    publish_pages([("migration-inspection-summary", text)])


def publish_pilot_links(links: PilotLinks) -> None:
    """Publish the links with which pilots log in with the new provider."""
    steps = [
        markdown("1. {}: {}", link(text, url), code(url))
        for text, url in (("Log in with the new provider", links.realm), ("Harbor", links.harbor))
        if url
    ]
    head = markdown(
        "Send this to the pilots. They open the links in this order, in one private browser window: "
        "an existing session would hide the new login.\n\n"
    )
    publish_pages([("migration-pilot-links", markdown("{}{}", head, joined("\n", steps)))])


def publish_status(
    migration: Migration, declaration: Declaration, label: str, status: Status
) -> None:
    """Publish how many people of each team are in each state, and write their names to the store.

    Args:
        migration: the migration.
        declaration: the declared state.
        label: the migration as a message names it.
        status: the status of all people.
    """
    teams = list(declaration.teams.values())
    entry = migration.journal
    assert entry is not None
    found = (migration.snapshot, entry, status.incomplete, teams)
    report.write_people(migration.store, *found)
    table = report.count_by_team(*found)
    since = f" since {entry.switched_at:%Y-%m-%d %H:%M} UTC" if entry.switched_at else ""
    text = markdown(
        "The {}: {}{}; {}. The list of people is the file {} in block {}.",
        label,
        entry.phase,
        since,
        status,
        code(people_file(entry.id)),
        code(migration.store.name),
    )
    publish_table("migration-by-team", table, text)


def publish_rights(store: BlockStore, name: str, rights: list[Right]) -> int:
    """Publish how many rights differ, by kind and change, and return the total."""
    differing = [right for right in rights if not right.is_equal]
    rows = Counter((right.right.partition(" ")[0], right.change) for right in differing)
    publish_table(
        "migration-rights",
        [
            {"right": kind, "change": change, "differing": number}
            for (kind, change), number in sorted(rows.items())
        ],
        markdown(
            "{} compared, {} different. The list of all rights is the file {} in block {}.",
            count(len(rights), "right"),
            len(differing),
            code(name),
            code(store.name),
        ),
    )
    return len(differing)
