"""Log lines: JSON, with ids, and without anything that should not be kept."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from functions.shared.log import REDACTED, redact, set_up_logs

JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def cleaned(**event: Any) -> Any:
    return redact(None, "info", dict(event))


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "refreshToken",
        "Authorization",
        "apikey",
        "api_key",
        "x-api-key",
        "client_secret",
        "password",
        "cookie",
        "Set-Cookie",
        "code",
        "state",
        "oauth_code",
        "code_verifier",
        "lti_ticket",
        "email",
        "content",
        "description",
        "payload",
    ],
)
def test_secrets_go_by_their_names(name: str) -> None:
    assert cleaned(**{name: "hush"}) == {name: REDACTED}
    assert cleaned(outer={"inner": [{name: "hush"}]}) == {"outer": {"inner": [{name: REDACTED}]}}


@pytest.mark.parametrize("name", ["error_code", "status_code", "prompt_tokens", "request_id", "job_id", "route", "ms"])
def test_useful_names_stay(name: str) -> None:
    assert cleaned(**{name: "seen"}) == {name: "seen"}


@pytest.mark.parametrize(
    "text",
    [
        f"refused {JWT} from there",
        "Authorization: Bearer abcdef0123456789",
        "key sb_secret_abcdefgh",
        "key sk-abcdefgh12345678",
        "mail to student.name@example.edu failed",
        "GET https://canvas.example.edu/login?code=hush&state=hush",
        "GET /functions/v1/canvas-oauth/callback?code=hush",
        "to https://app.example.edu/done#code=hush",
    ],
)
def test_secrets_go_by_their_looks(text: str) -> None:
    shown = cleaned(event=text)["event"]
    assert REDACTED in shown
    for secret in (JWT, "abcdef0123456789", "sb_secret_abcdefgh", "sk-abcdefgh", "student.name", "hush"):
        assert secret not in shown


def test_long_and_deep_values_are_cut() -> None:
    assert len(cleaned(event="x" * 10_000)["event"]) < 3000
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    assert REDACTED in json.dumps(cleaned(event=deep))


@given(st.text(max_size=40))
def test_no_text_hides_a_token(around: str) -> None:
    assert JWT not in cleaned(event=f"{around} {JWT}")["event"]


def test_every_line_is_json_with_the_request_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("INFO")
    structlog.contextvars.bind_contextvars(request_id="abc-12345")
    try:
        structlog.get_logger("ours").info("something", user_id="u", access_token="hush")
        logging.getLogger("theirs").warning("GET %s", "https://x.example/?code=hush")
        try:
            raise ValueError("hush")
        except ValueError:
            structlog.get_logger("ours").exception("failed")
    finally:
        structlog.contextvars.clear_contextvars()
    out = capsys.readouterr().out
    assert "hush" not in out
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert (first["event"], first["level"], first["user_id"]) == ("something", "info", "u")
    assert {line["request_id"] for line in (first, second, third)} == {"abc-12345"}
    assert third["exception"] == "builtins.ValueError"
    assert any("test_log.py" in place for place in third["where"])


def test_http_libraries_do_not_write_urls(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("DEBUG")
    logging.getLogger("httpx").info("HTTP Request: GET https://x.example/?code=hush")
    set_up_logs("INFO")
    assert capsys.readouterr().out == ""
