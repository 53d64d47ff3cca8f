"""Practice over HTTP: a student's way through items of every kind, a tutor's correction, and refusals."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from functions.tutoring import jobs
from functions.tutoring.reading import UNSURE
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support.canvas import Runner, Student
from tests.support.people import act_as, persona, refused
from tests.support.rows import one
from tests.support.tutoring import assign, goal, item, subject

Connection = psycopg.Connection[Any]
MODEL = "standin-normal"


@dataclass
class Desk:
    """A student with a subject of their own."""

    db: Connection
    person: Student
    subject_id: uuid.UUID

    def item(self, answer: str, **columns: Any) -> uuid.UUID:
        """An item of the bank with its key."""
        made = item(self.db, self.subject_id, **columns)
        key = {"item_id": made, "answer_text": answer, "explanation": f"It is {answer}. Think of the unit."}
        self.db.execute(
            "insert into public.practice_bank_answers (item_id, answer_text, explanation)"
            " values (%(item_id)s, %(answer_text)s, %(explanation)s)",
            key,
        )
        self.db.commit()
        return made

    def next(self, **body: Any) -> Any:
        """The answer to a request for practice."""
        return self.person.functions.post("/tutoring/practice/next", json={"subject_id": str(self.subject_id), **body})

    def answer(self, assignment: str, body: Mapping[str, Any], key: str | None = None, wait: int = 0) -> Any:
        """The answer to an answer."""
        headers = {"Idempotency-Key": key or f"key-{assignment}"}
        return self.person.functions.post(
            f"/tutoring/practice/{assignment}/answers", json=body, headers=headers, params={"wait": wait}
        )


@pytest.fixture
def desk(db: Connection, person: Student) -> Desk:
    made = subject(db)
    db.commit()
    return Desk(db, person, made)


@contextmanager
def worker(stack: Stack, **changes: str) -> Iterator[Runner]:
    """Runs this service's jobs one at a time."""
    runner = Runner({**stack.service_environment(), **changes}, jobs)
    try:
        yield runner
    finally:
        runner.close()


def test_a_student_practises_and_a_tutor_corrects(desk: Desk) -> None:
    assert (desk.next().status_code, desk.next().json()["code"]) == (409, "no_items")
    keys = {
        str(desk.item("25 km", answer_kind="numeric", difficulty_level=4)): ("25000 m", 1),
        str(desk.item("B", answer_kind="choice", choices=["x", "y", "z"], difficulty_level=4)): ("y", 1),
        str(desk.item("photosynthesis", answer_kind="exact", difficulty_level=4)): ("Photo", 0),
    }
    wished = goal(desk.db, uuid.UUID(desk.person.user_id), target_kind="answers", target_count=4)
    desk.db.commit()
    given = desk.next(count=3, goal_id=str(wished)).json()
    assert len(given["assignments"]) == 3
    assert desk.next(count=3).json() == given, "open ones are given again"
    assert "answer_text" not in str(given)
    told = []
    for shown in given["assignments"]:
        row = desk.person.rows("practice_assignments", id=f"eq.{shown['id']}")[0]
        answer, score = keys[row["bank_item_id"]]
        found = desk.answer(shown["id"], {"answer": answer, "duration_ms": 4000})
        assert found.status_code == 200, found.text
        told.append(found.json())
        assert (told[-1]["score"], told[-1]["correct"], told[-1]["xp"]) == (score, score == 1, 10 if score else 2)
        assert desk.answer(shown["id"], {"answer": answer}, key="another key").json() == told[-1], "answered before"
    assert told[-1]["streak"] == {"length": 1, "state": "active", "freezes_left": 0}
    assert told[-1]["goal_progress"] == {"goal_id": str(wished), "completion_percentage": 75}
    assert told[0]["rating_after"] == told[1]["rating_before"]
    assert all(row["next_review_at"].endswith("Z") for row in told)
    assert len(desk.person.rows("practice_reviews")) == len(desk.person.rows("practice_attempts")) == 3
    stats = desk.person.rows("user_stats")[0]["gamification"]
    assert (stats["xp"], stats["level"], stats["streaks"]) == (22, 1, 1)

    # what is due comes back first, as a review
    desk.db.execute(
        "update public.practice_reviews set last_review_at = last_review_at - interval '9 days',"
        " due_at = now() - interval '1 minute' where student_id = %s",
        (desk.person.user_id,),
    )
    desk.item("5", answer_kind="numeric")
    again = desk.next(count=2).json()["assignments"]
    assert [row["is_review"] for row in again] == [True, False]
    review = desk.answer(again[0]["id"], {"answer": "no idea"}).json()
    assert (review["rating_before"], review["xp"]) == (review["rating_after"], 5)

    # a tutor's correction shows at the next look
    tutor = persona(desk.db, "tutor")
    assign(desk.db, tutor, uuid.UUID(desk.person.user_id), desk.subject_id)
    wrong = next(row for row in told if not row["correct"])
    with act_as(desk.db, tutor):
        desk.db.execute("select public.grade_practice(%s, 1, 'Short, but right.')", (wrong["assignment_id"],))
    desk.db.commit()
    seen = desk.answer(wrong["assignment_id"], {"answer": "Photo"}).json()
    assert (seen["score"], seen["graded_by"], seen["feedback"]) == (1, "tutor", "Short, but right.")
    assert desk.person.rows("user_stats")[0]["gamification"]["xp"] == 22 + 5 + 8


