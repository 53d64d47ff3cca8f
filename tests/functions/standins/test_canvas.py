"""The Canvas stand-in behaves as Canvas does, so that what works against it works against the real one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.standins.canvas import CLIENT_ID, CLIENT_SECRET, PLAIN, CanvasStandIn, World, approve

SCOPES = [
    "url:GET|/api/v1/courses",
    "url:GET|/api/v1/courses/:id",
    "url:GET|/api/v1/courses/:course_id/assignments",
    "url:GET|/api/v1/courses/:course_id/assignment_groups",
    "url:GET|/api/v1/announcements",
    "url:GET|/api/v1/users/:id",
    "url:GET|/api/v1/users/:user_id/profile",
]
BACK = "http://127.0.0.1:9/back"


@pytest.fixture
def http(canvas: CanvasStandIn) -> Iterator[httpx.Client]:
    """A client of student1."""
    token = canvas.world.new_grant(101, SCOPES).access_token
    with httpx.Client(base_url=canvas.url, headers={"Authorization": f"Bearer {token}"}, verify=PLAIN) as client:
        yield client


def authorize(canvas: CanvasStandIn, **params: str) -> str:
    """An authorize address."""
    query = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": BACK, "state": "s", "scope": SCOPES[0]}
    return str(httpx.URL(f"{canvas.url}/login/oauth2/auth", params={**query, **params}))


def exchange(canvas: CanvasStandIn, **form: str) -> httpx.Response:
    """A call of the token endpoint."""
    key = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": BACK}
    return httpx.post(f"{canvas.url}/login/oauth2/token", data={**key, **form}, verify=PLAIN)


def test_the_same_seed_gives_the_same_world() -> None:
    one, two, other = World(7), World(7), World(8)
    assert [a.name for a in one.assignments.values()] == [a.name for a in two.assignments.values()]
    assert [a.name for a in one.assignments.values()] != [a.name for a in other.assignments.values()]


def test_a_code_is_good_once_and_for_its_redirect_only(canvas: CanvasStandIn) -> None:
    code = approve(authorize(canvas), "student3")["code"]
    wrong = exchange(canvas, grant_type="authorization_code", code=code, redirect_uri="http://127.0.0.1:9/other")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_request")
    code = approve(authorize(canvas), "student3")["code"]
    answer = exchange(canvas, grant_type="authorization_code", code=code).json()
    assert (answer["user"]["id"], answer["expires_in"], answer["token_type"]) == (103, 3600, "Bearer")
    again = exchange(canvas, grant_type="authorization_code", code=code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("params", "error"),
    [({"scope": ""}, "invalid_scope"), ({"response_type": "token"}, "unsupported_response_type")],
)
def test_what_cannot_be_approved_goes_back_with_an_error(
    canvas: CanvasStandIn, params: dict[str, str], error: str
) -> None:
    back = approve(authorize(canvas, **params))
    assert (back["error"], back["state"]) == (error, "s")


def test_a_foreign_client_or_redirect_never_redirects(canvas: CanvasStandIn) -> None:
    canvas.world.redirect_hosts = {"127.0.0.1"}
    for params, status in (({"client_id": "8"}, 401), ({"redirect_uri": "http://evil.example/"}, 400)):
        assert httpx.get(authorize(canvas, **params), verify=PLAIN).status_code == status


def test_the_consent_page_asks_and_may_be_denied(canvas: CanvasStandIn) -> None:
    canvas.world.switches.approve = "ask"
    page = httpx.get(authorize(canvas), verify=PLAIN).text
    ticket = page.split('name="ticket" value="')[1].split('"')[0]
    answer = httpx.post(f"{canvas.url}/login/oauth2/accept", data={"ticket": ticket, "login": "student2"}, verify=PLAIN)
    assert "code=" in answer.headers["location"]
    ticket = httpx.get(authorize(canvas), verify=PLAIN).text.split('name="ticket" value="')[1].split('"')[0]
    answer = httpx.post(f"{canvas.url}/login/oauth2/accept", data={"ticket": ticket, "login": ""}, verify=PLAIN)
    assert "error=access_denied" in answer.headers["location"]


def test_a_refresh_kills_the_old_access_token_and_sends_no_new_refresh_token(canvas: CanvasStandIn) -> None:
    grant = canvas.world.new_grant(101, SCOPES)
    old = grant.access_token
    answer = exchange(canvas, grant_type="refresh_token", refresh_token=grant.refresh_token).json()
    assert "refresh_token" not in answer
    statuses = [
        httpx.get(f"{canvas.url}/api/v1/courses", headers={"Authorization": f"Bearer {t}"}, verify=PLAIN).status_code
        for t in (old, answer["access_token"])
    ]
    assert statuses == [401, 200]


def test_token_problems_carry_a_challenge_and_missing_scopes_do_not(canvas: CanvasStandIn, http: httpx.Client) -> None:
    dead = http.get("/api/v1/courses", headers={"Authorization": "Bearer dead"})
    assert (dead.status_code, "www-authenticate" in dead.headers) == (401, True)
    narrow = canvas.world.new_grant(101, SCOPES[:1]).access_token
    refused = http.get("/api/v1/users/self", headers={"Authorization": f"Bearer {narrow}"})
    assert (refused.status_code, "www-authenticate" in refused.headers) == (401, False)
    assert refused.json() == {"errors": [{"message": "Insufficient scopes on access token."}]}


def test_no_user_agent_no_answer(http: httpx.Client) -> None:
    assert http.get("/api/v1/courses", headers={"User-Agent": ""}).status_code == 403


def test_pages_are_capped_and_links_are_absolute(canvas: CanvasStandIn, http: httpx.Client) -> None:
    for _ in range(130):
        canvas.world.add_assignment(1001)
    first = http.get("/api/v1/courses/1001/assignments", params={"per_page": "5000"})
    assert len(first.json()) == 100
    following = first.links["next"]["url"]
    assert following.startswith(f"{canvas.url}/api/v1/")
    assert "bookmark" in following
    rest = http.get(following)
    assert "next" not in rest.links
    ids = [row["id"] for row in first.json() + rest.json()]
    assert len(ids) == len(set(ids)) == len(canvas.world.assignments_of(1001, 101))
    assert len(http.get("/api/v1/courses/1001/assignments").json()) == 10
    assert http.get("/api/v1/courses/1001/assignments?page=bookmark:nonsense").status_code == 404


def test_ids_can_be_asked_for_as_text(http: httpx.Client) -> None:
    accept = {"Accept": "application/json+canvas-string-ids"}
    rows = http.get("/api/v1/courses/1001/assignments", headers=accept).json()
    assert all(isinstance(row[key], str) for row in rows for key in ("id", "course_id", "assignment_group_id"))


def test_the_bucket_fills_with_requests_in_flight(canvas: CanvasStandIn, http: httpx.Client) -> None:
    # three requests at once fill it, so that a busy machine that starts them one by one still has enough in flight
    canvas.world.switches.latency_seconds, canvas.world.switches.high_water = 0.2, 120.0

    def one(_: int) -> int:
        return http.get("/api/v1/courses").status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(one, range(20)))
    assert set(statuses) == {200, 403}
    calm = http.get("/api/v1/courses")
    assert float(calm.headers["x-request-cost"]) > 0
    assert float(calm.headers["x-rate-limit-remaining"]) > 60


def test_other_reads(canvas: CanvasStandIn, http: httpx.Client) -> None:
    assert http.get("/api/v1/users/self").json()["id"] == 101
    assert http.get("/api/v1/users/self/profile").json()["login_id"] == "student1"
    assert http.get("/api/v1/courses/1001/assignment_groups").json()[0]["name"] == "Homework"
    codes = {"context_codes[]": ["course_1001", "course_1002"]}
    found = http.get("/api/v1/announcements", params=codes).json()
    assert {row["context_code"] for row in found} == {"course_1001", "course_1002"}
    assert http.get("/api/v1/announcements").status_code == 400
    assert http.get("/api/v1/announcements", params={"context_codes[]": ["course_9"]}).status_code == 404


def test_the_control_endpoint_changes_this_world(canvas: CanvasStandIn) -> None:
    with httpx.Client(base_url=f"{canvas.url}/_control", verify=PLAIN) as control:
        state = control.get("/state").json()
        assert state["stand_in"] == "canvas"
        assert {person["login"] for person in state["people"]} >= {"student1", "teacher1"}
        assert control.post("/switches", json={"throttle_status": 429}).json()["throttle_status"] == 429
        assert control.post("/switches", json={"typo": 1}).status_code == 400
        assert control.post("/faults", json={"kind": "nonsense"}).status_code == 400
        assert control.post("/faults", json={"kind": "html", "path": "/courses", "times": 1}).status_code == 200
        course = control.post("/courses", json={"roles": {"101": "student"}, "name": "New"}).json()["id"]
        made = control.post(f"/courses/{course}/assignments", json={"name": "A", "description": "hostile"}).json()["id"]
        assert "<script>" in (canvas.world.assignments[made].description or "")
        assert control.patch(f"/assignments/{made}", json={"visible_to": [102]}).status_code == 200
        assert canvas.world.assignments_of(course, 101) == []
        assert control.put(f"/assignments/{made}/submissions/101", json={"score": 3}).status_code == 200
        assert control.patch(f"/courses/{course}", json={"workflow_state": "deleted"}).status_code == 200
        assert control.patch("/assignments/1", json={"name": "x"}).status_code == 400
        assert control.post("/grants", json={"action": "revoke"}).status_code == 200
        assert control.delete("/faults").status_code == control.delete("/requests").status_code == 200
        assert control.get("/requests").json() == []
        control.post("/reset")
        assert course not in canvas.world.courses


def test_it_runs_as_a_program_of_its_own() -> None:
    command = [sys.executable, "-u", "-m", "tests.standins.canvas", "--port", "0", "--seed", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split(" on ")[1].split(" ")[0]
        answer: Any = httpx.get(f"{url}/healthz", verify=PLAIN).json()
        assert answer == {"status": "ok", "stand_in": "canvas"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
