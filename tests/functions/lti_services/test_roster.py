"""Rosters: every page is read, an interrupted run goes on, and who left has no rights any more."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from functions.lti.names_and_roles import members
from functions.lti.platform_tokens import next_page
from functions.shared.http import Answer
from functions.shared.jobs import JobFailure
from tests.functions.lti_services.conftest import Course, SignedIn
from tests.standins.lti import Person
from tests.standins.lti.platform import NAMES_AND_ROLES
from tests.support.canvas import Runner

Connection = psycopg.Connection[Any]
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
STAFF = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Faculty"


def listed(sub: str, role: str, **more: Any) -> dict[str, Any]:
    return {"user_id": sub, "roles": [MEMBERSHIP + role, STAFF], "name": "Somebody", **more}


def start(teacher: SignedIn) -> str:
    answer = teacher.functions.post(f"/lti/launches/{teacher.launch_id}/roster")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def kept(db: Connection, course: Course) -> dict[str, tuple[list[str], bool]]:
    """From account to the roles and whether the person left."""
    rows = db.execute(
        "select user_id::text, roles, coalesce(left_at >= seen_at, false) from private.lti_memberships"
        " where context_id = %s",
        (course.context_id,),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def test_the_entire_list_is_read_and_who_left_is_marked(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, old = course.come_in("Instructor"), course.come_in("Instructor")
    pupil, gone = course.come_in("Learner"), course.come_in("Learner")
    strangers = [listed(str(uuid.uuid4()), "Learner") for _ in range(3)]  # they have no account here
    course.services.members[course.context_id] = [
        *strangers,
        listed(teacher.sub, "Instructor"),
        listed(pupil.sub, "Instructor"),  # became a teacher in Canvas
        listed(old.sub, "Instructor", status="Inactive"),
    ]
    course.services.calls.clear()
    ended = lti_runner.run(start(teacher))
    assert ended.result == {"members": 6, "known": 3, "left": 1}
    assert len([call for call in course.services.calls if call.startswith("GET")]) == 3
    assert kept(db, course) == {
        teacher.user_id: ([f"{MEMBERSHIP}Instructor"], False),
        pupil.user_id: ([f"{MEMBERSHIP}Instructor"], False),
        old.user_id: ([f"{MEMBERSHIP}Instructor"], True),
        gone.user_id: ([f"{MEMBERSHIP}Learner"], True),
    }
    # rights look at the rows of now: who left may not start anything, who became a teacher may
    assert old.functions.post(f"/lti/launches/{old.launch_id}/roster").status_code == 403
    assert start(pupil)
    # a launch is newer than the list
    again = course.come_in("Learner", Person(sub=gone.sub))
    assert again.user_id == gone.user_id
    assert kept(db, course)[gone.user_id] == ([f"{MEMBERSHIP}Learner"], False)
    assert lti_runner.run(start(teacher)).result == {"members": 6, "known": 3, "left": 1}
    assert kept(db, course)[gone.user_id][1]


def test_an_interrupted_run_goes_on_where_it_stopped(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, pupil = course.come_in("Instructor"), course.come_in("Learner")
    people = [listed(str(uuid.uuid4()), "Learner") for _ in range(4)]
    course.services.members[course.context_id] = [
        listed(pupil.sub, "Learner"), *people, listed(teacher.sub, "Instructor"),
    ]  # fmt: skip
    job = lti_runner.claim(start(teacher))
    seen = 0

    def stop_after_a_page(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            course.services.fail(503)

    with pytest.raises(JobFailure) as failed:
        lti_runner.handle(job, on_progress=stop_after_a_page)
    assert failed.value.code == "lti_platform_unavailable"
    assert not any(left for _, left in kept(db, course).values()), "nobody is gone before the list has ended"
    course.services.calls.clear()
    job = replace(job, lease_token=str(uuid.uuid4()))
    assert lti_runner.handle(job) == {"members": 6, "known": 1, "left": 0}
    assert len(course.services.calls) == 2, "the first page is not read again"
    # the platform does not keep the page any more: the list is read from its start
    job = replace(job, job_id=str(uuid.uuid4()), lease_token=str(uuid.uuid4()))
    seen = 0
    with pytest.raises(JobFailure):
        lti_runner.handle(job, on_progress=stop_after_a_page)
    course.services.fail(404)
    job = replace(job, lease_token=str(uuid.uuid4()))
    assert lti_runner.handle(job) == {"members": 6, "known": 2, "left": 0}


def test_a_list_that_cannot_be_trusted_changes_nobody(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, pupil = course.come_in("Instructor"), course.come_in("Learner")
    before = kept(db, course)
    job = lti_runner.claim(start(teacher))
    base = course.platform.base_url

    def refused(code: str) -> None:
        with pytest.raises(JobFailure) as bad:
            lti_runner.handle(replace(job, job_id=str(uuid.uuid4()), lease_token=str(uuid.uuid4())))
        assert bad.value.code == code
        assert kept(db, course) == before

    course.services.members[course.context_id] = []
    refused("lti_bad_answer")  # nobody at all
    full = [listed(pupil.sub, "Learner") for _ in range(5)]
    course.services.members[course.context_id] = full
    course.services.next_url = "http://127.0.0.1:1/memberships"
    refused("lti_bad_answer")  # the next page is at a foreign host
    course.services.next_url = f"{base}/courses/{course.context_id}/memberships?Page=2"
    refused("lti_bad_answer")  # a list without an end
    course.services.next_url = None
    course.services.members[course.context_id] = [*full, {"roles": []}]
    refused("lti_bad_answer")
    course.services.members[course.context_id] = full
    course.services.fail(403)
    refused("lti_service_refused")
    db.execute(
        "update private.lti_rosters set holder = gen_random_uuid(), held_until = now() + interval '1 minute'"
        " where context_id = %s", (course.context_id,),
    )  # fmt: skip
    refused("lti_roster_busy")
    db.execute("update private.lti_rosters set held_until = now() where context_id = %s", (course.context_id,))
    # who started it must teach the course when it runs
    db.execute("update private.lti_memberships set roles = '{}' where user_id = %s", (teacher.user_id,))
    before = kept(db, course)
    refused("forbidden")


def test_only_a_teacher_of_the_course_starts_it(course: Course) -> None:
    teacher, pupil = course.come_in("Instructor"), course.come_in("Learner")
    assert pupil.functions.post(f"/lti/launches/{pupil.launch_id}/roster").json()["code"] == "forbidden"
    assert pupil.functions.post(f"/lti/launches/{teacher.launch_id}/roster").json()["code"] == "not_found"
    assert start(teacher) == start(teacher), "one at a time"
    plain = course.come_in("Instructor", extra={NAMES_AND_ROLES: {}})
    answer = plain.functions.post(f"/lti/launches/{plain.launch_id}/roster")
    assert (answer.status_code, answer.json()["code"]) == (409, "lti_service_not_offered")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        (['<https://c.test/A?p=B%3d>; rel="next"'], "https://c.test/A?p=B%3d"),
        (["<https://c.test/1>; rel=prev, <https://c.test/2>; rel=next"], "https://c.test/2"),
        (['<https://c.test/1>; rel="first"', '<https://c.test/2>; title="a, b"; rel="last next"'], "https://c.test/2"),
        (["</m?page=2>; rel=NEXT"], "https://c.test/m?page=2"),
        (['<https://c.test/1>; rel="nextish"', "nonsense; rel=next"], None),
    ],
)
def test_the_next_page_is_read_byte_for_byte(headers: list[str], found: str | None) -> None:
    answer = Answer(200, httpx.Headers([("Link", value) for value in headers]), b"", "https://c.test/m")
    assert next_page(answer) == found


def test_members_that_cannot_be_read_are_refused() -> None:
    role = f"{MEMBERSHIP}Learner"
    good = {"user_id": "a", "roles": [role, STAFF, 7, f"{MEMBERSHIP}x\0"]}
    assert members({"members": [good]}) == [{"sub": "a", "roles": [role], "is_gone": False}]
    assert members({"members": [{**good, "status": ["Active"]}]})[0]["is_gone"]
    pages: list[Any] = [None, [], {}, {"members": {}}, {"members": [None]}]
    for bad in (*pages, *({"members": [{**good, "user_id": sub}]} for sub in ("a\0", "a" * 256, "", 7))):
        with pytest.raises(JobFailure):
            members(bad)
