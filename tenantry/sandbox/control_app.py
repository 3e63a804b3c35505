"""The controls over HTTP, on a separate server so that they hide no path of a system."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tenantry.sandbox.controls import Controls, Part
from tenantry.sandbox.faults import Fault, SystemName


class _Latency(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0, allow_inf_nan=False)
    system: SystemName | None = None


class _Move(BaseModel):
    model_config = ConfigDict(extra="forbid")

    move: float = Field(ge=-1e9, le=1e9)


class _Down(BaseModel):
    model_config = ConfigDict(extra="forbid")

    harbor: list[Part]


class _Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1)
    claims: dict[str, Any] = Field(default_factory=dict)
    realm: str = "platform"


def control_app(controls: Controls) -> ASGIApp:
    """Return an ASGI app that serves the controls; docs/sandbox.md lists its endpoints."""

    async def show_requests(request: Request) -> Response:
        counts = sorted(controls.requests.counts().items())
        rows = [{**kind._asdict(), "count": count} for kind, count in counts]
        return JSONResponse(
            {
                "total": controls.requests.total(),
                "writes": controls.requests.writes(),
                "requests": rows,
            }
        )

    async def reset_requests(request: Request) -> Response:
        controls.requests.reset()
        return Response(status_code=204)

    async def set_fault(request: Request) -> Response:
        fault = controls.add(Fault.model_validate_json(await request.body()))
        return JSONResponse(fault.to_json(), 201)

    async def show_faults(request: Request) -> Response:
        return JSONResponse([fault.to_json() for fault in controls.faults])

    async def clear_faults(request: Request) -> Response:
        controls.clear_faults()
        return Response(status_code=204)

    async def set_latency(request: Request) -> Response:
        given = _Latency.model_validate_json(await request.body())
        controls.delay(given.seconds, given.system)
        return JSONResponse(controls.latency)

    async def take_down(request: Request) -> Response:
        given = _Down.model_validate_json(await request.body())
        controls.take_down(*given.harbor)
        return JSONResponse({"harbor": controls.down})

    async def end_sessions(request: Request) -> Response:
        controls.end_sessions()
        return Response(status_code=204)

    async def move_clock(request: Request) -> Response:
        controls.clock.move(_Move.model_validate_json(await request.body()).move)
        return JSONResponse({"now": controls.clock.now().isoformat()})

    async def log_in(request: Request) -> Response:
        given = _Login.model_validate_json(await request.body())
        try:
            controls.log_in(given.username, given.claims, given.realm)
        except ValueError as error:
            return JSONResponse({"errors": [str(error)]}, 422)
        return JSONResponse(given.model_dump(), 201)

    async def show_logins(request: Request) -> Response:
        return JSONResponse(controls.logins)

    async def clear_logins(request: Request) -> Response:
        controls.clear_logins()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/logins", show_logins, methods=["GET"]),
            Route("/logins", log_in, methods=["POST"]),
            Route("/logins", clear_logins, methods=["DELETE"]),
            Route("/requests", show_requests, methods=["GET"]),
            Route("/requests", reset_requests, methods=["DELETE"]),
            Route("/faults", show_faults, methods=["GET"]),
            Route("/faults", set_fault, methods=["POST"]),
            Route("/faults", clear_faults, methods=["DELETE"]),
            Route("/latency", set_latency, methods=["PUT"]),
            Route("/down", take_down, methods=["PUT"]),
            Route("/sessions", end_sessions, methods=["DELETE"]),
            Route("/clock", move_clock, methods=["POST"]),
        ],
        exception_handlers={ValidationError: _reject_invalid},
    )


async def _reject_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    faults = [
        f"{'.'.join(str(part) for part in detail['loc']) or 'body'}: {detail['msg']}"
        for detail in error.errors()
    ]
    return JSONResponse({"errors": faults}, 422)
