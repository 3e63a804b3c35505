"""The record of the resources that Tenantry created for a team."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry import drift, offboarding
from tenantry.declared import Platform, Team, complete
from tenantry.errors import SystemRefused
from tenantry.locks import NoLock
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.harbor.kinds import MEMBER
from tenantry.systems.keycloak.kinds import CLIENT, GROUP, GROUP_MEMBER
from tenantry.systems.kubernetes.kinds import NAMESPACE, NAMESPACE_MARK
from tenantry.systems.kubernetes.record import (
    MAX_ANNOTATIONS,
    RECORD,
    parse,
    recorded,
    recorded_key,
    with_record,
)
from tests.lifecycle.taking_out import MORE, PLATFORM
from tests.offboarding.land import DATA, bystanders, plan, prepare, process, remove, revoke
from tests.offboarding.land import PLATFORM as LAND
from tests.offboarding.land import SHOP as LAND_SHOP
from tests.support.harness import REALM, Bench

HOME = Id(NAMESPACE, "team-shop")
KINDS = (NAMESPACE, NAMESPACE_MARK, GROUP, GROUP_MEMBER, MEMBER, CLIENT)
LONG = [f"{number:05}-{'é' * 249}" for number in range(5000)]
"""User names of 255 characters, which is the most that Keycloak stores."""


def annotations(bench: Bench) -> dict[str, str]:
    found = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert found is not None
    annotations: dict[str, str] = found["metadata"]["annotations"]
    return annotations


def size(annotations: dict[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())


def change_record(bench: Bench, text: str | None) -> None:
    """Write the record, as someone who may edit the namespace can."""
    changed = {"metadata": {"annotations": {RECORD: text}}}
    bench.systems.home_cluster.merge("Namespace", "team-shop", None, changed)


def members(bench: Bench) -> set[str]:
    realm = bench.sandbox.keycloak.realms[REALM]
    (group,) = (each for each in realm.groups.values() if each.name == "team-shop")
    return {realm.users[id].username for id in group.members}


def join(bench: Bench, name: str) -> None:
    """Add a user to the team's group, as an administrator does."""
    realm = bench.sandbox.keycloak.realms[REALM]
    (group,) = (each for each in realm.groups.values() if each.name == "team-shop")
    realm.join(bench.sandbox.keycloak.add_user(REALM, name), group)


@pytest.mark.parametrize("text", ["changed by hand", "[]", '{"harbor/member": 1}', None])
def test_a_record_that_was_changed_by_hand_is_written_again_as_it_was(
    text: str | None, shop: Bench
) -> None:
    before = json.loads(annotations(shop)[RECORD])
    change_record(shop, text)

    shop.onboard("shop")

    assert json.loads(annotations(shop)[RECORD]) == before


# Size


class Applied:
    """A namespace to which the record is applied, without a cluster."""

    def __init__(self) -> None:
        self.team = complete(Platform(name="Test platform"), Team(name="shop"))
        self.text: str | None = None

    def observed(self, ids: Sequence[Id]) -> Observed:
        """Return the namespace and these resources as they are observed."""
        seen = Observed()
        values = {} if self.text is None else {RECORD: self.text}
        seen.live[HOME] = Live({"metadata": {"annotations": values}})
        seen.live[Id(GROUP, "team-shop")] = Live({})
        known = {kind: recorded(self.team, seen, kind) for kind in KINDS}
        for id in ids:
            marked = recorded_key(id.key) in known[id.kind]
            seen.live[id] = Live({}, marked=marked, team="shop")
        return seen

    def apply(self, wanted: Sequence[Id], existing: Sequence[Id]) -> None:
        """Apply the desired resources, of which the namespace and its mark are added."""
        mark = Resource(Id(NAMESPACE_MARK, HOME.key), {"metadata": {"annotations": {"x": "y"}}})
        desired = [Resource(HOME, {}), *(Resource(id, {}) for id in wanted), mark]
        for each in with_record(self.team, desired, self.observed(existing), KINDS):
            found = (each.fields.get("metadata") or {}).get("annotations", {})
            self.text = found.get(RECORD, self.text)


