"""The page that shows the OpenAPI document: everything comes from here, and its policy lets nothing else in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.app import create_app
from functions.shared.settings import Settings, load_settings
from functions.shared.web.openapi import BASE
from tests.functions.shared.test_settings import PRODUCTION


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """Calls the whole application."""
    return create_app(settings).test_client()


def policy(answer: Any) -> dict[str, list[str]]:
    """The page's content security policy."""
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split("; ")]
    return {name: values for name, *values in parts}


def test_the_page_loads_its_parts_from_here(client: FlaskClient) -> None:
    page = client.get(f"{BASE}/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) >= 5
    for part in parts:
        assert part.startswith(f"{BASE}/")
        answer = client.get(part)
        assert answer.status_code == 200, part
        assert len(answer.data) > 100, part
    assert "url: " + f'"{BASE}/openapi.json"' in client.get(f"{BASE}/docs/start.js").text


def test_its_policy_allows_no_inline_code_and_no_other_host(client: FlaskClient) -> None:
    page = client.get(f"{BASE}/docs")
    allowed = policy(page)
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == allowed["style-src"] == ["'self'"]
    assert allowed["frame-ancestors"] == allowed["form-action"] == allowed["base-uri"] == ["'none'"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    # nothing in the page would need what the policy refuses
    assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son[a-z]+=", page.text)


def test_it_may_call_the_functions_where_the_outside_sees_them() -> None:
    settings = load_settings(PRODUCTION | {"FUNCTIONS_URL": "https://api.example.edu/functions/v1"})
    page = create_app(settings).test_client().get(f"{BASE}/docs")
    assert policy(page)["connect-src"] == ["'self'", "https://api.example.edu"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "swagger-ui.js.map", "../health.py", "..%2fhealth.py", "oauth2-redirect.html"]
)
def test_only_its_own_files_are_served(client: FlaskClient, name: str) -> None:
    answer: Any = client.get(f"{BASE}/docs/{name}")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_large_parts_are_kept_by_the_browser(client: FlaskClient) -> None:
    first = client.get(f"{BASE}/docs/swagger-ui-bundle.js")
    assert "max-age=3600" in first.headers["Cache-Control"]
    again = client.get(f"{BASE}/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
