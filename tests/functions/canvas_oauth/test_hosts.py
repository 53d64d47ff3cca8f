"""Proposing a Canvas that is not on the list: what is a host, who decides, and what people see of it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from werkzeug.test import TestResponse

from functions.canvas_oauth import create_app
from functions.canvas_oauth.errors import HostInvalid, HostPending
from functions.canvas_oauth.hosts import check_addresses, instance_domain
from functions.canvas_oauth.routes import MAX_PROPOSALS, PROPOSAL_SECONDS
from functions.canvas_oauth.service import OAuthService
from functions.shared.canvas.factory import CanvasFactory
from functions.shared.clock import SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import rpc
from functions.shared.settings import load_settings
from functions.shared.tokens import Caller
from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, Student
from tests.support.people import freeze

Connection = psycopg.Connection[Any]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("school.instructure.com", "school.instructure.com"),
        (" School.Instructure.COM. ", "school.instructure.com"),
        ("canvas.school.edu:443", "canvas.school.edu"),
        ("canvas.school.edu:8443", "canvas.school.edu:8443"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1st.school.edu", "1st.school.edu"),
    ],
)
def test_a_host_has_one_spelling(given: str, kept: str) -> None:
    assert instance_domain(given, local=False) == kept
    assert instance_domain(kept, local=False) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        ".",
        "https://canvas.school.edu",
        "//canvas.school.edu",
        "canvas.school.edu/courses",
        "canvas.school.edu?x",
        "canvas.school.edu#x",
        "someone@canvas.school.edu",
        "canvas.school.edu:",
        "canvas.school.edu:0",
        "canvas.school.edu:65536",
        "canvas.school.edu:8443:1",
        "canvas school.edu",
        "canvas.school.edu\\@evil.example",
        "canvas..school.edu",
        "canvas.school.edu..",
        "-canvas.school.edu",
        "can_vas.school.edu",
        "%63anvas.school.edu",
        "intranet",
        "localhost",
        "localhost.",
        "sub.localhost:3000",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "8.8.8.8",
        "10.0.0.7:443",
        "[::1]",
        "[2606:4700::1111]:443",
        "faß.example",
        "canvas\u200b.school.edu",
        "a" * 64 + ".edu",
        "a." * 130 + "edu",
    ],
)
def test_everything_else_is_no_host(given: str) -> None:
    with pytest.raises(HostInvalid):
        instance_domain(given, local=False)


def test_loopback_is_a_host_in_local_work_alone() -> None:
    assert instance_domain("127.0.0.1:8900", local=True) == "127.0.0.1:8900"
    assert instance_domain("LOCALHOST:8900", local=True) == "localhost:8900"
    with pytest.raises(HostInvalid):
        instance_domain("10.0.0.7", local=True)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "192.168.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]
)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    public = "93.184.216.34"
    check_addresses("canvas.school.edu:8443", local=True, resolve=lambda _: [public])
    check_addresses("canvas.school.edu", local=True, resolve=lambda _: [])
    with pytest.raises(HostInvalid):
        check_addresses("canvas.school.edu", local=True, resolve=lambda _: [public, address])


def propose(person: Student, host: str, **more: Any) -> httpx.Response:
    """POSTs a host."""
    return person.functions.post("/canvas-oauth/hosts", json={"host": host, **more})


def test_a_proposal_waits_for_staff_and_is_known_once(
    stack: Stack, person: Student, stranger: Student, db: Connection
) -> None:
    host = f"127.0.0.1:{10_000 + uuid.uuid4().int % 50_000}"
    made = propose(person, host, name="Our school")
    assert (made.status_code, made.json()["status"]) == (202, "pending")
    connection_id = made.json()["lms_connection_id"]
    assert propose(stranger, f"{host}").json() == made.json(), "the same row, whoever asks"
    for someone in (person, stranger):
        assert someone.rows("lms_connections", id=f"eq.{connection_id}") == []
        answer = someone.functions.post("/canvas-oauth/start", json={"lms_connection_id": connection_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "lms_connection_not_found")
    seen = "select name, settings, proposed_by::text from public.lms_connections where id = %s"
    assert db.execute(seen, (connection_id,)).fetchone() == (
        "Our school",
        {"allow_personal_tokens": True},
        person.user_id,
    )
    db.execute("update public.lms_connections set status = 'active' where id = %s", (connection_id,))
    db.commit()
    (shown,) = stranger.rows("lms_connections", id=f"eq.{connection_id}")
    assert (shown["status"], shown["proposed_by"]) == ("active", None), "nobody learns who asked"
    told = person.rows("notifications")
    assert [(row["type"], row["payload"]["status"]) for row in told] == [("system", "active")]
    assert stranger.rows("notifications") == []
    assert propose(person, host).json() == {"lms_connection_id": connection_id, "status": "active"}


def test_a_person_proposes_five_hosts_on_a_day(
    stack: Stack, person: Student, stranger: Student, db: Connection
) -> None:
    app = create_app(load_settings(stack.service_environment() | {"RATE_LIMITS": "on"}))

    def ask(someone: Student, host: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {someone.token}"}
        return app.test_client().post("/functions/v1/canvas-oauth/hosts", json={"host": host}, headers=headers)

    hosts = [f"127.0.0.1:{port}" for port in range(60_001, 60_007)]
    # refused and repeated proposals count as well: each makes a person of the staff look, or a name be resolved
    given = [*hosts[:3], hosts[0], "intranet"]
    assert [ask(person, host).status_code for host in given] == [202, 202, 202, 202, 422]
    refused = ask(person, hosts[3])
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limited")
    midnight = db.execute("select extract(epoch from date_trunc('day', now(), 'UTC') + interval '1 day' - now())")
    left = float(midnight.fetchone()[0])  # type: ignore[index]
    assert 1 <= int(refused.headers["Retry-After"]) <= left + 60
    assert ask(stranger, hosts[4]).status_code == 202, "each person has five"
    db.execute("delete from public.lms_connections where instance_domain = any (%s)", (hosts,))
    db.commit()


def test_the_day_of_proposals_is_that_of_utc(db: Connection) -> None:
    def take(moment: str) -> tuple[bool, int]:
        freeze(db, moment)
        take_rate = "select allowed, retry_after_s from public.svc_take_rate('hosts:x', %s, %s)"
        row = db.execute(take_rate, (MAX_PROPOSALS, PROPOSAL_SECONDS)).fetchone()
        assert row is not None
        return row[0], row[1]

    assert (MAX_PROPOSALS, PROPOSAL_SECONDS) == (5, 24 * 3600)
    assert [take("2031-03-01T23:59:58Z") for _ in range(5)] == [(True, 0)] * 5
    assert take("2031-03-01T23:59:58Z") == (False, 2)
    assert take("2031-03-01T23:59:59.5Z") == (False, 1)
    assert [take("2031-03-02T00:00:00Z") for _ in range(5)] == [(True, 0)] * 5
    assert take("2031-03-02T00:00:00Z") == (False, 86_400)
    assert take("2031-03-02T23:59:59Z") == (False, 1)
    assert take("2031-03-03T00:00:00Z") == (True, 0)


def test_bad_hosts_change_nothing(person: Student, db: Connection) -> None:
    count = "select count(*) from public.lms_connections"
    before = db.execute(count).fetchone()
    for host in ("https://canvas.school.edu/", "10.0.0.7", "intranet"):
        answer = propose(person, host)
        assert (answer.status_code, answer.json()["code"]) == (422, "canvas_host_invalid")
    for body in ({}, {"host": ""}, {"host": "a.example", "status": "active"}, {"host": "a.example", "name": " "}):
        assert person.functions.post("/canvas-oauth/hosts", json=body).status_code == 422
    db.rollback()
    assert db.execute(count).fetchone() == before


def test_in_local_work_a_token_that_works_approves_its_host(
    canvas: CanvasStandIn, person: Student, runner: Runner
) -> None:
    canvas.world.switches.enforce_scopes = False
    connection_id = propose(person, canvas.domain).json()["lms_connection_id"]
    token = canvas.world.new_grant(101, []).access_token
    body = {"lms_connection_id": connection_id, "token": token}
    answer = person.functions.post("/canvas-oauth/tokens", json=body)
    assert answer.status_code == 200, answer.text
    assert runner.run(answer.json()["job_id"]).failure is None


def test_elsewhere_it_works_once_staff_have_approved(canvas: CanvasStandIn, person: Student, runner: Runner) -> None:
    connection_id = propose(person, canvas.domain).json()["lms_connection_id"]
    token = canvas.world.new_grant(101, []).access_token
    settings = replace(runner.settings, app_env="test")

    def call(name: str, args: dict[str, Any]) -> Any:
        return rpc(runner.database.service(), name, args)

    factory = CanvasFactory(settings, runner.http, Envelope(settings.encryption_keys), SystemClock(), call)
    caller = Caller(person.user_id, "authenticated", None, person.token, False, {})
    with pytest.raises(HostPending):
        OAuthService(runner.database, factory).connect_token(caller, connection_id, token)
    assert canvas.world.requests() == [], "a host that nobody approved is not called"
