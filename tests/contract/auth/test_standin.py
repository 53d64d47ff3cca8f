"""The stand-in alone: races the real server does not win, a dead database, settings that are wrong.

It is started here next to the stack's Auth, so these tests say the same on machines with the real server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from scripts.native.auth import auth_environment
from scripts.native.postgres import free_port
from scripts.native.stack import Stack
from tests.contract.auth.client import PASSWORD, Auth, new_address, refusal
from tests.contract.auth.conftest import Rows

COMMAND = [sys.executable, "-m", "tests.standins.auth"]


def start(settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a stand-in and waits until it answers."""
    process = subprocess.Popen(COMMAND, env={**os.environ, **settings})
    health = f"http://127.0.0.1:{settings['GOTRUE_API_PORT']}/health"
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(health, timeout=2, trust_env=False).raise_for_status()
            return process
        except httpx.HTTPError:
            assert process.poll() is None, "the stand-in ended"
            assert time.monotonic() < deadline, "the stand-in does not answer"
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a stand-in."""
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def settings(stack: Stack) -> dict[str, str]:
    """The stack's own settings, for another port."""
    own = auth_environment(stack.server, stack.keys, free_port(), stack.url, stack.smtp_port)
    return own | dict(stack.options.auth)


@pytest.fixture(scope="module")
def standin(stack: Stack, settings: dict[str, str]) -> Iterator[Auth]:
    process = start(settings)
    client = Auth(f"http://127.0.0.1:{settings['GOTRUE_API_PORT']}", stack.service_token)
    yield client
    client.http.close()
    stop(process)


def at_once(calls: int, call: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(calls) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(calls)]]


def test_sign_ups_at_the_same_moment_make_one_person(standin: Auth, rows: Rows) -> None:
    email = new_address()
    answers = at_once(6, lambda: standin.call("POST", "/signup", {"email": email, "password": PASSWORD}))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422, 422, 422]
    assert {refusal(a)[1] for a in answers if a.status_code == 422} == {"user_already_exists"}
    assert rows("select count(*) from auth.users where email = %s", email) == [(1,)]
    assert rows("select count(*) from auth.identities where email = %s", email) == [(1,)]


def test_administrators_who_create_the_same_person_at_the_same_moment(standin: Auth) -> None:
    email = new_address()
    answers = at_once(4, lambda: standin.admin("POST", "/admin/users", {"email": email}))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    assert {refusal(a)[1] for a in answers if a.status_code == 422} == {"email_exists"}


def test_refreshes_at_the_same_moment_all_get_the_same_next_token(standin: Auth, rows: Rows) -> None:
    session = standin.sign_up()
    answers = at_once(5, lambda: standin.refresh(session["refresh_token"]))
    assert [answer.status_code for answer in answers] == [200] * 5
    following = {answer.json()["refresh_token"] for answer in answers}
    assert len(following) == 1
    chain = rows(
        "select token, parent, revoked from auth.refresh_tokens where user_id = %s order by id", session["user"]["id"]
    )
    assert chain == [(session["refresh_token"], None, True), (following.pop(), session["refresh_token"], False)]


def test_a_link_opened_twice_at_the_same_moment_opens_one_session(standin: Auth) -> None:
    email = new_address()
    standin.sign_up(email)
    hashed = standin.link("magiclink", email)["hashed_token"]
    answers = at_once(4, lambda: standin.call("POST", "/verify", {"type": "email", "token_hash": hashed}))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]


def test_links_can_be_wanted_while_others_are_opened(standin: Auth) -> None:
    email = new_address()
    standin.sign_up(email)
    wanted = {"type": "magiclink", "email": email}

    def want_and_open() -> httpx.Response:
        hashed = standin.admin("POST", "/admin/generate_link", wanted).json()["hashed_token"]
        return standin.call("POST", "/verify", {"type": "email", "token_hash": hashed})

    began = time.monotonic()
    answers = at_once(8, want_and_open)
    assert {answer.status_code for answer in answers} <= {200, 403}
    assert any(answer.status_code == 200 for answer in answers)
    assert time.monotonic() - began < 5


