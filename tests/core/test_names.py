"""The name of a flow run: typed by a person, or made up."""

import pytest
from prefect.utilities.names import generate_slug

from tasks.names import is_generated


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
