"""Renewing the secret of Harbor's client: with the realm's policy for it, without, and midway."""

from typing import Any

import pytest

from tenantry.explain import steps
from tenantry.onboarding import configure, plan_platform
from tenantry.systems.harbor.platform import HarborPlatform
from tenantry.systems.systems import Systems
from tests.support.harness import Bench, connections, found, ids
from tests.support.wire import no_delays
from tests.systems.test_platform import REALM, SIGN_ON, plan

pytestmark = pytest.mark.demand("platform", "all tests of configuring the platform on the sandbox")

SECRET = "keycloak/client secret/harbor"
POLICIES: dict[str, dict[str, Any]] = {
    "profiles": {
        "profiles": [
            {
                "name": "rotation",
                "executors": [
                    {
                        "executor": "secret-rotation",
                        "configuration": {
                            "expiration-period": 29 * 86400,
                            "rotated-expiration-period": 2 * 86400,
                            "remaining-rotation-period": 10 * 86400,
                        },
                    }
                ],
            }
        ]
    },
    "policies": {
        "policies": [
            {
                "name": "rotation",
                "enabled": True,
                "conditions": [
                    {
                        "condition": "client-access-type",
                        "configuration": {"type": ["confidential"]},
                    }
                ],
                "profiles": ["rotation"],
            }
        ]
    },
}


@pytest.fixture
def signed_on(bench: Bench) -> Bench:
    """Return a platform whose client secret can be 90 days old."""
    sign_on: dict[str, Any] = {**SIGN_ON["harbor"]["single_sign_on"], "secret_max_age_days": 90}
    bench.declare(platform={**SIGN_ON, "harbor": {"single_sign_on": sign_on}})
    configure(bench.systems)
    assert plan(bench).is_empty
    return bench


def policy(bench: Bench) -> None:
    """Create the client policy by which Keycloak accepts two secrets."""
    for name, body in POLICIES.items():
        bench.systems.keycloak_client.put(f"client-policies/{name}", body)


def renewing(bench: Bench) -> Systems:
    """Return the systems of a run that renews the secret at any age."""
    now = bench.sandbox.clock.now
    return Systems(
        connections(bench.sandbox), bench.state, clock=now, renew_client_secret_before=now()
    )


def held(bench: Bench) -> str:
    return str(bench.sandbox.harbor.configuration["oidc_client_secret"])


def opens(bench: Bench, secret: str) -> bool:
    """Return whether the realm accepts a secret of the client."""
    before = held(bench)
    harbor = bench.sandbox.harbor
    harbor.configuration["oidc_client_secret"] = secret
    harbor.provider = None
    words = bench.systems.harbor_client.try_oidc_client()
    harbor.configuration["oidc_client_secret"] = before
    harbor.provider = None
    return "invalid_grant" in words


@pytest.mark.demand(
    "platform", "without the realm's policy for two secrets, the plan says what a renewal costs"
)
def test_a_secret_that_is_too_old_is_renewed_and_harbor_handed_the_new_one(
    signed_on: Bench,
) -> None:
    old = held(signed_on)
    signed_on.sandbox.clock.move(91 * 86400)
    with signed_on.process() as systems:
        outcome = plan_platform(systems)
        assert outcome.plan is not None
        (old_age, new_age) = found(outcome.plan)[SECRET]["age"]
        assert new_age == "at most 90 days"
        assert old_age.startswith("91 days; the realm has no client policy with the executor")
        signed_on.sandbox.clock.move(86400)
        later = plan_platform(systems).plan
        assert later is not None
        assert found(later)[SECRET]["age"][0].startswith("92 days")
        assert steps(later) == steps(outcome.plan)
        with no_delays():
            assert ids(configure(systems).done) == [SECRET]
            assert configure(systems).done == ()
    assert held(signed_on) != old
    assert opens(signed_on, held(signed_on))
    assert not opens(signed_on, old)


@pytest.mark.demand(
    "platform", "while the secret is renewed, the old one works until Harbor has the new one"
)
def test_with_the_realms_policy_the_old_secret_works_until_harbor_has_the_new_one(
    signed_on: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(signed_on)
    old = held(signed_on)
    works: list[bool] = []
    hand_over = HarborPlatform.hand_over

    def handing_over(self: HarborPlatform, secret: str) -> None:
        works.append(opens(signed_on, old))
        hand_over(self, secret)
        works.append(opens(signed_on, old))

    monkeypatch.setattr(HarborPlatform, "hand_over", handing_over)
    signed_on.sandbox.clock.move(60)
    with no_delays(), renewing(signed_on) as systems:
        (change,) = configure(systems).done
        assert configure(systems).done == (), "a retry renews it once"
    assert [(d.field, d.new) for d in change.differences] == [("age", "new")]
    assert works == [True, True]
    assert not opens(signed_on, old)
    assert opens(signed_on, held(signed_on))
    assert plan(signed_on).is_empty


def test_a_run_that_dies_before_harbor_has_the_new_one_is_finished_by_the_next(
    signed_on: Bench,
) -> None:
    policy(signed_on)
    old = held(signed_on)
    client = signed_on.sandbox.keycloak.realms[REALM].client_named("harbor")
    assert client is not None
    signed_on.systems.keycloak_client.post(f"clients/{client['id']}/client-secret", {}, status=200)
    assert opens(signed_on, old)

    with no_delays():
        (change,) = configure(signed_on.systems).done
    assert [d.field for d in change.differences] == ["in use"]
    assert old not in repr(change.live)
    assert held(signed_on) == client["secret"]
    assert not opens(signed_on, old)
    assert plan(signed_on).is_empty
