"""The kit against the real platform: both handles, refusals, idempotency keys, limits, waiting for jobs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from apiflask import APIBlueprint
from flask.testing import FlaskClient
from postgrest.exceptions import APIError
from pydantic import Field

from functions.shared.clock import SystemClock
from functions.shared.database import ERRORS, Database, mapped_error, rpc, run
from functions.shared.errors import (
    AppError,
    CheckFailed,
    Conflict,
    Forbidden,
    Internal,
    NotFound,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from functions.shared.jobs import enqueue, wait_for_job
from functions.shared.settings import Settings, load_settings
from functions.shared.web import waiting
from functions.shared.web.application import create_service
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Access, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.schemas import Request
from scripts.native.stack import Stack
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply

BASE = "/functions/v1/work"


@pytest.fixture(scope="module")
def environment(stack: Stack) -> dict[str, str]:
    """What the stack gives its own functions."""
    return stack.service_environment()


@pytest.fixture(scope="module")
def real(environment: dict[str, str]) -> Settings:
    """The stack's settings."""
    return load_settings(environment)


@pytest.fixture(scope="module")
def database(real: Settings) -> Database:
    """The kit's handles on the stack."""
    return Database(real)


class Person:
    """Somebody who signed up."""

    def __init__(self, stack: Stack) -> None:
        headers = {"apikey": stack.keys.publishable_key}
        body = {"email": f"{uuid.uuid4().hex}@example.edu", "password": "correct horse"}
        answer = httpx.post(f"{stack.url}/auth/v1/signup", json=body, headers=headers).raise_for_status().json()
        self.id: str = answer["user"]["id"]
        self.token: str = answer["access_token"]


@pytest.fixture(scope="module")
def person(stack: Stack) -> Person:
    """One student."""
    return Person(stack)


@pytest.fixture(scope="module")
def stranger(stack: Stack) -> Person:
    """Another."""
    return Person(stack)


def test_each_handle_sees_what_it_may(database: Database, person: Person, stranger: Person) -> None:
    own = run(database.user(person.token).from_("profiles").select("user_id"))
    assert own == [{"user_id": person.id}]
    both = run(database.service().from_("profiles").select("user_id").in_("user_id", [person.id, stranger.id]))
    assert {row["user_id"] for row in both} == {person.id, stranger.id}


def test_no_identity_stays_on_the_shared_connections(database: Database, person: Person, stranger: Person) -> None:
    def look(who: Person) -> bool:
        return bool(run(database.user(who.token).from_("profiles").select("user_id")) == [{"user_id": who.id}])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, [person, stranger] * 40))


def test_a_handle_costs_microseconds(database: Database, person: Person) -> None:
    began = time.perf_counter()
    for _ in range(500):
        database.user(person.token)
    assert (time.perf_counter() - began) / 500 < 0.001


def test_refusals_of_the_real_database(database: Database, person: Person) -> None:
    mine, service = database.user(person.token), database.service()
    with pytest.raises(Unauthorized):
        run(database.user(person.token + "x").from_("profiles").select("user_id"))
    with pytest.raises(Forbidden):
        rpc(mine, "svc_take_rate", {"p_bucket": "x", "p_limit": 1, "p_window_s": 1})
    with pytest.raises(NotFound):
        run(mine.from_("profiles").select("user_id").eq("user_id", str(uuid.uuid4())).single())
    with pytest.raises(ValidationFailed):
        run(mine.from_("profiles").select("user_id").eq("user_id", "no uuid"))
    with pytest.raises(ValidationFailed):
        rpc(service, "svc_take_rate", {"p_bucket": None, "p_limit": 1, "p_window_s": 1})
    with pytest.raises(ValidationFailed):
        rpc(service, "svc_take_rate", {"p_bucket": "x", "p_limit": 1, "p_window_s": 10**6})
    with pytest.raises(CheckFailed):
        rpc(service, "svc_take_rate", {"p_bucket": "x" * 301, "p_limit": 1, "p_window_s": 1})
    with pytest.raises(Conflict):
        run(service.from_("profiles").insert({"user_id": person.id, "role": "student"}))
    # a function or a table that is not there is our fault
    with pytest.raises(Internal):
        rpc(service, "svc_nothing", {})
    with pytest.raises(Internal):
        run(service.from_("nothing").select("*"))


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "\U0001f600", "x" * 20_000, '","', "*)%00"])
def test_no_text_is_our_fault(database: Database, person: Person, text: str) -> None:
    mine = database.user(person.token)
    attempts: list[Callable[[], Any]] = [
        lambda: run(mine.from_("profiles").select("user_id").eq("display_name", text)),
        lambda: run(mine.from_("profiles").update({"display_name": text}).eq("user_id", person.id)),
    ]
    for attempt in attempts:
        try:
            attempt()
        except AppError as error:
            assert error.status < 500, text[:20]  # noqa: PT017