def test_sessions_can_end_while_they_are_refreshed(standin: Auth) -> None:
    for _ in range(5):
        session = standin.sign_up()
        with ThreadPoolExecutor(4) as pool:
            refreshed = [pool.submit(standin.refresh, session["refresh_token"]) for _ in range(3)]
            ended = pool.submit(standin.call, "POST", "/logout", None, session["access_token"])
            assert ended.result().status_code == 204
            assert {answer.result().status_code for answer in refreshed} <= {200, 400}
        assert refusal(standin.refresh(session["refresh_token"])) == (400, "refresh_token_not_found")


def test_a_dead_database_is_said_at_once(stack: Stack, settings: dict[str, str]) -> None:
    port, dead = free_port(), free_port()
    url = settings["DATABASE_URL"]
    assert str(stack.server.port) in url
    broken = settings | {"GOTRUE_API_PORT": str(port), "DATABASE_URL": url.replace(str(stack.server.port), str(dead))}
    process = start(broken)
    try:
        client = Auth(f"http://127.0.0.1:{port}", stack.service_token)
        for _ in range(2):
            began = time.monotonic()
            answer = client.call("POST", "/signup", {"email": new_address(), "password": PASSWORD})
            assert refusal(answer) == (500, "unexpected_failure")
            assert time.monotonic() - began < 4
        assert client.call("GET", "/health").status_code == 200
        client.http.close()
    finally:
        stop(process)


def test_connections_that_the_database_closed_do_not_show(stack: Stack, standin: Auth) -> None:
    session = standin.sign_up()
    with psycopg.connect(stack.server.url("supabase_admin"), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'supabase_auth_admin' and application_name = 'auth'"
        )
    assert standin.call("GET", "/user", token=session["access_token"]).status_code == 200


def test_what_it_does_not_have_is_said_in_json(standin: Auth) -> None:
    missing = standin.call("GET", "/nowhere")
    assert (missing.status_code, missing.json()["message"]) == (404, "404 page not found: GET /nowhere")
    for method, path in (
        ("POST", "/factors"),
        ("DELETE", "/factors/1"),
        ("POST", "/sso"),
        ("GET", "/sso/saml/metadata"),
    ):
        answer = standin.call(method, path, {})
        assert answer.status_code in (404, 422)
        assert "This stand-in for Auth has no" in answer.json()["message"]
    phone = standin.call("POST", "/otp", {"phone": "+491701234567"})
    assert refusal(phone) == (400, "phone_provider_disabled")


@pytest.mark.parametrize("text", ["\\ud800", "\\u0000"])
def test_texts_that_the_database_cannot_keep_are_refused(standin: Auth, text: str) -> None:
    raw = f'{{"email": "{new_address()}", "password": "{PASSWORD}", "data": {{"s": "{text}"}}}}'
    assert refusal(standin.http.post("/signup", content=raw.encode())) == (400, "bad_json")


def test_a_password_past_what_bcrypt_tells_apart_is_refused(standin: Auth) -> None:
    person = {"email": new_address(), "password": "x" * 73}
    assert refusal(standin.admin("POST", "/admin/users", person)) == (400, "validation_failed")


