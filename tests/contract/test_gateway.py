"""The gateway's own duties: keys, roles, pre-flight, streaming, outages, and a log without secrets."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import jwt
import pytest

from scripts.native import postgres
from scripts.native.gateway import Config
from scripts.native.keys import Keys
from scripts.native.paths import python
from scripts.native.processes import Part
from scripts.native.stack import Stack
from tests.support.processes import bare_environment
from tests.support.waiting import listens, wait_until


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client on the stack's one origin."""
    with httpx.Client(base_url=stack.url, timeout=10) as client:
        yield client


def test_rest_needs_a_key(http: httpx.Client) -> None:
    answer = http.get("/rest/v1/plans")
    assert answer.status_code == 401
    assert answer.json()["code"] == "no_api_key"
    assert set(answer.json()) == {"code", "message", "details", "hint", "request_id"}


@pytest.mark.parametrize("key", ["sb_publishable_wrong", "sb_secret_wrong", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000])
def test_a_wrong_key_is_refused(http: httpx.Client, key: str) -> None:
    answer = http.get("/rest/v1/plans", headers={"apikey": key})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


def test_publishable_and_legacy_anon_key_act_as_anon(http: httpx.Client, stack: Stack) -> None:
    for key in (stack.keys.publishable_key, stack.exports()["SUPABASE_ANON_KEY"]):
        for headers in ({"apikey": key}, {"apikey": key, "Authorization": f"Bearer {key}"}):
            assert http.get("/rest/v1/plans?select=id", headers=headers).status_code == 200
            hidden = http.get("/rest/v1/profiles", headers=headers)
            assert (hidden.status_code, hidden.json()["code"]) == (401, "42501")
    assert http.get(f"/rest/v1/plans?apikey={stack.keys.publishable_key}").status_code in (200, 400)


def test_secret_and_legacy_service_key_act_as_service_role(http: httpx.Client, stack: Stack) -> None:
    for key in (stack.keys.secret_key, stack.service_token):
        assert http.get("/rest/v1/profiles?limit=1", headers={"apikey": key}).status_code == 200


