"""A chapter of ``./scripts/demo``: a student practises five items, and one of them comes back as a review."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Protocol

import psycopg

Say = Callable[[str], None]
# level, question, key and how it is graded
ITEMS = (
    (2, "How far does a car get in 30 minutes at 50 km/h?", "25 km", "numeric"),
    (3, "How long does a train need for 100 km at 80 km/h?", "75 min", "numeric"),
    (4, "What is 25 % of 3/4?", "3/16", "numeric"),
    (4, "What is the unit of force?", "newton", "exact"),
    (5, "How fast is 36 km/h in m/s?", "10 m/s", "numeric"),
    (6, "What does a stone reach after 2 s of free fall?", "19.6 m/s", "numeric"),
)
# as a student may write them; one is wrong
ANSWERS = {
    "25 km": "25000 m",
    "75 min": "1.25 h",
    "3/16": "0.1875",
    "newton": "joule",
    "10 m/s": "10",
    "19.6 m/s": "19,6 m/s",
}


class Student(Protocol):
    """The demo's student, as far as this chapter needs them."""

    user_id: str

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...


def practise(db_url: str, student: Student, headline: Say, line: Say) -> None:
    """Fills a small bank, as staff would, and answers what the student is given. A week passes before the last item."""
    headline("They practise physics")
    with psycopg.connect(db_url, autocommit=True) as db:
        subject_id, keys = _bank(db)
        for number in range(5):
            if number == 4:
                # a week passes for the first item
                db.execute(
                    "update public.practice_reviews set last_review_at = last_review_at - interval '7 days',"
                    " due_at = now() where student_id = %s and created_at ="
                    " (select min(created_at) from public.practice_reviews where student_id = %s)",
                    (student.user_id, student.user_id),
                )
            body = {"subject_id": subject_id, "count": 1}
            given = student.call("POST", "tutoring/practice/next", 200, json=body)["assignments"][0]
            _answer(student, given, ANSWERS[keys[given["question_text"]]], line)
    stats = student.select("user_stats", "gamification")[0]["gamification"]
    line(f"points {stats['xp']}, level {stats['level']}, streak {stats['streaks']} day")


def _bank(db: psycopg.Connection[Any]) -> tuple[str, dict[str, str]]:
    """A subject with items; its id, and the key of each question."""
    subject_id = str(uuid.uuid4())
    db.execute("insert into public.subjects (id, name) values (%s, %s)", (subject_id, f"Physics {subject_id[:8]}"))
    for level, question, key, kind in ITEMS:
        item_id = uuid.uuid4()
        db.execute(
            "insert into public.practice_bank_items (id, question_text, subject_id, difficulty_level, answer_kind)"
            " values (%s, %s, %s, %s, %s)",
            (item_id, question, subject_id, level, kind),
        )
        db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, %s)", (item_id, key))
    return subject_id, {question: key for _, question, key, _ in ITEMS}


def _answer(student: Student, given: dict[str, Any], answer: str, line: Say) -> None:
    """Answers one item and shows what it gave."""
    headers = {"Idempotency-Key": f"demo-{given['id']}"}
    path = f"tutoring/practice/{given['id']}/answers"
    told = student.call("POST", path, 200, json={"answer": answer}, headers=headers)
    kind = "review" if given["is_review"] else f"level {given['difficulty_level']}"
    line(f"{kind:8} {given['question_text']}  {answer}: {told['feedback']}")
    line(f"         ability {told['ability']:.0f} ± {1.64 * told['ability_sd']:.0f}, {told['xp']} points")
