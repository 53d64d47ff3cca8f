"""The routes of questions; ``tutoring/routes.py`` has the blueprint and brings them in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.answers.following import Follower
from functions.shared.errors import NotAcceptable, NotFound
from functions.shared.usage import PlanLimitReached
from functions.shared.web.answers import ACCEPT, answered, example, held_slot, nothing_to_follow, stream
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.slots import TooManyStreams
from functions.shared.web.streams import LAST_EVENT_ID
from functions.tutoring.errors import SubjectNotFound
from functions.tutoring.questions.errors import AnswerNotEnded, NoTutor, QuestionConflict
from functions.tutoring.questions.schemas import (
    QUESTION_ID,
    EscalateRequest,
    Interaction,
    InteractionAnswer,
    QuestionRequest,
    QuestionStopped,
)
from functions.tutoring.questions.service import QuestionService

STREAM_EXAMPLE = example(QUESTION_ID, "Your notes say")


def service() -> QuestionService:
    """The service with this application's parts."""
    known = context()
    return QuestionService(known.database, known.reader, known.waker, known.clock)


def shown(row: dict[str, Any]) -> InteractionAnswer:
    """A row as it is answered."""
    return InteractionAnswer(interaction=Interaction(**row))


def add_routes(blueprint: APIBlueprint) -> None:
    """Adds the routes to the blueprint of the service."""

    @blueprint.post("/questions")
    @operation(
        "Ask the companion",
        {
            200: Outcome(
                "The answer as an AI SDK message stream; with `Accept: application/json`, the question and its answer "
                "when it is done.",
                media_type="text/event-stream",
                example=STREAM_EXAMPLE,
                others=(Outcome("", InteractionAnswer),),
            )
        },
        errors=(
            NotFound,
            SubjectNotFound,
            QuestionConflict,
            PlanLimitReached,
            TooManyStreams,
            NotAcceptable,
            AgentDisabled,
            AgentModelUnknown,
        ),
        headers=(ACCEPT, LAST_EVENT_ID),
    )
    @rate_limited("tutoring-questions", limit=60)
    @blueprint.input(QuestionRequest, arg_name="body")
    def ask_question(body: QuestionRequest) -> Any:
        """Answers out of your own documents and lectures, with citations. It helps you on and never hands over work.

        Asking again with the same `external_id` gives the stored answer, or the live one from its start. After a failed
        answer it is a new attempt. When you hang up, the answer goes on. A part `data-confidence` stands before the
        end.
        """
        found = service()

        def ask() -> tuple[str, Follower]:
            check_agent(context().database, context().settings, "tutor_companion")
            question_id = found.ask(current_caller(), body)
            return question_id, found.follow(current_caller(), question_id)

        return answered(ask, lambda question_id: shown(found.read(current_caller(), question_id)))

    @blueprint.get("/questions/<uuid:question_id>/stream")
    @operation(
        "Follow the answer to a question",
        {
            200: Outcome("The answer, from its start.", media_type="text/event-stream", example=STREAM_EXAMPLE),
            204: Outcome("The answer is not being written."),
        },
        errors=(NotFound, TooManyStreams),
        headers=(LAST_EVENT_ID,),
    )
    def follow_question(question_id: UUID) -> Any:
        """For another tab or device, and after a lost connection. `Last-Event-ID` resumes after an event."""
        found = service()
        if not found.is_live(current_caller(), str(question_id)):
            return nothing_to_follow()
        with held_slot() as slot:
            return stream(str(question_id), found.follow(current_caller(), str(question_id)), slot)

    @blueprint.post("/questions/<uuid:question_id>/stop")
    @operation("Stop the answer to a question", {202: Outcome("It has ended.", QuestionStopped)}, errors=(NotFound,))
    def stop_question(question_id: UUID) -> Any:
        """Ends the answer at once and keeps its text so far, with the status `stopped`."""
        stopped = service().stop(current_caller(), str(question_id))
        return QuestionStopped(id=question_id, stopped=stopped), 202

    @blueprint.post("/questions/<uuid:question_id>/escalate")
    @operation(
        "Hand a question to a tutor",
        {200: Outcome("A tutor has the question.", InteractionAnswer)},
        errors=(NotFound, AnswerNotEnded, NoTutor),
    )
    @rate_limited("tutoring-escalations", limit=60)
    @blueprint.input(EscalateRequest, arg_name="body")
    def escalate_question(question_id: UUID, body: EscalateRequest) -> InteractionAnswer:
        """Chooses the tutor of its subject, else one of all subjects, and notifies them once."""
        return shown(service().escalate(current_caller(), str(question_id), body.note))
