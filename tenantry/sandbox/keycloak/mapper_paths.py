"""The endpoints of protocol mappers, which are the same for clients and client scopes."""

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
from .clients import find_client
from .mappers import TYPES, add_mapper, complete_config
from .scopes import find_scope
from .state import Realm

routes = Routes()


def _find_mapper(holder: JSON, mapper_id: str) -> JSON:
    for mapper in holder.get("protocolMappers", ()):
        if mapper["id"] == mapper_id:
            found: JSON = mapper
            return found
    raise not_found("Model not found")


def _add_routes(path: str) -> None:
    find = find_client if path == "clients" else find_scope
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
            for rep in call.json:
                add_mapper(holder, rep)
        except Exception:
            holder["protocolMappers"] = before
            raise
        return done()

    @routes("GET", f"{models}/{{mapper}}")
    def get_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        return answer(_find_mapper(find(realm, holder_id), mapper_id))

    @routes("PUT", f"{models}/{{mapper}}")
    def update_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        # The mapper in the path must exist. The one whose id is in the body gets the type and the
        # configuration. Its name and protocol do not change.
        holder, rep = find(realm, holder_id), call.body
        _find_mapper(holder, mapper_id)
        if rep.get("protocolMapper") not in TYPES:
            raise not_found("ProtocolMapper provider not found")
        ids = [mapper["id"] for mapper in holder["protocolMappers"]]
        if rep.get("id") not in ids:
            raise unknown_error()
        target = _find_mapper(holder, rep["id"])
        target |= {"protocolMapper": rep["protocolMapper"], "config": complete_config(rep)}
        return done()

    @routes("DELETE", f"{models}/{{mapper}}")
    def delete_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        holder = find(realm, holder_id)
        deleted = _find_mapper(holder, mapper_id)
        remaining = [mapper for mapper in holder["protocolMappers"] if mapper is not deleted]
        holder.pop("protocolMappers")
        if remaining:
            holder["protocolMappers"] = remaining
        return done()


for _path in ("clients", "client-scopes"):
    _add_routes(_path)
