"""Every operation of the OpenAPI document, with generated input, as a person: never a 5xx, always the one shape."""

from __future__ import annotations

import os
import uuid
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as effort

from functions.app import create_app
from functions.canvas_oauth import hosts
from functions.shared.settings import load_settings
from scripts.native.stack import Stack

# of each operation; more of them take minutes
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
SHAPE = {"code", "message", "details", "hint", "request_id"}


@pytest.fixture(scope="module")
def api(stack: Stack) -> Any:
    """The document as the application serves it."""
    app = create_app(load_settings(stack.service_environment()))
    return schemathesis.openapi.from_wsgi("/functions/v1/openapi.json", app)


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """A person's access token."""
    body = {"email": f"{uuid.uuid4().hex}@example.edu", "password": "correct horse"}
    headers = {"apikey": stack.keys.publishable_key}
    answer = httpx.post(f"{stack.url}/auth/v1/signup", json=body, headers=headers).raise_for_status()
    return str(answer.json()["access_token"])


def test_no_input_is_our_fault(api: Any, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # tests are offline, and the name of a proposed host would be looked up
    monkeypatch.setattr(hosts, "resolved", lambda host: [])
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 5
    for operation in operations:

        @effort(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            response = case.call(headers={"Authorization": f"Bearer {token}"})
            assert response.status_code < 500, response.text
            if response.status_code >= 400 and "json" in response.headers["content-type"][0]:
                assert set(response.json()) == SHAPE

        holds()
