"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import request

from functions.shared.errors import Conflict, IdempotencyMismatch, NotFound, ValidationFailed
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import HEADER, MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.waiting import WaitQuery, wait_for_job
from functions.tutoring.errors import ItemChanged, NoItems, PracticeAnswered, PracticeWithdrawn, SubjectNotFound
from functions.tutoring.generation.routes import add_routes as add_generation_routes
from functions.tutoring.hints import LEVELS
from functions.tutoring.overview.routes import add_routes as add_overview_routes
from functions.tutoring.questions.routes import add_routes
from functions.tutoring.schemas import (
    AnswerRequest,
    Graded,
    Grading,
    HintAnswer,
    NextAnswer,
    NextRequest,
    PracticeItem,
)
from functions.tutoring.service import Given, PracticeService
from functions.tutoring.sessions.routes import add_routes as add_session_routes

blueprint = APIBlueprint(
    "tutoring",
    __name__,
    tag={"name": "tutoring", "description": "Practice that follows the student; questions; sessions and summaries."},
)
add_routes(blueprint)
add_session_routes(blueprint)
add_overview_routes(blueprint)
add_generation_routes(blueprint)


def service() -> PracticeService:
    """The service with this application's parts."""
    known = context()
    return PracticeService(known.database, known.clock)


def required_key() -> str:
    """The request's Idempotency-Key.

    :raise ValidationFailed: it is missing, or has not 8 to 255 printable ASCII characters
    """
    key = request.headers.get("Idempotency-Key", "")
    if not MIN_KEY_CHARACTERS <= len(key) <= MAX_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise ValidationFailed.at("header.Idempotency-Key", "invalid_key")
    return key


@blueprint.post("/practice/next")
@operation(
    "Next practice",
    {200: Outcome("What to answer now, reviews first.", NextAnswer)},
    errors=(SubjectNotFound, NoItems),
)
@rate_limited("practice-next", limit=120)
@blueprint.input(NextRequest, arg_name="body")
def next_practice(body: NextRequest) -> NextAnswer:
    """Open assignments are given again before new ones are made. At most half are reviews that are due.

    New items are unseen ones near the wished chance of success.
    """
    rows = service().next(
        current_caller(),
        str(body.subject_id),
        body.count,
        body.topic_tags,
        None if body.goal_id is None else str(body.goal_id),
        body.include_reviews,
    )
    far = [row.pop("out_of_zone") for row in rows]
    return NextAnswer(assignments=[PracticeItem(**row) for row in rows], out_of_zone=any(far))


@blueprint.post("/practice/<uuid:assignment_id>/answers")
@operation(
    "Answer",
    {
        200: Outcome("What the answer gave; for an answered assignment, the stored result.", Graded),
        202: Outcome("A model reads the answer.", Grading),
    },
    errors=(NotFound, ItemChanged, PracticeWithdrawn, Conflict, IdempotencyMismatch),
    headers=(HEADER,),
)
@rate_limited("practice-answers", limit=240)
@blueprint.input(AnswerRequest, arg_name="body")
@blueprint.input(WaitQuery, location="query", arg_name="query")
def answer(assignment_id: UUID, body: AnswerRequest, query: WaitQuery) -> Any:
    """`Idempotency-Key` is required: the same key counts once, also from several tabs.

    Numbers, words and choices are graded at once. An answer in words is read by a model in a job, and its score is
    withheld for the tutor when the model is not sure.
    """
    given = Given(required_key(), body.answer, body.duration_ms, body.answered_at)
    outcome = service().answer(current_caller(), str(assignment_id), given)
    if isinstance(outcome, str) and query.wait:
        row = wait_for_job(outcome, query.wait)
        if row is not None and row["status"] not in LIVE:
            outcome = service().answer(current_caller(), str(assignment_id), given)
    if isinstance(outcome, str):
        return Grading(job_id=UUID(outcome)), 202
    return Graded(**outcome), 200


@blueprint.post("/practice/<uuid:assignment_id>/hint")
@operation(
    "Hint",
    {200: Outcome("The next hint; after the last one, the last again.", HintAnswer)},
    errors=(NotFound, PracticeAnswered),
)
@rate_limited("practice-hints", limit=120)
def hint(assignment_id: UUID) -> HintAnswer:
    """At most three, and none contains the answer. With any hint read, the answer scores one half at most."""
    text, level = service().hint(current_caller(), str(assignment_id))
    return HintAnswer(hint=text, level=level, left=LEVELS - level)
