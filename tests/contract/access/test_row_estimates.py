"""No estimate of a row count reaches a client: it comes from statistics over everybody's rows."""

from __future__ import annotations

import httpx
import pytest

from scripts.native import access
from tests.contract.access.conftest import MATRIX, RestSchool

PEOPLE = [person.name for person in MATRIX.people if person.name != access.SERVICE]
SPELLINGS = (
    "count=planned",
    "count=estimated",
    "return=minimal,count=planned",
    "handling=lenient, count=planned, count=exact",
    "count=exact, count=planned",
    "timezone=UTC,\tcount=estimated",
    # PostgREST ignores these today
    "Count=Planned",
    'count = "estimated"',
)


def total(response: httpx.Response) -> str:
    """The number of rows an answer tells, ``*`` when it tells none."""
    return str(response.headers.get("Content-Range", "/*")).rpartition("/")[2]


def assert_refused(response: httpx.Response, person: str) -> None:
    """The one error, and no number."""
    assert response.status_code == (401 if person == "anon" else 403), response.text
    assert total(response) == "*"
    if response.content:
        body = response.json()
        assert (body["code"], body["details"]) == ("42501", None)
        assert body["message"].startswith("estimated row counts are refused")
        assert "count=exact" in body["hint"]


@pytest.mark.parametrize("person", PEOPLE)
def test_reads_are_refused(rest_school: RestSchool, person: str) -> None:
    def ask(cell: tuple[str, str, str]) -> None:
        name, method, prefer = cell
        assert_refused(rest_school.request(person, method, name, headers={"Prefer": prefer}), person)

    cells = [(name, method, SPELLINGS[0]) for name in MATRIX.relations for method in ("GET", "HEAD")]
    cells += [("notifications", method, prefer) for prefer in SPELLINGS for method in ("GET", "HEAD")]
    cells += [("rpc/ensure_profile", "HEAD", SPELLINGS[0])]
    rest_school.all_at_once(ask, cells)


@pytest.mark.parametrize("person", PEOPLE)
def test_writes_and_calls_are_refused_and_change_nothing(rest_school: RestSchool, person: str) -> None:
    for method, path, body in (
        ("POST", "study_blocks", {"start_at": "2030-01-01T10:00:00Z", "end_at": "2030-01-01T11:00:00Z"}),
        ("PATCH", f"profiles?user_id=eq.{rest_school.people.get(person)}", {"display_name": "Changed"}),
        ("DELETE", f"study_blocks?user_id=eq.{rest_school.people.get(person)}", None),
        ("POST", "rpc/touch_last_active", {}),
    ):
        for prefer in SPELLINGS[:2]:
            response = rest_school.request(person, method, path, json=body, headers={"Prefer": prefer})
            assert_refused(response, person)
    assert rest_school.changed() == []


@pytest.mark.parametrize("person", PEOPLE)
def test_several_lines_of_preferences_do_not_get_past(rest_school: RestSchool, person: str) -> None:
    """PostgREST obeys the first line that names a count, and shows the database only the last line."""
    url = f"/rest/v1/notifications?user_id=eq.{rest_school.people['other_student']}"
    keys = list(rest_school.headers[person].items())
    seen = len(rest_school.request(person, "GET", url.removeprefix("/rest/v1/")).json())
    for method in ("GET", "HEAD"):
        for lines in (
            ("count=planned", "return=minimal"),
            ("count=planned", "count=exact"),
            ("return=minimal", "count=planned", "handling=lenient"),
            ("return=minimal", "count=estimated"),
        ):
            headers = keys + [("Prefer", line) for line in lines]
            if person == "anon" and "estimated" not in lines[1]:
                # anon may not read the table at all, and is told so before anything is planned
                assert rest_school.http.request(method, url, headers=headers).status_code == 401
                continue
            assert_refused(rest_school.http.request(method, url, headers=headers), person)
        # an estimate of few rows is counted by PostgREST itself
        few = rest_school.http.request(
            method, url, headers=[*keys, ("Prefer", "count=estimated"), ("Prefer", "return=minimal")]
        )
        assert total(few) in ("*", str(seen))


def test_anon_is_refused_by_the_lock_where_it_may_read(rest_school: RestSchool) -> None:
    headers = [*rest_school.headers["anon"].items(), ("Prefer", "count=planned"), ("Prefer", "return=minimal")]
    assert_refused(rest_school.http.get("/rest/v1/plans", headers=headers), "anon")


def test_exact_counts_and_the_service_stay(rest_school: RestSchool) -> None:
    mine = rest_school.request("student", "HEAD", "notifications", headers={"Prefer": "count=exact"})
    assert total(mine) == str(len(rest_school.request("student", "GET", "notifications").json()))
    for count in ("planned", "estimated", "exact"):
        answer = rest_school.request("service", "HEAD", "notifications", headers={"Prefer": f"count={count}"})
        assert answer.is_success
        assert total(answer).isdigit()


@pytest.mark.parametrize("person", ["anon", "student", "admin"])
def test_plans_are_not_shown(rest_school: RestSchool, person: str) -> None:
    for kind in ("text", "json"):
        accept = {"Accept": f"application/vnd.pgrst.plan+{kind}; options=analyze|verbose"}
        response = rest_school.request(person, "GET", "plans", headers=accept)
        assert (response.status_code, response.json()["code"]) in ((406, "PGRST107"), (415, "PGRST107"))