@pytest.mark.parametrize("code", ["08006", "53300", "57P01", "57014", "40001", "40P01", "PGRST003", "503"])
def test_what_passes_by_itself_is_unavailable(code: str) -> None:
    error = mapped_error(APIError({"code": code, "message": "hush"}))
    assert isinstance(error, Unavailable)
    assert error.retry_after


def test_nothing_the_database_says_reaches_the_caller() -> None:
    for code in [*ERRORS, "XX000", None]:
        error = mapped_error(APIError({"code": code, "message": "hush", "details": "hush", "hint": "hush"}))
        assert "hush" not in str(error.body("id"))


def test_a_refused_secret_key_is_our_fault() -> None:
    assert isinstance(mapped_error(APIError({"code": "PGRST301"}), as_service=True), Internal)


def test_reads_are_tried_again_and_writes_are_not(env: dict[str, str], loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(hang_up)
    database = Database(load_settings(env | {"SUPABASE_URL": server.url}))
    cases: list[tuple[Callable[[], Any], int]] = [
        (lambda: run(database.service().from_("t").select("*")), 3),
        (lambda: run(database.service().from_("t").insert({"a": 1})), 1),
        (lambda: rpc(database.service(), "f"), 1),
        (lambda: rpc(database.service(), "f", safe=True), 3),
    ]
    for ask, times in cases:
        server.seen.clear()
        with pytest.raises(Unavailable):
            ask()
        assert len(server.seen) == times


EARLY = (401, b'{"code":"PGRST303","message":"JWT issued at future"}')
EXPIRED = (401, b'{"code":"PGRST303","message":"JWT expired"}')


def test_our_own_key_outlives_a_clock_that_is_behind(
    env: dict[str, str], loopback: Callable[[Handler], Loopback]
) -> None:
    """Refused before anything was done: reads and writes are both sent again."""
    answers: list[tuple[int, bytes]] = []
    server = loopback(lambda handler: reply(handler, *answers.pop(0)))
    database = Database(load_settings(env | {"SUPABASE_URL": server.url}))
    done = (200, b'[{"a":1}]')
    asks: list[Callable[[], Any]] = [
        lambda: run(database.service().from_("t").select("*")),
        lambda: run(database.service().from_("t").insert({"a": 1})),
        lambda: rpc(database.service(), "f"),
    ]
    for ask in asks:
        answers[:] = [EARLY, done]
        assert ask() == [{"a": 1}]
        answers[:] = [EARLY, EARLY, EARLY, done]
        with pytest.raises(Unavailable):
            ask()
        assert answers == [done]


@pytest.mark.parametrize(("answer", "as_service"), [(EARLY, False), (EXPIRED, True)])
def test_other_refused_tokens_are_final(
    env: dict[str, str], loopback: Callable[[Handler], Loopback], answer: tuple[int, bytes], as_service: bool
) -> None:
    server = loopback(lambda handler: reply(handler, *answer))
    database = Database(load_settings(env | {"SUPABASE_URL": server.url}))
    client = database.service() if as_service else database.user("token")
    with pytest.raises(Internal if as_service else Unauthorized):
        run(client.from_("t").select("*"))
    assert len(server.seen) == 1


def test_a_hanging_database_costs_one_timeout(
    env: dict[str, str], loopback: Callable[[Handler], Loopback], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.shared.database.TIMEOUT", httpx.Timeout(0.2))
    server = loopback(lambda handler: time.sleep(5.0))
    database = Database(load_settings(env | {"SUPABASE_URL": server.url}))
    began = time.monotonic()
    with pytest.raises(Unavailable):
        run(database.service().from_("t").select("*"))
    assert time.monotonic() - began < 4


def test_a_read_outlives_a_moment(env: dict[str, str], loopback: Callable[[Handler], Loopback]) -> None:
    answers = iter([(503, b'{"code":"PGRST002","message":"x"}'), (504, b"<html>"), (200, b'[{"a":1}]')])
    server = loopback(lambda handler: reply(handler, *next(answers)))
    database = Database(load_settings(env | {"SUPABASE_URL": server.url}))
    assert run(database.service().from_("t").select("*")) == [{"a": 1}]


class Ask(Request):
    """What the test's route takes."""

    text: str = Field(max_length=50)


class Service:
    """A service with one route that counts, one that fails, one that is open; on the real platform."""

    def __init__(self, settings: Settings) -> None:
        self.runs = 0
        self.hold: threading.Event | None = None
        self.started = threading.Event()
        routes = APIBlueprint("work", __name__)

        @routes.post("/count")
        @routes.input(Ask, arg_name="ask")
        @idempotent
        def count(ask: Ask) -> Any:
            self.runs += 1
            self.started.set()
            if self.hold is not None:
                assert self.hold.wait(10)
            if ask.text == "conflict":
                raise Conflict
            if ask.text == "outage":
                raise Unavailable
            if ask.text == "bug":
                raise RuntimeError
            return {"run": self.runs, "text": ask.text}, 202

        @routes.post("/empty")
        @idempotent
        def empty() -> Any:
            self.runs += 1
            return "", 204

        @routes.get("/few")
        @rate_limited("few", limit=3, window_seconds=3600)
        def few() -> Any:
            return {}

        @routes.get("/open")
        @operation("Open to all", access=Access.PUBLIC)
        @rate_limited("open", limit=2, window_seconds=3600, by="address")
        def open_() -> Any:
            return {}

        @routes.get("/job/<uuid:job_id>")
        def job(job_id: uuid.UUID) -> Any:
            return waiting.wait_for_job(str(job_id), 0) or {"status": None}

        self.app = create_service("work", routes, settings)

    @property
    def client(self) -> FlaskClient:
        """A client of its own for each thread."""
        return self.app.test_client()

    def post(self, who: Person, text: str, key: str | None, path: str = "count") -> Any:
        """Asks for work."""
        headers = {"Authorization": f"Bearer {who.token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.client.post(f"{BASE}/{path}", json={"text": text} if path == "count" else None, headers=headers)


@pytest.fixture
def service(real: Settings) -> Service:
    """Fresh counts."""
    return Service(real)


def key() -> str:
    return uuid.uuid4().hex


def test_the_same_key_and_body_run_once(service: Service, person: Person, stranger: Person) -> None:
    one = key()
    first, second = service.post(person, "a", one), service.post(person, "a", one)
    assert (first.status_code, second.status_code, service.runs) == (202, 202, 1)
    assert first.json == second.json
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    # another key, no key, another person: new work
    for again in (service.post(person, "a", key()), service.post(person, "a", None), service.post(stranger, "a", one)):
        assert again.status_code == 202
    assert service.runs == 4


def test_spaces_and_the_order_of_keys_do_not_matter(service: Service, person: Person) -> None:
    headers = {"Authorization": f"Bearer {person.token}", "Idempotency-Key": key(), "Content-Type": "application/json"}
    for raw in (b'{"text":"a"}', b' { "text" : "\\u0061" } '):
        assert service.client.post(f"{BASE}/count", data=raw, headers=headers).status_code == 202
    assert service.runs == 1


def test_the_same_key_with_another_body_is_a_mismatch(service: Service, person: Person) -> None:
    one = key()
    service.post(person, "a", one)
    answer = service.post(person, "b", one)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_mismatch")
    assert service.runs == 1


def test_while_the_first_runs_the_second_waits(service: Service, person: Person) -> None:
    one = key()
    service.hold = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.post, person, "a", one)
        assert service.started.wait(10)
        second = service.post(person, "a", one)
        assert (second.status_code, second.json["code"]) == (409, "idempotency_in_flight")
        assert second.headers["Retry-After"]
        service.hold.set()
        assert first.result().status_code == 202
    assert service.post(person, "a", one).headers["Idempotent-Replayed"] == "true"
    assert service.runs == 1


def test_of_many_at_once_one_runs(service: Service, person: Person) -> None:
    one = key()
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: service.post(person, "a", one), range(16))]
    assert service.runs == 1
    assert set(statuses) <= {202, 409}
    assert 202 in statuses


