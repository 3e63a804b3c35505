"""Arbitrary team files of Mallory, generated from the published JSON Schema of a team file.

A value is either harmless (a team would declare it), any value that the schema allows, or hostile. The
share of hostile values is drawn for each file: one hostile value among 50 harmless ones reaches more
code than a file of hostile values only, which is rejected at its first line.
"""

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from demo.processes import ROOT

NAME = "mallory"
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/schema/team.schema.json").read_text())

LOOK_ALIKES = ("Shop", "\u0455hop", "shop\u200b", "\uff53hop", "sho\u0070\u0301", "shop ", "shop\n")
TEAMS = ("shop", "data", "mallory-lab", "gone", "mallory-gone", "platform", "library")
PATTERNS = ("*", "**", ".*", "[a-z]*", "{team}", "{group}", "{team}-{team}", "{0}", "${team}", "%s")
TEXTS = (
    "",
    " ",
    "\x1b[2J\x1b[31m",
    "</td><script>alert(1)</script>",
    "](javascript:alert(1))",
    "=HYPERLINK(1)",
    "\n=1+1",
    "a" * 5000,
    "..",
    "../../shop",
    "../shop.yaml",
    "\u202eshop",
    "\x00",
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.5, float("inf"), float("nan"), "1e999")
OTHER_TYPES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1.5,
    "",
    [],
    {},
    [None],
    {"": None},
    [[]],
    "null",
    "~",
)
EXPIRES = ("never", 1, 36500)

GROUPS = (
    *("team-shop", "team-data", "team-mallory-lab", "team-gone", "Team-Shop", "team-shop\u200b"),
    *("system:masters", "SYSTEM:Masters", "sys\u200btem:masters", "system:authenticated"),
    *("platform-admins", "Platform-Admins", "platform\u200d-admins", "all-teams-admin"),
    *("finance", "auditors", "tenants", "tenants/team-shop", "/team-shop", "oidc:team-shop"),
    *("team-{team}", "team-mallory"),
)
NAMESPACES = (
    *("team-shop", "team-data", "team-mallory-lab", "team-gone", "team-mallory-gone"),
    *("kube-system", "cert-manager", "pipelines", "istio-ingress", "harbor", "default"),
    *("{team}", "team-{team}-lab", "team-{team}-x", "team-{team}"),
)
SECRETS = (
    *("ca-key", "bootstrap-token", "harbor-pull", "harbor-ci", "harbor-shop", "oidc-web"),
    *("hand-made", "harbor-{team}", "{team}"),
)
HOSTS = (
    *("shop.example.com", "*.shop.example.com", "*.example.com", "*.com", "*"),
    *("registry.example.com", "harbor.example.com", "login.example.com", "SHOP.example.com"),
    *("front.team-shop.svc.cluster.local", "kubernetes.default.svc", "shop.example.com."),
    *("xn--shop.example.com", "legacy.example.com", "127.0.0.1"),
)
ADDRESSES = (
    *("*", "https://*", "https://*.example.com/cb", "https://shop.example.com/cb", "http*"),
    *("javascript:alert(1)", "data:text/html,x", "https://mallory.example.com@shop.example.com/"),
    *("https://registry.example.com/c/oidc/callback", "https://login.example.com/", "+", "-"),
    *("https://shop%2eexample.com/", "//shop.example.com/", "/", "https://shop.example.com*"),
)
KEYS = (
    *("tenantry.io/team", "tenantry.io/applied", "tenantry.io/harbor-project", "tenantry.io/x"),
    *("app.kubernetes.io/managed-by", "kubernetes.io/metadata.name", "istio-injection"),
    *("pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"),
    *("istio.io/rev", "topology.istio.io/network", "admission.k8s.io/skip", "TENANTRY.io/team"),
    *("scheduler.alpha.kubernetes.io/node-selector", "capsule.clastix.io/tenant"),
)
ROBOTS = (
    *("robot$replicator", "robot$mallory-old", "robot$team-shop+pull-a", "robot$*", "*"),
    *("robot$team-{team}+pull-a", "robot$team-shop+hand-made", "robot$legacy+ci", "replicator"),
    *("robot$team-mallory+../team-shop", "robot${team}", "admin"),
)

