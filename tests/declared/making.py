"""Creates the cases of the table of declared values: each kind has its field in a team file."""

from dataclasses import dataclass, replace
from typing import Any

LEGAL = None


@dataclass(frozen=True)
class Case:
    """One value of a team file."""

    kind: str
    """The kind of value, such as `quota`."""
    content: dict[str, Any]
    """The tested part of the team file."""
    fault: str | None
    """The field and the beginning of its message; None if the value is valid."""
    stricter: str = ""
    """The reason why Tenantry refuses a value that the system accepts; empty if both agree."""
    warning: str = ""
    """The field and the beginning of the warning for a value that only new versions refuse."""

    @property
    def id(self) -> str:
        """The case's label in a test's name."""
        value = str(self.content)
        return value if len(value) < 90 else f"{value[:80]}...{len(value)}"


def namespace(**fields: Any) -> dict[str, Any]:
    return {"namespace": fields}


def text(field: str, value: Any) -> Case:
    return Case("text", {field: value}, f"{field}: ")


def quota(name: str, amount: Any, fault: str | None = LEGAL) -> Case:
    told = fault and f"namespace.quota.{name}: {fault}"
    return Case("quota", namespace(quota={name: amount}), told)


def limits(fault: str | None = LEGAL, **parts: dict[str, Any]) -> Case:
    told = fault and f"namespace.limits.{fault}"
    return Case("limits", namespace(limits=parts), told)


def policy(spec: Any, fault: str | None = LEGAL) -> Case:
    told = fault and f"namespace.network.policies.p{fault}"
    return Case("policy", namespace(network={"policies": {"p": spec}}), told)


def ingress(rule: Any, fault: str | None = LEGAL) -> Case:
    return policy({"ingress": [rule]}, fault and f".ingress[0]{fault}")


def unclear(cidr: str, warning: str) -> Case:
    case = block(cidr)
    field = "namespace.network.policies.p.ingress[0].from[0].ipBlock.cidr"
    return replace(case, warning=f"{field}: '{cidr}' is refused by Kubernetes 1.36 and {warning}")


def block(cidr: Any, fault: str | None = LEGAL, **more: Any) -> Case:
    return ingress(
        {"from": [{"ipBlock": {"cidr": cidr, **more}}]}, fault and f".from[0].ipBlock.{fault}"
    )


def selector(given: Any, fault: str | None = LEGAL) -> Case:
    return policy({"podSelector": given}, fault and f".podSelector{fault}")


def route(kind: str, *prefixes: str, fault: str | None = LEGAL, stricter: str = "") -> Case:
    paths = [
        {"prefix": prefix, "service": f"web-{number}", "port": 80}
        for number, prefix in enumerate(prefixes)
    ]
    routes = {"r": {"host": "shop.example.com", "kind": kind, "paths": paths}}
    return Case("route", {"routes": routes}, fault and f"routes.r.paths{fault}", stricter)


def same_service(kind: str, *prefixes: str) -> Case:
    case = route(kind, *prefixes)
    for path in case.content["routes"]["r"]["paths"]:
        path["service"] = "web"
    return case


def service(name: str, fault: str | None = LEGAL) -> Case:
    paths = [{"service": name, "port": 80}]
    routes = {"r": {"host": "shop.example.com", "paths": paths}}
    return Case("service", {"routes": routes}, fault and f"routes.r.paths[0].service: {fault}")


def labels(fault: str | None = LEGAL, **given: Any) -> Case:
    return Case("label", namespace(labels=given), fault and f"namespace.labels.{fault}")


def redirect(uri: str, fault: str | None = LEGAL, stricter: str = "") -> Case:
    content = {"oidc_clients": {"web": {"redirect_uris": [uri]}}}
    told = fault and f"oidc_clients.web.redirect_uris[0]: {fault}"
    return Case("redirect", content, told, stricter)


def logout(uri: str, fault: str | None = LEGAL) -> Case:
    web = {"redirect_uris": ["https://shop.example.com/"], "post_logout_redirect_uris": [uri]}
    told = fault and f"oidc_clients.web.post_logout_redirect_uris[0]: {fault}"
    return Case("logout", {"oidc_clients": {"web": web}}, told)


def origin(value: str, fault: str | None = LEGAL, warning: str = "", stricter: str = "") -> Case:
    web = {"redirect_uris": ["https://shop.example.com/"], "web_origins": [value]}
    field = "oidc_clients.web.web_origins[0]: "
    content = {"oidc_clients": {"web": web}}
    return Case("origin", content, fault and field + fault, stricter, warning and field + warning)


def schedule(cron: str, fault: str | None = LEGAL) -> Case:
    content = {"harbor": {"retention": {"rules": [{"latest_pushed": 3}], "schedule": cron}}}
    told = fault and f"harbor.retention.schedule: '{cron}': {fault}"
    return Case("schedule", content, told)


def access(permission: str, fault: str | None = LEGAL) -> Case:
    content = {"robots": {"ci": {"access": [permission]}}}
    return Case("access", content, fault and f"robots.ci.access[0]: '{permission}': {fault}")


def immutable(*rules: dict[str, str], fault: str | None = LEGAL, stricter: str = "") -> Case:
    content = {"harbor": {"immutable_tags": [*rules]}}
    return Case("immutable", content, fault and f"harbor.immutable_tags{fault}", stricter)


def retention(*rules: dict[str, Any], fault: str | None = LEGAL, stricter: str = "") -> Case:
    content = {"harbor": {"retention": {"rules": [*rules]}}}
    return Case("retention", content, fault and f"harbor.retention.rules{fault}", stricter)
