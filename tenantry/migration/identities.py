"""Who there is at the new provider: from a file, or from its own admin API where it is a Keycloak."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import pandas as pd

from tenantry.connections import KeycloakAccount
from tenantry.errors import TenantryError
from tenantry.migration.case import fold
from tenantry.migration.snapshot import Identity
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.text import read_csv_cell

Match = Literal["email", "username", "mapping"]
"""How a user of the realm is found at the new provider: by e-mail address, by user name, or by a
file that names both."""
_ALWAYS = ("external_id", "external_username")
_FIRST = 2  # the header is row 1
_MOST_FAULTS = 200
_EMPTY = ("there are no rows below the header", "no row below the header has an external_id")
_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+")
"""What a spreadsheet makes of a long number when it saves a file as CSV: the digits are lost."""


class FaultyFile(TenantryError):
    """A file of people is faulty; each line of the message names a row, counted as a spreadsheet
    counts them: the header is row 1.
    """


def from_keycloak(account: KeycloakAccount, issuer: str) -> list[Identity]:
    """Everybody whom the new provider knows, by its admin API.

    Args:
        account: an account that may list the users there.
        issuer: the provider's issuer, which names its realm.

    Raises:
        TenantryError: the issuer is not that of a realm, or there is none.
    """
    found = re.fullmatch(r".+/realms/([^/]+)", issuer)
    if found is None:
        raise TenantryError(
            f"'{issuer}' is no realm of a Keycloak, so it has no admin API that can be asked. "
            "Export its people to a file, and name it in 'identities_file'."
        )
    client = KeycloakClient(account, found[1])
    try:
        client.log_in()
        if not client.realm_exists():
            raise TenantryError(f"Keycloak at {account.url} has no realm '{found[1]}'.")
        return of_realm(client)
    finally:
        client.close()


def of_realm(client: KeycloakClient) -> list[Identity]:
    """Everybody whom a realm knows."""
    return [
        Identity(
            external_id=user["id"],
            external_username=user["username"],
            email=user.get("email") or "",
        )
        for user in client.pages("users", briefRepresentation="true")
    ]


def from_file(name: str, data: bytes, match: Match) -> list[Identity]:
    """Everybody in a CSV or Excel file.

    Args:
        name: the file's name, whose ending tells which it is.
        data: its content. CSV is UTF-8, its fields separated by commas or semicolons.
        match: what the rows are matched by, and so which column there must be besides
            `external_id` and `external_username`: `email`, or `username` of `mapping`. A row of a
            mapping without an identity is left out, so that an edited copy of the inspection's file
            is a mapping: it lists every person, and the operator fills in some.

    Raises:
        FaultyFile: with every fault.
    """
    table = _table(name, data)
    table.columns = [str(column).strip().lower() for column in table.columns]
    needed = [*_ALWAYS, *{"email": ["email"], "mapping": ["username"]}.get(match, [])]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        there = ", ".join(table.columns) or "none"
        raise FaultyFile(
            f"{name}: row 1: there is no column {', '.join(missing)} (there are: {there}). To match "
            f"by {match} it needs {', '.join(needed)}."
        )
    table = table.apply(lambda column: column.astype(str).str.strip().map(read_csv_cell))
    faults = list(_without_header(table))
    filled = list(_ALWAYS) if match == "mapping" else needed
    table = table[(table[filled] != "").any(axis="columns")]
    faults += _faults(table, needed, match)
    if table.empty and not faults:
        faults = [(1, _EMPTY[match == "mapping"])]
    if faults:
        raise _faulty(name, sorted(faults))
    return [
        Identity(
            external_id=row["external_id"],
            external_username=row["external_username"],
            email=row.get("email", ""),
            username=row.get("username", ""),
            row=number,
        )
        for number, row in zip(table.index + _FIRST, table.to_dict("records"), strict=True)
    ]


def check_known(name: str, identities: Sequence[Identity], known: set[str]) -> None:
    """Refuses a mapping that names users whom the realm does not have.

    Raises:
        FaultyFile: with every fault; the file itself was in order.
    """
    faults = [
        (each.row or 0, f"'{each.username}': must be the user name of a person who is to be moved")
        for each in identities
        if fold(each.username) not in known
    ]
    if faults:
        raise _faulty(name, faults)


def _table(name: str, data: bytes) -> "pd.DataFrame":
    if name.lower().endswith((".xlsx", ".xlsm")):
        try:
            return pd.read_excel(io.BytesIO(data), dtype=str, keep_default_na=False)
        except Exception as error:  # noqa: BLE001 a broken file breaks openpyxl in many ways
            told = (str(error).splitlines() or ["it is damaged"])[0]
            text = f"{name}: it can't be read as an Excel sheet ({told}). Save it again, or as CSV."
            raise FaultyFile(text) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise FaultyFile(
            f"{name}: row {row}: it is not UTF-8 (byte {data[error.start]:#04x}). Save it anew as "
            "CSV UTF-8."
        ) from None
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    if faults := list(_shifted(text, separator)):
        raise _faulty(name, faults)
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
        told = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise FaultyFile(f"{name}: it can't be read as CSV: {told}.") from None


def _shifted(text: str, separator: str) -> Iterator[tuple[int, str]]:
    """Rows with more or fewer fields than the header: a separator in a field that is not quoted.

    pandas drops the fields beyond the header's, and calls missing ones `nan`.
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
                        f"holds '{separator}' in double quotes"
                    ),
                )
    except csv.Error as error:
        yield number + 1, f"it can't be read as CSV: {error}"


def _without_header(table: "pd.DataFrame") -> Iterator[tuple[int, str]]:
    """Rows with a value to the right of the header: cells that were moved in a spreadsheet."""
    for column in table.columns:
        if re.fullmatch(r"unnamed: \d+(_level_\d+)?|", column):
            for index in table.index[table[column] != ""]:
                text = (
                    f"'{table.at[index, column]}' is in a column without a header: move it to its "
                    "column, or give the column a name"
                )
                yield int(index) + _FIRST, text


def _faults(
    table: "pd.DataFrame", needed: Sequence[str], match: Match
) -> Iterator[tuple[int, str]]:
    """Rows and what is wrong with each."""
    for column in needed:
        for index in table.index[table[column] == ""]:
            yield int(index) + _FIRST, f"'{column}' is empty"
    for index, value in table["external_id"].items():
        if _SHORTENED.fullmatch(value):
            text = (
                f"external_id '{value}' is a number that a spreadsheet has shortened: format the "
                "column as text, and enter the id again"
            )
            yield int(index) + _FIRST, text
    if match == "email":
        for index, value in table["email"].items():
            if value and "@" not in value:
                text = f"email '{value}' is not an e-mail address: the columns may be shifted"
                yield int(index) + _FIRST, text
    unique = ["external_id", *(["username"] if match == "mapping" else [])]
    for column in unique:
        folded = table[column].map(fold) if column == "username" else table[column]
        first: dict[str, int] = {}
        for index, value in folded.items():
            row = int(index) + _FIRST
            if value and first.setdefault(value, row) != row:
                yield row, f"{column} '{table.at[index, column]}' is in row {first[value]}, too"


def _faulty(name: str, faults: Sequence[tuple[int, str]]) -> FaultyFile:
    lines = [f"{name}: row {row}: {text}" for row, text in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        lines.append(f"{name}: and {len(faults) - _MOST_FAULTS} more faults")
    return FaultyFile("\n".join(lines))
