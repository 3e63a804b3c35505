"""Values that were once silently misinterpreted or overridden, with the result of their check."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from typer.testing import CliRunner

from tenantry import declared
from tenantry.cli import app
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team
from tenantry.errors import DeclarationError
from tests.support.harness import SHOP, write

REVISION = "the name of a revision"
NAMESPACE = "a namespace's name is 1 to 63 lower-case letters"
REGISTRY = "a registry is a host with an optional port, without a path and without blanks"
WHOLE = "must be a whole number, not true or false"

TEAM_FAULTS: dict[str, tuple[str, str]] = {
    **{
        f"mesh: {word}": (f"namespace:\n  mesh: {word}", f"2: namespace.mesh: '{word}': must be tr")
        for word in ("on", "off", "yes", "no", "On", "YES", "n")
    },
    "mesh: 1.20": (
        "namespace:\n  mesh: 1.20",
        "2: namespace.mesh: 1.20: must be true or false, or",
    ),
    "mesh: 'true'": ("namespace:\n  mesh: 'true'", "2: namespace.mesh: 'true': must be true or"),
    "mesh: Canary": ("namespace:\n  mesh: Canary", "2: namespace.mesh: 'Canary': must be true"),
    "mesh: false and injection": (
        "namespace:\n  mesh: false\n  labels: {istio-injection: enabled}",
        "3: namespace.labels.istio-injection: 'enabled': contradicts 'mesh', which is false",
    ),
    "mesh and no injection": (
        "namespace:\n  labels: {istio-injection: disabled}",
        "2: namespace.labels.istio-injection: 'disabled': contradicts 'mesh', which is true",
    ),
    "a revision and injection": (
        "namespace:\n  mesh: canary\n  labels: {istio-injection: enabled}",
        "3: namespace.labels.istio-injection: 'enabled': contradicts 'mesh', the revision canary",
    ),
    "two revisions": (
        "namespace:\n  mesh: canary\n  labels: {istio.io/rev: stable}",
        "3: namespace.labels.istio.io/rev: 'stable': contradicts 'mesh', which is canary",
    ),
    "Pod Security twice": (
        "namespace:\n  labels: {pod-security.kubernetes.io/enforce: restricted}",
        (
            "2: namespace.labels.pod-security.kubernetes.io/enforce: 'restricted': contradicts "
            "'pod_security', which is baseline; write pod_security: restricted, or remove the label"
        ),
    ),
    "the name of another namespace": (
        "namespace:\n  labels: {kubernetes.io/metadata.name: shop}",
        (
            "2: namespace.labels.kubernetes.io/metadata.name: 'shop': the API server sets this label "
            "to 'team-shop'; remove it"
        ),
    ),
    "the name of the first namespace": (
        (
            "namespace:\n  labels: {kubernetes.io/metadata.name: team-shop}\n"
            "further_namespaces: {jobs: {}}"
        ),
        (
            "3: further_namespaces.jobs.labels.kubernetes.io/metadata.name: 'team-shop': the API "
            "server sets this label to 'team-shop-jobs'; remove it"
        ),
    ),
    "true for days": (
        "robots:\n  ci: {expiry_days: true}",
        f"2: robots.ci.expiry_days: true: {WHOLE}",
    ),
    "false for a count": (
        "harbor:\n  retention:\n    rules: [{latest_pushed: false}]",
        f"3: harbor.retention.rules[0].latest_pushed: false: {WHOLE}",
    ),
    "true for a port": (
        "routes:\n  web: {host: a.example, paths: [{service: web, port: true}]}",
        f"2: routes.web.paths[0].port: true: {WHOLE}",
    ),
    "no user name": ("members: ['']", "1: members[0]: '': a user name must not be empty"),
    "blanks around a user name": (
        "members: ['ann ']",
        "1: members[0]: 'ann ': a user name must not",
    ),
    "a quantity that Kubernetes lowers": (
        "namespace: {quota: {limits.memory: 9e20}}",
        "1: namespace.quota.limits.memory: 9e20: a quantity is at most 9223372036854775807",
    ),
}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("content", "fault"), TEAM_FAULTS.values(), ids=TEAM_FAULTS)
def test_silently_wrong_value_of_a_team_is_a_fault(
    content: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared.load(write(tmp_path, f"{content}\nname: shop\n"))
    (found,) = refused.value.faults
    assert found.startswith(f"teams/shop.yaml:{fault}")


PLATFORM_FAULTS: dict[str, tuple[str, str]] = {
    "DNS in no namespace": (
        "kubernetes: {dns_namespace: ''}",
        f"kubernetes.dns_namespace: '': {NAMESPACE}",
    ),
    "a control plane in no namespace": (
        "mesh: {control_plane_namespace: ''}",
        f"mesh.control_plane_namespace: '': {NAMESPACE}",
    ),
    "a gateway in a namespace in upper case": (
        "mesh: {gateway_namespace: Ingress}",
        f"mesh.gateway_namespace: 'Ingress': {NAMESPACE}",
    ),
    "a registry with a path": (
        "harbor: {registry: registry.example.com/shop}",
        f"harbor.registry: 'registry.example.com/shop': {REGISTRY}",
    ),
    "a registry with a blank": (
        "harbor: {registry: 'registry.example.com '}",
        f"harbor.registry: 'registry.example.com ': {REGISTRY}",
    ),
    "no registry": ("harbor: {registry: ''}", f"harbor.registry: '': {REGISTRY}"),
    "a realm with a path": (
        "keycloak: {realm: a/b}",
        "keycloak.realm: 'a/b': a realm's name must not",
    ),
    "no realm": ("keycloak: {realm: ''}", "keycloak.realm: '': a realm's name must not"),
    "a realm with blanks around it": (
        "keycloak: {realm: ' a'}",
        "keycloak.realm: ' a': a realm's name must not",
    ),
    "true for a number of credentials": (
        "rotation: {most_per_run: true}",
        f"rotation.most_per_run: true: {WHOLE}",
    ),
    "inject: yes": (
        "mesh: {harbor: {host: a.example, inject: yes}}",
        "mesh.harbor.inject: 'yes': must be true or false, or",
    ),
}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize(("content", "fault"), PLATFORM_FAULTS.values(), ids=PLATFORM_FAULTS)
def test_silently_wrong_value_of_the_platform_is_a_fault(
    content: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared.load(write(tmp_path, platform=f"{content}\n"))
    (found,) = refused.value.faults
    assert found.startswith(f"platform.yaml:1: {fault}")


WARNINGS: dict[str, tuple[str, str, str]] = {
    "members that differ in case": (
        "",
        "members:\n  - Ann\n  - ann",
        (
            "teams/shop.yaml:3: members[1]: 'ann' is given twice (Keycloak converts user names to lower "
            "case); remove one of them"
        ),
    ),
    "a redirect URI twice": (
        "",
        "oidc_clients:\n  web:\n    redirect_uris:\n      - https://a/cb\n      - https://a/cb",
        (
            "teams/shop.yaml:5: oidc_clients.web.redirect_uris[1]: 'https://a/cb' is given twice; "
            "remove one of them"
        ),
    ),
    "a web origin twice": (
        "",
        "oidc_clients:\n  web: {redirect_uris: [https://a/cb], web_origins: ['+', '+']}",
        (
            "teams/shop.yaml:2: oidc_clients.web.web_origins[1]: '+' is given twice; remove one of "
            "them"
        ),
    ),
    "a part of a byte": (
        "",
        "harbor:\n  storage_quota: 10.3Gi",
        (
            "teams/shop.yaml:2: harbor.storage_quota: '10.3Gi' is not a whole number of bytes; "
            "Tenantry sets 11059540787. Write a whole number of bytes, or use a smaller unit"
        ),
    ),
    "a default of a part of a byte": (
        "defaults:\n  harbor:\n    storage_quota: 10.3Gi",
        "",
        (
            "platform.yaml:3: defaults.harbor.storage_quota: '10.3Gi' is not a whole number of bytes; "
            "Tenantry sets 11059540787. Write a whole number of bytes, or use a smaller unit (value "
            "used by team file teams/shop.yaml)"
        ),
    ),
    "a revision without effect": (
        "",
        "namespace:\n  mesh: false\n  labels: {istio.io/rev: canary}",
        (
            "teams/shop.yaml:3: namespace.labels.istio.io/rev: 'canary' has no effect: 'mesh' is "
            "false, and Istio follows the label istio-injection, which 'mesh' sets. Write mesh: "
            "canary, or remove the label"
        ),
    ),
    "a registry with a scheme": (
        "harbor: {registry: https://registry.example.com}",
        "",
        (
            "platform.yaml:1: harbor.registry: 'https://registry.example.com' is more than a host and "
            "a port; remove the scheme and the '/'"
        ),
    ),
}


@pytest.mark.demand(
    "reality", "declared state, accepted before without harm: a warning with a remedy"
)
@pytest.mark.parametrize(("platform", "team", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_value_that_was_applied_without_harm_is_a_warning(
    platform: str, team: str, warning: str, tmp_path: Path
) -> None:
    """`tenantry validate` shows it, and still exits with 0."""
    folder = write(tmp_path, f"{team}\nname: shop\n", platform=f"{platform}\nname: Test\n")
    assert declared.load(folder).warnings == (warning,)
    result = CliRunner().invoke(app, ["validate", str(folder)])
    assert result.exit_code == 0
    assert result.stderr == f"warning: {warning}\n"
    assert "1 team and the platform are valid" in result.stdout


def test_a_realm_may_have_a_blank_in_its_name(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, platform="keycloak: {realm: My realm}\n"))
    assert state.platform.keycloak.realm == "My realm"


def test_a_state_in_order_has_no_warnings(tmp_path: Path) -> None:
    assert declared.load(write(tmp_path, SHOP)).warnings == ()


def test_a_team_from_the_api_has_its_warnings(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path))
    team = Team.model_validate({"name": "shop", "members": ["Ann", "ann"]})
    (warning,) = declared.add_team(state, team).warnings
    assert warning.startswith("team shop: members[1]: 'ann' is given twice")


def test_a_team_from_the_api_has_no_warnings_of_the_file_that_it_replaces(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, {"name": "shop", "members": ["Ann", "ann"]}))
    assert len(state.warnings) == 1
    assert declared.add_team(state, Team.model_validate({"name": "shop"})).warnings == ()


def _models(annotation: Any) -> set[type[BaseModel]]:
    """Return all models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        return {annotation}.union(*(_models(field.annotation) for field in fields))
    return set[type[BaseModel]]().union(*map(_models, get_args(annotation)))


