"""Files of people: all faults at once, with the rows as a spreadsheet counts them."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.errors import TenantryError
from tenantry.migration import report
from tenantry.migration.case import fold
from tenantry.migration.identities import FaultyFile, Match, from_keycloak
from tenantry.migration.identities_file import from_file
from tenantry.migration.match import match
from tenantry.migration.options import Options
from tenantry.migration.snapshot import INSPECTION, Identity, Person
from tests.support.harness import Bench, connections
from tests.support.migration_harness import MigrationBench

pytestmark = pytest.mark.demand(
    "reality", "all of tests/declared, tests/core, tests/systems, and user files"
)

GOOD = "external_id,external_username,username,email\n7,ann.b,ann,ann@corp.test\n8,bob,bob,\n"


def sheet(text: str) -> bytes:
    """The same as an Excel file."""
    return excel(pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False))


def excel(table: pd.DataFrame) -> bytes:
    """Return a table as an Excel file."""
    out = io.BytesIO()
    table.to_excel(out, index=False)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("people.csv", GOOD.encode()),
        ("people.csv", GOOD.replace(",", ";").encode("utf-8-sig")),
        ("people.csv", (GOOD + "\n,,,\n").encode()),
        ("people.xlsx", sheet(GOOD)),
    ],
    ids=["commas", "semicolons", "empty lines", "Excel"],
)
def test_csv_and_excel_are_read_alike(name: str, data: bytes) -> None:
    ann, bob = from_file(name, data, "mapping")
    assert (ann.external_id, ann.external_username, ann.username) == ("7", "ann.b", "ann")
    assert (bob.external_id, bob.email) == ("8", "")


@pytest.mark.demand("migrate", "a mapping file: all faults with their rows")
@pytest.mark.parametrize(
    ("text", "by", "faults"),
    [
        (
            "external_id,external_username,username\n7,ann,ann\n7,b,bob\n,c,cid\n9,d,ANN\n",
            "mapping",
            [
                "row 3: external_id '7' is in row 2, too",
                "row 4: 'external_id' is empty",
                "row 5: username 'ANN' is in row 2, too",
            ],
        ),
        (
            "external_id,username\n7,ann\n",
            "email",
            ["row 1: missing columns: external_username"],
        ),
        ("external_id,external_username,email\n", "email", ["row 1: the file has no rows"]),
        ("", "email", ["cannot be read as CSV"]),
        (
            "external_id,external_username,email\n1,a,b\n1,2,3,4,5\n",
            "email",
            ["row 3: it has 5 fields"],
        ),
    ],
)
def test_all_faults_are_listed_with_their_rows(text: str, by: Match, faults: list[str]) -> None:
    with pytest.raises(FaultyFile) as raised:
        from_file("people.csv", text.encode(), by)

    lines = str(raised.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith("people.csv: ")
        assert fault in line


@pytest.mark.demand("migrate", "a mapping file of another encoding is reported")
@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "people.csv",
            GOOD.replace("bob", "björn").encode("latin-1"),
            "row 3: the text is not UTF-8",
        ),
        ("people.xlsx", GOOD.encode(), "cannot be read as an Excel sheet"),
    ],
)
def test_a_file_with_another_encoding_is_reported(name: str, data: bytes, said: str) -> None:
    with pytest.raises(FaultyFile, match=said):
        from_file(name, data, "mapping")


@pytest.mark.demand("migrate", "a mapping file with unknown users: nothing is changed")
def test_unknown_users_are_reported_with_their_rows(bench: Bench) -> None:
    made = MigrationBench(bench, people=2)
    text = "external_id,external_username,username\n1,a,user00\n,,\n2,b,nobody\n\n3,c,noone\n"
    found = from_file("people.csv", text.encode(), "mapping")
    made.sandbox.requests.reset()

    with pytest.raises(FaultyFile) as raised:
        made.inspect(Options(match="mapping"), found, "people.csv")

    assert str(raised.value).splitlines() == [
        "people.csv: row 4: 'nobody': must be the user name of a person who is to be moved",
        "people.csv: row 6: 'noone': must be the user name of a person who is to be moved",
    ]
    assert made.sandbox.requests.writes() == 0


def test_a_mapping_file_maps_user_names(bench: Bench, tmp_path: Path) -> None:
    made = MigrationBench(bench, people=2)
    text = "external_id,external_username,username\nx1,a,USER00\nx2,b,user01\n"
    found = made.inspect(Options(match="mapping"), from_file("p.csv", text.encode(), "mapping"))

    assert {p.username: p.new and p.new.external_id for p in found.people} == {
        "user00": "x1",
        "user01": "x2",
    }


def test_only_a_keycloak_has_an_admin_api(bench: Bench) -> None:
    with pytest.raises(TenantryError, match="Export its users to a file"):
        from_keycloak(connections(bench.sandbox).keycloak, "https://login.example.com/v2.0")
    with pytest.raises(TenantryError, match="has no realm 'nowhere'"):
        from_keycloak(connections(bench.sandbox).keycloak, "https://x.example.com/realms/nowhere")


SHIFTED = {
    "a comma in a name": (
        "external_id,external_username,email\n1,ann,a@x\n2,Doe, Jane,j@x\n3,bob,b@x\n",
        [
            "row 3: it has 4 fields, and the header has 3: put a field that contains ',' in double quo"
        ],
    ),
    "a semicolon in a name": (
        "external_id;external_username;email\n2;Doe; Jane;j@x\n",
        [
            "row 2: it has 4 fields, and the header has 3: put a field that contains ';' in double quo"
        ],
    ),
    "a field less": (
        "external_id,external_username,email,username\n1,ann,a@x,ann\n2,bob,b@x\n",
        ["row 3: it has 3 fields, and the header has 4"],
    ),
    "an open quote": (
        'external_id,external_username,email\n1,"ann,a@x\n2,bob,b@x\n',
        ["row 2: the file cannot be read as CSV: unexpected end of data"],
    ),
    "two rows, after a line break in a field": (
        'external_id,external_username,email\n1,"a\nb",a@x\n\n2,c,d,e\n3,f\n',
        ["row 4: it has 4 fields", "row 5: it has 2 fields"],
    ),
}


@pytest.mark.demand("migrate", "a file with shifted columns is refused with its row")
@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("text", "faults"), SHIFTED.values(), ids=SHIFTED)
def test_silently_wrong_row_with_shifted_columns_is_a_fault(text: str, faults: list[str]) -> None:
    with pytest.raises(FaultyFile) as raised:
        from_file("people.csv", text.encode(), "email")
    lines = str(raised.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"people.csv: {fault}")


MOVED = {
    "a user name where the address belongs": (
        {"external_id": ["1", ""], "external_username": ["ann", "2"], "email": ["a@x.test", "bob"]},
        ["row 3: 'external_id' is empty", "row 3: email 'bob' is not an e-mail address: the colu"],
    ),
    "a cell to the right of the header": (
        {
            "external_id": ["1", ""],
            "external_username": ["ann", "2"],
            "email": ["a@x.test", "bob"],
            "Unnamed: 3": ["", "b@x.test"],
        },
        [
            "row 3: 'b@x.test' is in a column without a header: move it to its column",
            "row 3: 'external_id' is empty",
            "row 3: email 'bob' is not an e-mail address",
        ],
    ),
}


@pytest.mark.demand(
    "migrate", "a file whose cells were moved in a spreadsheet is refused with its row"
)
@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize("name", ["people.csv", "people.xlsx"])
@pytest.mark.parametrize(("cells", "faults"), MOVED.values(), ids=MOVED)
def test_silently_wrong_row_whose_cells_were_moved_in_a_spreadsheet_is_a_fault(
    cells: dict[str, list[str]], faults: list[str], name: str
) -> None:
    table = pd.DataFrame(cells).rename(columns={"Unnamed: 3": ""})
    data = excel(table) if name.endswith("xlsx") else table.to_csv(index=False).encode()
    with pytest.raises(FaultyFile) as raised:
        from_file(name, data, "email")
    lines = str(raised.value).splitlines()
    assert len(lines) == len(faults), lines
    for fault in faults:
        assert any(line.startswith(f"{name}: {fault}") for line in lines), lines


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_id_that_a_spreadsheet_shortened_is_a_fault() -> None:
    text = "external_id;external_username;username\n1,23457E+17;ann.b;ann\n"
    with pytest.raises(FaultyFile, match="row 2: external_id '1,23457E\\+17' is a number that"):
        from_file("people.csv", text.encode(), "mapping")


# An edited copy of the inspection's file


Edit = Callable[[pd.DataFrame], tuple[str, bytes]]
EDITED: dict[str, Edit] = {
    "commas": lambda table: ("e.csv", table.to_csv(index=False).encode()),
    "semicolons": lambda table: ("e.csv", table.to_csv(index=False, sep=";").encode("utf-8-sig")),
    "Excel": lambda table: ("e.xlsx", excel(table)),
    "a column of the operator's": lambda table: (
        "e.csv",
        table.assign(note="asked Jane, done").to_csv(index=False, lineterminator="\r\n").encode(),
    ),
    "columns in another order": lambda table: (
        "e.xlsx",
        excel(table[list(reversed(table.columns))]),
    ),
}


@pytest.mark.demand(
    "migrate", "an edited copy of the inspection's file is a mapping: commas, semicolons, Excel"
)
@pytest.mark.parametrize("edit", EDITED.values(), ids=EDITED)
def test_an_edited_copy_of_the_inspections_file_is_a_mapping(bench: Bench, edit: Edit) -> None:
    made = MigrationBench(bench, people=2)
    made.add_person("doe", "t0", there=False)
    made.add_person("late", "t1", there=False)
    new = made.add_identity("-jane", "jane.doe@new.test")
    found = made.inspect(Options())
    assert [notice.what for notice in found.blocking] == ["unmatched"]
    report.write_inspection(made.store, found)
    table = pd.read_csv(
        io.BytesIO(made.store.read(INSPECTION) or b""), dtype=str, keep_default_na=False
    )
    table.loc[table["username"] == "doe", ["external_id", "external_username"]] = [new, "'-jane"]

    name, data = edit(table)
    there = from_file(name, data, "mapping")
    again = made.inspect(Options(match="mapping"), there, name)

    assert {p.username: p.new.external_username if p.new else "" for p in again.people} == {
        "user00": "user00",
        "user01": "user01",
        "doe": "-jane",
        "late": "",
    }, "a row that was not filled in stays unmatched"
    assert [(notice.what, notice.who) for notice in again.blocking] == [("unmatched", ("late",))]
    excluded = made.inspect(Options(match="mapping", exclude_users=("late",)), there, name)
    assert excluded.blocking == []
    assert {p.new.external_id for p in excluded.people if p.username == "doe" and p.new} == {new}


def test_half_an_identity_in_an_edited_copy_is_a_fault() -> None:
    text = "username,state,external_id,external_username\nann,unmatched,7,\nbob,unmatched,,\n"
    with pytest.raises(FaultyFile) as raised:
        from_file("people.csv", text.encode(), "mapping")
    assert str(raised.value) == "people.csv: row 2: 'external_username' is empty"


def test_a_mapping_in_which_nothing_is_filled_in_is_a_fault() -> None:
    text = "username,external_id,external_username\nann,,\n"
    with pytest.raises(FaultyFile, match="row 1: no row below the header has an external_id"):
        from_file("people.csv", text.encode(), "mapping")


def test_quoted_commas_shift_nothing() -> None:
    text = 'external_id,external_username,email\n2,"Doe, Jane",j@x\n'
    (jane,) = from_file("people.csv", text.encode(), "email")
    assert (jane.external_username, jane.email) == ("Doe, Jane", "j@x")


TWO_PEOPLE = [
    ("groß", "gross"),
    ("GROẞ", "GROSS"),
    ("\ufb01nn", "finn"),
    ("\u212aate", "kate"),
    ("\u212bsa", "\u00e5sa"),
    ("bo\u017fs", "boss"),
    ("d\u0131lan", "dilan"),
    ("i\u0307lker", "\u0130lker"),
]
ONE_PERSON = [("Ann", "ANN"), ("Änne", "änne"), ("ΩΜΕΓΑ", "ωμεγα"), ("ИВАН", "иван")]


@pytest.mark.demand(
    "migrate", "different names are never merged, such as two that differ in one letter"
)
@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("one", "other"), TWO_PEOPLE)
@pytest.mark.parametrize("by", ["email", "username", "mapping"])
def test_silently_wrong_match_of_two_names_that_only_look_alike_is_none(
    one: str, other: str, by: Match
) -> None:
    for ours, theirs in ((one, other), (other, one)):
        assert _matched(ours, theirs, by) == "unmatched"


@pytest.mark.parametrize(("one", "other"), ONE_PERSON)
@pytest.mark.parametrize("by", ["email", "username", "mapping"])
def test_upper_and_lower_case_are_the_same_person(one: str, other: str, by: Match) -> None:
    for ours, theirs in ((one, other), (other, one)):
        assert _matched(ours, theirs, by) == "matched"


def _matched(ours: str, theirs: str, by: Match) -> str:
    person = Person(id="p", username=ours, email=ours)
    identity = Identity(external_id="i", external_username=theirs, email=theirs, username=theirs)
    return match([person], [identity], by)["p"].state


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@given(st.text(max_size=5), st.text(max_size=5))
def test_silently_wrong_folding_of_different_names_to_one_never_happens(
    one: str, other: str
) -> None:
    if fold(one) == fold(other):
        assert len(one) == len(other)
        assert all(_is_one_letter(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_folding_is_none_for_any_letter() -> None:
    """Each letter of Unicode shares its folded form with its own other case only."""
    letters: dict[str, set[str]] = {}
    for letter in map(chr, range(0x110000)):
        if letter.isalpha() or letter.isupper() or letter.islower():
            letters.setdefault(fold(letter), set()).add(letter)
    for folded, same in letters.items():
        assert len(same) == 1 or same == {folded, folded.upper()}


def _is_one_letter(one: str, other: str) -> bool:
    return one == other or one.upper() == other or other.upper() == one


names = st.sampled_from(["ann", "Ann", "ANN", "bob", "cid", "groß", "gross", ""])


@given(
    ours=st.lists(st.tuples(names, names), max_size=6),
    theirs=st.lists(st.tuples(names, names), max_size=6),
    by=st.sampled_from(["email", "username"]),
)
def test_each_person_matches_at_most_one_identity_and_vice_versa(
    ours: list[tuple[str, str]], theirs: list[tuple[str, str]], by: Match
) -> None:
    people = [
        Person(id=f"p{number}", username=name, email=email)
        for number, (name, email) in enumerate(ours)
    ]
    there = [
        Identity(external_id=f"i{number}", external_username=name, email=email)
        for number, (name, email) in enumerate(theirs)
    ]

    found = match(people, there, by)

    assert set(found) == {person.id for person in people}
    taken = [each.identity.external_id for each in found.values() if each.identity]
    assert len(taken) == len(set(taken))
    for person in people:
        identity = found[person.id].identity
        if identity:
            ours_key = person.email if by == "email" else person.username
            key = identity.email if by == "email" else identity.external_username
            assert ours_key != ""
            assert all(_is_one_letter(a, b) for a, b in zip(ours_key, key, strict=True))
            assert found[person.id].state == "matched"
