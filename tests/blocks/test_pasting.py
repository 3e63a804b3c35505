"""What arrives in a block when a person pastes into a form's field, by a real browser's rules.

Prefect's second UI shows a secret as a one-line field, its first one as a field with several lines.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from playwright.sync_api import Page

from blocks import ClusterConnection
from tenantry.declared.keys import read_private_key
from tenantry.errors import TenantryError
from tenantry.kubeconfig import COMMAND
from tests.blocks.test_blocks import ENCODINGS
from tests.support.browser import open_ui
from tests.support.harness import FaultySandbox

pytestmark = pytest.mark.demand(
    "reality", "a kubeconfig in every form that fits into the UI's field"
)

ONE_LINE, LINES = "#line", "#lines"
FORM = """
<textarea id="source"></textarea>
<input id="line" type="password">
<textarea id="lines"></textarea>
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_ui() as page:
        page.set_content(FORM)
        yield page


def pasted(page: Page, text: str, field: str) -> str:
    """What a field holds after the text was copied elsewhere and pasted there."""
    page.fill("#source", text)
    page.focus("#source")
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    page.fill(field, "")
    page.focus(field)
    page.keyboard.press("Control+V")
    return page.input_value(field)


@pytest.mark.parametrize("field", [ONE_LINE, LINES])
@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_a_pasted_kubeconfig_works_or_the_error_names_what_was_lost(
    encoding: str, field: str, page: Page, sandbox: FaultySandbox
) -> None:
    content = json.loads(Path(sandbox.addresses()["kubernetes"]["kubeconfig"]).read_text())
    text = ENCODINGS[encoding](content)
    connection = ClusterConnection(kubeconfig=pasted(page, text, field))

    if encoding.startswith("YAML") and field == ONE_LINE:
        with pytest.raises(TenantryError, match="has lost its line breaks") as faulty:
            connection.check()
        assert COMMAND in str(faulty.value)
    else:
        assert connection.check().endswith("accepts the credentials.")


@pytest.mark.parametrize("field", [ONE_LINE, LINES])
def test_a_pasted_private_key_works(field: str, page: Page, tmp_path: Path) -> None:
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))

    arrived = pasted(page, (tmp_path / "key").read_text(), field)

    assert read_private_key(arrived).get_base64() == key.get_base64()
