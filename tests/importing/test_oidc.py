"""Which team an OIDC client belongs to, and which Secret holds its credentials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry import drift
from tenantry.importing import Imported, import_state, write
from tenantry.systems.credentials.contents import encode
from tests.support.harness import Bench, Data, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks

SECRET = "the-secret-of-the-portal-client-0"


def client(host: str, **more: Any) -> Data:
    return {"redirect_uris": [f"https://{host}/oauth2/callback"], **more}


TEAMS: tuple[Data, ...] = (
    {
        "name": "shop",
        "oidc_clients": {
            "web": client("web.shop.example.com"),
            "grafana": client("grafana.shop.example.com"),
            "admin": client("admin.shop.example.com"),
            "spa": client("web.shop.example.com", public=True),
        },
        "names": {
            "clients": {"grafana": "shop.grafana", "admin": "Shop_Admin", "spa": "Shop"},
            "client_secrets": {"grafana": "sso-grafana"},
        },
        "routes": {
            "admin": {
                "host": "admin.shop.example.com",
                "paths": [{"service": "admin", "port": 80}],
            }
        },
    },
    {
        "name": "data",
        "oidc_clients": {"web": client("data.example.com")},
        "names": {"client_secrets": {"web": "login"}},
    },
)


def marked(bench: Bench) -> None:
    """Onboard teams whose clients and Secrets have names of all sorts."""
    admit(declare(bench.folder, *TEAMS))
    bench.load()
    for team in bench.teams:
        bench.onboard(team.name)


def unmarked(bench: Bench) -> None:
    """Onboard the teams, and remove all marks."""
    marked(bench)
    remove_marks(bench.systems)


def imported(bench: Bench, folder: Path) -> Imported:
    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)
    bench.folder = admit(folder)
    bench.load()
    return found


def findings(bench: Bench) -> list[str]:
    """Return the resources of teams that drift detection finds."""
    with bench.process(extras=True) as systems:
        found = drift.find_drift(systems).report.findings
    return [str(each.resource) for each in found if each.team in bench.state.teams]


@pytest.mark.parametrize("prepare", [marked, unmarked], ids=["marks kept", "marks lost"])
def test_clients_and_secrets_keep_their_names(
    begin: Callable[[Prepare], Bench], prepare: Prepare, tmp_path: Path
) -> None:
    bench = begin(prepare)
    found = imported(bench, tmp_path / "new")

    names = {name: content["names"] for name, content in found.teams.items()}
    assert names["shop"]["clients"] == {
        "grafana": "shop.grafana",
        "admin": "Shop_Admin",
        "spa": "Shop",
    }
    assert names["shop"]["client_secrets"]["grafana"] == "sso-grafana"
    assert names["data"]["client_secrets"] == {"web": "login"}
    assert all(id in found.report.grants for id in ("Shop_Admin", "shop.grafana"))

    for team in bench.teams:
        assert bench.plan(team.name).only_adopts, bench.plan(team.name)
        bench.onboard(team.name)
    assert findings(bench) == []
    before = {path: path.read_bytes() for path in bench.folder.rglob("*.yaml")}
    assert import_state(connections(bench.sandbox), into=bench.folder).files == {}
    assert {path: path.read_bytes() for path in bench.folder.rglob("*.yaml")} == before


def portal(bench: Bench, **fields: Any) -> None:
    """Create a client by hand."""
    body = {"clientId": "data.portal", "redirectUris": ["https://portal.example.com/cb"], **fields}
    bench.systems.keycloak_client.post("clients", body)


def suggestions(found: Imported) -> list[str]:
    return [
        f"{file}: {note.line}"
        for file, notes in found.report.notes.items()
        for note in notes
        if note.sort == "suggestion"
    ]


def test_a_fact_alone_is_a_suggestion(begin: Callable[[Prepare], Bench], tmp_path: Path) -> None:
    """By its id alone, a client can be the platform's: `data.portal` of a team `data`."""
    bench = begin(unmarked)
    portal(bench)
    found = imported(bench, tmp_path / "new")
    assert "portal" not in found.teams["data"]["oidc_clients"]
    (text,) = [line for line in suggestions(found) if "data.portal" in line]
    assert text.startswith("teams/data.yaml: ")
    assert "https://portal.example.com/cb" in text
    assert "by its id" in text
    assert "data.portal" not in found.report.grants


def route(bench: Bench) -> None:
    """Create a route to another host, as a member of a team can."""
    spec = {"hosts": ["portal.example.com"], "gateways": ["istio-ingress/public"], "http": []}
    metadata = {"name": "portal", "namespace": "team-data"}
    body = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    bench.sandbox.kubernetes.put({**body, "metadata": metadata, "spec": spec})


def secret(bench: Bench) -> None:
    """Store the credentials of a client, as a member of a team can who knows them."""
    data = {"client_id": encode("portal"), "client_secret": encode(SECRET)}
    metadata = {"name": "portal", "namespace": "team-data"}
    body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
    bench.sandbox.kubernetes.put({**body, "metadata": metadata, "data": data})


@pytest.mark.parametrize("act", [route, secret])
def test_what_a_tenant_can_write_gives_it_no_client(
    begin: Callable[[Prepare], Bench], tmp_path: Path, act: Callable[[Bench], None]
) -> None:
    bench = begin(unmarked)
    portal(bench, clientId="portal", secret=SECRET)
    act(bench)
    found = imported(bench, tmp_path / "new")
    assert list(found.teams["data"]["oidc_clients"]) == ["web"]
    assert any('"portal" may belong' in line for line in suggestions(found))
    assert "portal" not in found.report.grants
    assert SECRET not in "\n".join(found.report.lines())
