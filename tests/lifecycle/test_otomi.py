"""A platform with the shape of Otomi is imported, adopted, and rotated while images are pulled."""

from tests.support.harness import Bench
from tests.support.otomi import PURPOSES, Otomi, regular


def test_the_platform_has_the_shape_that_its_operators_give_it(bench: Bench) -> None:
    bench.declare()
    teams = Otomi(bench.systems).build()
    accepts = bench.systems.harbor_client.accepts
    broken = {
        (team.irregular, purpose)
        for team in teams
        for purpose in PURPOSES
        if purpose in team.logins and not accepts(*team.logins[purpose])
    }
    assert broken == {("push robot disabled", "push"), ("no builds robot", "builds")}
    assert len(regular(teams)) == 18
    for team in regular(teams):
        assert bench.login("harbor-pullsecret", team.slug) == team.logins["pull"]
        account = bench.sandbox.kubernetes.get("ServiceAccount", "default", team.slug)
        names = {each["name"] for each in (account or {})["imagePullSecrets"]}
        assert "harbor-pullsecret" in names
