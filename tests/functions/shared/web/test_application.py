"""What every route has in common: one error shape, ids, CORS, limits, health, documents, and never a 5xx for input."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from apiflask import APIBlueprint, APIFlask
from flask import abort
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import Field

from functions.shared.errors import Conflict, RateLimited, Unavailable
from functions.shared.settings import Settings, load_settings
from functions.shared.web.application import create_application
from functions.shared.web.operations import Access, operation
from functions.shared.web.schemas import Request, UtcTime
from scripts.native.keys import Keys
from scripts.native.postgres import free_port
from tests.functions.shared.conftest import Loopback, reply
from tests.support.clocks import HeldClock
from tests.support.processes import bare_environment
from tests.support.waiting import listens, wait_until

REPO = Path(__file__).parents[4]
BASE = "/functions/v1"
SHAPE = {"code", "message", "details", "hint", "request_id"}
JSON = {"Content-Type": "application/json"}


class Part(Request):
    """Something inside."""

    size: int = Field(ge=1, le=10)


class Order(Request):
    """A body with everything that tends to break."""

    id: UUID
    name: str = Field(min_length=1, max_length=20)
    parts: list[Part] = []
    due: UtcTime | None = None


class Query(Request):
    """A query string."""

    page: int = Field(1, ge=1)


def blueprint() -> APIBlueprint:
    """Routes that do what a test needs."""
    routes = APIBlueprint("shop", __name__)

    @routes.post("/orders")
    @routes.input(Order, arg_name="order")
    @operation("Open to all", access=Access.PUBLIC)
    def order(order: Order) -> dict[str, Any]:
        return order.model_dump(mode="json")

    @routes.get("/orders")
    @routes.input(Query, location="query", arg_name="query")
    @operation("Open to all", access=Access.PUBLIC)
    def orders(query: Query) -> dict[str, Any]:
        return {"page": query.page}

    @routes.get("/orders/<uuid:order_id>")
    @operation("Open to all", access=Access.PUBLIC)
    def one(order_id: UUID) -> dict[str, Any]:
        return {"id": str(order_id)}

    @routes.get("/fails/<how>")
    @operation("Open to all", access=Access.PUBLIC)
    def fails(how: str) -> dict[str, Any]:
        if how == "conflict":
            raise Conflict("Two of them.", details={"with": "x"}, hint="Take one.")
        if how == "limited":
            raise RateLimited(retry_after=1.2)
        if how == "unavailable":
            raise Unavailable
        if how.isdigit():
            abort(int(how))
        raise RuntimeError("the database password is hush")

    @routes.post("/closed")
    @routes.input(Order, arg_name="order")
    def closed(order: Order) -> dict[str, Any]:
        return {}

    @routes.post("/administered")
    @operation("For administration", access=Access.ADMINISTRATION)
    @routes.input(Order, arg_name="order")
    def administered(order: Order) -> Order:
        return order

    return routes


@pytest.fixture
def app(settings: Settings, clock: HeldClock) -> APIFlask:
    """One service with those routes."""
    return create_application([("shop", blueprint())], settings, clock)


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    """Calls it."""
    return app.test_client()


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer is an error in the one shape."""
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert set(answer.json) == SHAPE
    assert answer.json["message"]
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    return dict(answer.json)


GOOD = {"id": "7b7e7d5e-0000-4000-8000-000000000001", "name": "x", "parts": [{"size": 3}]}


def test_a_good_body_arrives(client: FlaskClient) -> None:
    answer = client.post(f"{BASE}/shop/orders", json=GOOD | {"due": "2026-01-02T03:04:05+01:00"})
    assert answer.status_code == 200
    assert answer.json == GOOD | {"due": "2026-01-02T02:04:05Z"}


