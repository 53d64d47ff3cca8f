"""The routes of this service."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.chat.errors import (
    AnswerInProgress,
    ExportNotSupported,
    ExternalIdConflict,
    NotWritten,
    SourceEmpty,
    SourceEncrypted,
    SourceTooLong,
    SourceTypeNotSupported,
)
from functions.chat.export import POLICY
from functions.chat.material import MaterialService
from functions.chat.schemas import (
    ANSWER_ID,
    CanvasWish,
    ContentSource,
    CoursesWish,
    Exchange,
    ExportQuery,
    JobAsked,
    Message,
    Question,
    SourceAsked,
    SourceForm,
    Stopped,
    Wish,
    WishTaken,
    content_source,
)
from functions.chat.service import Asked, ChatService
from functions.chat.sources import SourceService
from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.answers.following import Follower
from functions.shared.canvas.errors import IntegrationNotConnected
from functions.shared.errors import Forbidden, NotAcceptable, NotFound
from functions.shared.uploads import Uploaded
from functions.shared.usage import PlanLimitReached
from functions.shared.web.answers import ACCEPT, answered, example, held_slot, nothing_to_follow, stream
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import answer_once, idempotent, may_answer_once
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.slots import TooManyStreams
from functions.shared.web.streams import LAST_EVENT_ID
from functions.shared.web.uploads import received

blueprint = APIBlueprint(
    "chat",
    __name__,
    tag={"name": "chat", "description": "The teachers' assistant: answers in threads, out of the teacher's material."},
)
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_BODY_BYTES = 51 * 1024 * 1024
STREAM_EXAMPLE = example(ANSWER_ID, "It turns light")


def service() -> ChatService:
    """The service with this application's parts."""
    known = context()
    return ChatService(known.database, known.reader, known.waker)


def sources() -> SourceService:
    """The service of material with this application's parts."""
    known = context()
    return SourceService(known.database, known.storage, known.clock)


def material() -> MaterialService:
    """The service of generated material with this application's parts."""
    known = context()
    return MaterialService(known.database, known.waker, known.clock)


@blueprint.post("/threads/<uuid:thread_id>/messages")
@operation(
    "Ask",
    {
        200: Outcome(
            "The answer as an AI SDK message stream; with `Accept: application/json`, both messages when it is done.",
            media_type="text/event-stream",
            example=STREAM_EXAMPLE,
            others=(Outcome("", Exchange),),
        )
    },
    errors=(
        NotFound,
        ExternalIdConflict,
        AnswerInProgress,
        TooManyStreams,
        NotAcceptable,
        AgentDisabled,
        AgentModelUnknown,
    ),
    headers=(ACCEPT, LAST_EVENT_ID),
)
@rate_limited("chat-messages", limit=60)
@blueprint.input(Question, arg_name="body")
def ask(thread_id: UUID, body: Question) -> Any:
    """Stores the question, then streams its answer while a worker writes it.

    Asking again with the same `external_id` gives the stored answer, or the live one from its start. After a failed
    answer it is a new attempt. When you hang up, the answer goes on.
    """
    found: list[Asked] = []

    def asked() -> tuple[str, Follower]:
        check_agent(context().database, context().settings, "assistant")
        found.append(service().ask(current_caller(), str(thread_id), body))
        answer_id = found[0].assistant_message_id
        return answer_id, service().follow(current_caller(), answer_id)

    def exchange(_: str) -> Exchange:
        question, answer = service().pair(current_caller(), found[0])
        return Exchange(user_message=Message(**question), assistant_message=Message(**answer))

    return answered(asked, exchange)


@blueprint.get("/threads/<uuid:thread_id>/stream")
@operation(
    "Follow the answer of a thread",
    {
        200: Outcome("The answer, from its start.", media_type="text/event-stream", example=STREAM_EXAMPLE),
        204: Outcome("No answer is being written."),
    },
    errors=(NotFound, TooManyStreams),
    headers=(LAST_EVENT_ID,),
)
def follow(thread_id: UUID) -> Any:
    """For another tab or device, and after a lost connection. `Last-Event-ID` resumes after an event."""
    answer_id = service().live(current_caller(), str(thread_id))
    if answer_id is None:
        return nothing_to_follow()
    with held_slot() as slot:
        return stream(answer_id, service().follow(current_caller(), answer_id), slot)


@blueprint.post("/threads/<uuid:thread_id>/stop")
@operation("Stop the answer of a thread", {202: Outcome("No answer is being written.", Stopped)}, errors=(NotFound,))
def stop(thread_id: UUID) -> Any:
    """Ends the answer at once and keeps its text so far, with the status `stopped`."""
    stopped = service().stop(current_caller(), str(thread_id))
    return Stopped(thread_id=thread_id, assistant_message_id=None if stopped is None else UUID(stopped)), 202


