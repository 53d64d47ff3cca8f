"""What the transport makes of Canvas's answers, good and bad."""

from __future__ import annotations

import time
from typing import Any

import pytest

from functions.shared.canvas.errors import (
    CanvasBadAnswer,
    CanvasUnavailable,
    CourseForbidden,
    CourseGone,
    PaginationRefused,
)
from functions.shared.canvas.throttle import MAX_REFUSED_SECONDS
from functions.shared.canvas.transport import (
    PERSON_SECONDS,
    CanvasRefused,
    Counters,
    InsufficientScopes,
    Page,
    TokenRejected,
    Transport,
    pages,
    parse_links,
    throttle_delay,
)
from functions.shared.http import Answer, DeadlineExceeded, Http
from tests.standins.canvas import CanvasStandIn
from tests.support.clocks import HeldClock

COURSES = "/api/v1/courses"


def every(transport: Transport, token: str, path: str = COURSES, per_page: str = "2") -> list[int]:
    """Ids of all rows of a list, in order."""
    first = transport.first(path, {"per_page": per_page})
    return [row["id"] for page in pages(first, lambda url: transport.page(url, token)) for row in page.rows]


@pytest.mark.parametrize("paging", ["bookmark", "numbered"])
def test_a_list_is_read_to_its_end(canvas: CanvasStandIn, transport: Transport, token: str, paging: str) -> None:
    canvas.world.switches.paging = paging
    expected = [course.id for course in canvas.world.courses_of(101)]
    assert len(expected) > 3
    assert every(transport, token) == expected
    assert max(expected) > 2**53, "an id beyond what JavaScript can hold is among them"
    assert transport.counters.requests == -(-len(expected) // 2)


def test_a_short_fault_is_retried(canvas: CanvasStandIn, transport: Transport, token: str) -> None:
    for kind in ("status", "html", "truncated", "drop", "not_list"):
        canvas.world.faults.clear()
        canvas.world.add_fault(kind=kind, path="/courses", times=2)
        assert len(every(transport, token, per_page="100")) == len(canvas.world.courses_of(101)), kind


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 500}, CanvasUnavailable),
        ({"kind": "status", "status": 503, "body": "html"}, CanvasUnavailable),
        ({"kind": "status", "status": 408, "body": "empty"}, CanvasUnavailable),
        ({"kind": "drop"}, CanvasUnavailable),
        ({"kind": "html"}, CanvasBadAnswer),
        ({"kind": "truncated"}, CanvasBadAnswer),
        ({"kind": "not_list"}, CanvasBadAnswer),
        ({"kind": "redirect"}, CanvasBadAnswer),
        ({"kind": "status", "status": 418}, CanvasBadAnswer),
    ],
)
def test_a_lasting_fault_is_given_up_after_the_set_time(
    canvas: CanvasStandIn,
    transport: Transport,
    token: str,
    clock: HeldClock,
    fault: dict[str, Any],
    error: type[Exception],
) -> None:
    canvas.world.add_fault(path="/courses", **fault)
    with pytest.raises(error) as caught:
        every(transport, token)
    assert type(caught.value) is error
    assert 5 < sum(clock.slept) <= 10
    assert 4 < transport.counters.requests < 40


def test_a_canvas_that_is_wholly_down_costs_the_give_up_time_a_few_times_only(
    canvas: CanvasStandIn, transport: Transport, token: str, clock: HeldClock
) -> None:
    canvas.world.add_fault(kind="status", path="/courses", status=503)
    for _ in range(40):
        with pytest.raises(CanvasUnavailable):
            every(transport, token)
    assert sum(clock.slept) < 80


def test_nobody_listening_is_unavailable(http: Http, clock: HeldClock) -> None:
    with CanvasStandIn() as gone:
        pass
    transport = Transport(http, gone.url, 10.0, sleep=clock.sleep, clock=clock.monotonic)
    with pytest.raises(CanvasUnavailable):
        every(transport, "any")


@pytest.mark.parametrize("status", [403, 429])
def test_throttle_refusals_are_waited_out(
    canvas: CanvasStandIn, transport: Transport, token: str, clock: HeldClock, status: int
) -> None:
    canvas.world.switches.throttle_status = status
    canvas.world.add_fault(kind="throttle", path="/courses", times=9)
    assert every(transport, token, per_page="100")
    assert transport.counters.throttled == 9
    assert len(clock.slept) == 9
    assert all(0.5 <= pause <= 5 for pause in clock.slept)
    assert sum(clock.slept) > 30, "waited for at least half a minute in all before any giving up"