def test_it_stays_small() -> None:
    files = Path(__file__).parents[2].joinpath("standins", "auth").glob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) <= 1500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOTRUE_SITE_URL", ""),
        ("GOTRUE_JWT_EXP", "soon"),
        ("GOTRUE_MAILER_AUTOCONFIRM", "perhaps"),
        ("GOTRUE_SMTP_MAX_FREQUENCY", "often"),
        ("GOTRUE_JWT_KEYS", "{"),
        ("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI", "https://example.test/hook"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], name: str, value: str) -> None:
    done = subprocess.run(
        COMMAND, env={**os.environ, **settings, name: value}, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert name in done.stderr


def with_settings(settings: dict[str, str], token: str, **changes: str) -> tuple[subprocess.Popen[bytes], Auth]:
    port = free_port()
    process = start(settings | {"GOTRUE_API_PORT": str(port)} | changes)
    return process, Auth(f"http://127.0.0.1:{port}", token)


def codes(rows: Rows, user_id: str, kind: str) -> list[str]:
    """The hashes of a person's codes, which links carry."""
    found = rows(
        "select token_hash from auth.one_time_tokens where user_id = %s and token_type::text like %s"
        " order by token_type::text",
        user_id,
        kind,
    )
    return [hashed for (hashed,) in found]


def test_sign_ups_that_must_be_confirmed(stack: Stack, settings: dict[str, str], rows: Rows) -> None:
    process, auth = with_settings(settings, stack.service_token, GOTRUE_MAILER_AUTOCONFIRM="false")
    try:
        email, other = new_address(), new_address()
        body = {"email": email, "password": PASSWORD}
        waiting = auth.call("POST", "/signup", body).json()
        assert "access_token" not in waiting
        assert waiting["confirmation_sent_at"]
        assert refusal(auth.call("POST", "/signup", body)) == (429, "over_email_send_rate_limit")
        assert refusal(auth.sign_in(email)) == (400, "email_not_confirmed")
        [hashed] = codes(rows, waiting["id"], "confirmation_token")
        session = auth.call("POST", "/verify", {"type": "signup", "token_hash": hashed}).json()
        assert session["user"]["id"] == waiting["id"]
        repeated = auth.call("POST", "/signup", body)
        assert repeated.status_code == 200
        assert repeated.json()["id"] != waiting["id"]  # nobody learns that the address is taken
        auth.call("PUT", "/user", {"email": other}, session["access_token"])
        [current, new] = codes(rows, waiting["id"], "email_change_%")
        half = auth.call("POST", "/verify", {"type": "email_change", "token_hash": current})
        assert half.json()["msg"].startswith("Confirmation link accepted")
        whole = auth.call("POST", "/verify", {"type": "email_change", "token_hash": new})
        assert whole.json()["user"]["email"] == other
    finally:
        auth.http.close()
        stop(process)


def test_doors_that_are_closed_by_settings(stack: Stack, settings: dict[str, str]) -> None:
    process, auth = with_settings(
        settings,
        stack.service_token,
        GOTRUE_DISABLE_SIGNUP="true",
        GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED="false",
        GOTRUE_PASSWORD_MIN_LENGTH="12",
        GOTRUE_JWT_EXP="60",
    )
    try:
        body = {"email": new_address(), "password": PASSWORD}
        assert refusal(auth.call("POST", "/signup", body)) == (422, "signup_disabled")
        assert refusal(auth.call("POST", "/signup", {})) == (422, "anonymous_provider_disabled")
        auth.admin("POST", "/admin/users", {**body, "email_confirm": True})
        session = auth.sign_in(body["email"]).json()
        assert session["expires_in"] == 60
        weak = auth.call("PUT", "/user", {"password": "short"}, session["access_token"])
        assert weak.json()["weak_password"]["reasons"] == ["length"]
        assert auth.call("GET", "/settings").json()["disable_signup"] is True
    finally:
        auth.http.close()
        stop(process)


def test_where_links_may_lead_can_be_chosen(stack: Stack, settings: dict[str, str]) -> None:
    allowed = "https://app.example.edu/**,https://*.preview.example.edu/login"
    process, auth = with_settings(settings, stack.service_token, GOTRUE_URI_ALLOW_LIST=allowed)
    try:
        email = new_address()
        auth.sign_up(email)
        for wanted, is_allowed in [
            ("https://app.example.edu/a/b?c=d", True),
            ("https://app.example.edu/", True),
            ("https://pr-7.preview.example.edu/login", True),
            ("https://a.b.preview.example.edu/login", False),
            ("https://evil.example/https://app.example.edu/", False),
            ("https://app.example.edu.evil.example/", False),
            ("https://app.example.edu@evil.example/", False),
            ("http://app.example.edu/", False),
            ("\thttps://app.example.edu/", False),
            ("http://localhost:5173/", False),
        ]:
            link = auth.link("magiclink", email, redirect_to=wanted)
            assert (link["redirect_to"] == wanted) == is_allowed, wanted
    finally:
        auth.http.close()
        stop(process)
