"""The history of findings across runs: when each was opened and resolved, and how often.

An episode lasts from the first run that reports a finding to the first run that no longer does. The
history is stored in two CSV tables, `episodes.csv` and `runs.csv`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from tenantry.drift.findings import Report
from tenantry.files import FileStore

if TYPE_CHECKING:
    from pandas import DataFrame

    from tenantry.drift.history_tables import Tables


@dataclass(frozen=True, eq=False)
class History:
    """The recorded episodes and runs.

    The tables are made when they are needed, because pandas takes a while to load: a run without a
    stored history needs none.
    """

    stored: "Tables | None" = None
    """The stored tables; None if no history is stored."""
    added: tuple[tuple[Report, tuple[str, ...]], ...] = ()
    """The reports of the runs since then, each with the resources that the run has remediated."""

    @classmethod
    def empty(cls) -> "History":
        """Return a history without runs."""
        return cls()

    @classmethod
    def read(cls, store: FileStore) -> "History":
        """Return the history in a store, or an empty one if the store has none.

        Raises:
            TenantryError: the history cannot be read or parsed.
        """
        return cls(_tables().read(store))

    def write(self, store: FileStore) -> None:
        """Write the history to a store.

        Raises:
            TenantryError: the history cannot be written.
        """
        self.tables.write(store)

    def after(self, report: Report, remediated: Collection[str] = ()) -> "History":
        """Return the history with one more run.

        An episode ends if the run covered and could read its resource, and no longer reports it.

        Args:
            report: the run's final report.
            remediated: ids of the resources that the run itself has remediated.
        """
        return History(self.stored, (*self.added, (report, tuple(remediated))))

    @property
    def has_past(self) -> bool:
        """Whether it may contain more than the last run."""
        return self.stored is not None or len(self.added) > 1

    @cached_property
    def tables(self) -> "Tables":
        """The tables with all runs."""
        found = _tables().empty() if self.stored is None else self.stored
        for report, remediated in self.added:
            found = found.after(report, remediated)
        return found

    @property
    def episodes(self) -> "DataFrame":
        """The table of episodes."""
        return self.tables.episodes

    @property
    def runs(self) -> "DataFrame":
        """The table of runs."""
        return self.tables.runs

    def open_since(self) -> dict[str, datetime]:
        """Return the opening time of each open finding, by its id."""
        if not self.has_past:
            return {found.id: each.time for each, _ in self.added for found in each.findings}
        now = self.tables.open()
        return {id: time.to_pydatetime() for id, time in zip(now["id"], now["opened"], strict=True)}

    def resolved(self, most: int = 20) -> "DataFrame":
        """Return the most recently closed episodes, the latest first."""
        return self.tables.resolved(most)

    def noisiest(self, most: int = 10) -> "DataFrame":
        """Return the fields with the most episodes: `system`, `kind`, `field`, `episodes`, `teams`."""
        return self.tables.noisiest(most)


def _tables() -> "type[Tables]":
    # Imported here, because it imports pandas.
    from tenantry.drift.history_tables import Tables

    return Tables