def test_refusals_move_nothing(desk: Desk, stranger: Student) -> None:
    desk.item("25 km", answer_kind="numeric")
    open_ = desk.next().json()["assignments"][0]["id"]
    bodies: list[dict[str, Any]] = [
        {}, {"answer": ""}, {"answer": " \u00a0"}, {"answer": "x" * 10_001}, {"answer": None}, {"answer": ["25"]},
        {"answer": "25", "score": 1}, {"answer": "25", "correct": True}, {"answer": "25", "rating": 3000},
        {"answer": "25", "duration_ms": -1}, {"answer": "25", "duration_ms": 1.5},
        {"answer": "25", "answered_at": "2001-01-01T00:00:00Z"}, {"answer": "25", "answered_at": "2031-01-01"},
        {"answer": "25\u0000"},
    ]  # fmt: skip
    for body in bodies:
        found = desk.answer(open_, body)
        assert found.status_code == 422, (body, found.text)
        assert set(found.json()) == {"code", "message", "details", "hint", "request_id"}
    raw = {"Idempotency-Key": "key-12345", "Content-Type": "application/json"}
    for text in ('{"answer": "25", "duration_ms": NaN}', '{"answer": "25", "duration_ms": 1e999}'):
        found = desk.person.functions.post(f"/tutoring/practice/{open_}/answers", content=text, headers=raw)
        assert found.status_code in (400, 422), found.text
    assert desk.answer(open_, {"answer": "25"}, key="short").status_code == 422
    mine = stranger.functions.post(
        f"/tutoring/practice/{open_}/answers", json={"answer": "25"}, headers={"Idempotency-Key": "key-12345"}
    )
    assert (mine.status_code, mine.json()["code"]) == (404, "not_found")
    assert stranger.functions.post(f"/tutoring/practice/{open_}/hint").status_code == 404
    assert desk.answer(str(uuid.uuid4()), {"answer": "25"}).status_code == 404
    assert desk.next(subject_id=str(uuid.uuid4())).json()["code"] == "subject_not_found"
    assert desk.next(count=11).status_code == desk.next(goal_id=str(uuid.uuid4())).status_code == 422
    assert desk.person.rows("practice_attempts") == desk.person.rows("student_ratings") == []

    assert desk.answer(open_, {"answer": "25"}, key="the one key").json()["score"] == 1
    desk.item("5", answer_kind="numeric")
    other = desk.next().json()["assignments"][0]["id"]
    found = desk.answer(other, {"answer": "5"}, key="the one key")
    assert (found.status_code, found.json()["code"]) == (422, "idempotency_mismatch")


