"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.answers.following import Follower
from functions.shared.errors import NotAcceptable, NotFound
from functions.shared.uploads import Uploaded
from functions.shared.web.answers import ACCEPT, accepted, answered, example, held_slot, nothing_to_follow, stream
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.slots import TooManyStreams
from functions.shared.web.streams import LAST_EVENT_ID
from functions.shared.web.uploads import received
from functions.socratic.errors import (
    AnswerInProgress,
    AudioSilent,
    AudioTooLong,
    AudioTypeNotSupported,
    ExternalIdConflict,
    SessionEnded,
    WeekArchived,
)
from functions.socratic.schemas import (
    ANSWER_ID,
    InsightsAwaited,
    SocraticExchange,
    SocraticLine,
    SocraticMessage,
    SocraticSession,
    SocraticStopped,
    Spoken,
    SpokenLine,
)
from functions.socratic.service import Asked, SocraticService

blueprint = APIBlueprint(
    "socratic",
    __name__,
    tag={"name": "socratic", "description": "Socratic sessions: the agent asks, the learner finds the answers."},
)
MAX_FILE_BYTES = 25 * 1024 * 1024
MAX_BODY_BYTES = 26 * 1024 * 1024
STREAM_EXAMPLE = example(str(ANSWER_ID), "How well do you know this already?")


def service() -> SocraticService:
    """The service with this application's parts."""
    known = context()
    return SocraticService(known.database, known.storage, known.reader, known.waker, known.clock)


@blueprint.post("/sessions/<uuid:session_id>/messages")
@operation(
    "Say something",
    {
        200: Outcome(
            "The agent's turn as an AI SDK message stream; with `Accept: application/json`, both lines at its end.",
            media_type="text/event-stream",
            example=STREAM_EXAMPLE,
            others=(Outcome("", SocraticExchange),),
        )
    },
    errors=(
        NotFound,
        SessionEnded,
        WeekArchived,
        ExternalIdConflict,
        AnswerInProgress,
        TooManyStreams,
        NotAcceptable,
        AgentDisabled,
        AgentModelUnknown,
    ),
    headers=(ACCEPT, LAST_EVENT_ID),
)
@rate_limited("socratic-messages", limit=60)
@blueprint.input(SocraticLine, arg_name="body")
def say(session_id: UUID, body: SocraticLine) -> Any:
    """Stores your line, then streams the agent's turn. Each turn asks one question and gives no final answer.

    A turn is checked as a whole before it is shown, so its text comes in one piece. Saying the same again with the same
    `external_id` gives the stored turn, or the live one from its start. When you hang up, the agent goes on.
    """
    found: list[Asked] = []

    def asked() -> tuple[str, Follower]:
        check_agent(context().database, context().settings, "socratic")
        found.append(service().say(current_caller(), str(session_id), body))
        answer_id = found[0].assistant_message_id
        return answer_id, service().follow(answer_id)

    return answered(asked, lambda _: exchange(found[0]))


@blueprint.post("/sessions/<uuid:session_id>/voice")
@operation(
    "Say something aloud",
    {
        200: Outcome(
            "The agent's turn as an AI SDK message stream.", media_type="text/event-stream", example=STREAM_EXAMPLE
        ),
        202: Outcome("With `Accept: application/json`: both lines, before the recording was heard.", SocraticExchange),
    },
    errors=(
        NotFound,
        SessionEnded,
        WeekArchived,
        ExternalIdConflict,
        AnswerInProgress,
        TooManyStreams,
        NotAcceptable,
        AudioTypeNotSupported,
        AudioTooLong,
        AudioSilent,
        AgentDisabled,
        AgentModelUnknown,
    ),
    headers=(ACCEPT, LAST_EVENT_ID),
    max_body_bytes=MAX_BODY_BYTES,
    form=Spoken,
)
@rate_limited("socratic-voice", limit=30)
def speak(session_id: UUID) -> Any:
    """Stores your recording, which is heard and then answered. M4A, MP3, Ogg, WAV or WebM; 10 minutes, 25 MiB.

    The type is told by the file's first bytes. What was understood becomes the line's `content` and `transcript`.
    """
    wanted = accepted()
    check_agent(context().database, context().settings, "socratic")
    with received(Spoken, max_bytes=MAX_FILE_BYTES) as found:
        uploaded = Uploaded(found.file, found.size, found.sha256, found.filename)
        with held_slot() as slot:
            asked = service().speak(current_caller(), str(session_id), uploaded, found.fields.external_id)
            if wanted == "application/json":
                slot.give_back()
                return exchange(asked), 202
            return stream(asked.assistant_message_id, service().follow(asked.assistant_message_id), slot)


def exchange(asked: Asked) -> SocraticExchange:
    """Both lines as they are now."""
    line, answer = service().pair(current_caller(), asked)
    return SocraticExchange(user_message=SocraticMessage(**line), assistant_message=SocraticMessage(**answer))


@blueprint.get("/messages/<uuid:message_id>/audio")
@operation("Hear a spoken line", {200: Outcome("A signed address of the file.", SpokenLine)}, errors=(NotFound,))
def hear(message_id: UUID) -> SpokenLine:
    """Gives an address at which the line can be heard for an hour."""
    url, expires_at = service().audio(current_caller(), str(message_id))
    return SpokenLine(url=url, expires_at=expires_at)


@blueprint.get("/sessions/<uuid:session_id>/stream")
@operation(
    "Follow the agent's turn",
    {
        200: Outcome("The turn, from its start.", media_type="text/event-stream", example=STREAM_EXAMPLE),
        204: Outcome("No turn is being written."),
    },
    errors=(NotFound, TooManyStreams),
    headers=(LAST_EVENT_ID,),
)
def follow(session_id: UUID) -> Any:
    """For another tab or device, and after a lost connection. `Last-Event-ID` resumes after an event."""
    answer_id = service().live(current_caller(), str(session_id))
    if answer_id is None:
        return nothing_to_follow()
    with held_slot() as slot:
        return stream(answer_id, service().follow(answer_id), slot)


@blueprint.post("/sessions/<uuid:session_id>/stop")
@operation("Stop the agent's turn", {202: Outcome("No turn is being written.", SocraticStopped)}, errors=(NotFound,))
def stop(session_id: UUID) -> Any:
    """Ends the turn at once, with the status `stopped`. What was not checked yet is not kept."""
    stopped = service().stop(current_caller(), str(session_id))
    return SocraticStopped(session_id=session_id, assistant_message_id=None if stopped is None else UUID(stopped)), 202


@blueprint.post("/sessions/<uuid:session_id>/end")
@operation(
    "End a session",
    {
        200: Outcome("The session, with its insights.", SocraticSession),
        202: Outcome("The session has ended. After 20 seconds its insights are still being written.", InsightsAwaited),
    },
    errors=(NotFound,),
)
@rate_limited("socratic-ends", limit=30)
def end(session_id: UUID) -> Any:
    """Ends the session, and waits up to 20 seconds for three to six insights, each with a quote of the session.

    Ending again gives the same. A session in which you said nothing has no insights. When the job of a 202 has failed,
    ending again starts a new one.
    """
    session, job_id = service().end(current_caller(), str(session_id))
    if job_id is not None:
        return InsightsAwaited(job_id=UUID(job_id)), 202
    return SocraticSession(**session), 200
