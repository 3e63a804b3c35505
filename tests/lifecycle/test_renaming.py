"""A team cannot be renamed, and a new name gets nothing of the old team."""

from collections.abc import Callable

import pytest

from tenantry import declared
from tenantry.errors import NotOurs
from tests.support.harness import Bench, Data, granted

ROUTE = {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}}


def declare_shop(bench: Bench) -> None:
    bench.declare({"name": "shop", "routes": ROUTE}).onboard()


RENAMED: dict[str, tuple[Data, str]] = {
    "its hosts": ({"routes": ROUTE}, "team 'shop', which is no longer declared, has the host"),
    "its group": ({"group": "team-shop"}, "it belongs to team 'shop', by its mark"),
    "its namespace": (
        {"names": {"namespace": "team-shop"}},
        "it belongs to team 'shop', by its mark",
    ),
}


@pytest.mark.parametrize(("claims", "reason"), RENAMED.values(), ids=RENAMED)
def test_a_team_with_another_name_is_refused_what_the_old_one_has(
    claims: Data, reason: str, begin: Callable[..., Bench]
) -> None:
    bench = begin(declare_shop)
    platform = granted("store", groups=["team-shop"], namespaces=["team-shop"])
    bench.declare({"name": "store", **claims}, platform=platform)

    with pytest.raises(NotOurs) as refused:
        bench.onboard()

    assert reason in str(refused.value)
    assert "A team cannot be renamed: to move team 'shop' to another name" in str(refused.value)
    assert "then offboard team 'shop'" in str(refused.value)
    kubernetes = bench.sandbox.kubernetes
    assert kubernetes.get("VirtualService", "web", "team-shop") is not None
    assert kubernetes.get("VirtualService", "web", "team-store") is None


def test_a_team_file_with_another_name_in_it_is_refused(bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    (bench.folder / "teams" / "shop.yaml").write_text("name: store\n")

    (fault,) = declared.read(bench.folder).faults

    assert "team 'store' must be declared in teams/store.yaml" in fault
    assert "A team cannot be renamed" in fault


def test_a_new_team_with_hosts_of_its_own_is_not_refused(begin: Callable[..., Bench]) -> None:
    bench = begin(declare_shop)
    other = {"web": {**ROUTE["web"], "host": "store.example.com"}}
    bench.declare({"name": "store", "routes": other}).onboard()
    assert bench.plan().is_empty
