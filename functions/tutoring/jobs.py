"""The handlers of ``practice_grading``, payload ``{"practice_assignment_id": ...}``, and ``practice_calibration``.
That of ``session_summary`` is in sessions/summarising.py, that of ``question_answer`` in questions/answering.py.

A grading that runs twice records once, because the answer's key counts once. When the model cannot grade, the score is
withheld for the tutor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from functions.shared.database import rpc
from functions.shared.errors import NotFound
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger
from functions.tutoring.errors import ItemChanged
from functions.tutoring.questions.answering import answer_question
from functions.tutoring.reading import UNSURE, Judged, read
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


def grade_answer(context: JobContext) -> Mapping[str, Any]:
    """Reads an answer in words and records it."""
    assignment_id = str(context.job.payload["practice_assignment_id"])
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
    except ItemChanged as error:
        raise JobFailure(error.code, error.message, retryable=False) from error
    return {"status": "withheld" if judged.grade is None else "graded"}


def _judged(context: JobContext, practice: Practice, answer: str) -> Judged:
    """What the model says; withheld when there is no model, no key, or no answer after the last attempt."""
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
        return read(ModelClient(settings), budget, practice.question, reference, answer)
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
