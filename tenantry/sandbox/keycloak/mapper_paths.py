"""The paths of protocol mappers, the same below clients and below client scopes."""

from starlette.responses import Response

from .answers import (
    JSON,
    Call,
    Routes,
    answer,
    created,
    done,
    not_found,
    unknown_error,
)
from .clients import found
from .mappers import TYPES, add_mapper, completed
from .scopes import found_scope
from .state import Realm

routes = Routes()


def _mapper(holder: JSON, mapper_id: str) -> JSON:
    for mapper in holder.get("protocolMappers", ()):
        if mapper["id"] == mapper_id:
            found: JSON = mapper
            return found
    raise not_found("Model not found")


def _mappers(path: str) -> None:
    find = found if path == "clients" else found_scope
    models = f"{path}/{{holder}}/protocol-mappers/models"

    @routes("GET", models)
    def list_mappers(realm: Realm, call: Call, holder_id: str) -> Response:
        return answer(find(realm, holder_id).get("protocolMappers", []))

    @routes("POST", models)
    def create_mapper(realm: Realm, call: Call, holder_id: str) -> Response:
        mapper = add_mapper(find(realm, holder_id), call.body)
        return created(f"{call.base}/{'/'.join(call.segments)}/{mapper['id']}")

    @routes("POST", f"{path}/{{holder}}/protocol-mappers/add-models")
    def create_mappers(realm: Realm, call: Call, holder_id: str) -> Response:
        holder = find(realm, holder_id)
        before = holder.get("protocolMappers", [])
        try:
            for rep in call.anything:
                add_mapper(holder, rep)
        except Exception:
            holder["protocolMappers"] = before
            raise
        return done()

    @routes("GET", f"{models}/{{mapper}}")
    def get_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        return answer(_mapper(find(realm, holder_id), mapper_id))

    @routes("PUT", f"{models}/{{mapper}}")
    def update_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        # The path says what has to exist, the id in the body what is written: the type and the
        # configuration, which is replaced. Name and protocol stay.
        holder, rep = find(realm, holder_id), call.body
        _mapper(holder, mapper_id)
        if rep.get("protocolMapper") not in TYPES:
            raise not_found("ProtocolMapper provider not found")
        ids = [each["id"] for each in holder["protocolMappers"]]
        if rep.get("id") not in ids:
            raise unknown_error()
        target = _mapper(holder, rep["id"])
        target |= {"protocolMapper": rep["protocolMapper"], "config": completed(rep)}
        return done()

    @routes("DELETE", f"{models}/{{mapper}}")
    def delete_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        holder = find(realm, holder_id)
        gone = _mapper(holder, mapper_id)
        left = [each for each in holder["protocolMappers"] if each is not gone]
        holder.pop("protocolMappers")
        if left:
            holder["protocolMappers"] = left
        return done()


for _path in ("clients", "client-scopes"):
    _mappers(_path)