def test_unknown_paths_and_methods(client: FlaskClient) -> None:
    refused(client.get("/"), 404, "not_found")
    refused(client.get(f"{BASE}/nowhere"), 404, "not_found")
    refused(client.get(f"{BASE}/shop/orders/7"), 404, "not_found")
    refused(client.get(f"{BASE}/shop/orders/%00"), 404, "not_found")
    refused(client.get(f"{BASE}/shop/orders/%ff%fe"), 404, "not_found")
    answer = client.delete(f"{BASE}/shop/orders")
    refused(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 9999])
def test_malformed_json(client: FlaskClient, raw: bytes) -> None:
    refused(client.post(f"{BASE}/shop/orders", data=raw, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type(client: FlaskClient, kind: str) -> None:
    answer = client.post(f"{BASE}/shop/orders", data=json.dumps(GOOD), headers={"Content-Type": kind})
    refused(answer, 415, "unsupported_media_type")


def test_json_with_a_charset_or_a_suffix_is_json(client: FlaskClient) -> None:
    for kind in ("application/json; charset=utf-8", "application/vnd.shop+json"):
        answer = client.post(f"{BASE}/shop/orders", data=json.dumps(GOOD), headers={"Content-Type": kind})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"id": "hush"}, {"path": "id", "code": "uuid_parsing"}),
        ({"name": ""}, {"path": "name", "code": "string_too_short"}),
        ({"name": 7}, {"path": "name", "code": "string_type"}),
        ({"name": "hush\0"}, {"path": "name", "code": "string_nul"}),
        ({"name": "\ud800"}, {"path": "name", "code": "string_unicode"}),
        ({"nam": "hush"}, {"path": "nam", "code": "extra_forbidden"}),
        ({"parts": [{"size": 1}, {"size": 11}]}, {"path": "parts.1.size", "code": "less_than_equal"}),
        ({"parts": [{"size": 1, "hush": 1}]}, {"path": "parts.0.hush", "code": "extra_forbidden"}),
        ({"parts": [{"size": 10**400}]}, {"path": "parts.0.size", "code": "less_than_equal"}),
        ({"parts": {}}, {"path": "parts", "code": "list_type"}),
        ({"due": "hush"}, {"path": "due", "code": "datetime_from_date_parsing"}),
        ({"due": 1e300}, {"path": "due", "code": "datetime_parsing"}),
    ],
)
def test_validation_says_where_and_what_and_never_the_value(
    client: FlaskClient, change: dict[str, Any], found: dict[str, str]
) -> None:
    answer = client.post(f"{BASE}/shop/orders", data=json.dumps(GOOD | change), headers=JSON)
    body = refused(answer, 422, "validation_failed")
    assert found in body["details"]
    assert "hush" not in json.dumps([entry["code"] for entry in body["details"]])
    assert "hush" not in str(body["message"])


def test_an_absent_body_is_an_empty_object(client: FlaskClient) -> None:
    body = refused(client.post(f"{BASE}/shop/orders"), 422, "validation_failed")
    assert body["details"] == [{"path": "id", "code": "missing"}, {"path": "name", "code": "missing"}]


def test_queries_are_checked_too(client: FlaskClient) -> None:
    assert client.get(f"{BASE}/shop/orders?page=2").json == {"page": 2}
    body = refused(client.get(f"{BASE}/shop/orders?page=hush"), 422, "validation_failed")
    assert body["details"] == [{"path": "query.page", "code": "int_parsing"}]
    refused(client.get(f"{BASE}/shop/orders?pages=2"), 422, "validation_failed")


def test_large_bodies_are_refused(client: FlaskClient) -> None:
    large = b'{"name":"' + b"x" * 1024 * 1024 + b'"}'
    refused(client.post(f"{BASE}/shop/orders", data=large, headers=JSON), 413, "payload_too_large")