def test_refusals_are_remembered_and_faults_are_not(service: Service, person: Person) -> None:
    for text, status, runs in (("conflict", 409, 1), ("outage", 503, 2), ("bug", 500, 2)):
        service.runs, one = 0, key()
        answers = [service.post(person, text, one) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [status, status]
        assert service.runs == runs
        assert ("Idempotent-Replayed" in answers[1].headers) is (runs == 1)


def test_an_empty_answer_is_remembered_too(service: Service, person: Person) -> None:
    one = key()
    answers = [service.post(person, "", one, "empty") for _ in range(2)]
    assert [(answer.status_code, answer.data) for answer in answers] == [(204, b""), (204, b"")]
    assert service.runs == 1


@pytest.mark.parametrize("odd", ["short", "x" * 256, "with\ttabs in it", "ünïcödé-key"])
def test_a_key_has_8_to_255_printable_characters(service: Service, person: Person, odd: str) -> None:
    answer = service.post(person, "a", odd)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert service.runs == 0


def test_limits_count_each_person(environment: dict[str, str], person: Person, stranger: Person) -> None:
    client = Service(load_settings(environment | {"RATE_LIMITS": "on"})).client

    def ask(who: Person) -> Any:
        return client.get(f"{BASE}/few", headers={"Authorization": f"Bearer {who.token}"})

    assert [ask(person).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = ask(person)
    assert refused.json["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert ask(stranger).status_code == 200


def test_limits_can_be_switched_off(environment: dict[str, str], stack: Stack) -> None:
    client, who = Service(load_settings(environment | {"RATE_LIMITS": "off"})).client, Person(stack)
    headers = {"Authorization": f"Bearer {who.token}"}
    assert {client.get(f"{BASE}/few", headers=headers).status_code for _ in range(6)} == {200}


def test_open_routes_count_the_address_the_gateway_saw(environment: dict[str, str]) -> None:
    client = Service(load_settings(environment | {"RATE_LIMITS": "on"})).client
    net = f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}"

    def ask(forwarded: str) -> int:
        return client.get(f"{BASE}/open", headers={"X-Forwarded-For": forwarded}).status_code

    # what the caller writes in front changes nothing, and a whole /64 is one caller
    assert [ask(f"10.0.0.{n}, {net}::{n}") for n in range(1, 4)] == [200, 200, 429]
    assert ask(f"{net}::1, 2001:db8:{uuid.uuid4().hex[:4]}::1") == 200


def test_waiting_ends_with_the_job_or_the_time(
    database: Database, service: Service, person: Person, stranger: Person, db_url: str
) -> None:
    job_id, created = enqueue(database.service(), "canvas_sync", {}, user_id=person.id, dedupe_key=key())
    assert created
    mine, clock = database.user(person.token), SystemClock()
    began = time.monotonic()
    waiting = wait_for_job(job_id, 0.5, client=mine, clock=clock)
    assert waiting is not None
    assert waiting["status"] == "queued"
    assert 0.5 <= time.monotonic() - began < 3
    assert wait_for_job(job_id, 5, client=database.user(stranger.token), clock=clock) is None

    def cancel() -> None:
        time.sleep(0.3)
        rpc(database.user(person.token), "cancel_job", {"p_id": job_id})

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(cancel)
        ended = wait_for_job(job_id, 20, client=mine, clock=clock)
    assert ended is not None
    assert ended["status"] == "cancelled"
    assert time.monotonic() - began < 10
    # in a request, the caller's own eyes
    for who, status in ((person, "cancelled"), (stranger, None)):
        answer: Any = service.client.get(f"{BASE}/job/{job_id}", headers={"Authorization": f"Bearer {who.token}"})
        assert answer.json["status"] == status


def test_a_live_job_with_the_same_key_is_joined(database: Database, person: Person) -> None:
    one = key()
    first = enqueue(database.service(), "canvas_sync", {}, user_id=person.id, dedupe_key=one)
    second = enqueue(database.service(), "canvas_sync", {}, user_id=person.id, dedupe_key=one)
    assert (first.created, second.created) == (True, False)
    assert first.job_id == second.job_id


def test_a_request_in_the_applications_context_has_the_real_clock(service: Service) -> None:
    with service.app.app_context():
        assert abs(context().clock.now().timestamp() - time.time()) < 5


def test_readiness_through_the_gateway(stack: Stack) -> None:
    assert httpx.get(f"{stack.functions_url}/readyz").json() == {"status": "ok", "checks": {"database": "ok"}}


def test_the_gateway_passes_the_secret_key_through(stack: Stack, person: Person) -> None:
    url = f"{stack.functions_url}/canvas-oauth/connections/{uuid.uuid4()}/secret"
    shown: list[tuple[dict[str, str], int]] = [
        ({"apikey": stack.keys.secret_key}, 404),
        ({"Authorization": f"Bearer {stack.keys.secret_key}"}, 404),
        ({"Authorization": f"Bearer {stack.service_token}"}, 404),
        ({"Authorization": f"Bearer {person.token}"}, 403),
        ({"apikey": stack.keys.publishable_key}, 401),
        ({}, 401),
    ]
    for headers, status in shown:
        answer = httpx.put(url, json={"client_secret": "x"}, headers=headers)
        assert answer.status_code == status, (headers.keys(), answer.text)


def test_the_database_holds_no_address_of_callers(db_url: str) -> None:
    with psycopg.connect(db_url) as connection:
        buckets = connection.execute("select bucket from private.rate_buckets where bucket like 'open:%'").fetchall()
    assert buckets
    assert not any("2001" in bucket and ":db8" in bucket for (bucket,) in buckets)