@pytest.mark.demand("lifecycle", "the record of 5,000 members with long names fits in a namespace")
def test_the_record_of_5000_members_with_the_longest_names_fits() -> None:
    space = Applied()
    ids = [Id(GROUP_MEMBER, f"team-shop/{name}") for name in LONG]
    space.apply(ids, [])
    assert space.text is not None
    assert len(space.text.encode()) < MAX_ANNOTATIONS / 2

    less = [*ids[:10], *ids[4000:]]
    added = Id(GROUP_MEMBER, f"team-shop/{'y' * 255}")  # by hand
    marked = dict(space.observed([*ids, added]).marked("shop"))
    assert marked.keys() == set(ids)

    space.apply(less, [*ids, added])
    marked = dict(space.observed([*less, added]).marked("shop"))
    assert marked.keys() == set(less)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([GROUP_MEMBER, MEMBER, CLIENT]),
            st.sampled_from(["team-shop/", "legacy/", ""]),
            st.text(min_size=1, max_size=60) | st.from_regex(r"~[A-Za-z0-9_-]{20}", fullmatch=True),
        ),
        max_size=20,
    )
)
def test_every_recorded_resource_is_found_by_its_name_and_no_other(
    found: list[tuple[Any, str, str]],
) -> None:
    space = Applied()
    ids = {
        Id(kind, f"{around or 'team-shop/' * kind.hashed_in_record}{name}")
        for kind, around, name in found
    }
    *known, other = sorted(ids, key=str) or [HOME]
    space.apply(known, [])
    marked = dict(space.observed([*known, other]).marked("shop"))
    names = {id for id in marked if id.kind.hashed_in_record}
    assert names == {id for id in known if id.kind.hashed_in_record}
    seen = space.observed([])
    assert recorded(space.team, seen, CLIENT) == {id.key for id in known if id.kind == CLIENT}


@pytest.mark.long
def test_thousands_of_members_with_long_names_are_added_and_removed(bench: Bench) -> None:
    """A team file has up to 1 MiB, and so has room for fewer such names."""
    names = [f"{number:04}-{'x' * 250}" for number in range(3500)]
    for name in names:
        bench.sandbox.keycloak.add_user(REALM, name)
    note = {"example.com/note": "n" * 100_000}
    bench.declare({"name": "shop", "members": names, "namespace": {"annotations": note}}).onboard()
    assert members(bench) == set(names)
    assert size(annotations(bench)) < MAX_ANNOTATIONS
    assert bench.plan().is_empty
    other = "o" * 255
    join(bench, other)

    bench.declare({"name": "shop", "members": names[:-50]}).onboard()

    assert members(bench) == {*names[:-50], other}
    assert bench.plan().is_empty


def test_a_record_that_has_no_room_is_refused_before_any_write(bench: Bench) -> None:
    names = [f"user-{number:05}-of-shop" for number in range(500)]
    realm = bench.sandbox.keycloak
    realm.add_user(REALM, "ann")
    bench.declare({"name": "shop", "members": ["ann"]}, {"name": "data"}).onboard("shop")
    note = {"example.com/note": "n" * 255_000}
    bench.declare(
        {"name": "shop", "members": ["ann", *names], "namespace": {"annotations": note}},
        {"name": "data"},
    )
    before, written = annotations(bench), bench.sandbox.requests.writes()

    with pytest.raises(SystemRefused) as refused:
        bench.onboard("shop")

    text = str(refused.value)
    for part in (
        "namespace 'team-shop' of team 'shop'",
        "and Kubernetes allows 262,144",
        "group member: 501",
        "Nothing was changed. Declare fewer resources of these kinds, or shorten the other annotations",
    ):
        assert part in text
    assert bench.sandbox.requests.writes() == written
    assert annotations(bench) == before
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        found = drift.detect(systems, bench.teams, seen).report.findings
    (unreadable,) = (each for each in found if each.class_ == "unreadable")
    assert unreadable.team == "shop"
    assert text in unreadable.detail
    bench.onboard("data")
    with process(bench) as (systems, team):
        offboarding.revoke(systems, team)
    assert not bench.can_log_in("harbor-pull"), "an offboarding does not need the room"


def test_annotations_of_others_count_and_those_that_are_replaced_do_not(bench: Bench) -> None:
    note = {"example.com/note": "n" * 200_000}
    bench.declare({"name": "shop", "namespace": {"annotations": note}}).onboard()
    bench.declare(
        {"name": "shop", "namespace": {"annotations": {"example.com/other": "n" * 200_000}}}
    )
    bench.onboard()
    assert bench.plan().is_empty
    theirs = {"metadata": {"annotations": {"example.org/theirs": "n" * 58_000}}}
    bench.systems.home_cluster.merge("Namespace", "team-shop", None, theirs)
    assert bench.plan().is_empty
    names = [f"user-{number:05}-of-shop" for number in range(500)]
    more = {"annotations": {"example.com/other": "n" * 200_000}}
    bench.declare({"name": "shop", "members": names, "namespace": more})
    with pytest.raises(SystemRefused, match="its annotations would have"):
        bench.plan()


# Forged records


FORGED = {
    "kubernetes/Namespace": ["team-data", "kube-system", "pipelines", "..", "a/../team-data", ""],
    "kubernetes/Secret": [
        "pipelines/x",
        "pipelines/kaniko-data",
        "team-data/harbor-ci",
        "pipelines/../../../api/v1/namespaces/team-data",
        "../x",
        "x",
    ],
    "kubernetes/image pull secret": ["team-data/default/harbor-pull"],
    "keycloak/client": ["team-data-web", "admin-cli", "account", "harbor"],
    "keycloak/group": ["team-data", "auditors"],
    "keycloak/group member": ["team-data/bob", "auditors/bob"],
    "keycloak/identity provider mapper": [
        "corp/tenantry team-data",
        "../../users/x",
        "corp%2f..%2f../x",
        "corp?x=/x",
        "../x",
    ],
    "harbor/member": ["team-data/team-data", "team-data/auditors", "legacy/admin"],
    "harbor/retention policy": ["team-data", "legacy"],
    "harbor/immutable-tag rule": ["team-data/**:**"],
}
"""A record that names the resources of others."""