def _parts(annotation: Any) -> set[Any]:
    return {annotation}.union(*map(_parts, get_args(annotation)))


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_boolean_is_no_number_in_any_field() -> None:
    """All number fields are found by their types, so that no field is missed."""
    tried, forgotten = 0, []
    for model in _models(Team) | _models(Platform):
        for name, field in model.model_fields.items():
            parts = _parts(field.annotation)
            if int not in parts or bool in parts or dict in {get_origin(part) for part in parts}:
                continue
            tried += 1
            annotated: Any = Annotated[field.annotation, Field(), *field.metadata]
            adapter: TypeAdapter[Any] = TypeAdapter(annotated)
            with suppress(ValidationError):
                adapter.validate_python(True)
                forgotten.append(f"{model.__name__}.{name}")
    assert tried > 15
    assert not forgotten


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
def test_message_never_shows_a_regular_expression() -> None:
    """A message describes the rule in words, instead of pydantic's regular expression."""
    for model in _models(Team) | _models(Platform):
        schema = str(model.__pydantic_core_schema__)
        assert not re.search(r"\{'type': 'str',[^{}]*'pattern'", schema), model


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@given(text=st.text("0123456789._exa-", min_size=1, max_size=6).filter(lambda text: text.strip()))
@settings(max_examples=100)
def test_silently_wrong_revision_is_as_written_or_a_fault(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write(
        tmp_path_factory.getbasetemp() / "revision", f"name: shop\nnamespace: {{mesh: {text}}}\n"
    )
    try:
        state = declared.load(folder)
    except DeclarationError:
        return
    assert state.teams["shop"].namespace.mesh == text
