"""Secrets of a call are hidden in messages, even if the system's answer repeats the call."""

import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.confidential import HIDDEN, without_secrets

SECRETS = st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=16)
MESSAGE = "project name is not in lower case or contains illegal characters"


@given(SECRETS)
def test_credentials_of_the_headers_are_hidden(secret: str) -> None:
    pair = base64.b64encode(f"admin:{secret}".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"authorization": f"Basic {pair}"},
        {"Cookie": f"sid={secret}; _gorilla_csrf=a{secret}"},
        {"X-Harbor-CSRF-Token": secret},
    ):
        message = without_secrets(f"can't process {headers} of 'admin:{secret}'", headers)
        assert secret not in message
        assert pair not in message
        assert message.startswith("can't process {")


@given(SECRETS)
def test_secrets_of_the_body_are_hidden_in_every_encoding(secret: str) -> None:
    content = {"name": "harbor-pull", "data": {".dockerconfigjson": secret, "more": [secret]}}
    form = {"principal": "admin", "password": secret}
    for body in (
        content,
        json.dumps(content),
        json.dumps(content).encode(),
        urlencode(form).encode(),
    ):
        message = without_secrets(f"invalid: {body!r} and {secret}", {}, body)
        assert secret not in message
        assert HIDDEN in message


@pytest.mark.parametrize("body", [None, b"", "no JSON", {"project_name": MESSAGE}, [1, None]])
def test_words_without_secrets_stay_as_they_are(body: object) -> None:
    headers = {"Authorization": "Basic YWRtaW46YWRtaW4=", "Accept": MESSAGE}
    assert without_secrets(MESSAGE, headers, body) == MESSAGE


def test_texts_as_short_as_a_word_are_not_hidden() -> None:
    message = without_secrets("user 'admin' is unknown", {}, {"password": "admin"})
    assert message == "user 'admin' is unknown"
