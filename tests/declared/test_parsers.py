"""libyaml, which reads almost all files, and ruamel.yaml give a text the same meaning.

libyaml reads YAML 1.1. `tenantry.declared.libyaml` leaves text that could have another meaning in
YAML 1.2 to ruamel.yaml, and all faults.
"""

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import Resolver

from tenantry.declared import libyaml, parsing
from tenantry.declared.libyaml import Unsure
from tenantry.declared.yaml_nodes import FaultyText
from tests.support.harness import write
from tests.support.varied_teams import VariedTeams

ROOT = Path(__file__).parents[2]
MOST = 4000
"""The examples with `--whole`."""


def typed(value: Any) -> Any:
    """Return a value with its type, and the source text of its numbers; nan equals nan."""
    if isinstance(value, dict):
        return [(typed(key), typed(below)) for key, below in value.items()]
    if isinstance(value, list):
        return [typed(each) for each in value]
    shown = hex(value) if isinstance(value, int) else repr(value)  # Python limits decimal digits
    text = parsing.source_text(value) if isinstance(value, int | float) else ""
    return type(value), shown, text


def read_by(parse: Any, text: str) -> Any:
    """Return the typed values and the lines of a text, or its fault."""
    try:
        content = parse(text)
    except FaultyText as fault:
        return fault.line, fault.text
    return typed(content.data), content.lines


def is_read_by_libyaml(text: str) -> bool:
    try:
        libyaml.compose(text)
    except Unsure:
        return False
    return True


# Documents

WORDS = (
    *("a", "b", "name", "ab c", "é", "\u3000", "\U0001f600", "x:y", "http://x.y/", "a?b", "?x"),
    *("-x", ":x", "0", "-1", "1.5", "0x1F", "0o17", "0042", "12:30", "1e3", "1_000", "yes", "on"),
    *("true", "null", "~", "=", "2001-01-01", "2001-01-01 10:00:00", ".inf", "-.INF", ".nan"),
    *("&a", "*a", "&b x", "*b", "<<", "!", "!!str", "!!int", "%", "@", "`", "---", "...", "%YAML"),
    *(":", ": ", ":\n", "- ", "-", "? ", "?", "|", "|-", "|+", "|2", ">", ">-", "{", "}", "[", "]"),
    *(",", ", ", "#", " #", "# c", "'", '"', "''", '\\"', "\\n", "\\x41", "\\/", "\\ud800", "\\"),
    *("'q'", '"q"', '"a b"', "[a, b]", "{a: b}", "- a", "a: b\n", "key:\n", "  k: v\n", "\t"),
    *("\r\n", "\r", "\x85", "\u2028", "\ufeff", "\x00", "\x07", "\ufffe", "9" * 400),
)
BLANKS = ("", "", " ", "  ", "\n", "\n  ", "\n    ", "\n - ", "\n- ", "\n\n", "  \n", "\t")
CHARACTERS = " \n\n  :-?[]{},#&*!|>'\"%@`ab01=<~.\\"
VALUES = (
    *("a", "1", "x y", "'q r'", '"q\\n"', "[a, b]", "{a: 1, b: [c]}", "null", "", "a#b", "a #b"),
    *("[ a,\n b ]", "a\n  b", "'a\n b'", '"a\n\n  b"', "*x", "&x 1", "&x {a: 1}", "&x [*x]", "*"),
    *("|\n{0}  t\n{0}   u", ">-\n{0}  t\n{0}  u\n\n{0}  v", "|+\n{0}  t\n\n", "|\n\n{0}  t", "|"),
    *("http://a:b/c", "[http://a/, b:c]", "{a: b:c}", "a, b", "[a,]", "{a}", "[a: b]", "[]", "{}"),
    *("- a", "a: b", "#c", "0 3 * * *", "v*", "{<<: *x, b: 2}", "0777", "yes", "12:30", "1e400"),
)
KEYS = ("a", "b", "c", "'q'", '"w"', "1", "true", "x y", "<<", "e", "f", "[h]", "&y h", "null")