def test_a_secret_key_is_refused_for_a_browser(http: httpx.Client, stack: Stack) -> None:
    headers = {"apikey": stack.keys.secret_key, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    answer = http.get("/rest/v1/profiles", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "secret_key_in_browser")


def test_a_key_as_bearer_must_equal_the_apikey(http: httpx.Client, stack: Stack) -> None:
    headers = {"apikey": stack.keys.publishable_key, "Authorization": f"Bearer {stack.keys.secret_key}"}
    answer = http.get("/rest/v1/profiles", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


def test_a_persons_token_wins_over_the_keys_role(http: httpx.Client, stack: Stack) -> None:
    forged = Keys.fresh().sign({"role": "service_role", "exp": int(time.time()) + 60})
    headers = {"apikey": stack.keys.secret_key, "Authorization": f"Bearer {forged}"}
    assert http.get("/rest/v1/profiles", headers=headers).status_code == 401


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize(("seconds", "is_accepted"), [(22, True), (40, False)])
def test_rest_and_functions_forgive_the_same_clock_skew(
    http: httpx.Client, stack: Stack, claim: str, seconds: int, is_accepted: bool
) -> None:
    key = {"apikey": stack.keys.publishable_key}
    body = {"email": f"{uuid.uuid4().hex}@example.edu", "password": "correct horse"}
    person = http.post("/auth/v1/signup", json=body, headers=key).raise_for_status().json()
    claims = jwt.decode(person["access_token"], options={"verify_signature": False})
    moment = int(time.time()) + (-seconds if claim == "exp" else seconds)
    headers = key | {"Authorization": f"Bearer {stack.keys.sign(claims | {claim: moment})}"}
    rest = http.get("/rest/v1/profiles?select=user_id", headers=headers)
    functions = http.get(f"/functions/v1/headstart/runs/{uuid.uuid4()}", headers=headers)
    expected = (200, 404) if is_accepted else (401, 401)
    assert (rest.status_code, functions.status_code) == expected, (rest.text, functions.text)


def test_preflight_is_answered_before_any_key(http: httpx.Client) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"}
    asked["Access-Control-Request-Headers"] = "apikey, authorization, content-type, prefer"
    answer = http.options("/rest/v1/profiles", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "prefer" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize("path", ["/rest/v1/profiles", "/auth/v1/user", "/functions/v1/canvas-sync/runs"])
@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://127.0.0.1:4200", "http://[::1]:3000"])
def test_every_part_answers_a_front_end_on_any_loopback_port(http: httpx.Client, path: str, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "apikey, authorization, content-type, x-client-info"
    preflight = http.options(path, headers=asked)
    assert preflight.status_code in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    # a refusal can be read too
    refused = http.post(path, headers={"Origin": origin})
    assert refused.status_code >= 400
    assert refused.headers["access-control-allow-origin"] == origin


def test_a_browser_may_read_the_range_of_a_page(http: httpx.Client, stack: Stack) -> None:
    headers = {"apikey": stack.keys.publishable_key, "Origin": "https://app.example", "Prefer": "count=exact"}
    answer = http.get("/rest/v1/plans", headers=headers)
    assert "Content-Range" in answer.headers["access-control-expose-headers"]
    assert answer.headers["content-range"].endswith("/0") or "/" in answer.headers["content-range"]


def test_realtime_says_that_it_is_not_there(http: httpx.Client) -> None:
    answer = http.get("/realtime/v1/websocket")
    assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")


def test_links_in_mails_lead_to_auth(http: httpx.Client, stack: Stack) -> None:
    body = {"type": "signup", "email": "link@example.test", "password": "correct-horse-7"}
    link = http.post("/auth/v1/admin/generate_link", headers={"apikey": stack.keys.secret_key}, json=body).json()
    answer = httpx.get(link["action_link"], follow_redirects=False)
    assert answer.status_code == 303
    assert "access_token=" in answer.headers["location"]


def test_an_unknown_path_is_404_in_the_one_shape(http: httpx.Client) -> None:
    answer = http.get("/nowhere", headers={"X-Request-Id": "my-request-1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["request_id"] == "my-request-1"


def test_the_log_never_holds_a_query_string_or_a_key(http: httpx.Client, stack: Stack) -> None:
    http.get("/auth/v1/verify?token=very-secret-token&type=magiclink")
    http.get("/functions/v1/canvas-oauth/callback?state=very-secret-state&code=very-secret-code")
    log = (stack.log_dir / "gateway.log").read_text()
    assert '"/auth/v1/verify"' in log
    for secret in ("very-secret", stack.keys.secret_key, stack.keys.publishable_key, stack.service_token):
        assert secret not in log


class Upstream(BaseHTTPRequestHandler):
    """A part behind the gateway that records its requests and sends its answer in two halves."""

    seen: ClassVar[dict[str, str]] = {}
    go_on: ClassVar[threading.Event] = threading.Event()
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Reads a chunked body to its end, then answers piece by piece."""
        Upstream.seen = {name.lower(): value for name, value in self.headers.items()}
        size = 0
        while True:
            length = int(self.rfile.readline(), 16)
            size += len(self.rfile.read(length + 2)) - 2
            if length == 0:
                break
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (f"got {size};".encode(), b"end"):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            if piece != b"end":
                Upstream.go_on.wait(10)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def lone_gateway(tmp_path: Path) -> Iterator[str]:
    """A gateway whose functions are :class:`Upstream` and whose other parts are dead."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dead = f"http://127.0.0.1:{postgres.free_port()}"
    port = postgres.free_port()
    functions = f"http://127.0.0.1:{server.server_port}"
    config = Config(port, dead, dead, functions, dead, dead, "sb_publishable_a", "sb_secret_b", "anon", "service")
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(config.__dict__))
    url = f"http://127.0.0.1:{port}"
    command = [python(), "-m", "scripts.native.gateway", str(file)]
    part = Part("gateway", command, bare_environment(), tmp_path / "gateway.log", None)
    part.spawn()
    try:
        wait_until(lambda: listens(port))
        yield url
    finally:
        part.end()
        server.shutdown()
        server.server_close()


def test_bodies_stream_both_ways(lone_gateway: str) -> None:
    Upstream.go_on.clear()
    pieces = (b"x" * 1000 for _ in range(3000))
    spoofed = {"X-Forwarded-For": "203.0.113.9", "Connection": "keep-alive"}
    with httpx.stream(
        "POST", f"{lone_gateway}/functions/v1/echo", content=pieces, headers=spoofed, timeout=10
    ) as answer:
        parts = answer.iter_text()
        assert next(parts) == "got 3000000;", "the first half arrives while the second is not yet written"
        Upstream.go_on.set()
        assert "".join(parts) == "end"
    assert Upstream.seen["x-forwarded-for"] == "127.0.0.1", "callers cannot choose their address"


@pytest.mark.parametrize("path", ["/rest/v1/profiles", "/auth/v1/health"])
def test_a_dead_part_is_503_with_retry_after(lone_gateway: str, path: str) -> None:
    answer = httpx.get(lone_gateway + path, headers={"apikey": "sb_publishable_a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
