"""Unexpected values in each field that a tenant can write affect only that tenant.

Each is written into the objects of one team. Onboarding, rotation, drift detection and checks of the
other teams are not affected. The team itself fails with a message, or does not fail.
"""

import base64
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tenantry import checks, drift, onboarding
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.rotation import rotate
from tenantry.systems.credentials.pairs import PREVIOUS, ROBOT, SINCE, UNTIL
from tenantry.systems.systems import Systems
from tests.support.harness import Bench, Data
from tests.support.rotation_harness import ROTATED, order, pass_time

pytestmark = [
    pytest.mark.demand("isolation", "values that no rule foresaw cost their own team only"),
    pytest.mark.demand(
        "reality", "a faulty file stops its own team only: onboarding, drift, conflicts, claims"
    ),
]

ROBOTS: Data = {
    "pull": {"expiry_days": 30, "rotation": ROTATED},
    "ci": {"expiry_days": 30, "rotation": ROTATED},
}
SINK: Data = {"namespace": "team-evil", "name": "sink", "format": "config.json"}
EVIL: Data = {
    "name": "evil",
    "robots": {**ROBOTS, "pull": {**ROBOTS["pull"], "sinks": [SINK]}},
    "oidc_clients": {"web": {"redirect_uris": ["https://evil.example/"]}},
    "routes": {"web": {"host": "evil.example", "paths": [{"service": "a", "port": 80}]}},
}
GOOD: Data = {"name": "good", "robots": ROBOTS}

