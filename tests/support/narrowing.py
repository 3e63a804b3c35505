"""Narrow types where a test knows more than the annotations of a library say."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from kubernetes.client import ApiException

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return a value that must not be None. Fails the test if it is."""
    assert value is not None
    return value


def as_body(content: Mapping[str, Any]) -> Any:
    """Return an object as the argument of the Kubernetes client.

    Its methods take dicts as well as models, but their annotations name only the models.
    """
    return content


def status_of(error: ApiException) -> Any:
    """Return the Status with which the API server refused a request."""
    return json.loads(present(error.body))
