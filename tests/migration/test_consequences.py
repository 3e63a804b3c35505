"""What people read before they approve a step of a migration, and after each run."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tenantry.migration import consequences
from tenantry.migration.journal import Journal, Phase
from tenantry.migration.snapshot import HarborUser, Identity, Person, Situation, Snapshot
from tenantry.migration.status import describe, locked_out, next_step

pytestmark = pytest.mark.demand(
    "migrate", "the approvals state the numbers of users, and hold for no more of them"
)

NOW = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
DEPLOYMENTS = ("continue-migration", "finish-migration", "roll-back-migration")


def person(number: int, wave: int | None = 0, *, renamed: bool = False, **changes: Any) -> Person:
    name = f"secretname{number:02}"
    new = Identity(external_id=f"n{number}", external_username=f"{name}.x" if renamed else name)
    user = HarborUser(id=number + 10, username=name, subiss=f"{number}old")
    found = Person(id=f"p{number}", username=name, harbor=user, new=new, wave=wave)
    return found.model_copy(update=changes)


def plan(situation: Situation, *people: Person) -> Snapshot:
    return Snapshot(
        id="20300102-aaaa",
        made=NOW,
        situation=situation,
        realm="platform",
        issuer="https://sso/realms/platform",
        old="old",
        new="new",
        match="email",
        people=list(people),
        waves=["pilot", "the others"],
    )


def entry(situation: Situation, phase: Phase, **changes: Any) -> Journal:
    return Journal(
        id="20300102-aaaa",
        situation=situation,
        realm="platform",
        old="old",
        new="new",
        plan="f" * 64,
        phase=phase,
        began=NOW,
        waves=2,
        soak_hours=24,
        keep_days=30,
    ).after(**changes)


def test_the_approval_of_another_issuer_says_what_matters_in_its_order() -> None:
    people = [person(0), person(1, 1, renamed=True), person(2, 1), person(3, None)]

    lines = consequences.of_plan(plan("issuer", *people), 7, claim="preferred_username")

    assert [line.split(".")[0] for line in lines] == [
        "3 users of 7 in Harbor are deleted, wave by wave",
        "From this approval on, 3 people cannot log in again until their wave is done",
        ("The CLI secrets of 3 people become invalid"),
        "The user name for docker login changes for 1 person",
        "1 person is excluded, and cannot log in after the migration",
        "For a rollback, run roll-back-migration before finish-migration",
    ]
    assert "CLI secrets become invalid again" in lines[-1], "what a rollback costs"


def test_a_plan_without_a_way_back_says_so() -> None:
    lines = consequences.of_plan(plan("issuer", person(0)), 1, can_roll_back=False)

    assert lines[-1].startswith("A rollback is not possible")


def test_the_approval_of_another_provider_says_that_nobody_is_deleted() -> None:
    lines = consequences.of_plan(plan("provider", person(0), person(1, 1)), 0)

    assert any("No user is deleted in Harbor." in line for line in lines)
    assert not any("become invalid" in line for line in lines)


def test_the_approval_of_re_created_users_says_who_is_deleted_where() -> None:
    people = [person(0, way="recreate"), person(1, 1, way="recreate", harbor=None)]

    lines = consequences.of_plan(plan("users", *people), 4, claim="preferred_username")

    assert lines[0].startswith("1 user of 4 in Harbor is deleted")
    assert lines[1].startswith("2 users of the realm are deleted and re-created")
    assert "User names for docker login do not change." in lines


def test_a_name_of_an_unknown_claim_may_change() -> None:
    lines = consequences.of_plan(plan("issuer", person(0)), 1, claim="nick")

    assert any("may change" in line and "'nick'" in line for line in lines)


def test_a_finish_names_who_loses_rights_and_who_is_locked_out() -> None:
    user = HarborUser(id=3, username="x", subiss="x", admin=True, members={"a": 1, "b": 2})
    found = consequences.of_finish(
        plan("issuer", person(0), person(1, harbor=user), person(2, None)),
        entry("issuer", "moved", waves_done=2, switched_at=NOW),
        {"p1"},
        ["secretname01"],
    )

    text = " ".join(found.lines)
    assert "No user is deleted" in text
    assert "1 person has not logged in since the deletion in Harbor." in text
    assert "3 direct rights (memberships and administrator rights) will not be restored." in text
    assert "1 person cannot log in afterwards, because the plan excludes them." in text
    assert found.lines[-1] == "A rollback is not possible afterwards."


def test_a_roll_back_names_how_many_are_deleted() -> None:
    deleted = [HarborUser(id=number, username="", subiss=str(number)) for number in range(3)]
    found = consequences.of_rollback(
        plan("issuer", person(0)),
        entry("issuer", "moving", switching=True),
        deleted,
        unknown=1,
        lost=2,
    )

    text = " ".join(found.lines)
    assert found.lines[0] == "3 users are deleted in Harbor."
    assert "Harbor creates 2 of them again at the person's next login with 'old'." in text
    assert "The CLI secrets of 3 people become invalid." in text
    assert "1 person who logged in with 'new' only cannot log in" in text
    assert "lose 2 direct rights permanently" in text
    assert not found.is_within({**found.numbers, "lost rights": 1})


def test_an_approval_holds_for_fewer_people_and_never_for_more() -> None:
    def of(number: int) -> consequences.Consequences:
        users = [HarborUser(id=each, username="", subiss="") for each in range(number)]
        return consequences.of_rollback(plan("issuer"), entry("issuer", "moving"), users)

    assert of(2).is_within(of(2).numbers)
    assert of(1).is_within(of(2).numbers)
    assert not of(3).is_within(of(2).numbers)
    assert of(2).hash == of(2).hash
    assert len({of(number).hash for number in range(4)}) == 4


def test_an_approval_is_for_one_step_of_one_plan() -> None:
    snapshot, now = plan("issuer"), entry("issuer", "moved", switched_at=NOW)
    made = [
        consequences.of_rollback(snapshot, now, []),
        consequences.of_rollback(snapshot, now, [], exclude=["a"]),
        consequences.of_rollback(snapshot, now.after(plan="e" * 64), []),
        consequences.of_finish(snapshot, now, ()),
    ]

    assert len({each.hash for each in made}) == len({each.subject for each in made}) == 4


@pytest.mark.parametrize("situation", ["provider", "users", "issuer"])
@pytest.mark.parametrize("phase", ["exported", "approved", "moving", "moved", "switched"])
@pytest.mark.parametrize(
    "state",
    [{}, {"rolling_back": True}, {"rolling_back": True, "undone": True}, {"finishing": True}],
)
def test_every_result_ends_with_a_step_and_says_who_is_locked_out(
    situation: str, phase: str, state: dict[str, bool]
) -> None:
    kind = cast(Situation, situation)
    snapshot = plan(kind, person(0), person(1, 1), person(2, None))
    now = entry(kind, cast(Phase, phase), **state)

    text = describe(snapshot, now, 1)

    assert str(locked_out(snapshot, now)) in text
    assert text.endswith(next_step(now, 1))
    assert any(name in next_step(now, 1) for name in DEPLOYMENTS)
    assert "secretname" not in text


def test_people_outside_a_finished_wave_are_locked_out_after_the_switch_of_an_issuer() -> None:
    snapshot = plan("issuer", person(0), *(person(number, 1) for number in range(1, 10)))
    now = entry("issuer", "switched", switched_at=NOW, waves_done=1)

    assert str(locked_out(snapshot, now)) == "9 people cannot log in until their wave is done."
    assert describe(snapshot, now).endswith(
        "9 people cannot log in until their wave is done. Next: run continue-migration."
    )
    assert str(locked_out(snapshot, now.after(waves_done=2))) == "No one is locked out."
