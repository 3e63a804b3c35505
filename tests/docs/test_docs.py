"""The documentation matches the code."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from prefect.blocks.core import Block
from pydantic import BaseModel
from ruamel.yaml import YAML

import blocks
from tasks import batches, step
from tenantry import calls
from tenantry.cli import app
from tenantry.contexts import read_file
from tenantry.declared import Platform, Team, load
from tenantry.declared.team import TeamSettings
from tests.support.addresses import GivenHarbor, GivenKeycloak

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def section(text: str, heading: str) -> str:
    """Return the text below a heading, up to the next one of the same level."""
    depth = len(heading) - len(heading.lstrip("#"))
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{depth}}} |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found, f"there is no heading {heading!r}"
    return found[1]


def cells(text: str) -> dict[str, list[str]]:
    """Return the rows of tables by the name in backticks in their first cell."""
    rows = (line.strip().strip("|").split("|") for line in text.splitlines() if line[:1] == "|")
    return {
        name[1]: [cell.strip() for cell in row[1:]]
        for row in rows
        if (name := re.match(r"`([^`]+)`$", row[0].strip()))
    }


# Links


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_fences(page.read_text()), re.MULTILINE)
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in bare}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", without_fences(page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        assert name == "README.md" or f"]({name})" in read("README.md")


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:tenantry|flows|tasks|blocks|demo|deployments|tests)/[\w/.]*)`", page.read_text()
    )
    for name in named:
        assert (ROOT / name).exists(), f"{page.name}: {name}"


# The command line


def commands() -> list[tuple[str, click.Command]]:
    group: Any = typer.main.get_command(app)
    return list(group.commands.items())


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: str(value))
def test_commands_and_options_are_documented(name: str, command: Any) -> None:
    text = read("docs/cli.md")
    arguments = [p.metavar for p in command.params if p.param_type_name == "argument"]
    documented_text = section(text, f"## `{' '.join(['tenantry', name, *arguments])}`")
    options = {
        f"{option} {parameter.metavar}" if parameter.metavar else option
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    }

    assert {row for row in cells(documented_text) if row.startswith("--")} == options
    assert "Exit status" in documented_text


def test_no_command_is_documented_that_is_not_there() -> None:
    named = re.findall(r"^## `tenantry (\w+)", read("docs/cli.md"), re.MULTILINE)

    assert named == [name for name, _ in commands()]


@each_page
def test_shell_examples_use_commands_and_options_that_exist(page: Path) -> None:
    known = dict(commands())
    for example in fences(page.read_text(), "shell"):
        for line in example.splitlines():
            if line.startswith("tenantry "):
                words = shlex.split(line, comments=True)
                options = {option for p in known[words[1]].params for option in p.opts}
                assert {word for word in words if word.startswith("--")} <= options, line


# Blocks


@pytest.mark.parametrize("name", blocks.__all__)
def test_every_field_of_a_block_is_documented(name: str) -> None:
    block: type[Block] = getattr(blocks, name)
    documented_text = section(read("docs/blocks.md"), f"## {block._block_type_name}")

    assert list(cells(documented_text)) == list(block.model_fields)
    for field, (text, default) in cells(documented_text).items():
        info = block.model_fields[field]
        assert ("Secret." in text) == ("SecretStr" in str(info.annotation)), field
        if isinstance(info.default, str) and info.default:
            assert default == f"`{info.default}`"


# Flows


def deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")[
        "deployments"
    ]
    return found


def flows_table() -> dict[str, list[str]]:
    return cells(
        re.sub(r"\[(`[a-z-]+`)\]\(#[a-z-]+\)", r"\1", read("docs/flows.md").partition("\n## ")[0])
    )


def test_the_table_of_flows_has_every_deployment() -> None:
    assert list(flows_table()) == [deployment["name"] for deployment in deployments()]


@pytest.mark.parametrize("deployment", deployments(), ids=lambda deployment: deployment["name"])
def test_the_table_has_schedule_and_limit(deployment: dict[str, Any]) -> None:
    _, schedule, limit = flows_table()[deployment["name"]]
    schedules = deployment.get("schedules", [])

    assert schedule == (", ".join(f"`{each['cron']}`" for each in schedules) or "none")
    assert {each["timezone"] for each in schedules} <= {"UTC"}
    assert limit == str(deployment["concurrency_limit"]["limit"])
    strategy = deployment["concurrency_limit"]["collision_strategy"]
    assert strategy == "ENQUEUE", "a run that a user started is not cancelled"


def test_the_page_on_flows_has_the_retries_of_tasks() -> None:
    rules = section(read("docs/flows.md"), "## Retries, failures and second runs")
    *first, last = (str(delay) for delay in step.DELAYS)

    assert f"up to {len(step.DELAYS)} times" in rules
    assert f"about {', '.join(first)} and {last} s apart" in rules


def test_the_statuses_that_may_pass_are_told() -> None:
    text = section(read("docs/flows.md"), "## Retries, failures and second runs")

    assert ", ".join(str(status) for status in sorted(calls.RETRYABLE_STATUSES)) in text


@pytest.mark.parametrize("deployment", deployments(), ids=lambda deployment: deployment["name"])
def test_each_flow_and_its_parameters_are_documented(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow: Any = getattr(__import__(module, fromlist=[name]), name)
    page, heading = read("docs/flows.md"), f"# `{deployment['name']}`"
    if f"\n#{heading}\n" in page:
        sections = [section(page, f"#{heading}")]
    else:  # one of several flows in a section that begins with their common parameters
        shared = page[: page.index(f"\n##{heading}\n")].rpartition("\n## ")[2]
        sections = [shared.partition("\n### ")[0], section(page, f"##{heading}")]
    documented = set(re.findall(r"`([a-z_]+)`", " ".join(_first_cells("\n\n".join(sections)))))

    assert set(flow.parameters.properties) == documented


def _first_cells(text: str) -> list[str]:
    tables = (part.partition("\n\n")[0] for part in text.split("| parameter |")[1:])
    rows = (row for table in tables for row in table.splitlines() if row.startswith("| `"))
    return [row.split("|")[1] for row in rows]


# The declared state


def examples(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the YAML examples with the file name in their first line."""
    for example in fences(page.read_text(), "yaml"):
        named = re.match(r"# ((?:connections|platform|teams/\w+)\.yaml)\n", example)
        assert named, f"{page.name}: this example names no file:\n{example}"
        yield named[1], example


