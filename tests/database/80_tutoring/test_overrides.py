"""Corrections by tutors: who may make them, what they accept, what they keep."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
from tests.support.rows import insert, one
from tests.support.tutoring import ai_practice, assign, column, item, practice, question, subject, summary

Connection = psycopg.Connection[Any]
CALL = "select id from public.apply_override(%s, %s, %s, %s, %s)"


@dataclass
class Desk:
    """A tutor of one subject, the tutor's student, and how the tutor corrects."""

    db: Connection
    tutor: uuid.UUID
    student: uuid.UUID
    maths: uuid.UUID

    def correct(self, kind: str, target: uuid.UUID, content: Any, tutor: uuid.UUID | None = None) -> Any:
        with act_as(self.db, tutor or self.tutor):
            return one(self.db, CALL, (kind, target, "edited", json.dumps(content), "it was wrong"))

    def refuses(self, sqlstate: str, kind: str, target: Any, content: Any, tutor: uuid.UUID | None = None) -> None:
        with act_as(self.db, tutor or self.tutor):
            refused(self.db, sqlstate, CALL, (kind, target, "edited", json.dumps(content), None))

    def override(self, made: uuid.UUID) -> dict[str, Any]:
        return dict(one(self.db, "select to_jsonb(o) from public.overrides as o where id = %s", (made,)))


@pytest.fixture
def desk(db: Connection) -> Desk:
    made = Desk(db, persona(db, "tutor"), persona(db), subject(db))
    assign(db, made.tutor, made.student, made.maths)
    return made


def test_a_summary(desk: Desk) -> None:
    target = summary(desk.db, desk.student, subject_id=desk.maths, next_steps=["Rest"])
    made = desk.correct("summary", target, {"next_steps": ["Read", "Write"]})
    assert desk.override(made) | {"created_at": None} == {
        "id": str(made), "tutor_id": str(desk.tutor), "student_id": str(desk.student), "override_type": "summary",
        "action": "edited", "summary_id": str(target), "practice_assignment_id": None, "qa_interaction_id": None,
        "original_content": {"next_steps": ["Rest"]}, "new_content": {"next_steps": ["Read", "Write"]},
        "reason": "it was wrong", "subject_id": str(desk.maths), "difficulty_level": None, "created_at": None,
    }  # fmt: skip
    state = "(narrative, next_steps, overridden, override_id)::text"
    assert column(desk.db, "summaries", state, target) == f'("We met.","{{Read,Write}}",t,{made})'
    latest = desk.correct("summary", target, {"narrative": "We worked.", "next_steps": []})
    assert desk.override(latest)["original_content"] == {"narrative": "We met.", "next_steps": ["Read", "Write"]}
    assert column(desk.db, "summaries", state, target) == f'("We worked.",{{}},t,{latest})'
    line = "select action from private.audit_log where entity = 'overrides' and entity_id = %s and actor_id = %s"
    assert one(desk.db, line, (str(latest), desk.tutor)) == "insert"


def test_a_bank_practice_gets_another_item_of_its_subject(desk: Desk) -> None:
    old, new = item(desk.db, desk.maths), item(desk.db, desk.maths, difficulty_level=8)
    desk.db.execute("update public.practice_bank_items set question_text = 'Another' where id = %s", (new,))
    target = practice(desk.db, desk.student, old, flagged=True)
    made = desk.correct("practice", target, {"bank_item_id": str(new)})
    state = "(bank_item_id, bank_item_version, difficulty_level, flagged, overridden, override_id)::text"
    assert column(desk.db, "practice_assignments", state, target) == f"({new},2,8,f,t,{made})"
    kept = desk.override(made)
    assert (kept["original_content"], kept["difficulty_level"]) == ({"bank_item_id": str(old)}, 5)

    foreign, retired = item(desk.db, subject(desk.db)), item(desk.db, desk.maths, is_active=False)
    for bad, sqlstate in ((foreign, "23514"), (retired, "23514"), (uuid.uuid4(), "22023"), ("x", "22023")):
        desk.refuses(sqlstate, "practice", target, {"bank_item_id": str(bad)})
    desk.refuses("22023", "practice", target, {"bank_item_id": None})
    desk.refuses("22023", "practice", target, {"ai_question_text": "Why?"})