def test_throttling_without_end_is_given_up(
    canvas: CanvasStandIn, transport: Transport, token: str, clock: HeldClock
) -> None:
    canvas.world.add_fault(kind="throttle", path="/courses")
    with pytest.raises(CanvasUnavailable):
        every(transport, token)
    assert MAX_REFUSED_SECONDS <= sum(clock.slept) <= MAX_REFUSED_SECONDS + 5


def test_a_full_bucket_refuses_and_leaks(canvas: CanvasStandIn, http: Http, token: str) -> None:
    switches = canvas.world.switches
    switches.high_water, switches.cost, switches.outflow = 120.0, 90.0, 200.0
    real = Transport(http, canvas.url)
    for _ in range(4):
        real.get("/api/v1/courses/1001", token)
    assert real.counters.throttled > 0
    assert any(entry.get("throttled") for entry in canvas.world.requests("/courses"))


@pytest.mark.parametrize("kind", ["link_loop", "link_foreign", "link_http", "link_endless"])
def test_pages_that_lead_astray_are_refused(canvas: CanvasStandIn, transport: Transport, token: str, kind: str) -> None:
    canvas.world.add_fault(kind=kind, path="/courses")
    with pytest.raises(PaginationRefused):
        every(transport, token)
    assert len(canvas.world.requests("/courses")) <= 4, "stopped soon"


def test_empty_pages_in_a_circle_are_noticed_at_once() -> None:
    fetched: list[str] = []

    def fetch(url: str) -> Page:
        fetched.append(url)
        return Page([], "b" if url == "a" else "a")

    with pytest.raises(PaginationRefused):
        list(pages("a", fetch))
    assert fetched == ["a", "b"]


@pytest.mark.parametrize(
    "target",
    [
        "https://{host}/api/v1/courses",
        "http://user@{host}/api/v1/courses",
        "http://{host}/login",
        "http://127.0.0.1:1/",
    ],
)
def test_the_bearer_stays_at_home(transport: Transport, target: str) -> None:
    host = transport.base_url.removeprefix("http://")
    with pytest.raises(PaginationRefused):
        transport._safe_next(f"{transport.base_url}/api/v1/courses", target.format(host=host))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            '<https://a/1>; rel="current",<https://a/2?x=1,2>; rel="next",<https://a/1>; rel="first"',
            "https://a/2?x=1,2",
        ),
        ("<https://a/2>; rel=next", "https://a/2"),
        ('<https://a/2>; Rel="NEXT"', "https://a/2"),
        ('<https://a/2> ;\trel = "next"', "https://a/2"),
        ('<https://a/2>; rel="last next"', "https://a/2"),
        ('<https://a/2>; title="page 2; rel=prev"; rel=next', "https://a/2"),
        ('<https://a/1>; rel="prev"; rel="next", <https://a/2>; rel=next', "https://a/2"),
        ('<https://a/2>; anchor="#x"; rel=next, <https://a/3>; rel=next', "https://a/2"),
        ('<https://a/9>; rel="nextish"', None),
        ('<https://a/1>; rel="first"', None),
        ("", None),
        ("garbage", None),
    ],
)
def test_next_is_found_in_the_link_header(header: str, expected: str | None) -> None:
    assert parse_links(header).get("next") == expected


def test_a_hostile_link_header_takes_no_time() -> None:
    for header in ("<" * 60_000, "<a>" + "; " * 30_000, "<a>" + ";a=" * 20_000, '<a>; rel="' + "next " * 12_000 + '"'):
        began = time.monotonic()
        parse_links(header)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("rows", [4, 5])
def test_a_full_page_without_links_is_followed_by_its_number(
    canvas: CanvasStandIn, transport: Transport, token: str, rows: int
) -> None:
    canvas.world.switches.paging = "numbered"
    expected = [row.id for row in canvas.world.assignments_of(1001, 101)]
    canvas.world.add_fault(kind="link_lost", path="/1001/assignments")
    size = next(n for n in range(3, len(expected)) if (len(expected) % n == 0) == (rows == 4))
    assert every(transport, token, f"{COURSES}/1001/assignments", str(size)) == expected


def test_a_full_page_whose_end_cannot_be_told_is_refused(
    canvas: CanvasStandIn, transport: Transport, token: str
) -> None:
    canvas.world.add_fault(kind="link_lost", path="/1001/assignments")
    with pytest.raises(PaginationRefused):
        every(transport, token, f"{COURSES}/1001/assignments", "3")


def test_a_list_that_begins_again_under_the_guessed_number_is_refused() -> None:
    """Some lists ignore the number of the page, so their beginning comes again, and what follows it never."""
    fetched: list[str] = []

    def fetch(url: str) -> Page:
        fetched.append(url)
        return Page([{"id": 1}, {"id": 2}], "page=2" if url == "page=1" else "page=3", is_cut=True)

    with pytest.raises(PaginationRefused):
        list(pages("page=1", fetch))
    assert fetched == ["page=1", "page=2"]


