"""A tutor's score moves the review of the item, also one that was withheld."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import psycopg

from functions.tutoring import jobs
from functions.tutoring.reviews import next_review
from scripts.native.stack import Stack
from tests.support.canvas import Runner, Student
from tests.support.people import act_as, persona, refused
from tests.support.rows import one
from tests.support.tutoring import assign, item, subject

Connection = psycopg.Connection[Any]


def test_the_review_follows_a_tutors_score(db: Connection, stack: Stack, person: Student) -> None:
    student, tutor, maths = uuid.UUID(person.user_id), persona(db, "tutor"), subject(db)
    assign(db, tutor, student, maths)
    thing = item(db, maths, answer_kind="exact")
    db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, 'two')", (thing,))
    db.commit()
    given = person.functions.post("/tutoring/practice/next", json={"subject_id": str(maths)}).json()["assignments"][0][
        "id"
    ]
    headers = {"Idempotency-Key": f"key-{given}"}
    person.functions.post(
        f"/tutoring/practice/{given}/answers", json={"answer": "2"}, headers=headers
    ).raise_for_status()
    before = person.rows("practice_reviews")[0]

    def graded(score: float) -> str:
        with act_as(db, tutor):
            db.execute("select public.grade_practice(%s, %s)", (given, score))
        key = f"review:{given}"
        job_id = one(db, "select id::text from public.jobs where dedupe_key = %s and status = 'queued'", (key,))
        db.commit()
        return str(job_id)

    runner = Runner(stack.service_environment(), jobs)
    try:
        job = runner.claim(graded(1))
        assert [runner.handle(job) for _ in range(2)] == [{"status": "replayed"}] * 2
        after, answered = person.rows("practice_reviews")[0], person.rows("practice_attempts", corrects_id="is.null")[0]
        answered_at = datetime.fromisoformat(answered["answered_at"])
        wanted = next_review(None, is_pass=True, at=answered_at)
        for name in ("stability", "difficulty", "state"):
            assert after[name] == wanted[name]
        assert datetime.fromisoformat(after["due_at"]) == datetime.fromisoformat(wanted["due_at"])
        assert (after["due_at"] > before["due_at"], after["reps"], after["lapses"]) == (True, 1, 0)

        # what was computed from an older log is not stored, and the next correction is followed, too
        refused(db, "PT409", "select public.svc_replace_review(%s, %s, 1, '{}', 1, 0)", (student, thing))
        assert runner.handle(runner.claim(graded(0))) == {"status": "replayed"}
        again = person.rows("practice_reviews")[0]
        assert again["stability"] == before["stability"]
    finally:
        runner.close()
