"""Rows of tutoring that many tests need: subjects, assignments of tutors, sessions, practice, questions."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]


def subject(db: Connection, **columns: Any) -> uuid.UUID:
    """A subject with a name nobody else has."""
    return insert(db, "public.subjects", {"name": f"Subject {uuid.uuid4()}"}, columns)


def assign(
    db: Connection, tutor: uuid.UUID, student: uuid.UUID, subject_id: uuid.UUID | None = None, **columns: Any
) -> uuid.UUID:
    """An active assignment of a tutor to a student, in all subjects unless one is given."""
    given = {"tutor_id": tutor, "student_id": student, "subject_id": subject_id}
    return insert(db, "public.tutor_student_assignments", given, columns)


def goal(db: Connection, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    """An active goal."""
    return insert(db, "public.goals", {"student_id": student, "title": "Pass", "created_by": None}, columns)


def session(db: Connection, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A session that was held, without tutor or subject unless they are given."""
    given = {"student_id": student, "tutor_id": None, "session_date": "2020-01-01T10:00:00Z"}
    return insert(db, "public.tutoring_sessions", given, columns)


def summary(db: Connection, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A summary, of a session of its own unless one is given."""
    session_id = columns.pop("session_id", None) or session(
        db, student, subject_id=columns.pop("subject_id", None), tutor_id=columns.pop("tutor_id", None)
    )
    given = {"session_id": session_id, "student_id": student, "narrative": "We met.", "summary_type": "normal"}
    return insert(db, "public.summaries", given, columns)


def item(db: Connection, subject_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """An active item of the bank, of level 5."""
    given = {"question_text": "1 + 1?", "subject_id": subject_id, "difficulty_level": 5, "created_by": None}
    return insert(db, "public.practice_bank_items", given, columns)


def practice(db: Connection, student: uuid.UUID, bank_item_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A bank item given to a student."""
    return insert(db, "public.practice_assignments", {"student_id": student, "bank_item_id": bank_item_id}, columns)


def ai_practice(db: Connection, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A question the model wrote, without subject unless one is given."""
    given = {"student_id": student, "source": "ai_generated", "ai_question_text": "Why?"}
    return insert(db, "public.practice_assignments", given, columns)


def question(db: Connection, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A question to the companion, answered with middling confidence."""
    given = {"student_id": student, "query": "How?", "answer": "So.", "confidence": "Medium"}
    return insert(db, "public.qa_interactions", given, columns)


def first(db: Connection, statement: str, parameters: Any = None) -> tuple[Any, ...]:
    """The first row of a statement that gives one."""
    found = db.execute(statement.encode(), parameters).fetchone()
    assert found is not None, statement
    return tuple(found)


def column(db: Connection, table: str, name: str, row: uuid.UUID) -> Any:
    """One column of one row of a public table, None when the row is gone."""
    return one(db, f"select {name} from public.{table} where id = %s", (row,))
