"""Faults that can be injected into requests: their settings, and which requests they match."""

import json
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from starlette.responses import Response

SystemName = Literal["harbor", "keycloak", "kubernetes"]
SYSTEMS: tuple[SystemName, ...] = ("harbor", "keycloak", "kubernetes")
FaultName = Literal["reset", "timeout", "lost", "truncated", "cut", "not-json"]
Status = Annotated[int, Field(ge=200, le=599)]

BODILESS = (204, 304)


class Fault(BaseModel):
    """A fault, and the requests into which it is injected.

    ``fault`` is one of:

    - a number: the request is answered with this status and not processed.
    - ``reset``: the connection is reset, and the request is not processed.
    - ``timeout``: the request gets no answer, and is not processed.
    - ``lost``: the request is processed, and the connection is reset before the answer.
    - ``truncated``: the request is processed. The answer has half of the body, and a
      ``Content-Length`` that fits it.
    - ``cut``: the request is processed, and the connection ends within the body.
    - ``not-json``: the request is processed, and the body is an HTML page.
    """

    model_config = ConfigDict(extra="forbid")

    fault: Status | FaultName
    system: SystemName | None = None
    """The system; None matches every system."""
    method: str | None = None
    """The method; None matches every method."""
    path: str | None = None
    """A glob for the path or its template, in which ``*`` also matches slashes; None matches every
    path."""
    at: int = Field(default=1, ge=1)
    """The number of the first matching request that gets the fault, counted since it was added."""
    times: int | None = Field(default=1, ge=1)
    """The number of requests that get the fault; None means all further ones."""
    body: Any = None
    """The body of the answer, if ``fault`` is a status: a text, or a value to encode as JSON."""
    headers: dict[str, str] = Field(default_factory=dict)
    """The headers of the answer, if ``fault`` is a status."""

    _matched: int = PrivateAttr(default=0)
    _injected: int = PrivateAttr(default=0)

    @model_validator(mode="after")
    def _check_answer(self) -> "Fault":
        if not isinstance(self.fault, int) and (self.body is not None or self.headers):
            raise ValueError("body and headers need a fault that is a status")
        return self

    @property
    def matched(self) -> int:
        """The number of requests that matched."""
        return self._matched

    @property
    def injected(self) -> int:
        """The number of requests that got the fault."""
        return self._injected

    def to_json(self) -> dict[str, Any]:
        """Return the fault and its counts as the controls' server shows them."""
        return {**self.model_dump(), "matched": self.matched, "injected": self.injected}

    def matches(self, system: str, method: str, path: str, template: str) -> bool:
        """Return whether a request with this path and path template matches."""
        return (
            self.system in (None, system)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or any(fnmatchcase(p, self.path) for p in (path, template)))
        )

    def count_match(self) -> None:
        """Count a matching request."""
        self._matched += 1

    def take_turn(self) -> bool:
        """Return whether the matching request just counted gets the fault, and count it if so."""
        due = self._matched >= self.at and (self.times is None or self._injected < self.times)
        self._injected += due
        return due

    def answer(self) -> Response:
        """Return the answer for a fault that is a status."""
        assert isinstance(self.fault, int)
        body = self.body if isinstance(self.body, str) else json.dumps(self.body or {})
        response = Response(
            b"" if self.fault in BODILESS else body, self.fault, media_type="application/json"
        )
        for name, value in self.headers.items():
            response.headers[name] = value
        return response
