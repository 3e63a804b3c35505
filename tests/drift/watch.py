"""The test bench for drift: a declared state, its systems, and drift detection."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Self

from tenantry import declared, drift
from tenantry.drift import Detected, Order, Remediate, Remediated, Remedy, Report, SystemName
from tenantry.errors import ChangedMeanwhile
from tenantry.locks import NoLock
from tenantry.systems.systems import Systems
from tests.drift.extras import provider
from tests.support.harness import REALM, Bench, Data, connections

SHOP: Data = {
    "name": "shop",
    "members": ["ann", "bob"],
    "external_groups": {"corp": ["shop-people"]},
    "harbor": {
        "storage_quota": "10Gi",
        "groups": {"auditors": "guest"},
        "auto_scan": True,
        "prevent_vulnerable": True,
        "severity": "high",
        "require_cosign": False,
        "retention": {"rules": [{"latest_pushed": 5}], "schedule": "0 3 * * *"},
        "immutable_tags": [{"tags": "v*"}],
    },
    "namespace": {
        "labels": {"example.com/cost-centre": "4711"},
        "annotations": {"example.com/on-call": "shop"},
        "quota": {"requests.cpu": 4, "pods": 50},
        "limits": {"default": {"memory": "512Mi"}, "default_request": {"memory": "128Mi"}},
        "network": {"policies": {"allow-metrics": {"ingress": [{"ports": [{"port": 9090}]}]}}},
    },
    "further_namespaces": {"jobs": {"mesh": False}},
    "robots": {"scanner": {"access": ["repository:list"], "expiry_days": "never"}},
    "oidc_clients": {
        "web": {
            "redirect_uris": ["https://shop.example.com/oauth2/callback"],
            "post_logout_redirect_uris": ["https://shop.example.com/"],
            "web_origins": ["https://shop.example.com"],
        },
        "spa": {"redirect_uris": ["https://spa.example.com/"], "public": True},
    },
    "routes": {
        "web": {
            "host": "shop.example.com",
            "paths": [
                {"prefix": "/api/", "service": "backend", "port": 8080},
                {"service": "front", "port": 80},
            ],
        }
    },
}
DATA: Data = {"name": "data"}
PLATFORM: Data = {
    "name": "Test platform",
    "keycloak": {"external_providers": {"corp": {"group_name": "k8s-{group}"}}},
}


def remediate(
    systems: Systems,
    detected: Detected,
    remediate: Remediate = "all",
    remove: Collection[str] = (),
    asked: tuple[SystemName, ...] = drift.SYSTEMS,
) -> list[Remediated]:
    """Remediate the detected drift like a run, and return the results."""
    remedy = drift.choose(detected, remediate, remove)
    order = Order(remediate, tuple(remove), asked)
    done = drift.remediate_teams(systems, remedy, order, NoLock(), approved=True)
    for each in done:
        if each.error:
            raise each.error
    if differing := [each.team for each in done if each.differs]:
        raise ChangedMeanwhile("kubernetes", f"remediate {differing}", "the plan differs by now")
    return done


def remediate_under_lock(
    systems: Systems, remedy: Remedy, order: Order, *, approved: bool
) -> list[Remediated]:
    """Remediate all teams at once."""
    return drift.remediate_teams(systems, remedy, order, NoLock(), approved=approved)


class Watched(Bench):
    """A bench with onboarded teams, to detect drift."""

    def onboarded(self, *teams: Data, platform: Data = PLATFORM) -> Self:
        """Declare and onboard teams; `shop` and `data` if none are given."""
        keycloak = self.sandbox.keycloak
        for name in ("ann", "bob"):
            keycloak.add_user(REALM, name)
        self.declare(*(teams or (SHOP, DATA)), platform=platform)
        self.systems.keycloak_client.post("identity-provider/instances", provider("corp"))
        for team in self.teams:
            self.onboard(team.name)
        self.watch()
        return self

    def declared_again(self) -> Self:
        """Declare `shop` and `data`, which are already onboarded."""
        self.declare(SHOP, DATA, platform=PLATFORM)
        self.watch()
        return self

    def reload(self) -> None:
        """Read the declared state again, after its files were changed."""
        self.state = declared.load(self.folder)
        self.watch()

    def watch(self, *, probe_credentials: bool = True) -> Systems:
        """Return new connections to the systems, with detection of extras."""
        self.systems = Systems(
            connections(self.sandbox),
            self.state,
            probe_credentials=probe_credentials,
            extras=True,
            clock=self.sandbox.clock.now,
        )
        self._opened.append(self.systems)
        return self.systems

    def detect(
        self,
        *names: str,
        asked: tuple[SystemName, ...] = drift.SYSTEMS,
        now: datetime | None = None,
    ) -> Detected:
        """Detect drift for the named teams, or for all teams."""
        teams = [self.team(name) for name in names] if names else self.teams
        seen = drift.observe(self.systems, teams, asked)
        return drift.detect(self.systems, teams, seen, asked, now=now)

    def report(self, *names: str, **options: Any) -> Report:
        """Return the drift report."""
        return self.detect(*names, **options).report