def test_hints_are_counted_by_the_server(desk: Desk) -> None:
    desk.item("25 km", answer_kind="numeric", topic_tags=["motion"])
    open_ = desk.next().json()["assignments"][0]["id"]
    path = f"/tutoring/practice/{open_}/hint"
    shown = [desk.person.functions.post(path).json() for _ in range(4)]
    assert [(row["level"], row["left"]) for row in shown] == [(1, 2), (2, 1), (3, 0), (3, 0)]
    assert shown[2] == shown[3]
    assert not any("25" in row["hint"] for row in shown)
    told = desk.answer(open_, {"answer": "25"}).json()
    assert (told["score"], told["correct"]) == (0.5, True)
    assert desk.person.functions.post(path).json()["code"] == "practice_answered"


@pytest.mark.parametrize(("confidence", "score"), [(0.95, 0.5), (0.3, None)])
def test_words_are_read_by_a_model_and_doubt_is_left_to_the_tutor(
    desk: Desk, stack: Stack, model: ModelStandIn, confidence: float, score: float | None
) -> None:
    thing = desk.item("It cancels out of the equation of motion.")
    open_ = desk.next().json()["assignments"][0]["id"]
    first = desk.answer(open_, {"answer": "The mass cancels."})
    assert first.status_code == 202, first.text
    assert desk.answer(open_, {"answer": "The mass cancels."}).json() == first.json(), "the same job"
    mixed = desk.answer(open_, {"answer": "Something else."})
    assert (mixed.status_code, mixed.json()["code"]) == (422, "idempotency_mismatch")
    assert desk.next().json()["code"] == "no_items", "it waits for its grade"
    tutor = persona(desk.db, "tutor")
    assign(desk.db, tutor, uuid.UUID(desk.person.user_id))
    other = json.dumps({"bank_item_id": str(item(desk.db, desk.subject_id))})
    with act_as(desk.db, tutor):
        refused(
            desk.db, "23514", "select public.apply_override('practice', %s, 'another item', %s::jsonb)", (open_, other)
        )
    desk.db.rollback()
    points = [
        {"point": "It cancels", "is_made": True, "quote": "mass cancels"},
        {"point": "Of the equation", "is_made": False, "quote": ""},
    ]
    model.say("normal", text=json.dumps({"points": points, "confidence": confidence, "feedback": "Say where."}))
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test", "OPENAI_MODEL": MODEL}
    with worker(stack, **settings) as runner:
        job = runner.claim(first.json()["job_id"])
        assert runner.handle(job) == {"status": "graded" if score else "withheld"}
        assert runner.handle(job) == {"status": "nothing_to_do"}, "a second run"
    told = desk.answer(open_, {"answer": "The mass cancels."}).json()
    assert (told["score"], told["needs_review"], told["graded_by"]) == (score, score is None, "model")
    assert (told["answer_text"] is None) == (score is None)
    assert len(desk.person.rows("practice_attempts")) == 1
    assert (
        one(desk.db, "select count(*) from private.practice_submissions where practice_assignment_id = %s", (open_,))
        == 0
    )
    rated = one(desk.db, "select answers from private.item_calibration where item_id = %s", (thing,))
    assert rated == (1 if score else 0)


def test_without_a_model_the_score_is_withheld_and_the_night_recentres(desk: Desk, stack: Stack) -> None:
    desk.item("It cancels.")
    open_ = desk.next().json()["assignments"][0]["id"]
    cancelled = desk.answer(open_, {"answer": "Perhaps."}, key="first key").json()["job_id"]
    desk.person.rest.post("/rpc/cancel_job", json={"p_id": cancelled}).raise_for_status()
    assert desk.next().json()["assignments"][0]["id"] == open_, "it may be answered again"
    job_id = desk.answer(open_, {"answer": "Because."}).json()["job_id"]
    assert job_id != cancelled
    nightly = one(desk.db, "select job_id::text from public.svc_enqueue_job('practice_calibration', '{}')")
    desk.db.commit()
    with worker(stack, OPENAI_BASE_URL="", OPENAI_API_KEY="") as runner:
        assert runner.run(job_id).result == {"status": "withheld"}
        result = runner.run(nightly).result
        assert result is not None
        assert result["subjects"] >= 1
    told = desk.answer(open_, {"answer": "Because."}).json()
    assert (told["score"], told["needs_review"], told["feedback"]) == (None, True, UNSURE)