def test_a_question_of_the_model(desk: Desk) -> None:
    target = ai_practice(desk.db, desk.student, subject_id=desk.maths, difficulty_level=3)
    desk.refuses("22023", "practice", target, {"ai_explanation": "There is no answer yet."})
    desk.correct("practice", target, {"ai_answer_text": "42", "ai_explanation": "Count."})
    made = desk.correct(
        "practice", target, {"ai_question_text": "How many?", "difficulty_level": 10, "ai_explanation": None}
    )
    assert desk.override(made)["original_content"] == {
        "ai_question_text": "Why?", "difficulty_level": 3, "ai_explanation": "Count.",
    }  # fmt: skip
    state = "(ai_question_text, difficulty_level, flagged, overridden)::text"
    assert column(desk.db, "practice_assignments", state, target) == '("How many?",10,f,t)'
    answer = "select (ai_answer_text, ai_explanation)::text from public.practice_assignment_answers"
    assert one(desk.db, f"{answer} where practice_assignment_id = %s", (target,)) == "(42,)"
    for bad in ({"difficulty_level": 11}, {"difficulty_level": 2.5}, {"difficulty_level": "5"}, {"bank_item_id": "x"}):
        desk.refuses("22023", "practice", target, bad)
    desk.db.execute("select public.complete_practice_assignment(%s, 1)", (target,))
    desk.refuses("23514", "practice", target, {"ai_question_text": "Too late?"})


def test_an_answer(desk: Desk) -> None:
    target = question(desk.db, desk.student)
    desk.refuses("42501", "qa_answer", target, {"answer": "Otherwise."})
    whole = persona(desk.db, "tutor")
    assign(desk.db, whole, desk.student)
    made = desk.correct("qa_answer", target, {"answer": "Otherwise.", "confidence": "High"}, whole)
    assert desk.override(made)["original_content"] == {"answer": "So.", "confidence": "Medium"}
    assert column(desk.db, "qa_interactions", "(answer, confidence, overridden)::text", target) == "(Otherwise.,High,t)"
    for bad in ({"confidence": "high"}, {"confidence": None}, {"answer": 1}, {"query": "x"}):
        desk.refuses("22023", "qa_answer", target, bad, whole)
    handed = question(desk.db, desk.student, escalated_to_tutor_id=desk.tutor)
    assert desk.correct("qa_answer", handed, {"answer": "Mine."})


@pytest.mark.parametrize(
    "content",
    [{}, [], "x", 1, None, {"narrative": ""}, {"narrative": " "}, {"narrative": 1}, {"narrative": None},
     {"next_steps": "Read"}, {"next_steps": [1]}, {"next_steps": None}, {"narrative": "x", "tutor_id": "y"},
     {"narrative": "x" * 50001}],
)  # fmt: skip
def test_content_that_is_not_taken(desk: Desk, content: Any) -> None:
    target = summary(desk.db, desk.student, subject_id=desk.maths)
    desk.refuses("22023", "summary", target, content)
    assert column(desk.db, "summaries", "(narrative, overridden)::text", target) == '("We met.",f)'
    assert one(desk.db, "select count(*) from public.overrides where student_id = %s", (desk.student,)) == 0


def test_arguments_that_are_not_taken(desk: Desk) -> None:
    target = summary(desk.db, desk.student, subject_id=desk.maths)
    content = {"narrative": "x"}
    # what does not exist is answered as what is not the tutor's
    desk.refuses("42501", "summary", uuid.uuid4(), content)
    desk.refuses("42501", "practice", target, content)
    desk.refuses("22023", "goal", target, content)
    good: list[Any] = ["summary", target, "edited", json.dumps(content), None]
    with act_as(desk.db, desk.tutor):
        for place in range(4):
            refused(desk.db, "22004", CALL, [None if i == place else value for i, value in enumerate(good)])
        refused(desk.db, "22023", CALL, ("summary", target, "", json.dumps(content), None))
        refused(desk.db, "22023", CALL, ("summary", target, "edited", json.dumps(content), "r" * 5001))


