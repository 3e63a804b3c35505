"""What a person sees before a removal is approved: each list is complete, or says what is missing."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from tasks.offboarding_report import TeamRemoval, question, removal_page
from tenantry.declared import Team
from tenantry.declared.offboarding import Offboarding
from tenantry.offboarding.plan import Deletion, Kept, RemovalPlan, Repository
from tenantry.resources import Id
from tenantry.systems.harbor.kinds import IMMUTABLE_TAG_RULE, PROJECT, REPOSITORY
from tenantry.systems.kubernetes.kinds import NAMESPACE

pytestmark = pytest.mark.demand(
    "lifecycle", "the approval of a removal lists repositories, tags, sizes and last pulls"
)

RECORD = Offboarding(
    since=datetime(2026, 11, 1, tzinfo=UTC), by="Ann", remove_after=date(2026, 11, 15)
)


def repository(number: int, last_pull: str = "") -> Repository:
    name = f"team-shop/web-{number}"
    return Repository(name, number, ("1.0", "1.1"), 2, number, 3 << 20, last_pull=last_pull)


def removal(*repositories: Repository, delete_images: bool) -> TeamRemoval:
    team = Team(name="shop")
    project = Id(PROJECT, "team-shop")
    removed = [Deletion(Id(NAMESPACE, "team-shop"), "1", "Namespaces", "with 2 resources in it")]
    kept = []
    if delete_images:
        rule = Id(IMMUTABLE_TAG_RULE, "team-shop/**:v*")
        images = [Deletion(Id(REPOSITORY, each.name), "1", "Harbor") for each in repositories]
        removed = [Deletion(rule, "1", "Harbor", "it blocks the deletion"), *images, *removed]
        removed.append(Deletion(project, "1", "Harbor"))
    else:
        kept.append(Kept(project, "it contains 1 repository"))
    plan = RemovalPlan(team, tuple(removed), tuple(kept), repositories, delete_images)
    return TeamRemoval(team, RECORD, plan)


@pytest.mark.parametrize("show", [lambda each: question([each]), removal_page])
def test_deleted_images_are_listed_first_with_tags_size_and_last_pull(
    show: Callable[[TeamRemoval], str],
) -> None:
    pulled = repository(1, "2026-11-30T19:26:50.123Z")

    lines = show(removal(pulled, repository(2), delete_images=True)).splitlines()

    first = "- `team-shop/web-1`: 2 artifacts (1.0, 1.1), 3.0 MiB, last pull: 2026-11-30 19:26 UTC"
    second = "- `team-shop/web-2`: 2 artifacts (1.0, 1.1), 3.0 MiB, last pull: never"
    assert [line for line in lines if "web-" in line] == [first, second], "each is listed once"
    assert "**All images are deleted**: 2 repositories, 6.0 MiB." in lines
    assert lines.index(second) < lines.index("- harbor project team-shop")
    assert "- kubernetes Namespace team-shop (with 2 resources in it)" in lines


def test_a_kept_project_is_named_with_the_reason() -> None:
    lines = question([removal(repository(1), delete_images=False)]).splitlines()

    assert "The images are kept with their project: 1 repository, 3.0 MiB." in lines
    keep = lines[lines.index("**Keep:**") :]
    assert "- harbor project team-shop: it contains 1 repository" in keep


def test_a_long_list_says_how_many_lines_are_missing() -> None:
    many = [repository(number) for number in range(80)]

    text = question([removal(*many, delete_images=True)])

    assert "\n- … and 30 more\n" in text
    assert "- … and" not in removal_page(removal(*many, delete_images=True))
