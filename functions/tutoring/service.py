"""Practice: picks, grades and records. What an answer moves is decided by the database in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.tokens import Caller
from functions.tutoring.errors import ItemChanged, NoItems, PracticeAnswered, PracticeWithdrawn, SubjectNotFound
from functions.tutoring.grading import PASS_SCORE, Grade, Key, grade
from functions.tutoring.hints import LEVELS, hint
from functions.tutoring.reviews import next_review

KEY = "practice_bank_answers(answer_text,explanation,accepted_answers)"
ITEM = f"question_text,version,tolerance,language,topic_tags,key:{KEY}"
AI_KEY = "practice_assignment_answers(ai_answer_text,ai_explanation,accepted_answers)"
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Practice:
    """An assignment with its question and key. ``item_version`` is the version that stands in the bank now."""

    row: Mapping[str, Any]
    question: str
    topics: list[str]
    key: Key | None
    explanation: str | None
    item_version: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Practice:
        """From a row with what :data:`ITEM` and :data:`AI_KEY` name."""
        item, ai = row["item"], row["ai"]
        if item is None:
            key = None if ai is None else _key(row, row, [ai["ai_answer_text"], *ai["accepted_answers"]])
            return cls(row, row["ai_question_text"], row["topic_tags"], key, ai and ai["ai_explanation"], None)
        found, key = item["key"], None
        if found is not None:
            key = _key(row, item, [found["answer_text"], *found["accepted_answers"]])
        explanation = found and found["explanation"]
        return cls(row, item["question_text"], item["topic_tags"], key, explanation, item["version"])

    @property
    def is_refused(self) -> bool:
        """Whether a tutor refused this question of a model."""
        return self.row["source"] == "ai_generated" and self.row["reviewed_at"] is not None


def _key(row: Mapping[str, Any], rules: Mapping[str, Any], accepted: list[str]) -> Key:
    """The key of an assignment; ``rules`` has its tolerance and its language."""
    tolerance = None if rules["tolerance"] is None else str(rules["tolerance"])
    return Key(row["answer_kind"], accepted, row["choices"] or (), tolerance, rules["language"] or "en")


class Given(NamedTuple):
    """An answer as it was sent."""

    key: str
    answer: str
    duration_ms: int | None
    answered_at: datetime | None


class PracticeService:
    """What routes and jobs call. It knows nothing of HTTP."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def next(
        self,
        caller: Caller,
        subject_id: str,
        count: int,
        topic_tags: list[str] | None,
        goal_id: str | None,
        reviews: bool,
    ) -> list[dict[str, Any]]:
        """The caller's next assignments, reviews first, each with ``out_of_zone``.

        :raise SubjectNotFound: there is no such subject
        :raise NoItems: nothing is open, due or unseen
        """
        args = {
            "p_student_id": caller.user_id,
            "p_subject_id": subject_id,
            "p_count": count,
            "p_topic_tags": topic_tags,
            "p_goal_id": goal_id,
            "p_include_reviews": reviews,
            "p_seed": secrets.randbits(62),
        }
        try:
            # a repeat finds what the first call made, because open ones are given again
            rows = rpc(self._database.service(), "svc_pick_practice", args, safe=True)
        except NotFound as error:
            raise SubjectNotFound from error
        if not rows:
            raise NoItems
        found = self._load(caller.user_id, [row["id"] for row in rows])
        return [_shown(found[row["id"]]) for row in rows]

    def _load(self, student_id: str, assignment_ids: list[str]) -> dict[str, Practice]:
        """The student's own assignments of these ids, with their keys."""
        query = self._database.service().from_("practice_assignments")
        query_rows = query.select(f"*,item:practice_bank_items({ITEM}),ai:{AI_KEY}")
        rows = run(query_rows.eq("student_id", student_id).in_("id", assignment_ids))
        return {row["id"]: Practice.of(row) for row in rows}

    def one(self, student_id: str, assignment_id: str) -> Practice:
        """One of a student's assignments.

        :raise NotFound: it does not exist, or belongs to another person
        """
        found = self._load(student_id, [assignment_id]).get(assignment_id)
        if found is None:
            raise NotFound
        return found

    def answer(self, caller: Caller, assignment_id: str, given: Given) -> dict[str, Any] | str:
        """Records an answer; what the student is told, or the id of the job that grades it.

        :raise NotFound: it does not exist, or belongs to another person
        :raise ItemChanged: the item was edited since it was asked
        :raise PracticeWithdrawn: a tutor refused the question
        :raise IdempotencyMismatch: the key was used for another answer
        """
        practice = self.one(caller.user_id, assignment_id)
        if practice.is_refused and not practice.row["completed"]:
            raise PracticeWithdrawn
        found = None if practice.key is None else grade(practice.key, given.answer)
        if found is None:
            args = {
                "p_student_id": caller.user_id,
                "p_assignment_id": assignment_id,
                "p_key": given.key,
                "p_answer": given.answer,
                "p_duration_ms": given.duration_ms,
                "p_answered_at": given.answered_at and given.answered_at.isoformat(),
            }
            row = rpc_row(self._database.service(), "svc_submit_answer", args, safe=True)
            return dict(row["result"]) if row["result"] is not None else str(row["job_id"])
        return self.record(caller.user_id, assignment_id, given, found)

    def record(
        self,
        student_id: str,
        assignment_id: str,
        given: Given,
        found: Grade | None,
        *,
        confidence: float | None = None,
        feedback: str | None = None,
    ) -> dict[str, Any]:
        """Writes an answer and all that it moves; what the student is told.

        :param found: None withholds the score until a tutor gives it
        :raise ItemChanged: the item was edited since it was asked
        :raise PracticeWithdrawn: a tutor refused the question
        """
        args: dict[str, Any] = {
            "p_student_id": student_id,
            "p_assignment_id": assignment_id,
            "p_key": given.key,
            "p_answer": given.answer,
            "p_score": found and found.score,
            "p_graded_by": "rule" if confidence is None and found is not None else "model",
            "p_feedback": found.feedback if found is not None else feedback,
            "p_confidence": confidence,
            "p_duration_ms": given.duration_ms,
            "p_answered_at": given.answered_at and given.answered_at.isoformat(),
        }
        for _ in range(MAX_ATTEMPTS):
            # read again each time: another answer may have moved the review meanwhile
            practice = self.one(student_id, assignment_id)
            seen, at = None, given.answered_at or self._clock.now()
            if found is not None and practice.item_version is not None:
                seen = self._review(student_id, practice.row["bank_item_id"])
                args["p_review"] = next_review(seen, is_pass=self._is_pass(found, practice), at=at)
                args["p_review_seen"] = seen and seen["last_review_at"]
            try:
                # the key makes a repeat give the first answer
                return dict(rpc(self._database.service(), "svc_record_answer", args, safe=True))
            except Conflict:
                if practice.item_version is not None and practice.item_version != practice.row["bank_item_version"]:
                    raise ItemChanged from None
                if practice.is_refused:
                    raise PracticeWithdrawn from None
        raise Conflict

    @staticmethod
    def _is_pass(found: Grade, practice: Practice) -> bool:
        """Whether the item counts as remembered: solved, and without hints."""
        return found.score >= PASS_SCORE and not practice.row["hints_used"]

    def _review(self, student_id: str, item_id: str) -> dict[str, Any] | None:
        query = self._database.service().from_("practice_reviews").select("*")
        rows = run(query.eq("student_id", student_id).eq("bank_item_id", item_id))
        return dict(rows[0]) if rows else None

    def hint(self, caller: Caller, assignment_id: str) -> tuple[str, int]:
        """The next hint and its level; after the last one, the last again.

        :raise NotFound: it does not exist, or belongs to another person
        :raise PracticeAnswered: it is answered
        """
        practice = self.one(caller.user_id, assignment_id)
        level = min(LEVELS, practice.row["hints_used"] + 1)
        text = hint(level, practice.key or Key("text", []), practice.question, practice.topics, practice.explanation)
        args = {"p_student_id": caller.user_id, "p_assignment_id": assignment_id, "p_level": level, "p_hint": text}
        try:
            row = rpc_row(self._database.service(), "svc_store_hint", args, safe=True)
        except Conflict as error:
            raise PracticeAnswered from error
        return row["hint"], row["level"]


def _shown(practice: Practice) -> dict[str, Any]:
    """An assignment as the student sees it: nothing of its key."""
    names = ("id", "answer_kind", "choices", "difficulty_level", "is_review", "expected_success", "out_of_zone")
    return {
        **{name: practice.row[name] for name in names},
        "question_text": practice.question,
        "topic_tags": practice.topics,
        "is_unreviewed": practice.row["source"] == "ai_generated",
    }
