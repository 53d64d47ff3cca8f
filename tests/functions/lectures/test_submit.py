"""Submitting, following, trying again, and the addresses of files."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.standins.panopto import OPEN_SESSION, Session
from tests.support.canvas import Student, student
from tests.support.lectures import Hall, session_id


def test_all_links_of_a_recording_are_one_lecture(hall: Hall, stranger: Student) -> None:
    first = hall.post(title="Hash tables")
    assert first.status_code == 202
    lecture = first.json()["lecture_id"]
    assert first.json() == {"lecture_id": lecture, "status": "pending", "created": True}
    for url in (
        f"{hall.panopto.url}/Panopto/Pages/Embed.aspx?id={OPEN_SESSION.upper()}",
        f"{hall.panopto.url}/Panopto/Podcast/Download/{OPEN_SESSION}.mp4?mediaTargetType=videoPodcast",
    ):
        again = hall.post(url, stranger, title="Another title")
        assert again.json() == {"lecture_id": lecture, "status": "pending", "created": False}
    assert [kind for kind, _ in hall.live_jobs(lecture)] == ["lecture_download"]
    for person in (hall.person, stranger):
        row = hall.row(lecture, person)
        assert (row["title"], row["panopto_url"]) == ("Hash tables", hall.panopto.viewer())


def test_a_recording_without_a_course_is_not_taken(hall: Hall) -> None:
    refused = hall.person.functions.post(
        "/lectures", json={"catalog_course_id": str(uuid.uuid4()), "panopto_url": hall.panopto.viewer()}
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "catalog_course_not_found")
    assert hall.sql("select count(*) from public.lectures") == [(0,)]


def test_bad_bodies_change_nothing(hall: Hall) -> None:
    good = {"catalog_course_id": hall.course_id, "panopto_url": hall.panopto.viewer()}
    for body in (
        {},
        {**good, "panopto_url": ""},
        {**good, "panopto_url": 7},
        {**good, "panopto_url": "x" * 2001},
        {**good, "catalog_course_id": "MATH 101"},
        {**good, "title": " "},
        {**good, "title": "x" * 501},
        {**good, "stream_url": "https://evil.test/x.mp4"},
    ):
        answer = hall.person.functions.post("/lectures", json=body)
        assert answer.status_code == 422, body
    assert hall.person.functions.post("/lectures", json=good, headers={"Authorization": ""}).status_code == 401
    assert hall.sql("select count(*) from public.lectures") == [(0,)]


def test_a_repeat_with_the_same_key_gets_the_first_answer(hall: Hall) -> None:
    body = {"catalog_course_id": hall.course_id, "panopto_url": hall.panopto.viewer()}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    answers = [hall.person.functions.post("/lectures", json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_fifty_people_submit_one_lecture_at_once(hall: Hall) -> None:
    with ExitStack() as stack:
        people = [stack.enter_context(student(hall.stack)) for _ in range(50)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda person: hall.post(None, person), people))
        assert {answer.status_code for answer in answers} == {202}
        (lecture,) = {answer.json()["lecture_id"] for answer in answers}
        assert sum(answer.json()["created"] for answer in answers) == 1
        assert hall.sql("select count(*) from public.user_lectures where lecture_id = %s", lecture) == [(50,)]
        assert [kind for kind, _ in hall.live_jobs(lecture)] == ["lecture_download"]
        while hall.live_jobs(lecture):
            hall.step(lecture)
        downloads = [asked for asked in hall.panopto.requests if asked.sent]
        assert len(downloads) == 1
        ready = (
            "select count(*) from public.notifications where type = 'lecture_ready' and payload ->> 'lecture_id' = %s"
        )
        assert hall.sql(ready, lecture) == [(50,)]
        (first,) = hall.sql(
            "select user_id::text from public.user_lectures where lecture_id = %s order by created_at, user_id limit 1",
            lecture,
        )
        used = "select user_id::text, used from private.usage_counters where user_id = any (%s::uuid[])"
        assert hall.sql(used, [person.user_id for person in people]) == [(*first, 1)]


def test_a_stored_lecture_is_only_linked(hall: Hall, stranger: Student) -> None:
    lecture = hall.submit()
    hall.finish(lecture)
    assert hall.post(None, stranger).json() == {"lecture_id": lecture, "status": "completed", "created": False}
    assert hall.live_jobs(lecture) == []
    assert all(hall.media(lecture, stranger).values())
    assert hall.notifications(stranger) == [], "it was ready before"


def test_a_failed_lecture_is_tried_again_on_demand(hall: Hall, stranger: Student) -> None:
    gone = Session(session_id(), access="gone")
    lecture = hall.submit(hall.panopto.add(gone))
    assert hall.person.functions.post(f"/lectures/{lecture}/retry").json()["code"] == "lecture_not_failed"
    assert hall.finish(lecture)["status"] == "failed"
    assert stranger.functions.post(f"/lectures/{lecture}/retry").status_code == 404
    gone.access = "open"
    answer = hall.person.functions.post(f"/lectures/{lecture}/retry")
    assert (answer.status_code, answer.json()) == (
        202,
        {"lecture_id": lecture, "status": "pending", "created": False},
    )
    assert hall.row(lecture)["error_message"] is None
    assert hall.person.functions.post(f"/lectures/{lecture}/retry").status_code == 409
    assert hall.finish(lecture)["status"] == "completed"
    assert hall.notifications() == ["lecture_failed", "lecture_ready"]


def test_files_are_for_those_who_follow_the_lecture(hall: Hall, stranger: Student) -> None:
    lecture = hall.submit()
    assert hall.media(lecture) | {"expires_at": None} == dict.fromkeys(
        ("audio_url", "transcript_url", "captions_url", "expires_at")
    )
    hall.step(lecture)
    media = hall.media(lecture)
    assert media["audio_url"]
    assert not media["transcript_url"]
    assert stranger.functions.get(f"/lectures/{lecture}/media").status_code == 404
    assert hall.person.functions.get(f"/lectures/{uuid.uuid4()}/media").status_code == 404
