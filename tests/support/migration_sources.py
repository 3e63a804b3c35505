"""The sources of the new provider's users: files of each kind, or an admin API."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pytest

from tenantry.migration.identities import Match
from tenantry.migration.snapshot import Identity

Write = Callable[[list[Identity], tuple[str, ...]], bytes]

COLUMNS: dict[Match, tuple[str, ...]] = {
    "email": ("external_id", "external_username", "email"),
    "username": ("external_id", "external_username"),
    "mapping": ("external_id", "external_username", "username"),
}


def as_csv(people: list[Identity], columns: tuple[str, ...]) -> bytes:
    """Return a CSV file of these users with these columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**each.model_dump(), "username": each.external_username} for each in people)
    return out.getvalue().encode()


def as_excel(people: list[Identity], columns: tuple[str, ...]) -> bytes:
    """Return the same as an Excel file."""
    out = io.BytesIO()
    pd.read_csv(io.BytesIO(as_csv(people, columns)), dtype=str).to_excel(out, index=False)
    return out.getvalue()


@dataclass(frozen=True)
class Source:
    """A source of the new provider's users, and the rule that matches them.

    Attributes:
        match: The rule that matches a user of the realm.
        file: The file's name; empty if they are read from the new provider's admin API.
        write: Writes the file.
    """

    match: Match
    file: str = ""
    write: Write = as_csv

    def content(self, people: list[Identity]) -> bytes:
        """Return the content of the file that lists these users."""
        return self.write(people, COLUMNS[self.match])


ANOTHER_KEYCLOAK = "another Keycloak"
SOURCES: dict[str, Source] = {
    "CSV by e-mail": Source("email", "people.csv"),
    "CSV by user name": Source("username", "people.csv"),
    "CSV mapping": Source("mapping", "people.csv"),
    "Excel mapping": Source("mapping", "people.xlsx", as_excel),
    ANOTHER_KEYCLOAK: Source("email"),
}
every_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