@each_page
def test_the_examples_of_declared_state_and_connections_are_in_order(
    page: Path, tmp_path: Path
) -> None:
    (tmp_path / "teams").mkdir()
    platform = tmp_path / "platform.yaml"
    platform.write_text("name: My platform\n")
    found = list(examples(page))
    if page.name == "cli.md":
        ((name, example),) = found
        (tmp_path / name).write_text(example)
        read_file(tmp_path / name)
        return
    for name, example in found:
        (tmp_path / name).write_text(example)
        load(tmp_path)
        if name != "platform.yaml":
            (tmp_path / name).unlink()
    for name, example in found:  # together with the last platform.yaml, too
        (tmp_path / name).write_text(example)
        load(tmp_path)


def test_every_section_of_a_team_has_an_example() -> None:
    shown = [
        YAML(typ="safe", pure=True).load(text)
        for name, text in examples(ROOT / "docs" / "declared-state.md")
        if name != "platform.yaml"
    ]

    assert set().union(*shown) == set(Team.model_fields)


def test_what_the_platforms_example_calls_a_default_is_one() -> None:
    (example,) = (
        YAML(typ="safe", pure=True).load(text)
        for name, text in examples(ROOT / "docs" / "declared-state.md")
        if name == "platform.yaml" and "dns_namespace" in text
    )
    documented = {key: value for key, value in example.items() if key != "name"}

    given = Platform.model_validate(documented)
    assert given == Platform()
    assert set(example) | {"defaults", "profiles"} == set(Platform.model_fields)
    assert set(TeamSettings.model_fields) < set(Team.model_fields)


# Changelog and contributing


def test_the_changelog_describes_the_version_and_what_comes_after_it() -> None:
    headings = re.findall(
        r"^## \[(.+?)\]( - \d{4}-\d\d-\d\d)?$", read("CHANGELOG.md"), re.MULTILINE
    )
    project = tomllib.loads(read("pyproject.toml"))["project"]

    assert [name for name, _ in headings[:2]] == ["Unreleased", project["version"]]
    assert all(bool(date) == (name != "Unreleased") for name, date in headings)


def test_the_renamed_parameters_of_the_changelog_exist() -> None:
    flows = {each["name"]: each["entrypoint"] for each in deployments()}
    text = section(read("CHANGELOG.md"), "### Renamed flow parameters")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    for names, _, now in rows:
        for name in re.findall(r"`([^`]+)`", names):
            module, _, function = flows[name].rpartition(".")
            flow: Any = getattr(__import__(module, fromlist=[function]), function)
            assert now.split("`")[1] in flow.parameters.properties, name


def test_the_make_targets_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for page in PAGES:
        text = "\n".join(re.findall(r"`make [^`]+`|^make \w.*$", page.read_text(), re.MULTILINE))
        assert set(re.findall(r"make ([a-z]+(?:-[a-z]+)*)(?![a-z…-])", text)) <= targets, page.name


# Tests


def test_the_variables_that_give_the_tests_systems_are_documented() -> None:
    documented = {
        name for name in cells(read("docs/testing.md")) if name.startswith("TENANTRY_TEST_")
    }
    systems: dict[str, type[BaseModel]] = {"HARBOR": GivenHarbor, "KEYCLOAK": GivenKeycloak}
    known = {
        f"TENANTRY_TEST_{system}_{field}".upper()
        for system, account in systems.items()
        for field in account.model_fields
    }
    assert documented == known | {"TENANTRY_TEST_KUBECONFIG"}


# Troubleshooting and sizing


def code_texts() -> list[str]:
    """Return the texts in the product's code, with a gap for each inserted value."""
    found = []
    for folder in ("tenantry", "tasks", "flows", "blocks"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (getattr(part, "value", None) for part in node.values)
                    found.append("".join(p if isinstance(p, str) else "…" for p in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"%\.?\d*[sdf]", "…", node.value))
    return found


def test_each_message_of_the_troubleshooting_page_is_the_codes() -> None:
    page = read("docs/troubleshooting.md")
    tables = [part.partition("\n\n")[0] for part in page.split("| message |")[1:]]
    messages = [
        name for table in tables for name in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    ]
    messages += re.findall(r"logs `([^`]+)`", page)
    texts = code_texts()

    assert len(messages) > 10
    for message in messages:
        parts = [re.escape(part) for part in message.split("…")]
        pattern = re.compile(".*".join(parts), re.DOTALL)
        assert any(pattern.search(text) for text in texts), f"the code has no message {message!r}"


def test_the_limits_of_the_sizing_page_are_the_codes() -> None:
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| `([\w.]+)`", read("docs/sizing.md"), re.MULTILINE)
    limits = {name: int(value) for value, name in rows}

    assert limits == {
        "MAX_CONCURRENT_CALLS": calls.MAX_CONCURRENT_CALLS,
        "SHARD": batches.SHARD,
        "SHARDS_AT_ONCE": batches.SHARDS_AT_ONCE,
        "rotation.most_per_run": Platform().rotation.most_per_run,
    }
