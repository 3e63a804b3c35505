"""Keeps what a real Harbor answered to each case, and holds the sandbox to it.

    TENANTRY_TEST_HARBOR_URL=… python -m pytest tests/conformance -k harbor --record

writes a file for each module of cases to `recordings/`. Without `--record`, each case that runs on
the sandbox must get the same answers: status, headers, shape and constant texts. So the sandbox is
judged by what was seen, not by what somebody believes.

What differs from one server or run to the next is replaced by a word in angle brackets: names, ids,
times, addresses, tokens, and all values but those that mean the same everywhere.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

FOLDER = Path(__file__).parent / "recordings"
_ABOUT = "server.json"

_CONSTANT = frozenset(
    {
        *("code", "message", "role_id", "role_name", "entity_type", "group_type", "level", "kind"),
        *(
            "resource",
            "action",
            "resource_type",
            "operation",
            "decoration",
            "template",
            "algorithm",
        ),
        *("media_type", "type", "deletable", "editable", "disable", "public", "sysadmin_flag"),
    }
)
"""Members whose values mean the same on every Harbor."""
_HEADERS = frozenset(
    {
        *("content-type", "location", "link", "www-authenticate", "set-cookie", "x-total-count"),
        *("x-harbor-csrf-token", "x-request-id", "etag", "range", "docker-content-digest"),
        *("docker-upload-uuid", "docker-distribution-api-version", "retry-after"),
    }
)
_SCRUBBED = (
    (r"https?://[^/\s\"'<>,]+", "<address>"),
    (r"sha256:[0-9a-f]{64}", "<digest>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"_state=[^&\s>\"]+", "_state=<state>"),
    (r"(?s)failed, because .*", "failed, because <reason>"),  # Go's words for what is wrong in JSON
    (r"(?s)unmarshal manifest failed: .*", "unmarshal manifest failed: <reason>"),
    (r"(?<![\w.<-])\d+(?![\w.>-])", "<number>"),
)
"""Patterns of what differs, and what stands for it; the order counts."""
_VERBS = re.compile(r"\[[A-Z]+(?:,[A-Z]+)+\]")


class Recorder:
    """The answers that one case gets."""

    def __init__(self, address: str, mark: str) -> None:
        """
        Args:
            address: the server whose answers count.
            mark: what stands in the names that the case makes up.
        """
        self._netloc = urlsplit(address).netloc
        # A name that a case makes up, as `unique` does.
        self._names = re.compile(rf"[a-z$+]*-?{mark}[0-9a-f]{{3}}")
        self._found: set[str] = set()
        self.elsewhere = False
        """Whether the case asked another server, too."""

    def __call__(self, answer: httpx.Response) -> None:
        """Take down an answer."""
        if urlsplit(str(answer.request.url)).netloc != self._netloc:
            self.elsewhere = True
            return
        answer.read()
        self._found.add(json.dumps(self._exchange(answer), sort_keys=True))

    @property
    def exchanges(self) -> list[str]:
        """The different requests and answers, each as JSON."""
        return sorted(self._found)

    def _exchange(self, answer: httpx.Response) -> dict[str, Any]:
        asked = answer.request
        target = urlsplit(str(asked.url))
        names = "&".join(sorted({name for name, _ in asked.url.params.multi_items()}))
        told = {
            "request": f"{asked.method} {self._scrubbed(unquote(target.path))}"
            + (f"?{names}" if names else ""),
            "status": answer.status_code,
            "headers": dict(sorted(self._headers(answer))),
            "body": self._body(answer),
        }
        if isinstance(told["body"], list) and not self._names.search(unquote(str(asked.url))):
            # A list of all that the server holds: that of others, too.
            told["body"] = "<rows>"
            told["headers"].pop("link", None)
        return told

    def _headers(self, answer: httpx.Response) -> Iterator[tuple[str, Any]]:
        for name in sorted(_HEADERS & set(answer.headers)):
            if name == "set-cookie":
                yield name, sorted(_cookie(line) for line in answer.headers.get_list(name))
            elif name in ("x-total-count", "x-request-id", "x-harbor-csrf-token", "etag", "range"):
                yield name, "<value>"
            elif name == "link":
                yield name, "<links>"
            else:
                yield name, self._scrubbed(answer.headers[name])

    def _body(self, answer: httpx.Response) -> Any:
        if not answer.content:
            return ""
        if "json" in answer.headers.get("content-type", ""):
            try:
                return self._shape(answer.json())
            except ValueError:
                return "<not JSON>"
        if answer.headers.get("content-type", "").startswith("text/plain"):
            return self._scrubbed(answer.text)
        return "<bytes>"

    def _shape(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            if len(value) > 40:  # the configuration, whose settings a version adds to
                return "<settings>"
            return {key: self._shape(each, key) for key, each in value.items()}
        if isinstance(value, list):
            shapes = {json.dumps(self._shape(each, name), sort_keys=True) for each in value}
            return [json.loads(shape) for shape in sorted(shapes)]
        if name in _CONSTANT and isinstance(value, str):
            return self._scrubbed(value)
        if name in _CONSTANT or value is None:
            return value
        return f"<{type(value).__name__}>"

    def _scrubbed(self, text: str) -> str:
        text = self._names.sub("<name>", text)
        for pattern, stands in _SCRUBBED:
            text = re.sub(pattern, stands, text)
        return _VERBS.sub(lambda found: _sorted(found[0]), text)


def _sorted(verbs: str) -> str:
    return f"[{','.join(sorted(verbs[1:-1].split(',')))}]"


def _cookie(line: str) -> str:
    name, *attributes = line.split("; ")
    kept = sorted(each.partition("=")[0] if "=" in each else each for each in attributes)
    return "; ".join([name.partition("=")[0], *(each for each in kept if each != "Secure")])


def differences(found: list[str], held: list[str]) -> list[str]:
    """Return a line for each answer that is not as recorded, or that was recorded and not found."""
    return [
        *(f"not recorded: {each}" for each in sorted(set(found) - set(held))),
        *(f"recorded only: {each}" for each in sorted(set(held) - set(found))),
    ]


def write(version: str, cases: Mapping[str, Mapping[str, list[str] | None]]) -> None:
    """Write the recordings of whole modules.

    Args:
        version: the server's.
        cases: exchanges by module and case; None for a case that asked another server, too.
    """
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / _ABOUT).write_text(json.dumps({"harbor": version}, indent=2) + "\n")
    for module, found in cases.items():
        lines = ["{"]
        for number, (case, exchanges) in enumerate(sorted(found.items())):
            comma = "," if number < len(found) - 1 else ""
            inside = ",\n    ".join(exchanges or [])
            text = "null" if exchanges is None else f"[\n    {inside}\n  ]"
            lines.append(f"  {json.dumps(case)}: {text}{comma}")
        (FOLDER / f"{module}.json").write_text("\n".join([*lines, "}"]) + "\n")


def read(module: str) -> dict[str, list[str] | None]:
    """Return the recordings of a module by case; none if there are none."""
    path = FOLDER / f"{module}.json"
    if not path.exists():
        return {}
    found: dict[str, list[Any] | None] = json.loads(path.read_text())
    return {
        case: None if held is None else [json.dumps(each, sort_keys=True) for each in held]
        for case, held in found.items()
    }
