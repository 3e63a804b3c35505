"""Reading of the declared state's files: which files are read, the meaning of values, and limits."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tenantry import declared
from tenantry.declared import Team, parsing
from tenantry.declared.edit import edit
from tenantry.errors import DeclarationError
from tests.support.harness import SHOP, file_names, write


def faults(folder: Path) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        declared.load(folder)
    return refused.value.faults


def aliases(levels: int, width: int = 9) -> str:
    """Return nested lists of aliases: 9 ** levels values in a few lines."""
    lines = ["a0: &a0 [x, x]"]
    for level in range(1, levels):
        below = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{below}]")
    return "\n".join(lines) + "\n"


def merges(levels: int) -> str:
    """Return nested mappings that contain the previous one nine times, and merge it as well."""
    lines = ["m0: &m0 {k: x}"]
    for level in range(1, levels):
        below = f"*m{level - 1}"
        lines.append(f"m{level}: &m{level} {{<<: {below}, l{level}: [{', '.join([below] * 9)}]}}")
    return "\n".join(lines) + "\n"


LONG = "x" * 100_000

BOUNDS = {
    "aliases of aliases": (aliases(9), "contains more than 100000 values after aliases"),
    "aliases of a long text": (
        f"a: &a {LONG}\nb: [{', '.join(['*a'] * 2000)}]\n",
        "contains more than 100000 values after aliases",
    ),
    "merge keys of merge keys": (merges(9), "contains more than 100000 values after aliases"),
    "5,000 brackets": ("a: " + "[" * 5000 + "]" * 5000, "is nested deeper than 60 levels"),
    "5,000 open brackets": ("[" * 5000, "is nested deeper than 60 levels"),
    "61 levels": ("a: " + "[" * 60 + "]" * 60, "is nested deeper than 60 levels"),
    "deep by aliases": (
        "a0: &a0 [" + "[" * 20 + "]" * 20 + "]\n"
        "a1: &a1 " + "[" * 25 + "*a0" + "]" * 25 + "\n"
        "a2: " + "[" * 25 + "*a1" + "]" * 25 + "\n",
        "is nested deeper than 60 levels",
    ),
    "an alias of what holds it": ("a: &a [*a]\n", "an alias refers to a value that contains"),
    "2 MiB": ("# " + "x" * 2**21, "is larger than 1 MiB"),
}


@pytest.mark.demand("reality", "YAML is bounded: nodes after alias expansion, depth, size")
@pytest.mark.parametrize(
    ("file", "name"),
    # One of each bound is enough for the platform's file, which the same code reads.
    [
        *(("teams/shop.yaml", name) for name in BOUNDS),
        *(("platform.yaml", name) for name in ("merge keys of merge keys", "61 levels", "2 MiB")),
    ],
)
def test_yaml_bound(file: str, name: str, tmp_path: Path) -> None:
    """A file beyond the limits is one fault, found quickly and with little memory."""
    text, fault = BOUNDS[name]
    folder = write(tmp_path, SHOP)
    (folder / file).write_text(text, encoding="utf-8")
    begin = time.process_time()
    (found,) = faults(folder)
    took = time.process_time() - begin
    assert found.startswith(f"{file}:")
    assert fault in found
    assert took < 20  # unbounded it took minutes; a slow machine has room


@pytest.mark.demand("reality", "YAML is bounded: nodes after alias expansion, depth, size")
def test_yaml_bound_holds_for_memory(tmp_path: Path) -> None:
    """Without limits, these 361 bytes took 319 MB."""
    folder = write(tmp_path, aliases(9))
    tracemalloc.start()
    faults(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


@pytest.mark.demand("reality", "YAML is bounded: nodes after alias expansion, depth, size")
def test_yaml_bounds_leave_room_for_aliases_in_use(tmp_path: Path) -> None:
    team = (
        "name: shop\nnamespace: &common\n  quota: {pods: 10}\n"
        "further_namespaces:\n  jobs: *common\n  web:\n    <<: *common\n    mesh: false\n"
    )
    shop = declared.load(write(tmp_path, team)).teams["shop"]
    assert shop.further_namespaces["jobs"].quota == {"pods": "10"}
    assert shop.further_namespaces["web"].quota == {"pods": "10"}
    assert shop.further_namespaces["web"].mesh is False


WORDS = [
    "0042",
    "1.10",
    "0x1F",
    "1_000",
    "0o17",
    "1e3",
    "+1",
    ".5",
    "1.",
    "-0",
    "on",
    "yes",
    "=",
    "<<",
]


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize("word", WORDS)
def test_silently_wrong_label_keeps_its_source_text(word: str, tmp_path: Path) -> None:
    team = f"name: shop\nnamespace:\n  labels:\n    example.com/a: {word}\n"
    if not (word[0].isalnum() and word[-1].isalnum()):  # no label begins or ends so
        (fault,) = faults(write(tmp_path, team))
        assert fault.startswith("teams/shop.yaml:4: namespace.labels.example.com/a: ")
        assert f"{word}: a label's value is" in fault.replace(f"'{word}'", word)
        return
    shop = declared.load(write(tmp_path, team)).teams["shop"]
    assert shop.namespace.labels == {"example.com/a": word}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@given(number=st.from_regex(r"[0-9][0-9_.]{0,8}[0-9]", fullmatch=True))
@settings(max_examples=60)
def test_silently_wrong_label_of_any_number_is_never_rewritten(
    number: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write(
        tmp_path_factory.getbasetemp() / "label",
        f"name: shop\nnamespace:\n  labels: {{a: {number}}}\n",
    )
    assert declared.load(folder).teams["shop"].namespace.labels == {"a": number}


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize(
    ("field", "value", "quoted"),
    [
        ("contact", "0042", "'0042'"),
        ("contact", "1.10", "'1.10'"),
        ("contact", "true", "'true'"),
        ("contact", "2026-01-01", "'2026-01-01'"),
        ("display_name", "0x1F", "'0x1F'"),
        ("members", "[1_000]", "'1_000'"),
    ],
)
def test_message_for_a_number_where_text_is_wanted_says_to_quote_it(
    field: str, value: str, quoted: str, tmp_path: Path
) -> None:
    (fault,) = faults(write(tmp_path, f"name: shop\n{field}: {value}\n"))
    assert f"must be text: quote it, such as {quoted}" in fault


def _touch(folder: Path, name: str, text: str = "name: data\n") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "sub-folder": (
        lambda folder: _touch(folder, "teams/sub/x.yaml"),
        (
            "teams/sub/x.yaml:1: would not be read: move it to 'teams/x.yaml', or rename the folder "
            "to '.sub' to keep it out"
        ),
    ),
    "sub-folder of a sub-folder": (
        lambda folder: _touch(folder, "teams/sub/more/x.yml"),
        (
            "teams/sub/more/x.yml:1: would not be read: move it to 'teams/x.yml', or rename the folder "
            "to '.sub' to keep it out"
        ),
    ),
    "ending in upper case": (
        lambda folder: _touch(folder, "teams/x.YAML"),
        "teams/x.YAML:1: would not be read: rename it to 'x.yaml'",
    ),
    "ending in mixed case": (
        lambda folder: _touch(folder, "teams/x.Yml"),
        "teams/x.Yml:1: would not be read: rename it to 'x.yml'",
    ),
}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("make", "fault"), FILES.values(), ids=FILES)
def test_silently_wrong_file_that_would_not_be_read_is_a_fault(
    make: Callable[[Path], None], fault: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, SHOP)
    make(folder)
    assert faults(folder) == [fault]


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_teams_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "teams").rmdir()
    (folder / "teams").write_text("name: shop\n", encoding="utf-8")
    assert faults(folder) == ["teams:1: is a file; it must be a folder with one file per team"]


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
def test_crash_none_where_the_teams_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, SHOP)
    listed = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "teams":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert faults(folder) == ["teams:1: cannot be read: Permission denied"]


DROPPINGS = [".#shop.yaml", "._shop.yaml", ".shop.yaml.swp", "#shop.yaml#", "shop.yaml~", ".x.yml"]


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize("name", DROPPINGS)
def test_message_none_for_what_editors_and_macos_leave_behind(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, SHOP)
    if name == ".#shop.yaml":  # Emacs' lock is a link to nowhere
        (folder / "teams" / name).symlink_to("ann@host.4711:1700000000")
    else:
        (folder / "teams" / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    _touch(folder, "teams/.archive/old.yaml", "name: [")
    assert list(declared.load(folder).teams) == ["shop"]

    def change(file: str, content: Any) -> None:
        if file.startswith("teams/"):
            content["contact"] = "#x"

    edited, files = edit(folder, change)
    assert files == [folder / "teams" / "shop.yaml"]
    assert edited.teams["shop"].contact == "#x"


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
def test_message_for_a_broken_link_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path, SHOP)
    (folder / "teams" / "data.yaml").symlink_to("../elsewhere/data.yaml")
    assert faults(folder) == [
        (
            "teams/data.yaml:1: is a link to '../elsewhere/data.yaml', which does not exist; correct "
            "or remove the link"
        )
    ]


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize("name", ["platform.yml", "Platform.yaml", "platform.YAML"])
def test_message_for_a_misnamed_platform_file_names_it(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, SHOP)
    (folder / "platform.yaml").rename(folder / name)
    assert faults(folder) == [f"platform.yaml:1: is missing; rename '{name}' to 'platform.yaml'"]


MESSAGES = {
    "all children commented out": (
        "name: shop\nharbor:\n  # role: guest\n",
        (
            "2: harbor: has no value (all lines below it may be commented out); it must contain "
            "keys and values: add a value, or remove the key"
        ),
    ),
    "all items commented out": (
        "name: shop\nharbor:\n  immutable_tags:\n    # - tags: v*\n",
        (
            "3: harbor.immutable_tags: has no value (all lines below it may be commented out); it "
            "must be a list: add a value, or remove the key"
        ),
    ),
    "an item without a value": (
        "name: shop\nharbor:\n  immutable_tags:\n    -\n",
        (
            "4: harbor.immutable_tags[0]: has no value (all lines below it may be commented out); "
            "it must contain keys and values: add a value, or remove the key"
        ),
    ),
    "a label without a value": (
        "name: shop\nnamespace:\n  labels:\n    a:\n",
        (
            "4: namespace.labels.a: has no value (all lines below it may be commented out); it "
            "must be text: add a value, or remove the key"
        ),
    ),
    "a list for keys": (
        "name: shop\nharbor: [role]\n",
        "2: harbor: must contain keys and values, not a list",
    ),
    "text for keys": (
        "name: shop\nharbor: developer\n",
        "2: harbor: 'developer': must contain keys and values",
    ),
    "keys for a list": (
        "name: shop\nmembers: {ann: 1}\n",
        "2: members: must be a list, not keys and values",
    ),
    "a file that is a list": ("- shop\n", "1: contains a list; it must contain keys and values"),
    "a file that is a text": ("shop\n", "1: contains text; it must contain keys and values"),
    "a file that is a number": ("7\n", "1: contains a number; it must contain keys and values"),
    "an empty file": ("# nothing\n", "1: is empty; it must contain keys and values"),
    "a path without a slash": (
        "name: shop\nroutes:\n  r: {host: a.example, paths: [{prefix: api, service: a, port: 1}]}\n",
        "3: routes.r.paths[0].prefix: 'api': a path begins with '/'",
    ),
    "a sink in upper case": (
        "name: shop\nrobots:\n  ci: {sinks: [{namespace: CI, name: a}]}\n",
        "3: robots.ci.sinks[0].namespace: 'CI': a namespace's name is lower-case letters, digits",
    ),
    "a tag": ("name: !x shop\n", "1: the tag '!x' is not supported; remove it"),
    "a tag of a list": (
        "name: shop\nmembers: !!set {a}\n",
        "2: the tag '!!set' is not supported; remove it",
    ),
    "a tag that does not fit": (
        "name: !!int shop\n",
        "1: 'shop' is not a whole number; quote it if it is text",
    ),
    "an impossible date": (
        "name: shop\ncontact: 2001-99-99\n",
        "2: '2001-99-99' is not a date; quote it if it is text",
    ),
    "a key twice": (
        "name: shop\nharbor:\n  role: guest\n  role: developer\n",
        "4: the key 'role' is given twice; remove one of them",
    ),
    "two documents": (
        "name: shop\n---\nname: data\n",
        "2: contains several documents; write one document per file, without '---'",
    ),
    "a NUL": ("name: shop\ncontact: 'a\0b'\n", "2: contains the character U+0000, which YAML does"),
    "a tab": ("name: shop\nharbor:\n\trole: guest\n", "3: is not YAML: found character '\\t'"),
}


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize(("text", "fault"), MESSAGES.values(), ids=MESSAGES)
def test_message(text: str, fault: str, tmp_path: Path) -> None:
    (found,) = faults(write(tmp_path, text))
    (file,) = file_names(text)
    assert found.startswith(f"teams/{file}:{fault}")


scalars = st.sampled_from(
    [*WORDS[:-2], "shop", "''", "'0042'", "~", "true", "2026-01-01", "{}", "[]"]
)
values = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from("abc"), below, max_size=3).map(
            lambda items: "{" + ", ".join(f"{k}: {v}" for k, v in items.items()) + "}"
        )
    ),
    max_leaves=10,
)


@given(values)
def test_reading_gives_what_a_yaml_parser_gives(text: str) -> None:
    """The values are those of YAML 1.2; source text and lines are additions."""
    ours = parsing.parse(f"key: {text}\n")
    theirs = YAML(typ="safe", pure=True).load(f"key: {text}\n")
    assert ours.data == theirs
    assert ours.lines.below["key"].line == 1


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize("word", ["0042", "1.10", "0x1F", "1_000", "0o17", "1e3", "on", "1.0e+3"])
def test_silently_wrong_label_keeps_its_source_text_when_the_file_is_changed(
    word: str, tmp_path: Path
) -> None:
    """A migration changes the files of teams."""
    folder = write(tmp_path, f"name: shop\nnamespace:\n  annotations: {{a: '{word}'}}\n")
    if word[-1].isalnum() and "+" not in word:
        text = f"name: shop\nnamespace:\n  labels: {{a: {word}}}  # as it is\n"
        (folder / "teams" / "shop.yaml").write_text(text, encoding="utf-8")

    def change(file: str, content: Any) -> None:
        if file.startswith("teams/"):
            content["contact"] = "#x"

    before = declared.load(folder).teams["shop"]
    after, _ = edit(folder, change)
    assert after.teams["shop"] == before.model_copy(update={"contact": "#x"})


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@given(text=st.sampled_from([*WORDS, "null", "~", "", "true", "2026-01-01", "# x", "a: b", "- x"]))
def test_silently_wrong_text_is_saved_as_it_came_by_the_api(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write(tmp_path_factory.mktemp("saved"))
    team = Team.model_validate({"name": "shop", "namespace": {"annotations": {"a": text}}})
    declared.save(folder, declared.propose(folder, team))
    assert declared.load(folder).teams["shop"].namespace.annotations == {"a": text}
