"""Writes tables as CSV.

This module imports pandas, which takes longer to load than all other libraries together. So modules
that every run imports do not import this one, but only the functions that write a table.
"""

from collections.abc import Mapping, Sequence

from pandas import DataFrame

from tenantry.text import csv_cell, visible


def csv_of_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as CSV; a value that a row lacks is empty."""
    return csv_text(DataFrame(rows).fillna(""))


def csv_text(table: DataFrame) -> str:
    """Return a table as CSV, with visible text and without formulas."""
    safe = table.copy()
    for name in safe.columns:
        if safe[name].dtype in ("str", "object"):
            safe[name] = safe[name].map(
                lambda value: csv_cell(visible(value)) if isinstance(value, str) else value
            )
    return str(safe.to_csv(index=False, lineterminator="\n"))
