"""What a run of a migration shows while it goes on, and leaves behind: counts, never names."""

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
from tenantry.migration.snapshot import INSPECTION, people_name
from tenantry.text import code, joined, link, markdown
from tenantry.wording import count

_SECONDS_BETWEEN = 5.0
_PROGRESS = "migration-progress"


class Progress:
    """The progress artifact, with how long the rest will take."""

    def __init__(self) -> None:
        self._artifact: Any = None
        self._what = ""
        self._began = self._said = 0.0
        self._context = copy_context()

    def begin(self, what: str) -> None:
        """Begins at nought, with what is being done now."""
        self._what, self._began, self._said = what, time.monotonic(), 0.0
        self._context = copy_context()

    def __call__(self, done: int, of: int) -> None:
        """So many are done; said every few seconds, and at the end."""
        now = time.monotonic()
        if done < of and now < self._said + _SECONDS_BETWEEN:
            return
        self._said = now
        # It is told from the core's own threads, which know of no run.
        self._context.copy().run(self._say, done, of, now)

    def _say(self, done: int, of: int, now: float) -> None:
        left = (now - self._began) * (of - done) / max(done, 1)
        text = f"{self._what}: {done} of {of}, about {left / 60:.0f} min left"
        shown = markdown("{}", text)
        if self._artifact is None:
            self._artifact = publish_progress(_PROGRESS, 0.0, shown)
        update_progress(self._artifact, _PROGRESS, 100 * done / max(of, 1), shown)
        get_run_logger().info(text)


def publish_inspection(store: BlockStore, found: Inspection) -> None:
    """What was found as a table artifact, without names."""
    where = markdown("Who is who: {} in block {}.", code(INSPECTION), code(store.name))
    publish_table(
        "migration-inspection",
        report.notice_rows(found),
        markdown("{} {}", found.summary, where),
        {"notice": 14, "stops it": 8, "people": 6, "what to do": 28, "found": 30},
    )
    # The V2 UI puts each row on one line and cuts it off at the right: it wraps a list.
    lines = [
        markdown(
            "- {}**{}**: {}",
            "Stops it: " if notice.blocking else "",
            notice.what,
            notice.sentence,
        )
        for notice in sorted(found.notices, key=lambda notice: not notice.blocking)
    ]
    text = markdown("{}\n\n{}\n\n{}", found.summary, where, joined("\n", lines))
    publish_pages([("migration-inspection-summary", text)])


def publish_pilot_links(links: PilotLinks) -> None:
    """What a pilot opens to log in by the new provider."""
    steps = [
        markdown("1. {}: {}", link(text, url), code(url))
        for text, url in (("Log in by the new provider", links.realm), ("Harbor", links.harbor))
        if url
    ]
    head = markdown(
        "Send this to the pilots. They open the links in this order and in one browser, with no "
        "session of an earlier login (a private window).\n\n"
    )
    publish_pages([("migration-pilot-links", markdown("{}{}", head, joined("\n", steps)))])


def publish_standing(
    migration: Migration, declaration: Declaration, told: str, standing: Status
) -> None:
    """How many of each team's people are through, as a table artifact that an owner can be sent."""
    teams = list(declaration.teams.values())
    entry = migration.journal
    assert entry is not None
    stands = (migration.snapshot, entry, standing.incomplete, teams)
    report.write_people(migration.store, *stands)
    table = report.by_team(*stands)
    since = f" since {entry.switched_at:%Y-%m-%d %H:%M} UTC" if entry.switched_at else ""
    text = markdown(
        "The {}: {}{}; {}. Who they are: {} in block {}.",
        told,
        entry.phase,
        since,
        standing,
        code(people_name(entry.id)),
        code(migration.store.name),
    )
    publish_table("migration-by-team", table, text)


def publish_rights(store: BlockStore, name: str, rights: list[Right]) -> int:
    """Publish how many rights differ, by kind and change, and return how many they are in all."""
    differing = [right for right in rights if not right.is_equal]
    rows = Counter((right.right.partition(" ")[0], right.change) for right in differing)
    publish_table(
        "migration-rights",
        [
            {"right": kind, "change": change, "differing": number}
            for (kind, change), number in sorted(rows.items())
        ],
        markdown(
            "{} compared, {} different. Right by right: {} in block {}.",
            count(len(rights), "right"),
            len(differing),
            code(name),
            code(store.name),
        ),
    )
    return len(differing)
