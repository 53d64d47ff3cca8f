"""docs/native-vs-hosted.md says what the native stack answers; here it is asked."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from scripts.native.paths import REPO
from scripts.native.stack import Stack

PAGE = (REPO / "docs" / "native-vs-hosted.md").read_text()
STRICT = {"Prefer": "handling=strict, max-affected=1"}
NOBODY = "/rest/v1/notifications?id=eq.00000000-0000-4000-8000-000000000000"


@pytest.fixture
def ask(stack: Stack) -> Any:
    """Sends a request with the secret key."""
    if not stack.postgrest.version.startswith("12.0"):
        pytest.skip(f"the page speaks of PostgREST 12.0, and {stack.postgrest} runs")

    def send(method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"apikey": stack.keys.secret_key, **more.pop("headers", {})}
        return httpx.request(method, stack.url + path, headers=headers, **more)

    return send


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("PATCH", NOBODY, {"json": {"title": "a"}, "headers": STRICT}, 400, "PGRST122"),
        ("PATCH", NOBODY, {"json": {"title": "a"}, "headers": {"Prefer": "max-affected=1"}}, 204, None),
        ("GET", "/rest/v1/no_such_table", {}, 404, "42P01"),
        ("GET", "/rest/v1/no/such/path", {}, 404, None),
        ("GET", "/rest/v1/courses?select=name,...assignments(title)", {}, 400, "PGRST119"),
        ("GET", "/rest/v1/courses?name=is.not_null", {}, 400, "PGRST100"),
        ("GET", "/rest/v1/courses?name=not.is.null&limit=1", {}, 200, None),
        ("GET", "/rest/v1/courses?select=user_id.count()", {}, 400, "PGRST123"),
        ("GET", "/storage/v1/bucket", {}, 200, None),
        ("POST", "/storage/v1/upload/resumable", {}, 501, None),
        ("GET", "/realtime/v1/websocket", {}, 501, "not_implemented"),
        ("POST", "/graphql/v1", {"json": {}}, 501, "not_implemented"),
    ],
)
def test_what_the_page_says_of_a_request(
    ask: Any, method: str, path: str, more: dict[str, Any], status: int, code: str | None
) -> None:
    answer = ask(method, path, **more)
    assert answer.status_code == status, answer.text
    assert "proxy-status" not in answer.headers
    if code is not None:
        assert answer.json()["code"] == code
        assert f"`{code}`" in PAGE


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_what_the_page_says_of_bad_tokens(ask: Any, stack: Stack, seconds: int) -> None:
    claims = {"role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + seconds}
    token = stack.keys.sign(claims)
    if seconds > 0:
        token = token[:-8] + "AAAAAAAA"
    answer = ask("GET", "/rest/v1/profiles", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "PGRST301")