class Documents:
    """Makes documents of all kinds from a source of random numbers."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._one = source.choice

    def any(self) -> str:
        make = self._one((self.words, self.characters, self.nested, self.nested))
        return make()

    def words(self) -> str:
        count = self._random.randint(1, 14)
        return "".join(self._one(WORDS) + self._one(BLANKS) for _ in range(count))

    def characters(self) -> str:
        return "".join(self._one(CHARACTERS) for _ in range(self._random.randint(1, 16)))

    def nested(self) -> str:
        """Return a document that resembles a team file, sometimes with something inserted."""
        text = self._value(self._random.randint(1, 3), 0).lstrip("\n")
        if self._random.random() < 0.3:
            at = self._random.randrange(len(text) + 1)
            text = text[:at] + self._one((*WORDS, *BLANKS, *CHARACTERS)) + text[at:]
        return text

    def _value(self, depth: int, indent: int) -> str:
        kind = self._random.random()
        if depth == 0 or kind < 0.35:
            value = self._one(VALUES).replace("{0}", " " * indent)
            return f" {value}{self._one(('', ' #c', chr(10), chr(10) * 2 + '  #c'))}\n"
        text, blanks = "\n", " " * indent
        for _ in range(self._random.randint(1, 3)):
            key = f"{self._one(KEYS)}:" if kind < 0.75 else "-"
            text += f"{blanks}{key}{self._value(depth - 1, indent + self._one((0, 1, 2, 2, 3)))}"
            if self._random.random() < 0.1:
                text += self._one(("# c\n", "\n", "  # c\n", "   \n", " x\n"))
        return text


def laughs(levels: int) -> str:
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    more = (
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
        for level in range(1, levels)
    )
    return first + "".join(more)


HOSTILE = {
    "the same key twice": "name: shop\nrobots: {ci: {}, ci: {}}\n",
    "the same key, written differently": "1: a\n0x1: b\n",
    "a key that equals another by value": "1: a\n1.0: b\ntrue: c\n",
    "a list as a key": "[a]: b\n",
    "aliases that grow": laughs(8),
    "aliases within the limit": laughs(3),
    "an alias of what contains it": "a: &a {b: *a}\n",
    "an alias of nothing": "a: *b\n",
    "the same anchor twice": "a: &x 1\nb: &x 2\nc: *x\n",
    "an anchor with a colon": "&a: b\nc: *a:\n",
    "merge keys": "a: &a {x: 1}\nb: {<<: *a, x: 2, y: 3}\nc: {<<: [*a, *a], <<: *a}\n",
    "a merge key of a text": "a: {<<: b}\n",
    "a tab before a key": "a:\n\tb: c\n",
    "a tab after a value": "a: b\t\n",
    "a tab in a value": "a: b\tc\n",
    "a byte order mark": "\ufeffa: b\n",
    "two byte order marks": "\ufeff\ufeffa: b\n",
    "a byte order mark later": "a: b\n\ufeffc: d\n",
    "the line breaks of Windows": "a: b\r\nc:\r\n  - d\r\n",
    "the line breaks of old Macs": "a: b\rc: d\r",
    "a next-line character": "a: b\x85c: d\n",
    "a line separator": "a: b\u2028c: d\n",
    "a control character": "a: b\x07\n",
    "a NUL": "a: b\x00c: d\n",
    "a lone surrogate": 'a: "\\ud800"\n',
    "characters outside of the basic plane": "\U0001f600: '\U0001f600'\nb: [\u200b, \xa0]\n",
    "deeply nested lists": "[" * 100_000,
    "deeply nested lists that end": "[" * 30_000 + "]" * 30_000,
    "deeply nested lists in a line": "- " * 100_000,
    "deeply nested mappings": "a:\n" + "".join(" " * n + "a:\n" for n in range(1, 900)),
    "one level too many": "a: " + "[" * 60 + "]" * 60,
    "the deepest level": "a: " + "[" * 59 + "]" * 59,
    "a huge integer": f"a: {'9' * 5000}\n",
    "a large integer": f"a: {'9' * 4000}\nb: -{'9' * 20}\n",
    "a huge hexadecimal integer": f"a: 0x{'f' * 5000}\n",
    "a huge number": "a: 1e99999\nb: -1e99999\n",
    "a number of blanks": "a: 1__0\nb: -_\nc: 0x_\nd: +_1\n",
    "a date that does not exist": "a: 2001-99-99\n",
    "a time": "a: 2001-12-14t21:59:43.10-05:00\nb: 2001-12-14 21:59:43\n",
    "YAML 1.1, declared": "%YAML 1.1\n---\na: yes\nb: 0042\nc: 12:30\n",
    "several documents": "a: b\n---\nc: d\n",
    "a document's end": "a: b\n...\n",
    "a complex key": "? a\n: b\n",
    "an empty key": ": a\n",
    "tags": "a: !!str 1\nb: !x y\nc: !!binary aGk=\nd: !!set {e}\n",
    "a comment right after a bracket": "a: [b]#c\nd: {e: f}#g\n",
    "a block scalar whose first lines are empty": "a: |\n\n   b\n  c\n",
    "an empty file": "",
    "a file of comments": "# a\n\n# b\n",
    "a text": "a\n",
    "a number": "1\n",
    "a value after a quoted key": '{"a":b, "c":[d]}\n',
    "a colon before a bracket": "{a:[b]}\n",
    "no value": "{a:}\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_read_as_by_the_parser_of_yaml_1_2(text: str) -> None:
    assert read_by(parsing.parse, text) == read_by(parsing.parse_with_ruamel, text)


@pytest.mark.demand("speed", "loading: any text has the same values, types, lines and faults")
def test_any_text_is_read_as_by_the_parser_of_yaml_1_2(whole: bool, record_property: Any) -> None:
    """libyaml reads the text in the same way, or not at all."""
    by_libyaml = 0

    @settings(max_examples=MOST if whole else 150, database=None)
    @given(st.randoms(use_true_random=True))
    def check(source: random.Random) -> None:
        nonlocal by_libyaml
        text = Documents(source).any()
        by_libyaml += is_read_by_libyaml(text)
        assert read_by(parsing.parse, text) == read_by(parsing.parse_with_ruamel, text), text

    check()
    record_property("figure", f"{by_libyaml} documents read by libyaml")
    assert by_libyaml


@given(st.text("0123456789.-+eExobINFinfnatT:_ Z~ruelsy<=", max_size=12) | st.text(max_size=3))
@example("2001-1-1 1:00:00Z")
@example("yes")
@example("0o8")
def test_a_plain_scalar_has_the_type_of_yaml_1_2(text: str) -> None:
    assume(text not in ("!", "&", "*"))  # these are never plain scalars
    expected = Resolver().resolve(ScalarNode, text, (True, False))
    assert libyaml._tag_of(text) == str(expected)


RULES = {
    "yes": "yes",
    "on": "on",
    "n": "n",
    "true": True,
    "0042": 42,
    "0o17": 15,
    "12:30": "12:30",
    "1_000": 1000,
    "1e3": 1000.0,
    "~": None,
    "2026-12-31": date(2026, 12, 31),
    "=": "=",
    "#no": None,
}


@pytest.mark.parametrize(("text", "value"), RULES.items(), ids=RULES)
def test_a_value_follows_the_rules_of_yaml_1_2(text: str, value: object) -> None:
    found = parsing.parse(f"adopt: {text}\n").data["adopt"]
    assert (found, isinstance(found, bool)) == (value, isinstance(value, bool))
    if type(value) in (int, float):
        assert parsing.source_text(found) == text


def test_usual_files_are_read_by_libyaml(tmp_path: Path) -> None:
    teams = VariedTeams(seed=3).contents(50)
    varied = write(tmp_path, *teams, platform=VariedTeams(seed=3).platform())
    files = [
        *(ROOT / "deployments" / "example").rglob("*.yaml"),
        *varied.rglob("*.yaml"),
    ]
    assert len(files) > 50
    slow = [file.name for file in files if not is_read_by_libyaml(file.read_text())]
    # Tabs are rare: some of the varied teams have them on purpose.
    assert [name for name in slow if "\t" not in _text_of(files, name)] == []


def _text_of(files: list[Path], name: str) -> str:
    return next(file.read_text() for file in files if file.name == name)


USUAL = """\
---
# The team of the web shop
name: shop
contact: "#shop"
display_name: 'Größe & Maß: the shop'
description: >-
  A text
  of two lines
harbor: &harbor
  retention: {rules: [{latest_pushed: 20, tags: v*}], schedule: 0 3 * * *}
copy: *harbor
namespace:
  quota: {requests.cpu: 16, "limits.memory": 8Gi}
  annotations:
    example.com/url: https://example.com/?a=b&c=d#e
oidc_clients:
  web:
    redirect_uris:
    - https://shop.example.com/oauth2/callback
    - [http://localhost:8080/, 'https://*.example.com/']
note: |
  a

    b
"""


def test_usual_syntax_is_read_by_libyaml() -> None:
    assert is_read_by_libyaml(USUAL)
    assert read_by(parsing.parse, USUAL) == read_by(parsing.parse_with_ruamel, USUAL)


def test_all_files_can_be_read_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without it."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert not is_read_by_libyaml(USUAL)
    assert read_by(parsing.parse, USUAL) == read_by(parsing.parse_with_ruamel, USUAL)
