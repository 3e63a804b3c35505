"""A system that repeats a call in its refusal does not get the call's secrets into our message."""

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.confidential import HIDDEN, without_secrets

SECRETS = st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=16)
WORDS = "project name is not in lower case or contains illegal characters"


@given(SECRETS)
def test_credentials_of_the_headers_are_hidden(secret: str) -> None:
    pair = base64.b64encode(f"admin:{secret}".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"authorization": f"Basic {pair}"},
        {"Cookie": f"sid={secret}; _gorilla_csrf=a{secret}"},
        {"X-Harbor-CSRF-Token": secret},
    ):
        told = without_secrets(f"can't process {headers} of 'admin:{secret}'", headers)
        assert secret not in told
        assert pair not in told
        assert told.startswith("can't process {")


@given(SECRETS)
def test_secrets_of_the_body_are_hidden_in_whatever_form_it_is_sent(secret: str) -> None:
    held = {"name": "harbor-pull", "data": {".dockerconfigjson": secret, "more": [secret]}}
    form = {"principal": "admin", "password": secret}
    for body in (held, json.dumps(held), json.dumps(held).encode(), urlencode(form).encode()):
        told = without_secrets(f"invalid: {body!r} and {secret}", {}, body)
        assert secret not in told
        assert HIDDEN in told


@pytest.mark.parametrize("body", [None, b"", "no JSON", {"project_name": WORDS}, [1, None]])
def test_words_without_secrets_stay_as_they_are(body: object) -> None:
    headers = {"Authorization": "Basic YWRtaW46YWRtaW4=", "Accept": WORDS}
    assert without_secrets(WORDS, headers, body) == WORDS


def test_what_is_as_short_as_a_word_is_left() -> None:
    told = without_secrets("user 'admin' is unknown", {}, {"password": "admin"})
    assert told == "user 'admin' is unknown"
