"""What a team may declare and what it may not, by kind of value, each with its right verdict.

The same cases are put to `tenantry validate` (tests/declared/test_values.py) and to the systems
(tests/conformance/test_declared_values.py), which must agree.
"""

from dataclasses import replace

from tests.declared.kubernetes_cases import KUBERNETES
from tests.declared.making import (
    LEGAL,
    Case,
    access,
    immutable,
    logout,
    namespace,
    origin,
    policy,
    quota,
    redirect,
    retention,
    schedule,
    service,
    text,
)

FOR_VALIDATE_ONLY = [
    # The API server takes the first for 4, and the second for a rule that allows everything.
    quota("requests.cpu", "4 ", "'4 ': a quantity is a number with an optional unit"),
    policy({"egress": [None]}, ".egress[0]: "),
    # Harbor takes it, and the hour never comes.
    schedule(", 0 * * *", "',' is not a valid minute; write * for every value"),
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
"""Not tested against a system, which would misinterpret the value or find the fault only later."""

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
    redirect("vbscript:x", "'vbscript:x' has the scheme", stricter="no login returns to it"),
    redirect("*", "'*' is not a full address", stricter="all addresses fit"),
    logout("+"),
    logout("https://shop.example.com/" + "x" * 240),
    logout("https://shop.example.com/#/", "'https://shop.example.com/#/': a redirect URI must"),
    logout("https://shop.example.com/a b", "'https://shop.example.com/a b': an address must not"),
    logout("https://shop.example.com/{id}", "'https://shop.example.com/{id}': is not a URI"),
    origin("+"),
    origin("https://shop.example.com"),
    origin("https://shop.example.com" + "x" * 240, "'https://shop"),
    origin("https://a b", warning="'https://a b' contains a blank", stricter="no browser has it"),
    redirect("", "'': an address must not be empty", stricter="Keycloak drops it: never in sync"),
]
"""Cases that are also tested against a Keycloak."""

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
    immutable({"tags": "v*"}, {"tags": "v*"}, fault="[1]: is given twice"),
    immutable(
        {"tags": ""},
        fault="[0].tags: '': a pattern must not be empty",
        stricter="Harbor answers without the pattern, so that it cannot be compared",
    ),
    immutable(
        {"tags": "v["},
        fault="[0].tags: 'v[': has a '[' that begins no character class",
        stricter="Harbor fails only when it applies the rule",
    ),
    retention({"latest_pushed": 3}, {"latest_pushed": 4}),
    retention({"latest_pushed": 3}, {"latest_pushed": 3}, fault="[1]: is given twice"),
    retention(
        *({"latest_pushed": count} for count in range(1, 17)), fault=": list should have at most 15"
    ),
    retention(
        {"latest_pushed": 3, "tags": "{a,b"},
        fault="[0].tags: '{a,b': has a '{' without a '}'",
        stricter="Harbor fails only when it applies the rule",
    ),
]
"""Cases that are also tested against a Harbor."""

ALL = [*KUBERNETES, *FOR_VALIDATE_ONLY, *KEYCLOAK, *HARBOR]
