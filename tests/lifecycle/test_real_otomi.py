"""The platform with the shape of Otomi on a real Keycloak and API server, while pods pull images.

Harbor is the given one, or else simulated.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tenantry.calls import utc_now
from tenantry.declared import Declaration, Platform
from tenantry.locks import NoLock
from tenantry.rotation import RotationRequest, rotate
from tenantry.systems.systems import Systems
from tests.lifecycle.round_trip import import_site
from tests.lifecycle.site import Site, changes_by_action
from tests.support.addresses import given
from tests.support.demands import Figure
from tests.support.otomi import Otomi, OtomiTeam, regular

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(1800)]

HARBOR = "the given Harbor" if given().harbor else "a simulated Harbor"
Login = tuple[str, str]


class Kubelets:
    """A thread that pulls from each team's project in turn, with all attached Secrets.

    Attributes:
        pulls: the number of pulls.
        failed: the teams whose pull failed.
    """

    def __init__(self, systems: Systems, teams: list[OtomiTeam]) -> None:
        self.pulls = 0
        self.failed: list[str] = []
        self._systems = systems
        self._teams = teams
        self._known: dict[str, list[Login]] = {}

    @contextmanager
    def pulling(self) -> Iterator[None]:
        """Pull all the time while the context lasts, with what the last round has read."""
        stopped = threading.Event()

        def go_on() -> None:
            while not stopped.is_set():
                self.pull()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def pull(self) -> None:
        """Pull once from each project, and read the Secrets for the next round."""
        for team in self._teams:
            logins = self._known.get(team.slug) or attached(self._systems, team.slug)
            self.pulls += 1
            if not any(self._systems.harbor_client.accepts(*login) for login in logins):
                self.failed.append(team.name)
            self._known[team.slug] = attached(self._systems, team.slug)


def attached(systems: Systems, namespace: str) -> list[Login]:
    """Return the credentials in the Secrets that are attached to the default ServiceAccount."""
    cluster = systems.home_cluster
    account = cluster.get("ServiceAccount", "default", namespace) or {}
    found = []
    for reference in account.get("imagePullSecrets") or ():
        live = cluster.get("Secret", reference["name"], namespace)
        if live is not None:
            text = base64.b64decode(live["data"][".dockerconfigjson"])
            (entry,) = json.loads(text)["auths"].values()
            found.append((entry["username"], entry["password"]))
    return found


@pytest.mark.demand(
    "lifecycle", "real Keycloak and Kubernetes: Otomi-shaped platform taken over under pulls"
)
def test_the_platform_is_taken_over_under_pulls(
    real_site: Site, whole: bool, figure: Figure
) -> None:
    state = Declaration(Platform.model_validate({"keycloak": {"realm": real_site.realm}}), {})
    with Systems(real_site.connections, state) as systems:
        otomi = Otomi(systems, suffix=real_site.suffix, roles=True)
        teams = regular(otomi.build(20 if whole else 4))
        kubelets = Kubelets(systems, teams)
        kubelets.pull()

        imported = import_site(real_site)
        assert set(imported.teams) == {team.name for team in teams}
        planned = changes_by_action(real_site.plans())
        assert planned.keys() == {"adopt", "record"}
        before = {team.slug: attached(systems, team.slug) for team in teams}
        with kubelets.pulling():
            real_site.onboard()
        assert {team.slug: attached(systems, team.slug) for team in teams} == before
        assert changes_by_action(real_site.plans()) == {}

        with kubelets.pulling(), real_site.systems() as own:
            now = utc_now()
            request = RotationRequest(now, force=True)
            outcomes = rotate(own, list(own.state.teams.values()), request, now, NoLock())
        assert [f"{each.name}: {each.error}" for each in outcomes if each.error] == []
        rotated = sum(outcome.rotated for outcome in outcomes)
        figure(
            f"{len(teams)} teams, {len(planned['adopt'])} resources adopted, {rotated} credentials "
            f"rotated, {len(kubelets.failed)} of {kubelets.pulls} pulls failed, on {HARBOR}"
        )
        assert rotated >= len(teams)
        assert kubelets.failed == []
        assert attached(systems, teams[0].slug) != before[teams[0].slug]