def test_a_short_page_without_links_is_the_last_one(canvas: CanvasStandIn, transport: Transport, token: str) -> None:
    canvas.world.add_fault(kind="link_lost", path="/courses")
    assert len(every(transport, token, per_page="100")) == len(canvas.world.courses_of(101))
    assert len(canvas.world.requests("/courses")) == 1


class Stalling(Http):
    """Every call says nothing for as long as it is allowed to."""

    def __init__(self, clock: HeldClock) -> None:
        super().__init__(local=True)
        self.clock = clock
        self.calls = 0

    def request(self, *_: Any, total_seconds: float = 30.0, read_seconds: float = 20.0, **__: Any) -> Answer:
        self.calls += 1
        self.clock.sleep(min(total_seconds, read_seconds))
        raise DeadlineExceeded("ReadTimeout")


def test_a_listing_that_stalls_is_given_up_after_the_set_time(clock: HeldClock) -> None:
    began = clock.seconds
    stalled = Transport(Stalling(clock), "http://127.0.0.1:9", 10.0, Counters(), clock.sleep, clock.monotonic)
    with pytest.raises(CanvasUnavailable):
        stalled.get(COURSES, "x")
    assert clock.seconds - began <= 10.5


def test_who_waits_for_canvas_is_answered_in_time(
    canvas: CanvasStandIn, http: Http, clock: HeldClock, token: str
) -> None:
    def hasty(client: Http) -> Transport:
        return Transport(client, canvas.url, 10.0, Counters(), clock.sleep, clock.monotonic, PERSON_SECONDS)

    canvas.world.add_fault(kind="throttle", path="/courses")
    for fault in ("throttle", "status"):
        canvas.world.faults.clear()
        canvas.world.journal.clear()
        canvas.world.add_fault(kind=fault, path="/courses", status=500)
        with pytest.raises(CanvasUnavailable) as caught:
            hasty(http).get(COURSES + "/1001", token)
        assert caught.value.retry_after is not None, "the caller is told when to come back"
        assert clock.slept == [], "no thread sleeps"
        assert len(canvas.world.requests("/courses")) == 1
    stalling = Stalling(clock)
    transport, began = hasty(stalling), clock.seconds
    for _ in range(5):
        with pytest.raises(CanvasUnavailable):
            transport.get(COURSES, "x")
    assert clock.seconds - began <= PERSON_SECONDS


def test_each_refusal_has_its_own_meaning(canvas: CanvasStandIn, transport: Transport, token: str) -> None:
    world = canvas.world
    with pytest.raises(CourseGone):
        transport.get("/api/v1/courses/999999", token)
    with pytest.raises(TokenRejected):
        transport.get("/api/v1/courses/1001", "dead")
    with pytest.raises(InsufficientScopes):
        transport.get("/api/v1/users/self", token)
    world.change_course(1001, hidden_assignments_for={101})
    for status in (401, 403):
        world.switches.forbidden_status = status
        with pytest.raises(CourseForbidden) as caught:
            transport.get("/api/v1/courses/1001/assignments", token)
        assert type(caught.value) is CourseForbidden
    world.change_course(1001, hidden_assignments_for=set())
    with pytest.raises(CanvasRefused) as refused:
        transport.get("/api/v1/courses/1001/assignments", token, {"assignment_ids[]": ["7"]})
    assert refused.value.answer == {"message": "Invalid assignment_ids: 7"}
    assert transport.counters.requests == 6, "none of these is tried again"


def test_every_request_names_itself_and_carries_no_foreign_session(
    canvas: CanvasStandIn, transport: Transport, token: str
) -> None:
    other = canvas.world.new_grant(102, ["url:GET|/api/v1/courses"]).access_token
    every(transport, token, per_page="100")
    every(transport, other, per_page="100")
    journal = canvas.world.requests("/courses")
    assert [entry["person_id"] for entry in journal] == [101, 102]
    assert not any(entry["has_cookie"] for entry in journal)
    assert all(entry["status"] == 200 for entry in journal), "without a User-Agent it would be 403"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-rate-limit-remaining": "180"}, 2.0),
        ({"x-rate-limit-remaining": "0"}, 5.0),
        ({"x-rate-limit-remaining": "900"}, 1.0),
        ({"x-rate-limit-remaining": "?"}, 1.0),
        ({}, 1.0),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "600"}, 5.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1.0),
        ({"retry-after": "soon"}, 5.0),
    ],
)
def test_the_pause_after_a_throttle_refusal_is_one_to_five_seconds(headers: dict[str, str], expected: float) -> None:
    import httpx

    assert throttle_delay(Answer(429, httpx.Headers(headers), b"", "")) == pytest.approx(expected)