@pytest.fixture
def land(begin: Callable[..., Bench]) -> Bench:
    """Return a bench on which the teams shop and data are onboarded."""

    def prepare_members(bench: Bench) -> None:
        prepare(bench)
        realm = bench.sandbox.keycloak.realms[REALM]
        user = bench.sandbox.keycloak.add_user(REALM, "bob")
        for group in realm.groups.values():
            if group.name in ("team-data", "auditors"):
                realm.join(user, group)

    return begin(prepare_members)


@pytest.mark.demand(
    "lifecycle", "a forged record removes nothing that carries no mark of Tenantry for the team"
)
@pytest.mark.parametrize("form", ["replaced", "added"])
def test_a_forged_record_changes_nothing_of_others(form: str, land: Bench) -> None:
    text = json.loads(annotations(land)[RECORD]) if form == "added" else {}
    for kind, keys in FORGED.items():
        text[kind] = [*text.get(kind, []), *keys]
    change_record(land, json.dumps(text))
    others = bystanders(land)

    less = {key: value for key, value in LAND_SHOP.items() if key in ("name", "robots")}
    for team in (LAND_SHOP, less):
        land.declare(team, DATA, platform=LAND).onboard("shop")
        assert bystanders(land) == others
    with land.process(extras=True) as systems:
        seen = drift.observe(systems, land.teams, drift.SYSTEMS)
        remedy = drift.choose(drift.detect(systems, land.teams, seen), "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=True)
    assert bystanders(land) == others

    change_record(land, json.dumps(text))
    revoke(land)
    remove(land, plan(land, delete_images=True))

    assert bystanders(land) == others


def test_a_forged_record_removes_no_member_of_a_group_that_is_not_ours(land: Bench) -> None:
    """The namespace of a team may have the name of another team's group in its record."""
    join(land, "eve")
    realm = land.sandbox.keycloak.realms[REALM]
    (group,) = (each for each in realm.groups.values() if each.name == "team-shop")
    (other,) = (each for each in realm.groups.values() if each.name == "team-data")
    group.attributes |= other.attributes
    change_record(land, json.dumps({"keycloak/group member": [{"team-shop": ["eve", "ann"]}]}))
    land.declare({**LAND_SHOP, "members": []}, DATA, platform=LAND)

    changes = {str(change.id) for change in land.plan("shop").changes}

    assert not {each for each in changes if "group member" in each}
    assert members(land) == {"ann", "eve"}


def test_a_parsed_record_of_another_form_is_unreadable() -> None:
    for text in ('{"harbor/member": {"team-shop": ["a"]}}', '{"a": ["b"]}', '{"a/b": [1]}'):
        assert parse(text) is None


# Members that are no longer managed


def test_a_plan_says_what_follows_if_members_is_taken_out(shop: Bench) -> None:
    team = {key: value for key, value in MORE.items() if key != "members"}
    shop.declare(team, platform=PLATFORM)

    (left,) = shop.plan().left
    assert (left.removal, str(left.id)) == ("kept", "keycloak/group member/team-shop/*")
    assert "2 users that it added will stay" in left.reason
    assert "To remove them, declare 'members: []' before this plan is applied" in left.reason
    assert not [change for change in shop.plan().changes if change.id.kind == GROUP_MEMBER]

    shop.onboard()
    assert shop.plan().is_empty
    assert shop.plan().left == ()
    assert members(shop) == {"ann", "bob"}

    shop.declare({**team, "members": []}, platform=PLATFORM).onboard()
    assert members(shop) == {"ann", "bob"}, "Tenantry does not manage them any more"


def test_an_empty_list_of_members_removes_those_that_tenantry_added(shop: Bench) -> None:
    join(shop, "eve")
    shop.declare({**MORE, "members": []}, platform=PLATFORM)
    changes = {str(c.id) for c in shop.plan().changes if c.action == "delete"}
    assert changes == {f"keycloak/group member/team-shop/{name}" for name in ("ann", "bob")}
    shop.onboard()
    assert members(shop) == {"eve"}


def test_a_member_with_capital_letters_is_removed(bench: Bench) -> None:
    bench.sandbox.keycloak.add_user(REALM, "ann.smith-with-a-long-name")
    bench.declare({"name": "shop", "members": ["Ann.Smith-With-A-Long-Name"]}).onboard()
    assert bench.plan().is_empty
    bench.declare({"name": "shop", "members": []}).onboard()
    assert members(bench) == set()
