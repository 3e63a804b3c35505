"""Generates the tables of the reference from the code, in their places on the pages.

On a page, a table stands between two comments:

    <!-- generated: parameters detect-drift -->
    <!-- end -->

`make reference` writes the tables again; a test says when one is out of date. So a page reads the same in a
repository browser and on the site.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

import blocks
from docs.site import fields
from docs.site.pages import ROOT
from tasks.events import EVENTS
from tenantry.checks.catalogue import CATALOGUE

_GENERATED = re.compile(r"(<!-- generated: ([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CODE = re.compile(
    r"kubectl config [^.]*json|\{\"[^}]*\}|(?<!\w)'[^'\s]+'|\"[\w.-]+\"|[\w-]*\{team\}|platform\.yaml|--[a-z-]+"
    r"|https?://[\w./-]*[\w/]|git@[\w.:/-]*\w|(?<=such as )[\w-]+/[\w/-]+"
)
"""What descriptions in the code name as it is typed. They are plain text, as Prefect's forms show them."""
_QUOTES = "\"'"
_LINKS = {
    "Platform block": "[Platform](blocks.md#platform) block",
    "an approval in the UI": "an [approval](flows.md#approval) in the UI",
    "Context of the connection file": "[Context](cli.md#connections) of the connection file",
    "hash of a commit": "hash of a [commit](git.md#which-commit)",
    "the audit trail": "the [audit trail](rotation.md#the-audit-trail)",
    "CSV or Excel file": "CSV or Excel [file](migrate.md#the-identities-file)",
}
"""Words of descriptions in the code, and what they are on a page."""


def regenerate(text: str, page: str) -> str:
    """Return a page with its generated tables as the code has them now.

    Args:
        text: The page.
        page: Its file name, for links to itself.
    """

    def table(found: re.Match[str]) -> str:
        name, *arguments = found[2].split()
        lines = "\n".join(_TABLES[name](*arguments)).replace(f"]({page}#", "](#")
        return f"{found[1]}\n{lines}\n\n{found[3]}"

    return _GENERATED.sub(table, text)


def update() -> list[str]:
    """Write the generated tables of all pages again, and return the names of the changed pages."""
    changed = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        now = regenerate(text, page.name)
        if now != text:
            page.write_text(now, encoding="utf-8")
            changed.append(page.name)
    return changed


def _table(head: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield head
    yield "|" + "---|" * head.count(" |")
    for row in rows:
        yield f"| {' | '.join(row)} |".replace("|  |", "| |")


def _linked(text: str) -> str:
    """Return a description of the code as a cell: on one line, with values in code type and links."""
    text = _CODE.sub(lambda found: f"`{found[0].strip(_QUOTES)}`", " ".join(text.split()))
    for words, link in _LINKS.items():
        text = text.replace(words, link, 1)
    return text.replace("|", r"\|").replace(" <", " &lt;")


def _value(default: Any) -> str:
    """Return a default as a cell; empty if there is none."""
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, bool | int):
        return json.dumps(default)
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


# Flows


def _deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")[
        "deployments"
    ]
    return found


def flows() -> Iterator[str]:
    """Return the table of all deployments."""
    rows = []
    for each in _deployments():
        crons = ", ".join(f"`{schedule['cron']}`" for schedule in each.get("schedules", []))
        first = re.match(r".*?\.(?= |$)", each["description"])
        assert first, f"the description of {each['name']} has no sentence"
        limit = str(each["concurrency_limit"]["limit"])
        rows.append([f"[`{each['name']}`](#{each['name']})", first[0], crons or "none", limit])
    return _table("| deployment | what it does | schedule (UTC) | runs at once |", rows)


def parameters(deployment: str, only: str = "all", *names: str) -> Iterator[str]:
    """Return the table of a flow's parameters.

    Args:
        deployment: The name of the deployment.
        only: `all`, or `only` or `without` the parameters that follow.
        names: The parameters to show, or to leave out.
    """
    (found,) = (each for each in _deployments() if each["name"] == deployment)
    module, _, function = found["entrypoint"].rpartition(".")
    flow: Any = getattr(__import__(module, fromlist=[function]), function)
    rows = []
    for name, schema in flow.parameters.properties.items():
        if only != "all" and (name in names) != (only == "only"):
            continue
        default = _value(schema.get("default"))
        deployed = _value(found.get("parameters", {}).get(name))
        if deployed and deployed != default:
            default = f"{default}; in the deployment {deployed}".removeprefix("; ")
        rows.append([f"`{name}`", _linked(schema["description"]), default])
    return _table("| parameter | | default |", rows)


def events() -> Iterator[str]:
    """Return the table of all events."""
    rows = [
        [
            f"`{event.name}`",
            event.resource,
            ", ".join(f"[`{flow}`](flows.md#{flow})" for flow in event.flows) or "all that write",
            event.when,
        ]
        for event in EVENTS
    ]
    return _table("| event | resource | flow | when, and payload |", rows)


# Blocks


def block(*words: str) -> Iterator[str]:
    """Return the table of the fields of a block type, which is given by its name in the UI."""
    (found,) = (
        each
        for each in (getattr(blocks, name) for name in blocks.__all__)
        if each._block_type_name == " ".join(words)
    )
    rows = [_field(name, info) for name, info in found.model_fields.items()]
    return _table("| field | | default |", rows)


def _field(name: str, info: FieldInfo) -> list[str]:
    text = _linked(info.description or "")
    if SecretStr.__name__ in str(info.annotation):
        text = f"{text} Secret."
    default = None if info.default is PydanticUndefined else info.default
    return [f"`{name}`", text, _value(default)]


# Checks


def checks() -> Iterator[str]:
    """Return the table of all checks."""
    rows = [[f"`{name}`", *texts] for name, *texts in CATALOGUE]
    return _table("| check | what a user sees | cause | remedy | source |", rows)


# The command line


def options(command: str) -> Iterator[str]:
    """Return the table of a command's options."""
    import typer.main

    from tenantry.cli import app

    group: Any = typer.main.get_command(app)
    rows = []
    for each in group.commands[command].params:
        if each.param_type_name == "option":
            values = each.type_descriptor.annotation
            allowed = get_args(values) if get_origin(values) is Literal else ()
            choices = ", ".join(f"`{value}`" for value in allowed)
            text = f"{_linked(each.help or '')} {f'One of {choices}.' * bool(choices)}".strip()
            default = "" if each.default is False else _value(each.default)
            for name in each.opts:
                shown = f"`{name} {each.metavar}`" if each.metavar else f"`{name}`"
                rows.append([shown, text, default])
    return _table("| option | | default |", rows)


_TABLES: dict[str, Callable[..., Iterator[str]]] = {
    "flows": flows,
    "parameters": parameters,
    "events": events,
    "block": block,
    "checks": checks,
    "options": options,
    "fields": fields.tables,
}
