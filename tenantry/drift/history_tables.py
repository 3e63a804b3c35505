"""The tables of the history: pandas reads, extends, evaluates and writes them."""

import io
from collections.abc import Collection
from datetime import timedelta
from typing import Any, NamedTuple, Self

import pandas as pd

from tenantry.drift.findings import DECLARED, SEVERITIES, Report
from tenantry.errors import TenantryError
from tenantry.files import FileStore
from tenantry.resources import PLATFORM
from tenantry.tables import csv_text
from tenantry.text import read_csv_cell, visible

EPISODES = "episodes.csv"
RUNS = "runs.csv"
KEPT = timedelta(days=400)
"""How long closed episodes and runs are kept."""

_EPISODE = {
    "id": "str",
    "class": "str",
    "severity": "str",
    "team": "str",
    "system": "str",
    "kind": "str",
    "key": "str",
    "fields": "str",
    "opened": "datetime64[us, UTC]",
    "seen": "datetime64[us, UTC]",
    "closed": "datetime64[us, UTC]",
    "closed_by": "str",
}
_RUN = {
    "time": "datetime64[us, UTC]",
    "teams": "int64",
    "resources": "int64",
    **dict.fromkeys((*SEVERITIES, "unreadable", "mended"), "int64"),
}
REMEDIATED, OTHERWISE = "remediation", "otherwise"
"""The cause of an episode's end: remediation by the run itself, or anything else."""


class Tables(NamedTuple):
    """The recorded episodes and runs."""

    episodes: pd.DataFrame
    runs: pd.DataFrame

    @classmethod
    def empty(cls) -> Self:
        """Return the tables of a history without runs."""
        return cls(_table([], _EPISODE), _table([], _RUN))

    @classmethod
    def read(cls, store: FileStore) -> Self:
        """Return the tables in a store; empty ones if the store has none.

        Raises:
            TenantryError: they cannot be read or parsed.
        """
        return cls(_read(store, EPISODES, _EPISODE), _read(store, RUNS, _RUN))

    def write(self, store: FileStore) -> None:
        """Write the tables to a store.

        Raises:
            TenantryError: they cannot be written.
        """
        for name, table in ((EPISODES, self.episodes), (RUNS, self.runs)):
            store.write(name, csv_text(table).encode())

    def after(self, report: Report, remediated: Collection[str]) -> "Tables":
        """Return the tables with one more run.

        Args:
            report: the run's final report.
            remediated: ids of the resources that the run itself has remediated.
        """
        now = pd.Timestamp(report.time)
        found = {finding.id: finding for finding in report.findings}
        episodes = self.episodes.copy()
        is_open = episodes["closed"].isna()
        still = is_open & episodes["id"].isin(found)
        for column, value in (
            ("severity", lambda id: found[id].severity),
            ("fields", lambda id: _fields(found[id])),
        ):
            episodes.loc[still, column] = episodes.loc[still, "id"].map(value)
        episodes.loc[still, "seen"] = now
        over = is_open & ~still & _covered(episodes, report)
        resources = episodes["system"] + "/" + episodes["kind"] + "/" + episodes["key"]
        episodes.loc[over, "closed"] = now
        by_this_run = resources.isin([visible(each) for each in remediated])
        episodes.loc[over, "closed_by"] = by_this_run[over].map(
            {True: REMEDIATED, False: OTHERWISE}
        )
        known = set(episodes.loc[still, "id"])
        rows = [_row(each, now) for id, each in found.items() if id not in known]
        episodes = _joined(episodes, _table(rows, _EPISODE))
        recent = episodes["closed"].isna() | (episodes["closed"] > now - KEPT)
        runs = _joined(self.runs, _table([_run(report, now, int(over.sum()))], _RUN))
        return Tables(
            episodes[recent].reset_index(drop=True),
            runs[runs["time"] > now - KEPT].reset_index(drop=True),
        )

    def resolved(self, most: int) -> pd.DataFrame:
        """Return the most recently closed episodes, the latest first."""
        over = self.episodes[self.episodes["closed"].notna()]
        return over.sort_values("closed", ascending=False, kind="stable").head(most)

    def noisiest(self, most: int) -> pd.DataFrame:
        """Return the fields with the most episodes: `system`, `kind`, `field`, `episodes`, `teams`."""
        table = self.episodes[self.episodes["fields"] != ""]
        table = table.assign(field=table["fields"].str.split("; ")).explode("field")
        counted = table.groupby(["system", "kind", "field"], as_index=False).agg(
            episodes=("id", "size"), teams=("team", "nunique")
        )
        order = ["episodes", "teams", "system", "kind", "field"]
        return counted.sort_values(order, ascending=[False, False, True, True, True]).head(most)

    def open(self) -> pd.DataFrame:
        """Return the episodes that have not ended."""
        return self.episodes[self.episodes["closed"].isna()]


def _covered(episodes: pd.DataFrame, report: Report) -> Any:
    """Return which episodes concern resources that the run covered and could read."""
    scope = report.scope
    covered = episodes["team"].isin(scope.teams)
    if scope.all_teams:
        covered |= True
    covered &= episodes["system"].isin([*scope.systems, DECLARED])
    # Only the file of a left-out team was checked.
    covered &= ~episodes["team"].isin(scope.left_out) | (episodes["system"] == DECLARED)
    if not scope.credentials:
        covered &= (episodes["class"] != "broken") & (episodes["system"] != DECLARED)
    for finding in report.unreadable:
        unknown = episodes["system"] == finding.resource.system
        if finding.team != PLATFORM:
            unknown &= episodes["team"] == finding.team
        covered &= ~unknown
    return covered


def _fields(finding: Any) -> str:
    return visible("; ".join(found.field for found in finding.fields))


def _row(finding: Any, now: pd.Timestamp) -> dict[str, Any]:
    system, kind, key = finding.resource.parts
    return {
        "id": finding.id,
        "class": finding.class_,
        "severity": finding.severity,
        "team": finding.team,
        "system": system,
        "kind": kind,
        "key": visible(key),
        "fields": _fields(finding),
        "opened": now,
        "seen": now,
        "closed": pd.NaT,
        "closed_by": "",
    }


def _run(report: Report, now: pd.Timestamp, over: int) -> dict[str, Any]:
    counts: dict[str, int] = {s: sum(f.severity == s for f in report.drift) for s in SEVERITIES}
    return {
        "time": now,
        "teams": len(report.scope.teams),
        "resources": report.resources,
        **counts,
        "unreadable": len(report.unreadable),
        "mended": over,
    }


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return _typed(pd.DataFrame(rows, columns=list(columns)), columns)


def _typed(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    for column, kind in columns.items():
        if kind.startswith("datetime"):
            table[column] = pd.to_datetime(table[column].replace("", None), utc=True)
    return table[list(columns)].astype(columns)


def _joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    if table.empty or more.empty:
        return more if table.empty else table
    return pd.concat([table, more], ignore_index=True)


def _read(store: FileStore, name: str, columns: dict[str, str]) -> pd.DataFrame:
    content = store.read(name)
    if content is None:
        return _table([], columns)
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
        return _typed(table.map(read_csv_cell), columns)
    except (ValueError, KeyError, TypeError) as error:
        raise TenantryError(
            f"The history is damaged: {name} cannot be parsed ({error}). "
            "Move the file away to start a new history."
        ) from None