def test_our_own_errors_keep_their_words(client: FlaskClient) -> None:
    body = refused(client.get(f"{BASE}/shop/fails/conflict"), 409, "conflict")
    assert (body["message"], body["details"], body["hint"]) == ("Two of them.", {"with": "x"}, "Take one.")
    assert client.get(f"{BASE}/shop/fails/limited").headers["Retry-After"] == "2"
    answer = client.get(f"{BASE}/shop/fails/unavailable")
    refused(answer, 503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_an_unknown_failure_says_one_fixed_sentence(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    body = refused(client.get(f"{BASE}/shop/fails/badly"), 500, "internal")
    assert "hush" not in json.dumps(body)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (failure,) = [line for line in lines if line["event"] == "request_failed"]
    assert failure["request_id"] == body["request_id"]
    assert failure["exception"] == "builtins.RuntimeError"
    assert "hush" not in json.dumps(lines)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 409, 410, 418, 429, 501, 503])
def test_any_http_exception_has_the_shape(client: FlaskClient, status: int) -> None:
    answer: Any = client.get(f"{BASE}/shop/fails/{status}")
    assert set(answer.json) == SHAPE
    assert answer.status_code in (status, 400, 500)


def test_request_ids_come_in_and_go_out(client: FlaskClient) -> None:
    wanted = "Abc-12345"
    assert client.get(f"{BASE}/healthz", headers={"X-Request-Id": wanted}).headers["X-Request-Id"] == wanted
    for odd in ("short", "x" * 65, "has space 123", "semi;colon-1", "äöüäöüäöü"):
        given_back = client.get(f"{BASE}/healthz", headers={"X-Request-Id": odd}).headers["X-Request-Id"]
        assert given_back != odd
        assert re.fullmatch(r"[A-Za-z0-9-]{8,64}", given_back)


def test_closed_routes_ask_who_you_are_before_they_look_at_the_body(
    client: FlaskClient, keys: Keys, claims: dict[str, Any]
) -> None:
    refused(client.post(f"{BASE}/shop/closed", data=b"{", headers=JSON), 401, "unauthorized")
    signed = JSON | {"Authorization": f"Bearer {keys.sign(claims)}"}
    refused(client.post(f"{BASE}/shop/closed", data=b"{", headers=signed), 400, "malformed_json")
    assert client.post(f"{BASE}/shop/closed", json=GOOD, headers=signed).status_code == 200
    anonymous = JSON | {"Authorization": f"Bearer {keys.sign(claims | {'is_anonymous': True})}"}
    refused(client.post(f"{BASE}/shop/closed", data=b"{", headers=anonymous), 403, "anonymous_forbidden")
    # keys name no person
    for key in (keys.publishable_key, keys.secret_key):
        refused(client.post(f"{BASE}/shop/closed", json=GOOD, headers={"apikey": key}), 401, "unauthorized")


