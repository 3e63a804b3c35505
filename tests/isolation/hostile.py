"""Hostile text, in a team file and in everything that a tenant can write in the systems."""

import re
from typing import Any

import markdown_it

from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor.model import Group, Member
from tests.support.harness import Data

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
HIDDEN = "pay\u202elive\u200b\u2066\ufeff\U000e0041"
MARKUP = "![x](https://evil.example/p.png) [click](javascript:alert) <img src=x onerror=alert(1)>"
BLOCK = "| a | b |\n|---|---|\n# forged heading\n```\n12:00:00.000 | INFO | forged line"
FORMULA = " \t\n=HYPERLINK(1)"
CI = "\n::set-env name=PATH::evil\n##vso[task.setvariable variable=x]evil"
LIVE = f"{ESCAPE}{HIDDEN} {MARKUP} www.evil.example {CI}\r\n{BLOCK} `code` *b* {FORMULA}"
"""Text that a tenant can write in the systems."""
DECLARED = f"{HIDDEN} {MARKUP} www.evil.example {CI}\n{BLOCK} `code` *b*"
"""Text that a team file accepts: without control characters."""

MALLORY: Data = {
    "name": "mallory",
    "display_name": DECLARED,
    "contact": DECLARED,
    "namespace": {"annotations": {"note": DECLARED}},
    "oidc_clients": {"web": {"redirect_uris": ["https://mallory.example/"]}},
}
SHOP: Data = {"name": "shop", "display_name": "The shop"}


def write_hostile_text(sandbox: Sandbox, slug: str = "team-mallory") -> None:
    """Write hostile text into the objects, the project and the group of a tenant."""
    kubernetes = sandbox.kubernetes
    for kind, name in (("Secret", "harbor-pull"), ("Secret", "oidc-web")):
        found = kubernetes.get(kind, name, slug)
        if found is not None:
            found["metadata"].setdefault("annotations", {}).update(
                {f"tenantry.io/{key}": LIVE for key in ("robot", "rotated", "previous-robot", "x")}
            )
            kubernetes.put(found)
    for kind in ("ResourceQuota", "LimitRange"):
        found = kubernetes.get(kind, "tenantry", slug)
        if found is not None:
            found["metadata"].setdefault("annotations", {})["note"] = LIVE
            kubernetes.put(found)
    namespace: Any = kubernetes.get("Namespace", slug)
    namespace["metadata"]["annotations"]["note"] = LIVE
    kubernetes.put(namespace)
    project = sandbox.harbor.projects[slug]
    for robot in sandbox.harbor.robots.values():
        if robot.project_id == project.id:
            robot.description = LIVE
    sandbox.harbor.groups[1000] = Group(1000, LIVE)
    project.members[1000] = Member(1000, 1000, "g", 2)


HIDDEN_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def harmful_to_terminals(text: str) -> list[str]:
    """Return the lines that a terminal or a CI log would interpret instead of printing them."""
    return [
        line
        for line in text.split("\n")
        if HIDDEN_CHARACTERS.search(line) or re.search(r"^\s*::|##(vso)?\[", line)
    ]


def rendered(text: str) -> str:
    """Return the HTML of GitHub's Markdown, including links without brackets."""
    parser = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False})
    return str(parser.render(text))
