"""Takes questions, follows and stops answers, hands questions to tutors. Models are called by the job, never here."""

from __future__ import annotations

from typing import Any

from functions.shared.answers.following import Follower, Parts
from functions.shared.answers.reading import EventReader
from functions.shared.answers.replay import Ended, parts_of, source_part
from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import NotFound
from functions.shared.tokens import Caller
from functions.shared.usage import limit_reached
from functions.tutoring.errors import SubjectNotFound
from functions.tutoring.questions.errors import AnswerNotEnded, NoTutor, QuestionConflict
from functions.tutoring.questions.schemas import Interaction, QuestionRequest
from functions.tutoring.questions.shown import confidence_part

COLUMNS = ",".join(Interaction.model_fields)
TITLES = {"document": ("documents", "filename"), "lecture": ("lectures", "title")}


class QuestionService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, reader: EventReader, waker: Waker, clock: Clock) -> None:
        self._database = database
        self._reader = reader
        self._waker = waker
        self._clock = clock

    def ask(self, caller: Caller, question: QuestionRequest) -> str:
        """Stores a question and has it answered, or finds the answer of the same question; the question's id.

        :raise NotFound: the assignment does not exist, or belongs to another person
        :raise SubjectNotFound: there is no such subject
        :raise QuestionConflict: the external id stands for another question
        :raise PlanLimitReached: the quota of this period is used up
        """
        args = {
            "p_student_id": caller.user_id,
            "p_external_id": question.external_id,
            "p_question": question.question,
            "p_subject_id": question.subject_id and str(question.subject_id),
            "p_assignment_id": question.assignment_id and str(question.assignment_id),
            "p_catalog_course_ids": sorted({str(one) for one in question.catalog_course_ids}),
        }
        # the function looks among the caller's own rows, and a second call finds what the first stored
        row = rpc_row(self._database.service(), "svc_begin_question", args, safe=True)
        match row["outcome"]:
            case "conflict":
                raise QuestionConflict
            case "subject_not_found":
                raise SubjectNotFound
            case "limit":
                raise limit_reached(self._clock, "questions", row)
            case "new":
                self._waker.wake()
        return str(row["question_id"])

    def read(self, caller: Caller, question_id: str) -> dict[str, Any]:
        """One of the caller's own questions.

        :raise NotFound: it does not exist, or belongs to another person
        """
        query = self._database.user(caller.token).from_("qa_interactions").select(COLUMNS)
        rows = run(query.eq("id", question_id).eq("student_id", caller.user_id).limit(1))
        if not rows:
            raise NotFound
        return dict(rows[0])

    def is_live(self, caller: Caller, question_id: str) -> bool:
        """Whether the answer to one of the caller's own questions is being written.

        :raise NotFound: the question does not exist, or belongs to another person
        """
        return bool(self.read(caller, question_id)["status"] == "streaming")

    def stop(self, caller: Caller, question_id: str) -> bool:
        """Ends an answer that is being written, with the text so far; False when it has ended.

        :raise NotFound: the question does not exist, or belongs to another person
        """
        args = {"p_question_id": question_id, "p_student_id": caller.user_id}
        return bool(rpc(self._database.service(), "svc_stop_question", args, safe=True))

    def escalate(self, caller: Caller, question_id: str, note: str | None) -> dict[str, Any]:
        """Hands a question to a tutor, once; the question.

        :raise NotFound: the question does not exist, or belongs to another person
        :raise AnswerNotEnded: its answer is being written
        :raise NoTutor: nobody tutors the student in this subject
        """
        args = {"p_question_id": question_id, "p_student_id": caller.user_id, "p_note": note}
        match rpc(self._database.service(), "svc_escalate_question", args, safe=True):
            case "streaming":
                raise AnswerNotEnded
            case "no_tutor":
                raise NoTutor
        return self.read(caller, question_id)

    def follow(self, caller: Caller, question_id: str) -> Follower:
        """Reads the stream of one of the caller's own questions, which :meth:`ask` or :meth:`is_live` gave."""

        def ended(is_stored: bool) -> Parts | None:
            try:
                row = self.read(caller, question_id)
            except NotFound:
                return [{"type": "abort"}]
            if row["status"] == "streaming":
                return None
            parts = parts_of(self._ended(caller, row))
            return parts[-1:] if is_stored else parts

        return Follower(self._reader, question_id, ended)

    def _ended(self, caller: Caller, row: dict[str, Any]) -> Ended:
        titles = self._titles(caller, row["citations"])
        parts = [source_part(one["n"], titles.get(one["source_id"], one["kind"]), None) for one in row["citations"]]
        if row["status"] == "complete":
            parts.append(confidence_part(row))
        return Ended(row["id"], row["status"], row["answer"], row["finish_reason"], row["error_code"], parts)

    def _titles(self, caller: Caller, citations: list[dict[str, Any]]) -> dict[str, str]:
        """What the cited sources are called, as far as the caller still has them."""
        found: dict[str, str] = {}
        for kind, (table, column) in TITLES.items():
            ids = sorted({one["source_id"] for one in citations if one["kind"] == kind})
            if ids:
                query = self._database.user(caller.token).from_(table).select(f"id,{column}")
                found |= {row["id"]: row[column] for row in run(query.in_("id", ids))}
        return found