def test_administration_is_asked_for_before_the_body_is_read(
    client: FlaskClient, keys: Keys, claims: dict[str, Any]
) -> None:
    path = f"{BASE}/shop/administered"
    refused(client.post(path, data=b"{", headers=JSON), 401, "unauthorized")
    signed = JSON | {"Authorization": f"Bearer {keys.sign(claims)}"}
    refused(client.post(path, data=b"{", headers=signed), 403, "forbidden")
    refused(client.post(path, data=b"{", headers=JSON | {"apikey": keys.secret_key}), 400, "malformed_json")
    assert client.post(path, json=GOOD, headers={"apikey": keys.secret_key}).status_code == 200


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "http://localhost:5173", "http://[::1]:8080"])
def test_cors_names_the_front_ends_origin_and_no_other(client: FlaskClient, origin: str) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = client.options(f"{BASE}/shop/closed", headers=preflight | {"Origin": origin})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"]
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    # errors carry it too, or a browser could not read them
    answer = client.get(f"{BASE}/nowhere", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    for foreign in ("http://evil.example", origin + ".evil.example", "null", "*", origin.upper()):
        for answer in (
            client.options(f"{BASE}/shop/closed", headers=preflight | {"Origin": foreign}),
            client.get(f"{BASE}/healthz", headers={"Origin": foreign}),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Origin" in answer.headers["Vary"]


def test_health_asks_nobody_and_readiness_at_most_every_two_seconds(
    client: FlaskClient, jwks: Any, clock: HeldClock
) -> None:
    assert client.get(f"{BASE}/healthz").json == {"status": "ok"}
    assert jwks.seen == []
    for _ in range(5):
        assert client.get(f"{BASE}/readyz").json == {"status": "ok", "checks": {"database": "ok"}}
    assert len(jwks.seen) == 1
    jwks.answer = lambda handler: (handler.send_response(503), handler.end_headers())
    assert client.get(f"{BASE}/readyz").status_code == 200
    clock.sleep(2.1)
    answer: Any = client.get(f"{BASE}/readyz")
    assert (answer.status_code, answer.json["checks"]) == (503, {"database": "unavailable"})
    assert answer.headers["Retry-After"]


def test_metrics_are_for_this_machine_or_the_token(env: dict[str, str], client: FlaskClient) -> None:
    client.get(f"{BASE}/shop/orders/{GOOD['id']}")
    answer = client.get(f"{BASE}/metrics")
    assert answer.status_code == 200
    assert 'route="/functions/v1/shop/orders/<uuid:order_id>"' in answer.text
    assert str(GOOD["id"]) not in answer.text
    through_gateway = {"X-Forwarded-For": "127.0.0.1"}
    refused(client.get(f"{BASE}/metrics", headers=through_gateway), 401, "unauthorized")
    with_token = create_application([], load_settings(env | {"METRICS_TOKEN": "open-sesame"})).test_client()
    sesame = through_gateway | {"Authorization": "Bearer open-sesame"}
    assert with_token.get(f"{BASE}/metrics", headers=sesame).status_code == 200
    wrong = through_gateway | {"Authorization": "Bearer open-sesamf"}
    refused(with_token.get(f"{BASE}/metrics", headers=wrong), 401, "unauthorized")


def test_the_whole_application_has_every_service(settings: Settings) -> None:
    from functions.app import create_app, services

    names = {name for name, _ in services()}
    assert {"canvas-oauth", "canvas-sync"} <= names
    spec: Any = create_app(settings).test_client().get(f"{BASE}/openapi.json").json
    for name in names:
        own = f"{BASE}/{name}"
        assert any(path == own or path.startswith(f"{own}/") for path in spec["paths"]), name


def test_each_service_runs_alone(settings: Settings) -> None:
    import importlib

    from functions.app import services

    for name, _ in services():
        alone = importlib.import_module(f"functions.{name.replace('-', '_')}").create_app(settings).test_client()
        assert alone.get(f"{BASE}/healthz").status_code == 200
        spec: Any = alone.get(f"{BASE}/openapi.json").json
        paths = spec["paths"]
        assert {path.split("/")[3] for path in paths} == {name, "healthz", "readyz"}


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@example(path="//x", body=b"{}", kind="application/json")
@given(
    path=st.text(max_size=30),
    body=st.binary(max_size=60)
    | st.dictionaries(st.text(max_size=6), st.text(max_size=6)).map(lambda x: json.dumps(x).encode()),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
)
def test_no_input_is_our_fault(client: FlaskClient, path: str, body: bytes, kind: str) -> None:
    from urllib.parse import quote

    for url in (f"{BASE}/shop/orders", f"{BASE}/shop/orders/{quote(path.encode('utf-8', 'surrogatepass'))}"):
        answer: Any = client.post(url, data=body, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, answer.json
        assert set(answer.json) == SHAPE


class Served(NamedTuple):
    """Where gunicorn listens, and the keys it knows."""

    url: str
    keys: Keys


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole application under gunicorn, as in production; nothing listens where Supabase should be."""
    keys, port = Keys.fresh(), free_port()
    env = {
        "PATH": "/usr/bin:/bin",
        **bare_environment(),
        "APP_ENV": "local",
        "SUPABASE_URL": f"http://127.0.0.1:{free_port()}",
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "ENCRYPTION_KEYS": keys.encryption_keys,
        "PORT": str(port),
        "TMPDIR": str(tmp_path_factory.mktemp("gunicorn")),
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py", "functions.app:create_app()"]
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=REPO, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: listens(port))
        yield Served(f"http://127.0.0.1:{port}", keys)
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    lines = log.read_text().splitlines()
    assert lines, "gunicorn says something"
    for line in lines:
        json.loads(line)
    assert "hush" not in log.read_text()
    assert not list(Path(env["TMPDIR"]).iterdir()), "the metrics folder is gone"


def test_gunicorn_serves_it(served: Served) -> None:
    # the first request loads the application, and a busy machine takes its time
    assert httpx.get(f"{served.url}{BASE}/healthz", timeout=60).json() == {"status": "ok"}
    assert httpx.get(f"{served.url}{BASE}/readyz").status_code == 503
    assert "headstart_http_requests_total" in httpx.get(f"{served.url}{BASE}/metrics").text


def test_a_dead_auth_is_a_503(served: Served) -> None:
    token = Keys.fresh().sign({"sub": "x"})
    answer = httpx.get(
        f"{served.url}{BASE}/canvas-sync/runs/{GOOD['id']}", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_bodies_over_the_limit_over_a_real_socket(served: Served) -> None:
    """With its length announced, and in chunks where nobody knows it beforehand."""
    large = b"x" * (2 * 1024 * 1024)
    url = f"{served.url}{BASE}/canvas-oauth/start"
    answer = httpx.post(url, content=large, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    url = f"{served.url}{BASE}/canvas-oauth/connections/{GOOD['id']}/secret"
    staff = JSON | {"apikey": served.keys.secret_key}
    answer = httpx.put(url, content=iter([b'{"client_secret":"', b"x" * 1024 * 1024, b'"}']), headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    answer = httpx.put(url, content=iter([b'{"client_secr', b'et":7}']), headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_hush_in_a_query_string_never_reaches_the_log(served: Served) -> None:
    """The fixture looks for the word in the whole log at the end."""
    answer = httpx.get(f"{served.url}{BASE}/canvas-oauth/callback", params={"state": "hush", "code": "hush"})
    assert answer.status_code in (400, 503)


def test_a_broken_chunk_is_the_callers_fault(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    head = (
        f"PUT {BASE}/canvas-oauth/connections/{GOOD['id']}/secret HTTP/1.1\r\nHost: x\r\n"
        f"apikey: {served.keys.secret_key}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for rest in (b"zz\r\nhello\r\n", b"5\r\nhelloXX\r\n0\r\n\r\n", b"-1\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(head.encode() + rest)
            assert raw.recv(12) == b"HTTP/1.1 400", rest


def test_a_broken_request_line_is_no_crash(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/9.9\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{served.url}{BASE}/healthz").status_code == 200


def test_a_missing_setting_stops_gunicorn_with_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py", "functions.app:create_app()"]
    env = {"PATH": "/usr/bin:/bin", "APP_ENV": "local", "SUPABASE_URL": "", **bare_environment()}
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert done.stderr.strip() == "SUPABASE_URL is not set (see docs/environment.md)"


def test_a_project_that_signs_with_the_legacy_secret_stops_gunicorn(env: dict[str, str], jwks: Loopback) -> None:
    jwks.answer = lambda handler: reply(handler, 200, b'{"keys": []}')
    command = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py", "functions.app:create_app()"]
    environment = {"PATH": "/usr/bin:/bin", **env, "PORT": str(free_port()), **bare_environment()}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "lists no ES256 or RS256 key" in done.stderr
    assert "Traceback" not in done.stderr
