"""The names of flow runs, which users enter or Prefect generates."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.context import FlowRunContext
from prefect.utilities.names import generate_slug

from tasks.names import describe_run, is_generated, run_name

pytestmark = pytest.mark.demand("reality", "a run name that a user types is kept")


def test_names_that_the_server_makes_up_are_known() -> None:
    assert all(is_generated(generate_slug(2)) for _ in range(500))


@pytest.mark.parametrize("name", ["Rustic-Zebu", "Handmade-Cat", "Small-Sloth", "Awesome-Boxer"])
def test_names_that_the_form_of_the_ui_fills_in_are_known(name: str) -> None:
    assert is_generated(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "shop",
        "onboard shop",
        "request-4711",
        "urgent-fix",
        "JIRA-12",
        "Small-team-shop",
        "Generic-onboarding",
        "small-Zebra",
        "zebra-small",
        "a-b-c",
        "Rustic-",
        "Émile-Zola",
    ],
)
def test_a_name_that_a_person_types_is_kept(name: str) -> None:
    assert not is_generated(name)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "detect drift"),
        ({"teams": ["shop", "data"]}, "detect drift: shop, data"),
        ({"teams": list("abcdefg")}, "detect drift: a, b, c, d, e and 2 more"),
        ({"remediate": "safe", "teams": ["shop"]}, "detect drift: shop (remediate safe)"),
        (
            {"systems": ["harbor", "istio"], "commit": "0123456789abcdef" * 2 + "01234567"},
            "detect drift (systems harbor, istio, commit 0123456789ab)",
        ),
        ({"platform": "staging"}, "detect drift (platform staging)"),
        ({"probe_credentials": False}, "detect drift (no probe credentials)"),
        ({"teams": ["a\nb\x1b[2J", "x" * 500]}, None),
    ],
)
def test_a_run_is_named_after_what_is_special_about_it(
    parameters: dict[str, Any], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detect(
        teams: list[str] | None = None,
        systems: list[str] | None = None,
        remediate: str = "none",
        commit: str | None = None,
        probe_credentials: bool = True,
        platform: str = "default",
    ) -> None:
        """Stand in for a flow."""

    defaults = {key: each.default for key, each in inspect.signature(detect).parameters.items()}
    context = SimpleNamespace(
        flow=SimpleNamespace(fn=detect),
        flow_run=SimpleNamespace(name="Rustic-Zebu"),
        parameters=defaults | parameters,
    )
    monkeypatch.setattr(FlowRunContext, "get", lambda: context)
    given = run_name(
        "detect drift",
        about="teams",
        options=("systems", "remediate", "commit", "probe_credentials"),
    )()

    if name is not None:
        assert given == name
    assert len(given) <= 120
    assert given.isprintable()
    context.flow_run.name = "JIRA-12"
    assert run_name("detect drift")() == "JIRA-12"


@pytest.mark.parametrize("team", [None, "shop", {}, {"title": "x"}, []])
def test_a_run_with_a_faulty_parameter_still_has_a_name(team: Any) -> None:
    assert describe_run("onboard {team[name]}", {"team": team}, None, []) == "onboard"
