"""Scores reach the gradebook once, in order, the newest last, and none gets lost while the platform is down."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from functions.lti import platform_tokens
from functions.lti.grades import score_body, scores_url
from functions.shared.jobs import Job, JobFailure
from scripts.native.paths import REPO
from tests.functions.lti_services.conftest import Course, SignedIn, new_platform
from tests.standins.lti.platform import GRADES
from tests.standins.lti.services import AGS
from tests.support.canvas import Runner

Connection = psycopg.Connection[Any]
ESSAY = {"resource_id": "essay-1", "label": "Essay 1"}


def send(teacher: SignedIn, user_id: str, points: float = 8, **more: Any) -> httpx.Response:
    body = {
        "user_id": user_id,
        "score_given": points,
        "score_maximum": 10,
        "activity_progress": "Completed",
        "grading_progress": "FullyGraded",
        "line_item": ESSAY,
        **more,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return teacher.functions.post(f"/lti/launches/{teacher.launch_id}/scores", json=body)


def queued(teacher: SignedIn, user_id: str, points: float = 8, **more: Any) -> str:
    answer = send(teacher, user_id, points, **more)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def again(job: Job) -> Job:
    """A further attempt of a job, as the queue makes it."""
    return replace(job, lease_token=str(uuid.uuid4()))


def statuses(db: Connection, user_id: str) -> list[str]:
    rows = db.execute("select status from private.lti_scores where user_id = %s order by id", (user_id,))
    return [row[0] for row in rows]


def given(course: Course) -> list[tuple[str, float]]:
    return [(score["userId"], score["scoreGiven"]) for score in course.services.scores]


def test_scores_go_to_a_column_that_is_made_once(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, one, two = course.come_in("Instructor"), course.come_in("Learner"), course.come_in("Learner")
    first = queued(teacher, one.user_id, 7, comment="Well argued.")
    assert queued(teacher, two.user_id, 9) == first, "one waiting job for the column"
    assert queued(teacher, one.user_id, 8) == first
    ended = lti_runner.run(first)
    assert ended.result == {"sent": 2, "outdated": 0, "refused": 0, "refusals": []}
    # the newest score of each person, and only that
    assert given(course) == [(two.sub, 9), (one.sub, 8)]
    assert statuses(db, one.user_id) == ["superseded", "sent"]
    (item,) = course.services.line_items.values()
    wanted = {"label": "Essay 1", "resourceId": "essay-1", "scoreMaximum": 10, "tag": "headstart-score"}
    assert {name: value for name, value in item.items() if name != "id"} == wanted
    # the column is found by what the platform knows, when we have forgotten its address
    db.execute("update private.lti_line_items set url = null where context_id = %s", (course.context_id,))
    before = course.services.calls.count("POST token")
    assert lti_runner.run(queued(teacher, one.user_id, 10)).failure is None
    assert len(course.services.line_items) == 1
    assert given(course)[-1] == (one.sub, 10)
    assert course.services.calls.count("POST token") == before, "tokens are kept"
    # seen by the teacher, as their own job
    job = db.execute("select user_id::text, status::text from public.jobs where id = %s", (first,)).fetchone()
    assert job == (teacher.user_id, "succeeded")


def test_what_was_lost_is_sent_again_with_its_own_time(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, one = course.come_in("Instructor"), course.come_in("Learner")
    job = lti_runner.claim(queued(teacher, one.user_id, 6))
    course.services.fail(503, **{"Retry-After": "90"})
    with pytest.raises(JobFailure) as failed:
        lti_runner.handle(job)
    assert (failed.value.code, failed.value.retryable, failed.value.retry_after_s) == (
        "lti_platform_unavailable", True, 90,
    )  # fmt: skip
    assert lti_runner.handle(again(job)) == {"sent": 1, "outdated": 0, "refused": 0, "refusals": []}
    # the answer to a score is lost after the platform has taken it: the same time is sent, which it takes again
    course.services.after_write = True
    job = lti_runner.claim(queued(teacher, one.user_id, 7))
    course.services.fail(500)
    with pytest.raises(JobFailure):
        lti_runner.handle(job)
    assert statuses(db, one.user_id) == ["sent", "pending"]
    lti_runner.handle(again(job))
    first, second, third = course.services.scores
    assert second == third
    assert first["timestamp"] < second["timestamp"]
    # a grade that somebody gave at the platform meanwhile is newer, and stays
    job = lti_runner.claim(queued(teacher, one.user_id, 2))
    key = next(iter(course.services.results))
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    course.services.results[key] = {"timestamp": later, "scoreGiven": 9}
    assert lti_runner.handle(job) == {"sent": 0, "outdated": 1, "refused": 0, "refusals": []}
    assert course.services.results[key]["scoreGiven"] == 9
    assert statuses(db, one.user_id) == ["sent", "sent", "outdated"]


def test_timestamps_rise_even_when_the_clock_stands_still(course: Course, db: Connection) -> None:
    teacher, one = course.come_in("Instructor"), course.come_in("Learner")
    with db.transaction():
        for points in range(5):  # the clock of a transaction stands still
            db.execute(
                "select public.svc_queue_lti_score(%s, %s, %s, %s, p_url => 'https://p.test/1')",
                (
                    teacher.launch_id, teacher.user_id, one.user_id,
                    f'{{"score_given": {points}, "score_maximum": 10, "activity_progress": "Completed",'
                    ' "grading_progress": "FullyGraded"}',
                ),
            )  # fmt: skip
    rows = db.execute(
        "select to_jsonb(s) from private.lti_scores as s where user_id = %s order by id", (one.user_id,)
    ).fetchall()
    times = [score_body(row[0])["timestamp"] for row in rows]
    assert sorted(set(times)) == times, times
    assert [row[0]["status"] for row in rows] == ["superseded"] * 4 + ["pending"]


def test_one_refused_score_does_not_keep_the_others(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, one, two = course.come_in("Instructor"), course.come_in("Learner"), course.come_in("Learner")
    course.services.students.discard(one.sub)
    queued(teacher, one.user_id)
    ended = lti_runner.run(queued(teacher, two.user_id, 9))
    refusals = [{"user_id": one.user_id, "code": "lti_score_refused"}]
    assert ended.result == {"sent": 1, "outdated": 0, "refused": 1, "refusals": refusals}
    # when nothing was taken, the job says so itself
    ended = lti_runner.run(queued(teacher, one.user_id))
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("lti_score_refused", False)
    # somebody deletes the column: it is made anew for the next score
    course.services.line_items.clear()
    ended = lti_runner.run(queued(teacher, two.user_id, 4))
    assert ended.failure is not None
    assert ended.failure.code == "lti_line_item_missing"
    assert lti_runner.run(queued(teacher, two.user_id, 5)).failure is None
    assert given(course)[-1] == (two.sub, 5)
    assert statuses(db, two.user_id) == ["sent", "refused", "sent"]


def test_two_jobs_never_send_for_one_column_at_once(course: Course, lti_runner: Runner, db: Connection) -> None:
    teacher, other, one = course.come_in("Instructor"), course.come_in("Instructor"), course.come_in("Learner")
    job = lti_runner.claim(queued(teacher, one.user_id, 3))
    late = lti_runner.claim(queued(other, one.user_id, 4))
    assert late.job_id != job.job_id, "people see their own jobs alone"
    entered, go_on = threading.Event(), threading.Event()

    def checked() -> None:
        entered.set()
        assert go_on.wait(30)

    running = threading.Thread(target=lambda: lti_runner.handle(job, on_check=checked))
    running.start()
    assert entered.wait(30)
    with pytest.raises(JobFailure) as busy:
        lti_runner.handle(late)
    assert (busy.value.code, busy.value.retryable) == ("lti_scores_busy", True)
    assert busy.value.retry_after_s is not None
    go_on.set()
    running.join()
    assert given(course) == [(one.sub, 4)], "the newest alone, sent by whichever job was first"
    assert lti_runner.handle(again(late)) == {"sent": 0, "outdated": 0, "refused": 0, "refusals": []}
    # a holder that died keeps the column for a while only
    db.execute(
        "update private.lti_line_items set holder = gen_random_uuid(), held_until = now() where context_id = %s",
        (course.context_id,),
    )
    assert lti_runner.run(queued(teacher, one.user_id, 5)).failure is None


def test_a_token_is_renewed_once_and_belongs_to_one_registration(
    course: Course, lti_runner: Runner, stack: Any, lti: Any, school: str
) -> None:
    teacher, one = course.come_in("Instructor"), course.come_in("Learner")
    assert lti_runner.run(queued(teacher, one.user_id, 1)).failure is None
    course.services.tokens.clear()  # the platform forgets them
    assert lti_runner.run(queued(teacher, one.user_id, 2)).failure is None
    # another school with the same issuer and client id has other keys, and gets tokens of its own
    twin = new_platform(stack, lti, school, course.platform.issuer, course.platform.client_id)
    twin.deployments = {"twin:deployment": ""}
    twin.register(stack.rest_url, stack.service_token, school, "twin:deployment")
    twin.deployments.pop(f"{course.platform.client_id}:deployment", None)
    elsewhere = Course(stack, course.browser, twin)
    teacher_there, pupil = elsewhere.come_in("Instructor"), elsewhere.come_in("Learner")
    assert lti_runner.run(queued(teacher_there, pupil.user_id, 3)).failure is None
    # neither platform was ever shown a token of the other one
    assert twin.services.shown
    assert twin.services.shown <= set(twin.services.tokens)
    assert course.services.shown.isdisjoint(twin.services.tokens)
    assert given(elsewhere) == [(pupil.sub, 3)]
    # the scopes of a registration decide
    course.services.allowed = frozenset({f"{AGS}lineitem"})
    course.services.tokens.clear()
    job = lti_runner.claim(queued(teacher, one.user_id, 4))
    with pytest.raises(JobFailure) as refused:
        lti_runner.handle(job)
    assert (refused.value.code, refused.value.retryable) == ("lti_service_refused", False)
    for client in elsewhere.opened:
        client.close()


def test_only_a_teacher_of_the_course_sends_scores(
    course: Course, lti_runner: Runner, stack: Any, db: Connection
) -> None:
    teacher, one = course.come_in("Instructor"), course.come_in("Learner")
    stranger = Course(stack, course.browser, course.platform).come_in("Learner")
    cases: list[tuple[SignedIn, str, dict[str, Any], int, str]] = [
        (one, one.user_id, {}, 403, "forbidden"),
        (teacher, stranger.user_id, {}, 404, "not_found"),  # of another course
        (teacher, str(uuid.uuid4()), {}, 404, "not_found"),
        (replace(one, launch_id=teacher.launch_id), one.user_id, {}, 404, "not_found"),  # another person's launch
        (replace(teacher, launch_id=str(uuid.uuid4())), one.user_id, {}, 404, "not_found"),
        (teacher, one.user_id, {"line_item": None}, 409, "lti_line_item_missing"),
        (teacher, one.user_id, {"score_maximum": None}, 422, "validation_failed"),
        (teacher, one.user_id, {"score_given": -1}, 422, "validation_failed"),
        (teacher, one.user_id, {"score_maximum": 0}, 422, "validation_failed"),
        (teacher, one.user_id, {"grading_progress": "Graded"}, 422, "validation_failed"),
    ]
    for who, user_id, change, status, code in cases:
        answer = send(who, user_id, **change)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    # who was a teacher at the launch, and is none now
    roles = "update private.lti_memberships set roles = %s where user_id = %s"
    db.execute(roles, (["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"], teacher.user_id))
    assert send(teacher, one.user_id).status_code == 403
    db.execute(roles, (["Instructor"], teacher.user_id))
    # the platform did not offer it, or names a foreign host
    plain = course.come_in("Instructor", extra={GRADES: {"scope": [], "lineitems": "https://x.test/"}})
    assert send(plain, one.user_id).json()["code"] == "lti_service_not_offered"
    foreign = {"scope": [f"{AGS}score", f"{AGS}lineitem"], "lineitem": "http://127.0.0.1:1/line_items/1"}
    evil = course.come_in("Instructor", extra={GRADES: foreign})
    job = lti_runner.claim(queued(evil, one.user_id, line_item=None))
    with pytest.raises(JobFailure) as bad:
        lti_runner.handle(job)
    assert bad.value.code == "lti_bad_answer"
    assert course.services.calls == [], "no token is asked for a foreign host"
    # what is switched off since the launch
    deployment = next(iter(course.platform.deployments.values()))
    job = lti_runner.claim(queued(teacher, one.user_id))
    db.execute("select public.svc_set_lti_status('deployment', %s, 'disabled')", (deployment,))
    assert send(teacher, one.user_id).json()["code"] == "lti_deployment_disabled"
    with pytest.raises(JobFailure) as off:
        lti_runner.handle(job)
    assert off.value.code == "lti_deployment_disabled"


def test_a_score_goes_to_the_column_of_the_link(course: Course, lti_runner: Runner) -> None:
    url = course.services.add_line_item(
        f"{course.platform.base_url}/courses/{course.context_id}/line_items/7?Kind=Link"
    )
    offered = {"scope": [f"{AGS}score"], "lineitem": url}
    teacher, one = course.come_in("Instructor", extra={GRADES: offered}), course.come_in("Learner")
    only: dict[str, Any] = {"score_given": None, "score_maximum": None, "line_item": None}
    body = {**only, "activity_progress": "Started", "grading_progress": "NotReady"}
    assert lti_runner.run(queued(teacher, one.user_id, **body)).failure is None
    (score,) = course.services.scores
    assert score.keys() == {"userId", "timestamp", "activityProgress", "gradingProgress"}
    assert list(course.services.line_items) == [url]
    assert scores_url(url) == url.replace("?Kind", "/scores?Kind")


def test_the_codes_of_these_jobs_are_listed() -> None:
    text = (REPO / "docs/errors.md").read_text()
    codes = [
        f.code for f in (platform_tokens.unavailable(), platform_tokens.refused(""), platform_tokens.bad_answer(""))
    ]
    for code in (*codes, "lti_scores_busy", "lti_score_refused", "lti_score_outdated", "lti_line_item_missing"):
        assert f"`{code}`" in text