@blueprint.post("/sources")
@operation(
    "Upload material",
    {
        201: Outcome("The file is stored. A job reads its text; `status` tells how far it is.", ContentSource),
        200: Outcome(
            "You have stored the same bytes for this class before.",
            ContentSource,
            headers={"Deduplicated": "Always `true`."},
        ),
    },
    errors=(
        Forbidden,
        NotFound,
        SourceTypeNotSupported,
        SourceEmpty,
        SourceTooLong,
        SourceEncrypted,
        PlanLimitReached,
    ),
    max_body_bytes=MAX_BODY_BYTES,
    form=SourceForm,
)
@rate_limited("chat-sources", limit=60)
@may_answer_once
def upload_source() -> Any:
    """Accepts a PDF, DOCX, PPTX or HTML file, or text or Markdown in UTF-8, of up to 50 MiB.

    The type is told by the file's bytes; a name with another ending is refused. Links and texts are added over REST.
    """
    with received(SourceForm, max_bytes=MAX_FILE_BYTES) as found:
        uploaded = Uploaded(found.file, found.size, found.sha256, found.filename)
        title = found.fields.title
        class_id = None if found.fields.class_id is None else str(found.fields.class_id)

        def store() -> Any:
            stored = sources().store(current_caller(), uploaded, title, class_id)
            answer = content_source(stored.row, stored.job_id)
            return (answer, 201) if stored.created else (answer, 200, {"Deduplicated": "true"})

        return answer_once(lambda: [class_id, title, found.filename, found.sha256], store)


@blueprint.post("/sources/canvas")
@operation(
    "Add a page or file of Canvas",
    {202: Outcome("A job reads it; `status` of the content source tells how far it is.", SourceAsked)},
    errors=(Forbidden, NotFound, IntegrationNotConnected),
)
@rate_limited("chat-sources", limit=60)
@blueprint.input(CanvasWish, arg_name="body")
@idempotent
def add_canvas_source(body: CanvasWish) -> Any:
    """Reads it as you see it in Canvas, by your own permission. What was added before is read again."""
    asked = sources().add_canvas(current_caller(), body, local=context().settings.is_local)
    return SourceAsked(content_source_id=UUID(asked.content_source_id), job_id=UUID(asked.job_id)), 202


@blueprint.post("/courses/refresh")
@operation(
    "Fetch courses from Canvas",
    {202: Outcome("A job fetches them into `courses_cache`.", JobAsked)},
    errors=(Forbidden, IntegrationNotConnected),
)
@rate_limited("chat-courses", limit=20)
@blueprint.input(CoursesWish, arg_name="body")
@idempotent
def refresh_courses(body: CoursesWish) -> Any:
    """Fetches your courses by your own permission, without anybody's records. A day later they are forgotten."""
    return JobAsked(job_id=UUID(sources().refresh_courses(current_caller(), body.canvas_course_ids))), 202


@blueprint.post("/generate")
@operation(
    "Have material written",
    {202: Outcome("A job writes it; `content_md` of the row is null until then.", WishTaken)},
    errors=(Forbidden, NotFound, PlanLimitReached, AgentDisabled, AgentModelUnknown),
)
@rate_limited("chat-generate", limit=30)
@blueprint.input(Wish, arg_name="body")
@idempotent
def generate(body: Wish) -> Any:
    """Makes a row of `generated_content`, which a job writes out of your material.

    Its job shows how far it is. When it fails, the row has an `error_code`. Edit and approve the row over REST.
    """
    check_agent(context().database, context().settings, "assistant")
    begun = material().begin(current_caller(), body)
    return WishTaken(job_id=UUID(begun.job_id), generated_content_id=UUID(begun.generated_content_id)), 202


@blueprint.get("/generated/<uuid:content_id>/export")
@operation(
    "Get material as a file",
    {
        200: Outcome(
            "The file.",
            media_type="text/markdown",
            example="# Photosynthesis\n\n1. What becomes of light?\n",
            headers={"Content-Disposition": "The name under which a browser saves it."},
            others=(
                Outcome("", media_type="text/html", example="<!doctype html>..."),
                Outcome("", media_type="text/csv", example="number,question\r\n1,What becomes of light?\r\n"),
            ),
        )
    },
    errors=(NotFound, NotWritten, ExportNotSupported),
)
@blueprint.input(ExportQuery, location="query", arg_name="query")
def export(content_id: UUID, query: ExportQuery) -> Response:
    """Markdown and HTML of everything; CSV of quizzes, rubrics and slides, for spreadsheets."""
    found = material().export(current_caller(), str(content_id), query)
    response = Response(found.data, content_type=f"{found.media_type}; charset=utf-8")
    name = quote(found.filename, safe="")
    response.headers["Content-Disposition"] = f"attachment; filename=\"material\"; filename*=UTF-8''{name}"
    response.headers["Content-Security-Policy"] = POLICY
    return response
