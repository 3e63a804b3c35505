"""The vulnerabilities of another multi-tenancy tool (Capsule, 2025 and 2026), tested on Tenantry.

Two of them have tests elsewhere: forged marks (`test_hints.py`, `test_marks.py`), and hosts that an
update adds in the cluster (`tests/real/test_admission.py`).
"""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry import declared
from tenantry.errors import DeclarationError
from tests.support.harness import PLATFORM, SHOP, Bench, Data, write

RESERVED = (
    "pod-security.kubernetes.io/enforce",
    "kubernetes.io/metadata.name",
    "topology.istio.io/network",
    "tenantry.io/team",
)
HARMLESS = ("0.example/a", "example.com/a", "kubernetes.io.example/a", "zzz", "A.example/b")
NOT_EXPRESSIONS = ("(", "[", "(a+)+$", "*a" * 500, "(?P<x>", "a{1000}{1000}")
HOST_OF_SHOP: Data = {
    "routes": {"web": {"host": "shop.example", "paths": [{"service": "front", "port": 80}]}}
}


@pytest.mark.demand("isolation", "Capsule's advisories: a reserved label, in any order of labels")
@given(
    reserved=st.sampled_from(RESERVED),
    harmless=st.permutations(HARMLESS),
    place=st.integers(0, len(HARMLESS)),
)
def test_a_reserved_label_is_refused_in_any_order_of_labels(
    tmp_path_factory: pytest.TempPathFactory, reserved: str, harmless: list[str], place: int
) -> None:
    """Capsule searched a forbidden label in a list that was sorted differently."""
    keys = [*harmless[:place], reserved, *harmless[place:]]
    lines = "".join(f"    {key}: x\n" for key in keys)
    text = f"name: mallory\nnamespace:\n  labels:\n{lines}"
    folder = write(tmp_path_factory.mktemp("declared"), SHOP)
    (folder / "teams" / "mallory.yaml").write_text(text)

    state = declared.read(folder)

    assert list(state.teams) == ["shop"]
    assert any(reserved in fault for fault in state.faults)


@pytest.mark.demand("isolation", "Capsule's advisories: a pattern of the policy keeps no team out")
@pytest.mark.parametrize("pattern", NOT_EXPRESSIONS, ids=lambda pattern: pattern[:12])
@pytest.mark.parametrize("limit", ["hosts", "external_groups"])
def test_a_pattern_of_the_policy_is_refused_or_keeps_no_other_team_out(
    limit: str, pattern: str, tmp_path: Path
) -> None:
    """In Capsule, one regular expression stopped the admission of all tenants."""
    platform = {**PLATFORM, "policy": {"limits": {limit: [pattern]}}}
    mallory = {"name": "mallory", **HOST_OF_SHOP}
    folder = write(tmp_path, SHOP, mallory, platform=platform)
    began = time.process_time()

    try:
        found = "shop" in declared.read(folder).teams
    except DeclarationError as error:
        found = any(fault.startswith("platform.yaml:") for fault in error.faults)

    assert found, "the operator's pattern is rejected, or the other team is accepted"
    assert time.process_time() - began < 30


@pytest.mark.demand("isolation", "Capsule's advisories: a host in an update, like in a new team")
@pytest.mark.parametrize("host", ["shop.example", "*.example", "SHOP.example"])
def test_a_host_is_judged_in_an_update_like_in_a_new_team(bench: Bench, host: str) -> None:
    """Capsule validated a host only in one of the two."""
    shop = {**SHOP, **HOST_OF_SHOP}
    route = {"host": "mallory.example", "paths": [{"service": "front", "port": 80}]}
    mallory = {"name": "mallory", "routes": {"web": route}}
    bench.declare(shop, mallory)
    for team in bench.teams:
        bench.onboard(team.name)
    updated = {"name": "mallory", "routes": {"web": {**route, "host": host}}}

    write(bench.folder, shop, updated)

    state = declared.read(bench.folder)
    assert "mallory" not in state.teams
    assert any(host in fault for fault in state.faults)
