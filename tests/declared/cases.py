"""What a team may declare and what it may not, by kind of value, each with its right verdict.

The same cases are put to `tenantry validate` (tests/declared/test_values.py) and to real servers
(tests/real/test_values.py), which must agree.
"""

from dataclasses import dataclass, replace
from typing import Any

LEGAL = None


@dataclass(frozen=True)
class Case:
    """One value of a team's file."""

    kind: str
    """What is tried, such as `quota`."""
    content: dict[str, Any]
    """The part of the team's file that is tried."""
    fault: str | None
    """The field and the beginning of what is said of it; None if it is legal."""
    stricter: str = ""
    """Why Tenantry refuses what the system accepts; empty if both agree."""
    warning: str = ""
    """The field and the beginning of what is said of a value that only new versions refuse."""

    @property
    def id(self) -> str:
        """What the case is called in a test's name."""
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


CIDR = "must be a CIDR, such as 10.1.0.0/24"

KUBERNETES = [
    # The quota
    quota("requests.cpu", 4),
    quota("requests.cpu", "1500m"),
    quota("limits.memory", "16Gi"),
    quota("services.nodeports", 0),
    quota("services.loadbalancers", "0"),
    quota("pods", 50),
    quota("pods", "1k"),
    quota("requests.storage", "1Ti"),
    quota("hugepages-2Mi", "1Gi"),
    quota("requests.nvidia.com/gpu", 4),
    quota("count/deployments.apps", 10),
    quota("gold.storageclass.storage.k8s.io/requests.storage", "500Gi"),
    quota("pods", 50.5, "'50.5': must be a whole number"),
    quota("pods", "500m", "'500m': must be a whole number"),
    quota("secrets", "0.5", "'0.5': must be a whole number"),
    quota("count/jobs.batch", 1.5, "'1.5': must be a whole number"),
    quota("memroy", "1Gi", "'memroy': is not a resource that a ResourceQuota limits; did you mean"),
    quota(
        "requests.cpus", 4, "'requests.cpus': is not a resource that a ResourceQuota limits; did"
    ),
    quota("storage", "1Gi", "'storage': is not a resource that a ResourceQuota limits;"),
    quota("pods", -1, "-1: a quantity must not be negative"),
    quota("pods", "many", "'many': a quantity is a number with an optional unit"),
    quota("-x.io/a", 1, "'-x.io/a': a key is up to 63 letters"),
    quota("x..io/a", 1, "'x..io/a': a key is up to 63 letters"),
    # The limits of containers
    limits(default={"cpu": "500m", "memory": "512Mi"}, default_request={"cpu": "100m"}),
    limits(max={"memory": "1Gi"}, default={"memory": "1Gi"}, min={"memory": "1Mi"}),
    limits(max={"cpu": 2}),
    limits(min={"cpu": 0}),
    limits(default={"nvidia.com/gpu": 1}, default_request={"nvidia.com/gpu": 1}),
    limits(
        "default.memory: 2Gi is greater than 'max' (1Gi)",
        default={"memory": "2Gi"},
        max={"memory": "1Gi"},
    ),
    limits(
        "default_request.cpu: 2 is greater than 'default' (1)",
        default={"cpu": 1},
        default_request={"cpu": 2},
    ),
    limits("min.cpu: 2 is greater than 'max' (1)", min={"cpu": 2}, max={"cpu": 1}),
    limits("min.cpu: 2 is greater than 'default' (1)", min={"cpu": 2}, default={"cpu": 1}),
    limits(
        "min.cpu: 2 is greater than 'default_request' (1500m)",
        min={"cpu": 2},
        default_request={"cpu": "1500m"},
    ),
    limits(
        "default_request.cpu: 3 is greater than 'max' (2)",
        max={"cpu": 2},
        default_request={"cpu": 3},
    ),
    limits(
        "default_request.nvidia.com/gpu: 1 differs from 'default' (2)",
        default={"nvidia.com/gpu": 2},
        default_request={"nvidia.com/gpu": 1},
    ),
    limits(
        "default_request.hugepages-2Mi: 2Mi differs from 'default' (4Mi)",
        max={"hugepages-2Mi": "4Mi"},
        default_request={"hugepages-2Mi": "2Mi"},
    ),
    limits("max.memroy: 'memroy': is not a resource of a container; did you", max={"memroy": 1}),
    limits("max.pods: 'pods': is not a resource of a container; known:", max={"pods": 1}),
    limits(
        "max.requests.nvidia.com/gpu: 'requests.nvidia.com/gpu': is a ResourceQuota's name",
        max={"requests.nvidia.com/gpu": 1},
    ),
    # NetworkPolicies
    policy({}),
    policy({"ingress": None}),
    policy({"podSelector": None, "policyTypes": None, "egress": []}),
    policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}),
    policy({"policyTypes": ["ingress"]}, ".policyTypes[0]: 'ingress': must be Ingress or Egress"),
    policy(
        {"policyTypes": ["Ingress", "Egress", "Ingress"]}, ".policyTypes: has more than two entries"
    ),
    policy({"egres": []}, ".egres: unknown key; did you mean 'egress'?"),
    policy({"pod_selector": {}}, ".pod_selector: unknown key; did you mean 'podSelector'?"),
    policy({"ingress": {}}, ".ingress: "),
    policy(["ingress"], ": "),
    ingress({"ports": [{"port": 5432}]}),
    ingress({"ports": [{"port": "http", "protocol": "SCTP"}]}),
    ingress({"ports": [{"port": 1000, "endPort": 2000}]}),
    ingress({"ports": [{"protocol": "UDP"}]}),
    ingress({"ports": [5432]}, ".ports[0]: "),
    ingress({"ports": [{"port": 0}]}, ".ports[0].port: 0: a port is a number from 1 to 65535"),
    ingress({"ports": [{"port": 65536}]}, ".ports[0].port: 65536: a port is a number from 1"),
    ingress({"ports": [{"port": "a--b"}]}, ".ports[0].port: 'a--b': a port is a number from 1"),
    ingress({"ports": [{"port": "80"}]}, ".ports[0].port: '80': a port is a number from 1"),
    ingress({"ports": [{"port": "x" * 16}]}, ".ports[0].port: 'xxxx"),
    ingress({"ports": [{"port": 1.5}]}, ".ports[0].port: 1.5: "),
    ingress({"ports": [{"protocol": "tcp"}]}, ".ports[0].protocol: 'tcp': must be one of TCP"),
    ingress({"ports": [{"port": 9, "endPort": 8}]}, ".ports[0].endPort: 8: must lie between"),
    ingress({"ports": [{"endPort": 8}]}, ".ports[0].endPort: needs a numeric 'port'"),
    ingress({"ports": [{"port": "a", "endPort": 8}]}, ".ports[0].endPort: needs a numeric 'port'"),
    ingress({"from": [{"podSelector": {}, "namespaceSelector": {}}]}),
    ingress({"from": [{}]}, ".from[0]: names no peer"),
    ingress({"to": [{"podSelector": {}}]}, ".to: unknown key"),
    ingress(
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
        ".from[0]: gives ipBlock and podSelector",
    ),
    block("10.1.0.0/24"),
    block("10.1.0.5/32"),
    block("2001:DB8::/32"),
    block("0.0.0.0/0", **{"except": ["10.0.0.0/8", "192.168.0.0/16"]}),
    block("10.1.0.0", f"cidr: '10.1.0.0': {CIDR}"),
    block("10.1.0.0/33", f"cidr: '10.1.0.0/33': {CIDR}"),
    unclear("10.1.0.0/024", "later; write 10.1.0.0/24, without leading zeros"),
    unclear("010.1.0.0/24", "later; write 10.1.0.0/24, without leading zeros"),
    unclear("10.1.0.5/24", "later; write 10.1.0.0/24, or 10.1.0.5/32 for the one address"),
    unclear("::ffff:10.0.0.0/104", "later; write the IPv4 address in the form of IPv4"),
    block("example.com/24", f"cidr: 'example.com/24': {CIDR}"),
    block("", f"cidr: '': {CIDR}"),
    block("10.0.0.0/8", "except[0]: '11.0.0.0/9': must be a part", **{"except": ["11.0.0.0/9"]}),
    block("10.0.0.0/8", "except[0]: '10.0.0.0/8': must be a part", **{"except": ["10.0.0.0/8"]}),
    block("10.0.0.0/8", "except[0]: 'ten': must be a CIDR", **{"except": ["ten"]}),
    selector({"matchLabels": {"app.kubernetes.io/name": "web"}}),
    selector({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
    selector({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", ""]}]}),
    selector({"matchLabels": {"a b": "c"}}, ".matchLabels.a b: 'a b': a key is up to 63 letters"),
    selector({"matchLabels": {"a": "b c"}}, ".matchLabels.a: 'b c': a label's value is"),
    selector({"matchLabels": {"a": 1}}, ".matchLabels.a: 1: "),
    selector(
        {"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]},
        ".matchExpressions[0].operator: 'in': must be one of In, NotIn, Exists, DoesNotExist",
    ),
    selector(
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        ".matchExpressions[0].values: the operator In needs at least one value",
    ),
    selector(
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
        ".matchExpressions[0].values: the operator Exists takes no values",
    ),
    selector({"matchExpressions": [{"operator": "Exists"}]}, ".matchExpressions[0].key: is requ"),
    # Labels of a namespace
    labels(**{"example.com/cost-centre": 42}),
    labels(a=""),
    labels("a b: 'a b': a key is up to 63 letters", **{"a b": "c"}),
    labels("a..b/c: 'a..b/c': a key is up to 63", **{"a..b/c": "d"}),
    labels("a.-b/c: 'a.-b/c': a key is up to 63", **{"a.-b/c": "d"}),
    labels("a/b/c: 'a/b/c': a key is up to 63", **{"a/b/c": "d"}),
    labels("/c: '/c': a key is up to 63", **{"/c": "d"}),
    labels("a: 'xxx", a="x" * 64),
    # Routes
    route("HTTPRoute", "/api", "/apiary", "/"),
    route("HTTPRoute", "/", "/api"),
    route("HTTPRoute", *(f"/{number}" for number in range(16))),
    route("HTTPRoute", "/" + "x" * 1023),
    route("HTTPRoute", "/a%20b/~x:@"),
    route(
        "HTTPRoute",
        *(f"/{number}" for number in range(17)),
        fault=": 17 paths; an HTTPRoute has up to 16",
    ),
    route("HTTPRoute", "/" + "x" * 1024, fault="[0].prefix: '/xxx"),
    route("HTTPRoute", "/a//b", fault="[0].prefix: '/a//b' contains '//'"),
    route("HTTPRoute", "/a/./b", fault="[0].prefix: '/a/./b' contains '/./'"),
    route("HTTPRoute", "/a/../b", fault="[0].prefix: '/a/../b' contains '/../'"),
    route("HTTPRoute", "/a%2Fb", fault="[0].prefix: '/a%2Fb' contains '%2F'"),
    route("HTTPRoute", "/a%2fb", fault="[0].prefix: '/a%2fb' contains '%2f'"),
    route("HTTPRoute", "/a/..", fault="[0].prefix: '/a/..' contains '/..'"),
    route("HTTPRoute", "/a/.", fault="[0].prefix: '/a/.' contains '/.'"),
    route("HTTPRoute", "/#a", fault="[0].prefix: '/#a' has a character"),
    route("HTTPRoute", "/a?b", fault="[0].prefix: '/a?b' has a character"),
    route("HTTPRoute", "/a b", fault="[0].prefix: '/a b' has a character"),
    route("HTTPRoute", "/ä", fault="[0].prefix: '/ä' has a character"),
    route("HTTPRoute", "/a%zz", fault="[0].prefix: '/a%zz' has a character"),
    route("HTTPRoute", "api", fault="[0].prefix: 'api': "),
    route(
        "HTTPRoute",
        "/api",
        "/api/",
        fault="[1].prefix: '/api/' is never reached: '/api' before it is the same prefix",
        stricter="the second path would never get a request",
    ),
    same_service("HTTPRoute", "/api", "/api/"),
    route("VirtualService", "/apiary", "/api", "/"),
    route("VirtualService", *(f"/{number:02}" for number in range(40))),
    replace(
        route("VirtualService", "/a?b", "/"),
        warning="routes.r.paths[0].prefix: '/a?b' fits no request: a path has no '?' in it",
        stricter="no request would reach the path",
    ),
    route(
        "VirtualService",
        "/api",
        "/apiary",
        fault="[1].prefix: '/apiary' is never reached: '/api' before it takes",
        stricter="the second path would never get a request",
    ),
    service("a--b"),
    service("x" * 63),
    service("frontend-blue"),
    service("1web"),
]
"""Put to the API server as well, with Istio's and the Gateway API's definitions."""

FOR_VALIDATE_ONLY = [
    # The API server takes the first for 4, and the second for a rule that allows everything.
    quota("requests.cpu", "4 ", "'4 ': a quantity is a number with an optional unit"),
    policy({"egress": [None]}, ".egress[0]: "),
    # Harbor takes it, and the hour never comes.
    schedule(", 0 * * *", "',' is not a valid minute; write * for each one"),
    # What one of the systems cannot store.
    text("display_name", "Shop\0"),
    text("contact", "a\x1bb"),
    text("group", "sh\0op"),
    text("members", ["ann", "b\0ob"]),
    Case("text", namespace(annotations={"a": "b\0"}), "namespace.annotations: "),
    Case("text", namespace(annotations={"a": "two\n\tlines"}), LEGAL),
    Case("text", {"display_name": "Größe 🚀"}, LEGAL),
    service("x" * 64, "'xxxx"),
    service("Web", "'Web': a Service's name is 1 to 63 lower-case letters, digits and dashes"),
    service("web-", "'web-': a Service's name is 1 to 63"),
    service("web.team", "'web.team': a Service's name is 1 to 63"),
]
"""Not put to a system: it would take the value for another, or find the fault only later."""

KEYCLOAK = [
    redirect("https://shop.example.com/oauth2/callback"),
    redirect("https://shop.example.com/*"),
    redirect("http://localhost:8080/cb?x=1"),
    redirect("com.example.app:/callback"),
    redirect("/relative/*"),
    redirect("https://[::1]:8443/cb"),
    redirect("https://shop.example.com/%C3%A4"),
    redirect("https://shop.example.com/#/cb", "'https://shop.example.com/#/cb': a redirect URI"),
    redirect("https://shop.example.com/a b", "'https://shop.example.com/a b': an address must not"),
    redirect(" https://shop.example.com/", "' https://shop.example.com/': an address must not"),
    redirect("https://shop.example.com/{id}", "'https://shop.example.com/{id}': is not a URI"),
    redirect("https://shop.example.com/%zz", "'https://shop.example.com/%zz': is not a URI"),
    redirect("https://", "'https://': is not a URI"),
    redirect("my_app://cb", "'my_app://cb': is not a URI"),
    redirect("javascript:alert(1)", "'javascript:alert(1)': the scheme 'javascript:' is not"),
    redirect("https://shop.example.com/" + "x" * 240, "'https://shop"),
    redirect("JavaScript:x", "'JavaScript:x': the scheme 'JavaScript:' is not"),
    redirect("data:x", "'data:x': the scheme 'data:' is not"),
    redirect("vbscript:x"),
    logout("+"),
    logout("https://shop.example.com/" + "x" * 240),
    logout("https://shop.example.com/#/", "'https://shop.example.com/#/': a redirect URI must"),
    logout("https://shop.example.com/a b", "'https://shop.example.com/a b': an address must not"),
    logout("https://shop.example.com/{id}", "'https://shop.example.com/{id}': is not a URI"),
    origin("+"),
    origin("https://shop.example.com"),
    origin("https://shop.example.com" + "x" * 240, "'https://shop"),
    origin("https://a b", warning="'https://a b' has a blank", stricter="no browser has it"),
    redirect("", "'': an address must not be empty", stricter="Keycloak drops it: never in sync"),
]
"""Put to a Keycloak as well."""

HARBOR = [
    schedule("0 3 * * *"),
    schedule("*/15 0-6/2 1,15 jan-mar MON"),
    schedule("0 0 ? * 0"),
    schedule("1,,2 0 * * *"),
    schedule("61 25 * * *", "'61' is not a valid minute; allowed: 0 to 59"),
    schedule("0 24 * * *", "'24' is not a valid hour; allowed: 0 to 23"),
    schedule("0 0 0 * *", "'0' is not a valid day; allowed: 1 to 31"),
    schedule("0 0 * 13 *", "'13' is not a valid month; allowed: 1 to 12"),
    schedule("0 0 * * 7", "'7' is not a valid weekday; allowed: 0 to 6"),
    schedule("0 0 * * L", "'L' is not a valid weekday"),
    schedule("30-10 * * * *", "'30-10' begins after its end"),
    schedule("*/0 * * * *", "'*/0' has a step of 0"),
    schedule("@daily", "a schedule has five fields"),
    schedule("0 0 3 * * *", "a schedule has five fields"),
    access("repository:pull"),
    access("scan:stop"),
    access("tag-retention:list"),
    replace(
        access("helm-chart:read"),
        warning="robots.ci.access[0]: 'helm-chart:read' is refused by Harbor 2.8 and later",
    ),
    access("repository:pul", "Harbor grants no robot this permission; did you mean 'repository:pu"),
    access("repo:pull", "Harbor grants no robot this permission;"),
    access("tag:read", "Harbor grants no robot this permission;"),
    access("robot:update", "Harbor grants robot:update to no robot"),
    access("tag-retention:operate", "Harbor grants no robot this permission;"),
    access("*:*", "Harbor grants no robot this permission;"),
    immutable({"tags": "v*"}, {"tags": "release-*"}),
    immutable({"tags": "v*"}, {"tags": "v*", "repositories": "web/**"}),
    immutable({"tags": "v*"}, {"tags": "v*"}, fault="[1]: is there twice"),
    immutable(
        {"tags": ""},
        fault="[0].tags: '': a pattern must not be empty",
        stricter="Harbor answers without the pattern, so that it cannot be compared",
    ),
    immutable(
        {"tags": "v["},
        fault="[0].tags: 'v[': has a '[' that begins no class",
        stricter="Harbor fails only when it applies the rule",
    ),
    retention({"latest_pushed": 3}, {"latest_pushed": 4}),
    retention({"latest_pushed": 3}, {"latest_pushed": 3}, fault="[1]: is there twice"),
    retention(
        *({"latest_pushed": count} for count in range(1, 17)), fault=": list should have at most 15"
    ),
    retention(
        {"latest_pushed": 3, "tags": "{a,b"},
        fault="[0].tags: '{a,b': has a '{' without '}'",
        stricter="Harbor fails only when it applies the rule",
    ),
]
"""Put to a Harbor as well."""

ALL = [*KUBERNETES, *FOR_VALIDATE_ONLY, *KEYCLOAK, *HARBOR]
