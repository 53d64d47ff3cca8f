"""What happens when Auth fails, or answers for somebody else: no session of another person, and a clear refusal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from functions.app import create_app
from functions.lti.accounts import Accounts
from functions.lti.platform_keys import PlatformKeys
from functions.lti.routes import EXTENSION, Parts
from functions.shared.settings import load_settings
from functions.shared.web.context import EXTENSION as CONTEXT
from scripts.native.stack import Stack
from tests.standins.lti import LtiStandIn
from tests.standins.lti.server import Quiet
from tests.support.lti import Browser

OTHER = "11111111-1111-4111-8111-111111111111"


@dataclass
class BrokenAuth:
    """An Auth that answers what a test says, and remembers what was asked."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def auth() -> Iterator[BrokenAuth]:
    app = Flask("broken-auth")
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    made = BrokenAuth(f"http://127.0.0.1:{server.server_port}")

    @app.route("/auth/v1/<path:path>", methods=["GET", "POST", "DELETE"])
    def answer(path: str) -> tuple[Response, int]:
        name = path.rpartition("/")[2] if path.startswith("admin/generate") or path == "verify" else "user"
        made.asked.append(f"{request.method} {path}")
        if name == "verify":
            made.headers = dict(request.headers)
        status, body = made.answers.get(name, (200, {"id": path.rpartition("/")[2], "email": "lti-x@lti.invalid"}))
        return jsonify(body), status

    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(stack: Stack, auth: BrokenAuth) -> FlaskClient:
    """Our functions with the stack's database and a broken Auth."""
    app = create_app(load_settings(stack.service_environment()))
    known = app.extensions[CONTEXT]
    accounts = Accounts(load_settings({**stack.service_environment(), "SUPABASE_URL": auth.url}))
    app.extensions[EXTENSION] = Parts(accounts, PlatformKeys(known.http, known.clock))
    return app.test_client(use_cookies=False)


@pytest.mark.parametrize(
    ("case", "status", "code", "asked"),
    [
        ("verify_busy", 503, "service_unavailable", {"verify": 3}),
        ("verify_refuses", 503, "service_unavailable", {"verify": 3}),
        ("verify_banned", 403, "account_banned", {"verify": 1}),
        ("session_of_another", 500, "internal", {"verify": 1}),
        ("link_of_another", 500, "internal", {"verify": 0, "DELETE": 0}),
        ("link_is_a_sign_up", 500, "internal", {"verify": 0, f"DELETE admin/users/{OTHER}": 1}),
        ("gone", 403, "account_banned", {"verify": 0, "generate_link": 0}),
        ("blurred", 403, "account_banned", {"verify": 0, "generate_link": 0}),
    ],
)  # fmt: skip
def test_a_fault_of_auth_gives_no_session(
    client: FlaskClient, auth: BrokenAuth, lti: LtiStandIn, browser: Browser,
    case: str, status: int, code: str, asked: dict[str, int],
) -> None:  # fmt: skip
    launch = browser.launch()
    user_id = browser.sign_in(lti.first, launch)["user"]["id"]
    begun, ticket = browser.arrive(lti.first, launch)
    link = {"id": user_id, "verification_type": "magiclink", "hashed_token": "h"}
    session = {"access_token": "a", "refresh_token": "r", "expires_in": 1, "token_type": "bearer"}
    answers: dict[str, dict[str, Any]] = {
        "verify_busy": {"verify": (429, {"code": "over_request_rate_limit"})},
        "verify_refuses": {"verify": (403, {"code": "otp_expired"})},
        "verify_banned": {"verify": (403, {"code": "user_banned"})},
        "session_of_another": {"verify": (200, {**session, "user": {"id": OTHER}})},
        "link_of_another": {"generate_link": (200, {**link, "id": OTHER})},
        "link_is_a_sign_up": {"generate_link": (200, {**link, "id": OTHER, "verification_type": "signup"})},
        "gone": {"user": (404, {"code": "user_not_found"})},
        "blurred": {"user": (200, {"id": user_id, "email": "deleted", "deleted_at": "2026-01-01T00:00:00Z"})},
    }
    good = {"generate_link": (200, link), "verify": (200, {**session, "user": {"id": user_id}})}
    auth.answers = {**good, **answers[case]}
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in begun.cookies.items())}
    agent = {"User-Agent": "a browser", "X-Forwarded-For": "192.0.2.9"}
    answer = client.post("/functions/v1/lti/session", json={"ticket": ticket}, headers={**header, **agent})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) is (status == 503)
    for word, times in asked.items():
        assert sum(word in line for line in auth.asked) == times, auth.asked
    if asked["verify"]:
        assert auth.headers["User-Agent"] == "a browser"
        assert auth.headers["Sb-Forwarded-For"] == "192.0.2.9"
    # whatever happened, the ticket is used up
    again = client.post("/functions/v1/lti/session", json={"ticket": ticket}, headers=header)
    assert again.get_json()["code"] == "lti_ticket_invalid"


def test_an_account_that_auth_refuses_to_make_is_no_launch(
    client: FlaskClient, auth: BrokenAuth, lti: LtiStandIn, browser: Browser
) -> None:
    auth.answers = {"user": (404, {})}
    launch = browser.launch()
    begun = browser.login(lti.first, launch)
    fields = {"id_token": lti.first.token(launch, begun.nonce), "state": begun.state}
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in begun.cookies.items())}
    answer = client.post("/functions/v1/lti/launch", data=fields, headers=header)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    # the reservation stays, and the next launch makes the account
    assert browser.sign_in(lti.first, launch)["launch"]["role"] == "teacher"