TEXTS = {
    "the last year": "9999-12-31T23:59:59+00:00",
    "the first year": "0001-01-01T00:00:00+14:00",
    "nothing": "",
    "a NUL": "\0",
    "blanks": "   ",
    "long": "x" * 60_000,
    "a number": "-1e999",
    "brackets": "[" * 5000,
    "a surrogate": "\\ud800",
}
CONTENTS = {
    "brackets": b"[" * 5000 + b"]" * 5000,
    "nested": b'{"auths":' * 3000 + b"1" + b"}" * 3000,
    "a list": b"[]",
    "null": b"null",
    "auths null": b'{"auths": null}',
    "auths a list": b'{"auths": [1]}',
    "an entry null": b'{"auths": {"a": null}}',
    "lists for texts": b'{"auths": {"HOST": {"username": ["a"], "password": {}}}}',
    "numbers": b'{"auths": {"HOST": {"username": 1, "password": 1e400}}}',
    "a huge number": b'{"auths": ' + b"9" * 4000 + b"}",
}
MALFORMED = {"bytes": b"\xff\xfe\x00", "nothing": b"", "unclosed": b"[" * 5000}
"""Contents that the API server rejects in Docker configuration Secrets only."""


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """Disable the garbage collector: a finalizer that runs at the recursion limit fails the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def evil(bench: Bench, kind: str, name: str) -> Any:
    """Return an object of the hostile team from the API server."""
    found = bench.sandbox.kubernetes.get(kind, name, "team-evil")
    assert found is not None
    return found


def _annotate(key: str) -> Callable[[Bench, str], None]:
    def put(bench: Bench, text: str) -> None:
        for name in ("harbor-pull", "oidc-web"):
            secret = evil(bench, "Secret", name)
            secret["metadata"].setdefault("annotations", {})[key] = text
            bench.sandbox.kubernetes.put(secret)

    return put


def _fill(bench: Bench, content: bytes) -> None:
    content = content.replace(b"HOST", bench.systems.credentials.registry.encode())
    secret = evil(bench, "Secret", "harbor-pull")
    secret["data"] = {".dockerconfigjson": base64.b64encode(content).decode()}
    bench.sandbox.kubernetes.put(secret)


def _fill_sink(bench: Bench, content: bytes) -> None:
    secret = evil(bench, "Secret", "sink")
    secret["data"] = {"config.json": base64.b64encode(content).decode()}
    bench.sandbox.kubernetes.put(secret)


def _annotate_all(bench: Bench, text: str) -> None:
    for key in ANNOTATIONS:
        _annotate(key)(bench, text)


def _fill_both(bench: Bench, content: bytes) -> None:
    _fill(bench, content)
    _fill_sink(bench, content)


ANNOTATIONS = (ROBOT, SINCE, PREVIOUS, UNTIL)
TOGETHER = [
    *(pytest.param(_annotate_all, text, id=f"annotations: {name}") for name, text in TEXTS.items()),
    *(pytest.param(_fill_both, content, id=f"both: {name}") for name, content in CONTENTS.items()),
    *(pytest.param(_fill_sink, value, id=f"sink: {name}") for name, value in MALFORMED.items()),
]
"""Each value in all its places at once."""
ONE_BY_ONE = [
    *(
        pytest.param(_annotate(key), text, id=f"{key}: {name}", marks=pytest.mark.long)
        for key in ANNOTATIONS
        for name, text in TEXTS.items()
    ),
    *(
        pytest.param(fill, content, id=f"{place}: {name}", marks=pytest.mark.long)
        for place, fill in (("only the Secret", _fill), ("only the sink", _fill_sink))
        for name, content in CONTENTS.items()
    ),
]


@pytest.fixture
def onboarded(begin: Callable[..., Bench]) -> Bench:
    """Return both teams, onboarded."""
    return begin(_onboard)


def _onboard(bench: Bench) -> None:
    bench.declare(EVIL, GOOD)
    for team in bench.teams:
        bench.onboard(team.name)


@pytest.mark.parametrize(("put", "value"), [*TOGETHER, *ONE_BY_ONE])
def test_a_hostile_value_costs_its_own_team_only(
    onboarded: Bench, put: Callable[[Bench, Any], None], value: Any
) -> None:
    bench = onboarded
    put(bench, value)
    with bench.process(extras=True) as systems:
        _check_drift(systems)
    with bench.process() as systems:
        _check_onboarding(systems)
    put(bench, value)
    pass_time(bench, days=28)
    now = bench.sandbox.clock.now()
    with bench.process() as systems:
        outcomes = {o.name: o for o in rotate(systems, bench.teams, order(bench), now, NoLock())}
    for purpose in ROBOTS:
        assert outcomes[f"good/{purpose}"].rotated
        assert outcomes[f"good/{purpose}"].error is None
    assert all("\0" not in str(outcome.error or "") for outcome in outcomes.values())


def _check_drift(systems: Systems) -> None:
    teams = systems.state.pick(None)
    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))
    assert not detected.report.of("good")
    assert not [found for found in detected.report.findings if found.class_ == "extra"]
    json.dumps([found.detail for found in detected.report.findings])
    found = checks.check_all(systems)
    assert not [fault for fault in found if fault.team == "good"]


def _check_onboarding(systems: Systems) -> None:
    teams = systems.state.pick(None)
    outcomes: list[Outcome] = []
    planned = onboarding.plan_all(systems, teams)
    onboarding.onboard_many(systems, teams, planned, NoLock(), outcomes.append)
    assert {outcome.team for outcome in outcomes} == {"evil", "good"}
    assert next(outcome.error for outcome in outcomes if outcome.team == "good") is None


@pytest.mark.parametrize("error", [OverflowError, RecursionError, MemoryError, AssertionError])
def test_an_unexpected_error_of_one_team_is_its_failure(
    onboarded: Bench, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the type and place of the error, but not its text."""
    systems = onboarded.systems
    plain = systems.kubernetes.desired

    def desired(team: Any, *rest: Any, **more: Any) -> Any:
        if team.name == "evil":
            raise error("s3cr3t")
        return plain(team, *rest, **more)

    monkeypatch.setattr(systems.kubernetes, "desired", desired)
    teams = systems.state.pick(None)

    planned = {outcome.team: outcome for outcome in onboarding.plan_all(systems, teams)}
    assert planned["good"].plan is not None
    assert f"{error.__name__} while planning team 'evil'" in str(planned["evil"].error)
    assert "s3cr3t" not in str(planned["evil"].error)

    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))
    (finding,) = detected.report.findings
    assert (finding.class_, finding.team) == ("unreadable", "evil")
    assert "s3cr3t" not in finding.detail
    assert drift.choose(detected, "all").plans == (), (
        "resources that could not be planned are not removed"
    )