HOSTILE: dict[str, tuple[Any, ...]] = {
    "name": (*TEAMS, *LOOK_ALIKES, "a" * 58, "a" * 500, "team-shop", "../shop", "1234"),
    "profile": ("trusted", "plain", "Trusted", "{team}"),
    "group": GROUPS,
    "members": ("ann", "bob", "admin", "Ann", "service-account-harbor", "nobody-there", "*"),
    "external_groups": ("shop-people", "k8s-team-shop", "finance", "platform-admins"),
    "external_groups key": ("corp", "other", "tenantry"),
    "groups key": GROUPS,
    "robots key": (*TEAMS, "pull-a", "pull-b", "ci", "tenantry", "a" * 40),
    "further_namespaces key": ("lab", "gone", "shop", "x" * 40, "kube-system", "team-shop"),
    "oidc_clients key": ("lab-web", "lab", "gone-web", "shop", "harbor"),
    "routes key": ("web", "harbor", "a" * 40),
    "policies key": ("tenantry-default-deny", "tenantry-allow-dns", "x"),
    "labels key": KEYS,
    "annotations key": KEYS,
    "labels": ("tenantry", "shop", "privileged", "v1.0", "disabled"),
    "annotations": ("tenantry", "shop", "team-shop", "node=control-plane"),
    "cluster_role": ("cluster-admin", "admin", "edit", "system:node", "tenantry-team-member:x"),
    "SecretSink namespace": NAMESPACES,
    "SecretSink name": SECRETS,
    "host": HOSTS,
    "gateway": ("istio-ingress/admin", "istio-system/mesh", "team-shop/x", "harbor/harbor"),
    "service": ("front.team-shop", "kubernetes.default", "front.team-shop.svc.cluster.local"),
    "redirect_uris": ADDRESSES,
    "post_logout_redirect_uris": ADDRESSES,
    "web_origins": ADDRESSES,
    "replaces": ROBOTS,
    "access": ("robot:create", "member:create", "project:delete", "metadata:update", "*:*", "*"),
    "cidr": ("0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "169.254.169.254/32", "0.0.0.0"),
    "schedule": ("* * * * *", "*/1 * * * *", "0 0 31 2 *", "@every 1s", "0-59 * * * *"),
    "key": ("*", "team-shop/*", "?", "**"),
    "mesh": (False, "canary", "default", "no", "disabled"),
    "pod_security": ("privileged",),
    "role": ("projectAdmin",),
    "adopt": ("yes", "if-identical"),
    "expiry_days": EXPIRES,
    "storage_quota": ("unlimited", "-1", "1e30", "999Ei"),
}
"""Hostile values by field. Those for the keys of a mapping have ` key` after the field."""

HARMLESS: dict[str, tuple[Any, ...]] = {
    "name": (NAME,),
    "display_name": ("Mallory", "M\u00fcllers & Co."),
    "contact": ("mallory@example.com",),
    "profile": (None, "plain"),
    "group": ("team-mallory",),
    "members": ("mallory", "eve"),
    "external_groups": ("mallory-people", "mallory-admins"),
    "external_groups key": ("corp",),
    "groups key": ("mallory-friends", "team-mallory-guests"),
    "groups": ("developer", "guest", "limitedGuest"),
    "role": ("developer", "maintainer", "guest"),
    "robots key": ("pull", "ci", "scan", "deploy"),
    "further_namespaces key": ("jobs", "test"),
    "oidc_clients key": ("web", "spa"),
    "routes key": ("web", "api"),
    "policies key": ("allow-metrics", "from-jobs"),
    "labels key": ("example.com/cost-centre", "team-colour"),
    "labels": ("4711", "blue"),
    "annotations key": ("example.com/on-call",),
    "annotations": ("mallory",),
    "cluster_role": ("tenantry-team-member",),
    "pod_security": ("baseline", "restricted"),
    "mesh": (True,),
    "deny_by_default": (True,),
    "quota key": ("requests.cpu", "pods", "secrets"),
    "quota": (1, 2, 3),
    "default key": ("memory",),
    "default": ("512Mi",),
    "default_request key": ("memory",),
    "default_request": ("64Mi",),
    "max key": ("memory",),
    "max": ("2Gi",),
    "min key": ("memory",),
    "min": ("16Mi",),
    "storage_quota": ("10Gi", "1Gi", None),
    "public": (False,),
    "prevent_vulnerable": (None, False),
    "severity": ("high", "critical"),
    "access": ("repository:pull", "repository:push", "repository:list", "tag:list"),
    "expiry_days": (30, 60, 90),
    "max_age_days": (10, 20),
    "before_expiry_days": (3,),
    "overlap_hours": (24,),
    "deletion_hours": (48, 168),
    "SecretSink namespace": ("team-mallory", "team-{team}"),
    "SecretSink name": ("login", "pull-{team}", "config"),
    "replaces": ("robot$team-mallory+old",),
    "host": ("mallory.example.com", "app.mallory.example.com", "api.mallory.example.com"),
    "gateway": (None, "istio-ingress/public"),
    "kind": (None, "VirtualService"),
    "service": ("front", "backend"),
    "port": (80, 8080),
    "prefix": ("/", "/api/"),
    "redirect_uris": ("https://mallory.example.com/cb", "https://app.mallory.example.com/cb"),
    "post_logout_redirect_uris": ("https://mallory.example.com/",),
    "web_origins": ("https://mallory.example.com",),
    "schedule": (None, "0 3 * * *"),
    "repositories": ("**", "web"),
    "tags": ("**", "v*"),
    "latest_pushed": (5, 10),
    "cidr": ("10.1.2.0/24", "10.2.0.0/16"),
    "except": ("10.1.2.128/25",),
    "protocol": ("TCP",),
    "policyTypes": ("Ingress",),
    "operator": ("In",),
    "matchLabels key": ("app",),
    "matchLabels": ("web",),
    "key": ("team-mallory/*",),
    "until": (None, "2099-01-01"),
    "reason": ("known",),
    "adopt": ("never",),
}
"""Harmless values by field."""

RARE_FIELDS = frozenset({"adopt", "drift", "matchExpressions", "endPort", "except", "replaces"})
"""Optional fields that a harmless file does not have."""
HARMLESS_FIELDS = {"RetentionRule": ("latest_pushed", "tags"), "ImmutableTags": ("tags",)}
"""The fields of a harmless object by definition. Other fields exclude each other."""
SINGLE_ITEM = frozenset({"paths", "rules"})
"""Lists that have one item in a harmless file, because further items often conflict with it."""


@st.composite
def files(draw: st.DrawFn, percentages: tuple[int, ...] = (0, 1, 2, 4, 4, 8, 40)) -> dict[str, Any]:
    """Return the parsed content of a `teams/mallory.yaml`.

    Args:
        draw: the draw function of Hypothesis.
        percentages: the possible percentages of values that are not harmless.
    """
    writer = _Writer(draw, draw(st.sampled_from(percentages)))
    found = writer.of(SCHEMA, "")
    content: dict[str, Any] = found if isinstance(found, dict) else {"name": found}
    return content


@cache
def _from_pattern(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def _is_leaf(schema: dict[str, Any]) -> bool:
    """Return whether the values of a schema are scalars."""
    if "anyOf" in schema:
        return all(map(_is_leaf, schema["anyOf"]))
    return "$ref" not in schema and schema.get("type") not in ("object", "array")


class _Writer:
    """A generator for the values of one file."""

    def __init__(self, draw: st.DrawFn, percentages: int) -> None:
        self._draw = draw
        self._temper = percentages

    def of(self, schema: dict[str, Any], field: str, definition: str = "Team") -> Any:
        """Return a value of a field.

        Args:
            schema: the schema of the field.
            field: the name of the field, with ` key` for the keys of a mapping.
            definition: the name of its object in the schema.
        """
        if "$ref" in schema:
            definition = schema["$ref"].rpartition("/")[2]
            return self.of(SCHEMA["$defs"][definition], field, definition)
        is_leaf = _is_leaf(schema)
        if not is_leaf and "anyOf" in schema:
            branch = self._draw(st.sampled_from(schema["anyOf"]))
            return None if branch.get("type") == "null" else self.of(branch, field, definition)
        if self._strays(30):
            return self._draw(st.sampled_from(OTHER_TYPES))
        if is_leaf and self._strays():
            return self._stray(schema, field, definition)
        if is_leaf and (pool := self._pool(HARMLESS, field, definition)):
            return self._draw(st.sampled_from(pool))
        return self._by_schema(schema, field, definition)

    def _strays(self, rarer: int = 1) -> bool:
        """Return whether the next value is not harmless."""
        # For a range of more than 127 values, Hypothesis prefers the ends.
        return (
            self._temper > 0
            and self._draw(st.integers(0, 99)) < self._temper
            and self._draw(st.integers(0, rarer - 1)) == 0
        )

    def _stray(self, schema: dict[str, Any], field: str, definition: str) -> Any:
        pool = self._pool(HOSTILE, field, definition)
        if pool and self._draw(st.integers(0, 9)) < 8:
            return self._draw(st.sampled_from(pool))
        return self._draw(
            st.one_of(
                st.sampled_from((*TEXTS, *PATTERNS)),
                st.sampled_from(NUMBERS),
                st.sampled_from((*TEAMS, *LOOK_ALIKES)),
                st.builds(lambda: self._by_schema(schema, field, definition)),
            )
        )

    @staticmethod
    def _pool(pools: dict[str, tuple[Any, ...]], field: str, definition: str) -> tuple[Any, ...]:
        return pools.get(f"{definition} {field}") or pools.get(field, ())

    def _by_schema(self, schema: dict[str, Any], field: str, definition: str) -> Any:
        if "anyOf" in schema:
            return self.of(self._draw(st.sampled_from(schema["anyOf"])), field, definition)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._draw(st.sampled_from(schema["enum"]))
        kind = schema.get("type")
        kind = self._draw(st.sampled_from(kind)) if isinstance(kind, list) else kind
        match kind:
            case "object" if "properties" in schema:
                return self._object(schema, definition)
            case "object":
                return self._mapping(schema, field, definition)
            case "array":
                return self._array(schema, field, definition)
            case "boolean":
                return self._draw(st.booleans())
            case "integer" | "number":
                return self._draw(
                    st.integers(schema.get("minimum", -5), schema.get("maximum", 10**9))
                )
            case "string" if "pattern" in schema:
                return self._draw(_from_pattern(schema["pattern"]))
            case "string":
                return self._draw(st.text(min_size=schema.get("minLength", 0), max_size=20))
        return None

    def _object(self, schema: dict[str, Any], definition: str) -> dict[str, Any]:
        required = schema.get("required", ())
        content = {}
        for name, below in schema["properties"].items():
            if name not in required and not self._is_declared(name, definition):
                continue
            content[name] = self.of(below, name, definition)
        if self._strays(20):
            content[self._draw(st.sampled_from(("spec", "adopted", "policy", "grants", "<<")))] = (
                True
            )
        return content

    def _is_declared(self, name: str, definition: str) -> bool:
        known = HARMLESS_FIELDS.get(definition)
        if known:
            return name in known or self._strays()
        if name in RARE_FIELDS:
            return self._strays()
        return self._draw(st.integers(0, 9)) < (5 if definition == "Team" else 3)

    def _mapping(self, schema: dict[str, Any], field: str, definition: str) -> dict[str, Any]:
        patterns = schema.get("patternProperties", {})
        pattern, value = next(iter(patterns.items()), ("", schema.get("additionalProperties")))
        keys = {"type": "string", **({"pattern": pattern} if pattern else {})}
        content = {}
        for _ in range(self._draw(st.integers(0, 2))):
            key = self.of(keys, f"{field} key", definition)
            content[key if isinstance(key, str) else str(key)] = self.of(
                value if isinstance(value, dict) else {"type": "string"}, field, definition
            )
        return content

    def _array(self, schema: dict[str, Any], field: str, definition: str) -> list[Any]:
        minimum = schema.get("minItems", 0)
        maximum = minimum if field in SINGLE_ITEM and not self._strays() else minimum + 1
        count = self._draw(st.integers(minimum, maximum))
        items = [self.of(schema.get("items", {}), field, definition) for _ in range(count)]
        return [value for index, value in enumerate(items) if value not in items[:index]]
