"""Logins to the simulated Harbor through an OIDC provider, and what its users can do then."""

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor import SimulatedHarbor
from tests.sandbox.calls import API, CLIENT, Caller, refused
from tests.support.narrowing import present

TOKEN = "x-harbor-csrf-token"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
ALICE = {"sub": "sub-1", "name": "Alice A", "preferred_username": "alice"}
ALICE |= {"email": "alice@lab.test"}


class Provider:
    """A provider that lets everybody in, as whoever the test says. Each realm is an issuer."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.clock = sandbox.clock
        self.secret = "hush"
        self.claims: dict[str, Any] = {}
        self.in_token: dict[str, Any] = {}  # claims that the ID token has and userinfo has not
        self.userinfo: dict[str, Any] | None = None  # if it differs from the claims
        self.key = KEY
        self.asked: dict[str, dict[str, str]] = {}
        self.codes: dict[str, str] = {}
        self.discoveries = 0
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        routes = [
            Route("/{realm}/.well-known/openid-configuration", self._discover),
            Route("/{realm}/keys", self._keys),
            Route("/{realm}/authorize", self._authorize),
            Route("/{realm}/token", self._token, methods=["POST"]),
            Route("/{realm}/userinfo", self._userinfo),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def issuer(self, realm: str = "lab") -> str:
        return f"{self.url}/{realm}"

    def id_token(self, realm: str = "lab", **claims: Any) -> str:
        now = int(self.clock.now().timestamp())
        standard = {"iss": self.issuer(realm), "aud": "harbor", "iat": now, "exp": now + 300}
        everything = {**standard, **self.claims, **self.in_token, **claims}
        return jwt.encode(everything, self.key, "RS256", {"kid": "one"})

    async def _discover(self, request: Request) -> Response:
        self.discoveries += 1
        issuer = self.issuer(request.path_params["realm"])
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "jwks_uri": f"{issuer}/keys",
                "end_session_endpoint": f"{issuer}/logout",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _keys(self, request: Request) -> Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": "one", "use": "sig", "alg": "RS256"}]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_hex(8)
        self.codes[code] = asked["code_challenge"]
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"harbor:{self.secret}".encode()).decode()
        shown = (form.get("client_id"), form.get("client_secret"))
        if request.headers.get("authorization") != f"Basic {basic}" and shown != (
            "harbor",
            self.secret,
        ):
            words = {"error_description": "Invalid client or Invalid client credentials"}
            return JSONResponse({"error": "unauthorized_client", **words}, 401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.codes.pop(form["code"], "") != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = self.id_token(request.path_params["realm"])
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": token})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        info = self.claims if self.userinfo is None else self.userinfo
        return JSONResponse(info, 200 if info else 500)


class Person:
    """Somebody's browser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, trust_env=False)

    def start(self, query: str = "") -> httpx.Response:
        return self.client.get(f"/c/oidc/login{query}")

    def log_in(self, query: str = "") -> httpx.Response:
        """Harbor's answer when the provider has sent the browser back."""
        answer = self.start(query)
        assert answer.status_code == 302, answer.text
        back = self.client.get(answer.headers["location"]).headers["location"]
        return self.client.get(back)

    def __call__(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A call to the API in the session, with its CSRF token."""
        token = self.client.get(f"{API}/systeminfo").headers.get(TOKEN, "")
        path = path if path.startswith("/c/") else API + path
        return self.client.request(method, path, headers={TOKEN: token}, **kwargs)

    @property
    def current(self) -> dict[str, Any]:
        answer = self("GET", "/users/current")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[Provider]:
    running = Provider(sandbox)
    yield running
    running.stop()


@pytest.fixture
def idp(server: Provider, harbor: SimulatedHarbor) -> Provider:
    """The provider, known to Harbor, and alice about to come."""
    server.claims, server.in_token, server.userinfo = dict(ALICE), {}, None
    server.secret, server.key = "hush", KEY
    settings = {
        "oidc_endpoint": server.issuer(),
        "oidc_client_id": "harbor",
        "oidc_client_secret": "hush",
        "oidc_scope": "openid,profile, email",
        "oidc_groups_claim": "groups",
        "oidc_user_claim": "preferred_username",
        "oidc_auto_onboard": True,
    }
    harbor.configuration.update(settings)
    return server


@pytest.fixture
def alice(idp: Provider, url: str) -> Person:
    return Person(url)


def taken(name: str, email: str) -> str:
    return f"failed to create user record: user {name} or email {email} already exists"


# --- To the provider -----------------------------------------------------------------------------


@pytest.mark.demand("real", "Harbor: OIDC login and callback")
def test_a_login_goes_to_the_provider(
    alice: Person, idp: Provider, harbor: SimulatedHarbor
) -> None:
    target = urlsplit(alice.start().headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{idp.issuer()}/authorize"
    assert "scope=openid+profile+email" in target.query
    asked = {name: value for name, [value] in parse_qs(target.query).items()}
    assert len(asked.pop("state")) >= 32
    assert len(asked.pop("code_challenge")) == 43
    assert asked == {
        "client_id": "harbor",
        "code_challenge_method": "S256",
        "redirect_uri": f"{harbor.ext_endpoint}/c/oidc/callback",
        "response_type": "code",
        "scope": "openid profile email",
    }


def test_the_sandboxs_own_provider_is_asked_without_holding_it_up(
    url: str, sandbox: Sandbox
) -> None:
    """Both are served from one thread: whoever waits there for the other waits for ever."""
    location = Person(url).start().headers["location"]
    assert location.startswith(sandbox.addresses()["keycloak"]["url"])


def test_extra_parameters_go_along(alice: Person, harbor: SimulatedHarbor) -> None:
    harbor.configuration["oidc_extra_redirect_parms"] = '{"kc_idp_hint":"corp"}'
    assert "kc_idp_hint=corp" in alice.start().headers["location"]


def test_only_local_addresses_to_go_on_to(alice: Person) -> None:
    for target in ("https://elsewhere.example", "//elsewhere.example", "harbor/projects"):
        answer = alice.start(f"?redirect_url={target}")
        assert refused(answer, 400, "cannot redirect to other site")
    answer = alice.log_in("?redirect_url=/harbor/projects")
    assert (answer.status_code, answer.headers["location"]) == (302, "/harbor/projects")


@pytest.mark.parametrize("path", ["login", "callback", "logout"])
def test_there_is_no_provider_in_db_auth(
    nobody: Caller, harbor: SimulatedHarbor, path: str
) -> None:
    harbor.configuration["auth_mode"] = "db_auth"
    answer = nobody("GET", f"/c/oidc/{path}")
    message = "auth mode: db_auth is not OIDC based"
    assert refused(answer, 412, message, code="PRECONDITION_FAILED")


def test_an_unreachable_provider(alice: Person, harbor: SimulatedHarbor) -> None:
    harbor.configuration["oidc_endpoint"] = "http://127.0.0.1:1/lab"
    assert refused(alice.start(), 500, "internal server error")


def test_settings_and_metadata_are_kept_for_three_seconds(
    alice: Person, idp: Provider, admin: Caller, sandbox: Sandbox
) -> None:
    before = idp.discoveries
    alice.start()
    alice.start()
    assert idp.discoveries == before + 1
    body = {"oidc_endpoint": idp.issuer("other")}
    assert admin("PUT", "/configurations", json=body).status_code == 200
    assert alice.start().headers["location"].startswith(idp.issuer("lab"))
    sandbox.clock.move(3.1)
    assert alice.start().headers["location"].startswith(idp.issuer("other"))
    assert idp.discoveries == before + 2


# --- And back ------------------------------------------------------------------------------------


@pytest.mark.demand("real", "Harbor: OIDC login and callback")
def test_a_login(alice: Person, admin: Caller, harbor: SimulatedHarbor, idp: Provider) -> None:
    answer = alice.log_in()
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    current = alice.current
    meta = current["oidc_user_meta"]
    assert (current["username"], current["email"]) == ("alice", "alice@lab.test")
    assert (current["admin_role_in_auth"], current["sysadmin_flag"]) == (False, False)
    assert meta["subiss"] == f"sub-1{idp.issuer()}"
    assert len(meta["secret"]) == 32
    [listed] = admin.json("/users")
    assert "oidc_user_meta" not in listed
    shown = admin.json(f"/users/{listed['user_id']}")
    assert shown["oidc_user_meta"] == meta
    assert refused(alice("GET", "/users"), 403, "alice")


def test_a_session_before_the_login_is_not_the_one_after(alice: Person) -> None:
    alice.start()
    before = alice.client.cookies["sid"]
    alice.log_in()
    assert alice.client.cookies["sid"] != before


def test_a_session_outlives_the_sandbox(
    alice: Person, idp: Provider, harbor: SimulatedHarbor
) -> None:
    idp.claims["groups"] = ["team-demo"]
    alice.log_in()
    before = alice.current
    harbor.load(harbor.dump())
    assert alice.current == before
    session = harbor.state.sessions[alice.client.cookies["sid"]]
    assert present(session.user).groups == ["team-demo"]


@pytest.mark.demand("real", "Harbor: OIDC login and callback")
def test_the_state_must_be_that_of_the_session(alice: Person, nobody: Caller) -> None:
    alice.start()
    answer = alice.client.get("/c/oidc/callback?code=x&state=other")
    assert refused(answer, 400, "State mismatch")
    assert refused(nobody("GET", "/c/oidc/callback?code=x"), 400, "State mismatch")


def test_a_wrong_client_secret(alice: Person, idp: Provider) -> None:
    idp.secret = "changed"
    words = "Invalid client or Invalid client credentials"
    message = f'oauth2: "unauthorized_client" "{words}"'
    assert refused(alice.log_in(), 400, message)


def test_a_code_serves_once(alice: Person) -> None:
    back = alice.client.get(alice.start().headers["location"]).headers["location"]
    assert alice.client.get(back).status_code == 302
    assert refused(alice.client.get(back), 400, 'oauth2: "invalid_grant"')


def test_the_provider_says_no(alice: Person) -> None:
    state = parse_qs(urlsplit(alice.start().headers["location"]).query)["state"][0]
    query = f"state={state}&error=access_denied&error_description=no"
    message = "OIDC callback returned error: access_denied - no"
    assert refused(alice.client.get(f"/c/oidc/callback?{query}"), 400, message)


@pytest.mark.parametrize("fault", [{"aud": "other"}, {"iss": "http://x"}, {"exp": 1}])
def test_an_id_token_for_others_or_of_old(
    alice: Person, idp: Provider, harbor: SimulatedHarbor, fault: dict[str, Any]
) -> None:
    idp.in_token = fault
    assert refused(alice.log_in(), 500, "internal server error")
    assert list(harbor.users) == [1]


def test_an_id_token_that_others_signed(
    alice: Person, idp: Provider, harbor: SimulatedHarbor
) -> None:
    idp.key = OTHER_KEY
    assert refused(alice.log_in(), 500, "internal server error")
    assert list(harbor.users) == [1]


# --- Who it is -----------------------------------------------------------------------------------


def test_userinfo_comes_before_the_id_token(
    alice: Person, idp: Provider, harbor: SimulatedHarbor
) -> None:
    idp.in_token = {"groups": ["of-token"], "email": "token@lab.test"}
    idp.userinfo = {**ALICE, "groups": ["of-userinfo"]}
    alice.log_in()
    assert alice.current["email"] == "alice@lab.test"
    assert [g.name for g in harbor.groups.values()] == ["of-userinfo"]


def test_the_id_token_does_where_userinfo_fails(
    alice: Person, idp: Provider, harbor: SimulatedHarbor
) -> None:
    idp.userinfo, idp.in_token = {}, {"groups": ["of-token"]}
    assert alice.log_in().status_code == 302
    assert [g.name for g in harbor.groups.values()] == ["of-token"]


def test_userinfo_of_another_user(alice: Person, idp: Provider) -> None:
    idp.userinfo = {**ALICE, "sub": "sub-2"}
    assert refused(alice.log_in(), 500, "internal server error")


def test_without_the_claim_the_name_is_the_username(alice: Person, idp: Provider) -> None:
    idp.claims = {"sub": "sub-9", "name": "Finn Lab"}
    alice.log_in()
    assert alice.current["username"] == "Finn_Lab"
    assert "email" not in alice.current


def test_groups_of_the_claim_are_made_and_give_roles(
    alice: Person, idp: Provider, admin: Caller, demo: int
) -> None:
    member = {"role_id": 2, "member_group": {"group_name": "team-demo", "group_type": 3}}
    assert admin("POST", "/projects/team-demo/members", json=member).status_code == 201
    idp.claims["groups"] = ["team-demo", "others", 7]
    alice.log_in()
    assert alice("GET", "/projects/team-demo").json()["current_user_role_ids"] == [2]
    assert {g["group_name"] for g in admin.json("/usergroups")} == {"team-demo", "others"}
    idp.claims["groups"] = []
    later = Person(alice.url)
    later.log_in()
    assert later("GET", "/projects/team-demo").status_code == 403
    assert alice("GET", "/projects/team-demo").status_code == 200  # as it was at that login


def test_a_claim_that_is_no_list_gives_no_groups(
    alice: Person, idp: Provider, admin: Caller
) -> None:
    idp.claims["groups"] = "team-demo"
    assert alice.log_in().status_code == 302
    assert admin.json("/usergroups") == []


def test_admins_by_the_providers_word(
    alice: Person, idp: Provider, admin: Caller, harbor: SimulatedHarbor
) -> None:
    settings = {"oidc_group_filter": "^team-", "oidc_admin_group": "harbor-admins"}
    harbor.configuration.update(settings)
    idp.claims["groups"] = ["team-demo", "harbor-admins"]
    alice.log_in()
    assert [g["group_name"] for g in admin.json("/usergroups")] == ["team-demo"]
    current = alice.current
    assert (current["admin_role_in_auth"], current["sysadmin_flag"]) == (True, False)
    [seen] = alice("GET", "/users").json()
    assert seen["admin_role_in_auth"] is False
    assert alice("GET", "/configurations").status_code == 200
    assert alice("POST", "/projects", json={"project_name": "x"}).status_code == 201
    itself = f"User with ID {current['user_id']} cannot be deleted"
    assert refused(alice("DELETE", f"/users/{current['user_id']}"), 403, itself)


def test_a_user_is_known_by_subject_and_issuer(alice: Person, idp: Provider, admin: Caller) -> None:
    alice.log_in()
    first = alice.current
    idp.claims |= {"preferred_username": "renamed", "email": "new@lab.test"}
    again = Person(alice.url)
    again.log_in()
    assert again.current == first


@pytest.mark.demand("real", "Harbor: 409 when sub or iss changed")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"sub": "sub-2"}, taken("alice", "alice@lab.test")),
        ({"sub": "sub-2", "email": "b@lab.test"}, taken("alice", "b@lab.test")),
        ({"sub": "sub-2", "preferred_username": "bob"}, taken("bob", "alice@lab.test")),
        ({"sub": "sub-2", "preferred_username": "admin"}, taken("admin", "alice@lab.test")),
    ],
)
def test_a_name_or_address_that_is_taken(
    alice: Person, idp: Provider, harbor: SimulatedHarbor, claims: dict[str, Any], message: str
) -> None:
    alice.log_in()
    idp.claims |= claims
    other = Person(alice.url)
    assert refused(other.log_in(), 409, message, code="UNKNOWN")
    assert other("GET", "/users/current").status_code == 401
    assert len(harbor.users) == 2
    assert alice.current["username"] == "alice"


@pytest.mark.demand("real", "Harbor: 409 when sub or iss changed")
def test_the_same_subject_of_another_issuer(
    alice: Person, idp: Provider, admin: Caller, sandbox: Sandbox
) -> None:
    alice.log_in()
    body = {"oidc_endpoint": idp.issuer("other")}
    assert admin("PUT", "/configurations", json=body).status_code == 200
    sandbox.clock.move(3.1)
    answer = Person(alice.url).log_in()
    assert refused(answer, 409, taken("alice", "alice@lab.test"), code="UNKNOWN")


@pytest.mark.demand("real", "Harbor: soft deletion")
def test_a_deleted_user_is_re_created_at_the_next_login(
    alice: Person, idp: Provider, admin: Caller, demo: int
) -> None:
    alice.log_in()
    first = alice.current
    member = {"role_id": 2, "member_user": {"user_id": first["user_id"]}}
    admin("POST", "/projects/team-demo/members", json=member)
    idp.claims["sub"] = "sub-2"
    assert Person(alice.url).log_in().status_code == 409
    path = f"/users/{first['user_id']}"
    assert admin("DELETE", path).status_code == 200
    missing = f"user {first['user_id']} not found"
    assert refused(admin("DELETE", path), 404, missing)
    assert refused(alice("GET", "/users/current"), 404, missing)
    assert [m["entity_name"] for m in admin.json("/projects/team-demo/members")] == ["admin"]
    again = Person(alice.url)
    assert again.log_in().headers["location"] == "/"
    assert again.current["user_id"] > first["user_id"] + 1  # the refused login drew a number
    secret = again.current["oidc_user_meta"]["secret"]
    assert secret != first["oidc_user_meta"]["secret"]


# --- Under a name of one's choice ----------------------------------------------------------------


@pytest.mark.demand("real", "Harbor: the onboard page")
def test_a_person_chooses_a_name(alice: Person, harbor: SimulatedHarbor, idp: Provider) -> None:
    harbor.configuration["oidc_auto_onboard"] = False
    idp.claims |= {"preferred_username": "dave d", "groups": ["team-demo"]}
    answer = alice.log_in()
    location = "/oidc-onboard?username=dave_d&redirect_url="
    assert (answer.status_code, answer.headers["location"]) == (302, location)
    assert alice("GET", "/users/current").status_code == 401
    assert not harbor.groups

    def onboard(name: str) -> httpx.Response:
        return alice("POST", "/c/oidc/onboard", json={"username": name})

    illegal = 'username da,ve contains illegal characters: ,"~#%$'
    assert refused(onboard("da,ve"), 400, illegal)
    assert refused(onboard(""), 400, "username with illegal length")
    assert refused(onboard("admin"), 409, taken("admin", "alice@lab.test"), code="UNKNOWN")
    answer = alice.client.post("/c/oidc/onboard", json={"username": "dave"})
    assert refused(answer, 403, "CSRF token not found in request")
    done = onboard("dave")
    assert (done.status_code, done.content) == (200, b"")
    assert alice.current["username"] == "dave"
    assert [g.name for g in harbor.groups.values()] == ["team-demo"]
    assert refused(onboard("dave"), 400, "Failed to get OIDC user info from session")
    assert Person(alice.url).log_in().headers["location"] == "/"


# --- Logging out ---------------------------------------------------------------------------------


def test_log_out_points_to_the_providers(alice: Person, harbor: SimulatedHarbor) -> None:
    alice.log_in()
    answer = alice("GET", "/c/log_out")
    assert answer.status_code == 403
    assert answer.json() == {"redirect_location": f"{harbor.ext_endpoint}/c/oidc/logout"}
    assert alice.current["username"] == "alice"


def test_logging_out_of_the_provider(alice: Person, harbor: SimulatedHarbor, idp: Provider) -> None:
    harbor.configuration["oidc_logout"] = True
    alice.log_in()
    answer = alice.client.get("/c/oidc/logout")
    target = urlsplit(answer.headers["location"])
    assert answer.status_code == 302
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{idp.issuer()}/logout"
    asked = parse_qs(target.query)
    assert asked["post_logout_redirect_uri"] == [f"{harbor.ext_endpoint}/account/sign-in"]
    assert jwt.decode(asked["id_token_hint"][0], options={"verify_signature": False})
    assert alice("GET", "/users/current").status_code == 401


def test_logging_out_here_only(alice: Person) -> None:
    alice.log_in()
    assert alice.client.get("/c/oidc/logout").headers["location"] == "/account/sign-in"
    assert alice("GET", "/users/current").status_code == 401


# --- Secrets and tokens --------------------------------------------------------------------------


@pytest.mark.demand("real", "Harbor: CLI secrets")
def test_cli_secrets(alice: Person, admin: Caller, harbor: SimulatedHarbor, url: str) -> None:
    alice.log_in()
    user_id = alice.current["user_id"]

    def secret_of(answer: httpx.Response) -> str:
        assert (answer.status_code, answer.content) == (200, b"")
        return str(alice.current["oidc_user_meta"]["secret"])

    path = f"/users/{user_id}/cli_secret"
    assert secret_of(alice("PUT", path, json={"secret": "Sup3rSecret"})) == "Sup3rSecret"
    assert Caller(url, "alice", "Sup3rSecret")("GET", "/service/token").status_code == 200
    assert Caller(url, "alice", "Sup3rSecret")("GET", "/users/current").status_code == 401
    made = secret_of(admin("PUT", path, json={"secret": ""}))
    assert made in harbor.issued_secrets
    assert Caller(url, "alice", "Sup3rSecret")("GET", "/service/token").status_code == 401
    assert admin("PUT", path, json={"secret": "weak"}).status_code == 400
    assert admin("PUT", "/users/9999/cli_secret", json={"secret": ""}).status_code == 404
    refusal = "Not authorized to update the CLI secret for user: 1"
    assert refused(alice("PUT", "/users/1/cli_secret", json={"secret": ""}), 403, refusal)
    harbor.configuration["auth_mode"] = "db_auth"
    message = "unable to update CLI secret under authmode: db_auth"
    assert refused(admin("PUT", path, json={"secret": ""}), 412, message)


def test_id_tokens_are_good_for_the_onboarded(
    alice: Person, idp: Provider, admin: Caller, demo: int, url: str
) -> None:
    def by(token: str, path: str = "/users/current", method: str = "GET") -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return CLIENT.request(method, url + API + path, headers=headers)

    assert by(idp.id_token()).status_code == 401
    alice.log_in()
    assert by(idp.id_token()).json()["username"] == "alice"
    member = {"role_id": 2, "member_group": {"group_name": "team-demo", "group_type": 3}}
    admin("POST", "/projects/team-demo/members", json=member)
    assert by(idp.id_token(), "/projects/team-demo").status_code == 403
    token = idp.id_token(groups=["team-demo"])
    assert by(token, "/projects/team-demo").json()["current_user_role_ids"] == [2]
    expired = int(time.time()) - 10**7
    for bad in ("at", idp.id_token(aud="account"), idp.id_token(exp=expired)):
        assert refused(by(bad), 401, "unauthorized")
    assert idp.id_token(sub="sub-2") != token
    assert by(idp.id_token(sub="sub-2")).status_code == 401


def test_asking_whether_a_provider_is_there(admin: Caller, alice: Person, idp: Provider) -> None:
    def ping(url: str, caller: Any = admin) -> httpx.Response:
        return caller("POST", "/system/oidc/ping", json={"url": url, "verify_cert": True})

    answer = ping(idp.issuer())
    assert (answer.status_code, answer.content) == (200, b"")
    for wrong in (f"{idp.issuer()}/", idp.url, "http://127.0.0.1:1", "nonsense", ""):
        assert refused(ping(wrong), 400, "failed to verify connection")
    alice.log_in()
    assert refused(ping(idp.issuer(), alice), 403, "alice")