def test_only_an_active_tutor_of_the_subject(desk: Desk) -> None:
    db = desk.db
    target = summary(db, desk.student, subject_id=desk.maths)
    other = summary(db, desk.student, subject_id=subject(db))
    general = summary(db, desk.student)
    content = {"narrative": "x"}
    for foreign in (other, general):
        desk.refuses("42501", "summary", foreign, content)
    for person in (desk.student, persona(db, "tutor"), persona(db, "parent"), persona(db, "teacher")):
        desk.refuses("42501", "summary", target, content, person)
    with act_as(db, persona(db, "admin"), "app_admin"):
        refused(db, "42501", CALL, ("summary", target, "edited", json.dumps(content), None))
    with act_as(db, None, "anon"):
        refused(db, "42501", CALL, ("summary", target, "edited", json.dumps(content), None))
    with act_as(db, desk.tutor, is_anonymous=True):
        refused(db, "42501", CALL, ("summary", target, "edited", json.dumps(content), None))
    db.execute("update public.tutor_student_assignments set status = 'paused' where tutor_id = %s", (desk.tutor,))
    desk.refuses("42501", "summary", target, content)


def test_nobody_writes_overrides_by_hand(desk: Desk) -> None:
    target = summary(desk.db, desk.student, subject_id=desk.maths)
    made = desk.correct("summary", target, {"narrative": "x"})
    with act_as(desk.db, desk.tutor):
        assert one(desk.db, "select count(*) from public.overrides where id = %s", (made,)) == 1
        refused(desk.db, "42501", "update public.overrides set reason = 'x' where id = %s", (made,))
        refused(desk.db, "42501", "delete from public.overrides where id = %s", (made,))
        refused(desk.db, "42501", "insert into public.overrides (student_id) values (%s)", (desk.student,))
    with act_as(desk.db, desk.student):
        assert one(desk.db, "select count(*) from public.overrides") == 0


def test_an_author_of_another_subject_sees_his_override_while_he_tutors_the_student(desk: Desk) -> None:
    target = question(desk.db, desk.student, escalated_to_tutor_id=desk.tutor)
    made = desk.correct("qa_answer", target, {"answer": "Mine."})
    with act_as(desk.db, desk.tutor):
        assert one(desk.db, "select count(*) from public.overrides where id = %s", (made,)) == 1
    desk.db.execute("update public.tutor_student_assignments set status = 'paused' where tutor_id = %s", (desk.tutor,))
    with act_as(desk.db, desk.tutor):
        assert one(desk.db, "select count(*) from public.overrides where id = %s", (made,)) == 0


def test_exactly_one_target_of_the_same_student(desk: Desk) -> None:
    db = desk.db
    target = summary(db, desk.student)
    row: dict[str, Any] = {
        "student_id": desk.student, "override_type": "summary", "action": "x", "original_content": "{}",
        "new_content": "{}",
    }  # fmt: skip
    insert(db, "public.overrides", row, {"summary_id": target})
    for bad in (
        {},
        {"summary_id": summary(db, persona(db))},
        {"summary_id": target, "qa_interaction_id": question(db, desk.student)},
        {"qa_interaction_id": question(db, desk.student)},
    ):
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            insert(db, "public.overrides", row, bad)


def test_the_record_outlives_the_tutor_and_the_target_but_not_the_student(desk: Desk) -> None:
    db = desk.db
    target = summary(db, desk.student, subject_id=desk.maths, tutor_id=desk.tutor)
    made = desk.correct("summary", target, {"narrative": "x"})
    db.execute("delete from auth.users where id = %s", (desk.tutor,))
    assert desk.override(made)["tutor_id"] is None
    assert column(db, "summaries", "tutor_id is null and override_id is not null", target)
    db.execute("delete from public.tutoring_sessions where student_id = %s", (desk.student,))
    assert column(db, "summaries", "id", target) is None
    assert desk.override(made)["summary_id"] is None
    again = summary(db, desk.student)
    insert(
        db,
        "public.overrides",
        {"student_id": desk.student, "override_type": "summary", "action": "x", "summary_id": again,
         "original_content": "{}", "new_content": "{}"},
    )  # fmt: skip
    db.execute(
        "update public.summaries set overridden = true, override_id = (select id from public.overrides "
        "where summary_id = %s) where id = %s",
        (again, again),
    )
    db.execute("delete from auth.users where id = %s", (desk.student,))
    for table in ("overrides", "summaries", "tutoring_sessions"):
        assert one(db, f"select count(*) from public.{table} where student_id = %s", (desk.student,)) == 0
