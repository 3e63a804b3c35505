"""Reads the identities file: the users of the new provider, in CSV or as an Excel sheet."""

import csv
import io
import re
from collections.abc import Iterator, Sequence

import pandas as pd

from tenantry.migration.case import fold
from tenantry.migration.identities import FaultyFile, Match, faulty
from tenantry.migration.snapshot import Identity
from tenantry.text import read_csv_cell

_REQUIRED = ("external_id", "external_username")
_FIRST_ROW = 2  # the header is row 1
_EMPTY = ("the file has no rows below the header", "no row below the header has an external_id")
_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+")
"""A long number as a spreadsheet saves it in a CSV file. The digits are lost."""


def from_file(name: str, data: bytes, match: Match) -> list[Identity]:
    """Return the identities in a CSV or Excel file.

    Args:
        name: the file's name, whose extension determines the format.
        data: its content. CSV is UTF-8, with commas or semicolons between the fields.
        match: the attribute that is matched. It determines the columns that are required besides
            `external_id` and `external_username`: `email` for `email`, `username` for `mapping`.
            Rows of a mapping without an identity are skipped. This allows an edited copy of the
            inspection's file as a mapping: it lists all people, and the operator completes some.

    Raises:
        FaultyFile: the file is faulty. The message lists all faults.
    """
    table = _table(name, data)
    table.columns = [str(column).strip().lower() for column in table.columns]
    needed = [*_REQUIRED, *{"email": ["email"], "mapping": ["username"]}.get(match, [])]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        existing = ", ".join(table.columns) or "none"
        raise FaultyFile(
            f"{name}: row 1: missing columns: {', '.join(missing)} (existing columns: {existing}). "
            f"match: {match} requires {', '.join(needed)}."
        )
    table = table.apply(lambda column: column.astype(str).str.strip().map(read_csv_cell))
    faults = list(_without_header(table))
    filled = list(_REQUIRED) if match == "mapping" else needed
    table = table[(table[filled] != "").any(axis="columns")]
    faults += _faults(table, needed, match)
    if table.empty and not faults:
        faults = [(1, _EMPTY[match == "mapping"])]
    if faults:
        raise faulty(name, sorted(faults))
    return [
        Identity(
            external_id=row["external_id"],
            external_username=row["external_username"],
            email=row.get("email", ""),
            username=row.get("username", ""),
            row=number,
        )
        for number, row in zip(table.index + _FIRST_ROW, table.to_dict("records"), strict=True)
    ]


def _table(name: str, data: bytes) -> pd.DataFrame:
    if name.lower().endswith((".xlsx", ".xlsm")):
        try:
            return pd.read_excel(io.BytesIO(data), dtype=str, keep_default_na=False)
        except Exception as error:  # noqa: BLE001 a broken file breaks openpyxl in many ways
            reason = (str(error).splitlines() or ["it is damaged"])[0]
            raise FaultyFile(
                f"{name}: the file cannot be read as an Excel sheet ({reason}). Save it again, or "
                "save it as CSV."
            ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise FaultyFile(
            f"{name}: row {row}: the text is not UTF-8 (byte {data[error.start]:#04x}). Save the file "
            "as CSV UTF-8."
        ) from None
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    if faults := list(_shifted(text, separator)):
        raise faulty(name, faults)
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise FaultyFile(f"{name}: the file cannot be read as CSV: {reason}.") from None


def _shifted(text: str, separator: str) -> Iterator[tuple[int, str]]:
    """Yield rows with more or fewer fields than the header: a field contains the separator, unquoted.

    pandas drops additional fields and sets missing ones to `nan`.
    """
    columns = 0
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            columns = columns or len(row)
            if row and len(row) != columns:
                yield (
                    number,
                    (
                        f"it has {len(row)} fields, and the header has {columns}: put a field that "
                        f"contains '{separator}' in double quotes"
                    ),
                )
    except csv.Error as error:
        yield number + 1, f"the file cannot be read as CSV: {error}"


def _without_header(table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Yield rows with a value in a column without a header: a cell was moved in a spreadsheet."""
    for column in table.columns:
        if re.fullmatch(r"unnamed: \d+(_level_\d+)?|", column):
            for index in table.index[table[column] != ""]:
                text = (
                    f"'{table.at[index, column]}' is in a column without a header: move it to its "
                    "column, or give the column a name"
                )
                yield int(index) + _FIRST_ROW, text


def _faults(table: pd.DataFrame, needed: Sequence[str], match: Match) -> Iterator[tuple[int, str]]:
    """Yield the rows with invalid values, and why they are invalid."""
    for column in needed:
        for index in table.index[table[column] == ""]:
            yield int(index) + _FIRST_ROW, f"'{column}' is empty"
    for index, value in table["external_id"].items():
        if _SHORTENED.fullmatch(value):
            text = (
                f"external_id '{value}' is a number that a spreadsheet has shortened: format the "
                "column as text, and enter the id again"
            )
            yield int(index) + _FIRST_ROW, text
    if match == "email":
        for index, value in table["email"].items():
            if value and "@" not in value:
                text = f"email '{value}' is not an e-mail address: the columns may be shifted"
                yield int(index) + _FIRST_ROW, text
    unique = ["external_id", *(["username"] if match == "mapping" else [])]
    for column in unique:
        folded = table[column].map(fold) if column == "username" else table[column]
        first: dict[str, int] = {}
        for index, value in folded.items():
            row = int(index) + _FIRST_ROW
            if value and first.setdefault(value, row) != row:
                yield row, f"{column} '{table.at[index, column]}' is in row {first[value]}, too"
