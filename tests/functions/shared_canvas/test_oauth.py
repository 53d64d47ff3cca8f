"""The grant at Canvas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from functions.shared.canvas import oauth
from functions.shared.canvas.errors import (
    CanvasBadAnswer,
    CanvasGrantRefused,
    CanvasUnavailable,
    ReauthorizationRequired,
)
from functions.shared.canvas.transport import NotTaken, Transport
from tests.standins.canvas import CanvasStandIn, approve

BACK = "http://127.0.0.1:9/functions/v1/canvas-oauth/callback"


def consent(installation: oauth.Installation, login: str = "student2") -> str:
    """A code for that person."""
    return approve(oauth.authorize_url(installation, BACK, "some-state"), login)["code"]


@pytest.mark.parametrize(
    ("domain", "local", "expected"),
    [
        ("canvas.school.edu", True, "https://canvas.school.edu"),
        ("127.0.0.1:8900", True, "http://127.0.0.1:8900"),
        ("localhost:8900", True, "http://localhost:8900"),
        ("127.0.0.1:8900", False, "https://127.0.0.1:8900"),
        ("127.0.0.1.example.org", True, "https://127.0.0.1.example.org"),
    ],
)
def test_only_loopback_and_only_locally_is_spoken_to_in_clear(domain: str, local: bool, expected: str) -> None:
    assert oauth.base_url(domain, local=local) == expected


def test_the_authorize_address_carries_state_and_the_minimal_scopes(installation: oauth.Installation) -> None:
    url = httpx.URL(oauth.authorize_url(installation, BACK, "st"))
    assert url.params["state"] == "st"
    assert url.params["redirect_uri"] == BACK
    assert url.params["scope"].split(" ") == list(oauth.SCOPES)
    assert b"+" not in url.query, "a blank is %20 at Canvas"


def test_code_for_tokens_and_new_for_old(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation
) -> None:
    code = consent(installation)
    tokens = oauth.exchange_code(transport, installation, code, BACK)
    assert tokens.canvas_user_id == "102"
    assert tokens.refresh_token is not None
    assert tokens.expires_at is not None
    assert abs(tokens.expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=10)
    with pytest.raises(CanvasGrantRefused):
        oauth.exchange_code(transport, installation, code, BACK)
    newer = oauth.refresh(transport, installation, tokens.refresh_token)
    assert newer.refresh_token is None, "Canvas sends it once"
    assert newer.access_token != tokens.access_token
    assert canvas.world.grant_of(tokens.access_token) is None, "the old one is dead"
    assert oauth.revoke(transport, newer.access_token)
    assert not oauth.revoke(transport, newer.access_token)
    with pytest.raises(ReauthorizationRequired):
        oauth.refresh(transport, installation, tokens.refresh_token)


@pytest.mark.parametrize("fault", ["status", "drop"])
def test_a_code_is_never_sent_twice(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation, fault: str
) -> None:
    code = consent(installation)
    canvas.world.add_fault(kind=fault, path="/login/oauth2/token")
    with pytest.raises(CanvasUnavailable):
        oauth.exchange_code(transport, installation, code, BACK)
    assert len(canvas.world.requests("/login/oauth2/token")) == 1


def test_a_throttled_exchange_is_not_repeated_but_may_be(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation
) -> None:
    code = consent(installation)
    canvas.world.add_fault(kind="throttle", path="/login/oauth2/token", times=1)
    with pytest.raises(NotTaken):
        oauth.exchange_code(transport, installation, code, BACK)
    assert len(canvas.world.requests("/login/oauth2/token")) == 1
    assert oauth.exchange_code(transport, installation, code, BACK).access_token


def test_a_redirect_on_a_refresh_says_nothing_about_the_grant(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.shared.http import Answer

    for target in ("/login", "https://proxy.example/sign-in?error=invalid_request"):
        answer = Answer(302, httpx.Headers({"location": target}), b"", "")
        monkeypatch.setattr(transport, "post_form", lambda *_, answer=answer, **__: answer)
        with pytest.raises(CanvasBadAnswer):
            oauth.refresh(transport, installation, "refresh")


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_only_401_means_that_a_token_is_dead(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation, status: int
) -> None:
    grant = canvas.world.new_grant(101, [])
    canvas.world.add_fault(kind="status", path="/login/oauth2/token", method="DELETE", status=status, times=1)
    with pytest.raises(CanvasUnavailable):
        oauth.revoke(transport, grant.access_token)
    assert oauth.revoke(transport, grant.access_token)
    assert not oauth.revoke(transport, grant.access_token)


@pytest.mark.parametrize("fault", ["null_token", "html", "not_list"])
def test_an_answer_without_a_token_is_never_taken_for_one(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation, fault: str
) -> None:
    grant = canvas.world.new_grant(101, [])
    canvas.world.add_fault(kind=fault, path="/login/oauth2/token")
    with pytest.raises(CanvasBadAnswer):
        oauth.refresh(transport, installation, grant.refresh_token)


def test_a_wrong_secret_is_our_fault_not_the_persons(canvas: CanvasStandIn, transport: Transport) -> None:
    grant = canvas.world.new_grant(101, [])
    wrong = oauth.Installation(canvas.url, canvas.world.client_id, "wrong")
    with pytest.raises(CanvasBadAnswer):
        oauth.refresh(transport, wrong, grant.refresh_token)


def test_a_refresh_survives_a_short_fault(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation
) -> None:
    grant = canvas.world.new_grant(101, [])
    canvas.world.add_fault(kind="status", path="/login/oauth2/token", status=503, times=3)
    assert oauth.refresh(transport, installation, grant.refresh_token).access_token == grant.access_token


def test_a_key_whose_tokens_never_expire_gives_no_time(
    canvas: CanvasStandIn, transport: Transport, installation: oauth.Installation
) -> None:
    canvas.world.switches.expires_in_absent = True
    grant = canvas.world.new_grant(101, [])
    assert oauth.refresh(transport, installation, grant.refresh_token).expires_at is None


def test_the_older_way_of_refusing_by_redirect_is_understood(transport: Transport) -> None:
    from functions.shared.http import Answer

    headers = httpx.Headers({"location": "https://here.example/cb?error=invalid_grant&error_description=x"})
    assert oauth._error(Answer(302, headers, b"", "")) == "invalid_grant"
    assert oauth._error(Answer(400, httpx.Headers(), b'{"error":["x"]}', "")) is None
