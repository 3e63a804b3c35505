"""The plan of a removal as a value: its digest, and what an approval covers."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tenantry.declared import Team
from tenantry.offboarding.plan import Deletion, Kept, RemovalPlan, Repository
from tenantry.resources import Id
from tenantry.systems.harbor.kinds import PROJECT, REPOSITORY, ROBOT
from tenantry.systems.keycloak.kinds import CLIENT

TEAM = Team(name="shop")
ROBOTS = tuple(
    Deletion(Id(ROBOT, f"team-shop/{purpose}-a"), str(number), "Harbor")
    for number, purpose in enumerate(("pull", "ci", "scan"), start=7)
)


def images(*repositories: Repository) -> tuple[Deletion, ...]:
    """Return the deletions of repositories."""
    return tuple(
        Deletion(Id(REPOSITORY, each.name), str(each.number), "Harbor") for each in repositories
    )


def deleting(*repositories: Repository) -> RemovalPlan:
    """Return the plan with these repositories."""
    return replace(PLAN, removed=(*ROBOTS, *images(*repositories)), repositories=repositories)


OLD = Repository("team-shop/web", 45, ("1", "2"), 2, 90, 1000)
NEW = Repository("team-shop/api", 46, ("1",), 1, 91, 500)
PLAN = RemovalPlan(TEAM, (*ROBOTS, *images(OLD, NEW)), repositories=(OLD, NEW), delete_images=True)
KEEPING = replace(PLAN, removed=ROBOTS, delete_images=False)


@given(st.sets(st.sampled_from(ROBOTS)), st.sets(st.sampled_from((OLD, NEW))))
def test_an_approval_covers_what_an_interrupted_removal_has_left(
    removed: set[Deletion], repositories: set[Repository]
) -> None:
    left = deleting(*repositories)
    left = replace(left, removed=(*removed, *images(*repositories)))
    assert left.is_approved(PLAN.approval)
    is_whole = len(left.removed) == len(PLAN.removed)
    assert is_whole == (left.digest == PLAN.digest)


def test_nothing_is_approved_before_a_person_has_approved_it() -> None:
    assert not PLAN.is_approved(None)
    assert not PLAN.is_approved("")
    assert not RemovalPlan(TEAM).is_approved(None)
    assert PLAN.is_approved(PLAN.digest)


def test_another_resource_of_the_same_name_is_not_approved() -> None:
    other = replace(ROBOTS[0], identity="99")
    assert not replace(KEEPING, removed=(other, *ROBOTS[1:])).is_approved(KEEPING.approval)
    more = (*ROBOTS, Deletion(Id(CLIENT, "team-shop-web"), "an id", "Keycloak"))
    assert not replace(KEEPING, removed=more).is_approved(KEEPING.approval)


def test_images_that_were_pushed_since_are_not_approved() -> None:
    repository = Repository("team-shop/late", 47, ("1",), 1, 92, 5)
    assert not deleting(OLD, NEW, repository).is_approved(PLAN.approval)
    pushed = replace(OLD, last_artifact=92)
    assert not deleting(pushed, NEW).is_approved(PLAN.approval)
    assert not PLAN.is_approved(KEEPING.approval), "the approved plan kept the images"


def test_images_that_are_kept_need_no_approval() -> None:
    pushed = replace(KEEPING, repositories=(OLD, NEW, replace(NEW, number=99)))
    assert pushed.is_approved(KEEPING.approval)
    assert pushed.digest == KEEPING.digest


def test_the_digest_counts_identities_and_decisions_only() -> None:
    pulled = replace(OLD, last_pull="2026-11-30T10:00:00Z", last_push="2026-11-30T09:00:00Z")
    assert deleting(pulled, NEW).digest == PLAN.digest
    assert deleting(replace(OLD, tags=("1",)), NEW).digest != PLAN.digest
    kept = (Kept(Id(PROJECT, "team-shop"), "it has images"),)
    assert replace(PLAN, kept=kept).digest != PLAN.digest
    reworded = (Kept(Id(PROJECT, "team-shop"), "it has 3 images"),)
    assert replace(PLAN, kept=kept).digest == replace(PLAN, kept=reworded).digest


def test_an_approval_is_one_word_for_the_team_file() -> None:
    assert PLAN.approval.replace("-", "").isalnum()
    assert PLAN.approval == replace(PLAN, removed=PLAN.removed[::-1]).approval
