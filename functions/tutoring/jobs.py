"""The handlers of ``practice_grading``, payload ``{"practice_assignment_id", "is_replay"?}``,
``practice_calibration`` and ``stats_refresh``. Those of ``session_summary``, ``question_answer`` and
``practice_generation`` are in sessions/summarising.py, questions/answering.py and generation/writing.py.

A grading that runs twice records once, because the answer's key counts once. When the model cannot grade, the score is
withheld for the tutor. With ``is_replay`` nothing is graded: a tutor gave a score, and the item's review follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from functions.shared.agents import assign_agent
from functions.shared.database import rpc, rpc_row
from functions.shared.errors import Conflict, NotFound
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger
from functions.tutoring.errors import ItemChanged, PracticeWithdrawn
from functions.tutoring.generation.writing import generate
from functions.tutoring.questions.answering import answer_question
from functions.tutoring.reading import UNSURE, Judged, read
from functions.tutoring.reviews import next_review
from functions.tutoring.service import Given, Practice, PracticeService
from functions.tutoring.sessions.summarising import summarise

log = structlog.get_logger(__name__)

MAX_CALLS = 3
SPARE_SECONDS = 30.0


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("practice_grading", grade_answer)
    registry.add("practice_calibration", calibrate)
    registry.add("session_summary", summarise)
    registry.add("question_answer", answer_question, is_answer=True)
    registry.add("stats_refresh", refresh_stats)
    registry.add("practice_generation", generate)


def grade_answer(context: JobContext) -> Mapping[str, Any]:
    """Reads an answer in words and records it."""
    assignment_id = str(context.job.payload["practice_assignment_id"])
    if context.job.payload.get("is_replay"):
        return replay_review(context, assignment_id)
    rows = rpc(context.database.service(), "svc_get_submission", {"p_assignment_id": assignment_id}, safe=True)
    if not rows:
        # recorded by an earlier attempt, or gone with the assignment
        return {"status": "nothing_to_do"}
    waiting = rows[0]
    service = PracticeService(context.database, context.clock)
    given = Given(waiting["idempotency_key"], waiting["answer"], None, None)
    try:
        judged = _judged(context, service.one(waiting["student_id"], assignment_id), given.answer)
        service.record(
            waiting["student_id"],
            assignment_id,
            given,
            judged.grade,
            confidence=judged.confidence,
            feedback=UNSURE,
        )
    except NotFound:
        return {"status": "nothing_to_do"}
    except (ItemChanged, PracticeWithdrawn) as error:
        raise JobFailure(error.code, error.message, retryable=False) from error
    return {"status": "withheld" if judged.grade is None else "graded"}


def replay_review(context: JobContext, assignment_id: str) -> Mapping[str, Any]:
    """Computes the review of an assignment's item from every answer to it, with the scores that count now."""
    service = context.database.service()
    rows = rpc(service, "svc_get_item_answers", {"p_assignment_id": assignment_id}, safe=True)
    if not rows:
        return {"status": "nothing_to_do"}
    review: dict[str, Any] | None = None
    for row in rows:
        review = next_review(review, is_pass=row["is_pass"], at=datetime.fromisoformat(row["answered_at"]))
    args = {
        "p_student_id": rows[0]["student_id"],
        "p_bank_item_id": rows[0]["bank_item_id"],
        "p_last_seq": rows[0]["last_seq"],
        "p_review": review,
        "p_reps": len(rows),
        # the first answer cannot forget
        "p_lapses": sum(not row["is_right"] for row in rows[1:]),
    }
    try:
        rpc(service, "svc_replace_review", args, safe=True)
    except NotFound:
        return {"status": "nothing_to_do"}
    except Conflict as error:
        # an answer came meanwhile; the next attempt reads it, too
        raise JobFailure(error.code, error.message) from error
    return {"status": "replayed"}


def _judged(context: JobContext, practice: Practice, answer: str) -> Judged:
    """What the model says; withheld when there is no model, agent or key, or no answer in the end."""
    settings = context.settings
    if practice.key is None or not (settings.openai_api_key or settings.openai_base_url):
        return Judged(None, 0.0)
    seconds = min(settings.model_deadline_seconds, context.remaining_seconds() - SPARE_SECONDS)
    deadline = context.clock.monotonic() + seconds
    budget = Budget(Ledger.of_job(context, "practice_grading"), MAX_CALLS, deadline, check=context.check_cancelled)
    reference = practice.key.accepted[0]
    if practice.explanation:
        reference = f"{reference}\n\n{practice.explanation}"
    try:
        client = assign_agent(context, "tutor_companion").client(settings)
        return read(client, budget, practice.question, reference, answer)
    except ModelError as error:
        if error.is_repeatable and context.job.retry_count < context.job.max_retries:
            raise JobFailure(error.code, error.message) from error
        log.warning("answer_not_graded", error_code=error.code)
        return Judged(None, 0.0)


def calibrate(context: JobContext) -> Mapping[str, Any]:
    """Brings the difficulty of each subject's items back to its mean."""
    rows = rpc(context.database.service(), "svc_recenter_items")
    for row in rows:
        if row["alarms"]:
            log.error("practice_alarm", subject_id=row["subject_id"], alarms=row["alarms"])
    return {"subjects": len(rows), "alarms": sum(bool(row["alarms"]) for row in rows)}


def refresh_stats(context: JobContext) -> Mapping[str, Any]:
    """Computes the stored figures of every student again. A second run finds the same."""
    service, after, people = context.database.service(), None, 0
    while True:
        context.check_cancelled()
        row = rpc_row(service, "svc_refresh_stats", {"p_after": after}, safe=True)
        if row["last_id"] is None:
            return {"people": people}
        after, people = row["last_id"], people + row["people"]
