"""The routes of sessions; ``tutoring/routes.py`` has the blueprint and brings them in."""

from __future__ import annotations

from typing import Any, get_args
from uuid import UUID

from apiflask import APIBlueprint
from flask import request

from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.errors import NotFound
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.waiting import WaitQuery, wait_for_job
from functions.tutoring.sessions.errors import SummaryOverridden, TranscriptUnreadable
from functions.tutoring.sessions.schemas import Note, NoteAnswer, SummaryStarted, Transcript, TranscriptRequest
from functions.tutoring.sessions.service import Parent, SessionService
from functions.tutoring.sessions.transcripts import MAX_BODY_BYTES, TYPES, text_of


def service() -> SessionService:
    """The service with this application's parts."""
    return SessionService(context().database, context().crypto)


def add_routes(blueprint: APIBlueprint) -> None:
    """Adds the routes to the blueprint of the service."""
    _add_transcripts(blueprint)
    for parent in get_args(Parent):
        _add_notes(blueprint, parent)


def _add_transcripts(blueprint: APIBlueprint) -> None:
    @blueprint.put("/sessions/<uuid:session_id>/transcript")
    @operation(
        "Store a session's transcript",
        {204: Outcome("It is stored, and its summary is queued.")},
        errors=(NotFound, TranscriptUnreadable),
        max_body_bytes=MAX_BODY_BYTES,
        texts=TYPES,
    )
    @rate_limited("tutoring-transcripts", limit=30)
    @blueprint.input(TranscriptRequest, arg_name="body")
    def put_transcript(session_id: UUID, body: TranscriptRequest) -> Any:
        """For the session's tutor: plain text, WebVTT or SRT, up to 5 MiB. It is encrypted and replaces the last one.

        Who speaks stays, times do not. The summary is written by itself, unless a tutor has corrected it.
        """
        service().put_transcript(current_caller(), str(session_id), text_of(body.text, request.mimetype))
        return "", 204

    @blueprint.get("/sessions/<uuid:session_id>/transcript")
    @operation("Read a session's transcript", {200: Outcome("What was said.", Transcript)}, errors=(NotFound,))
    @rate_limited("tutoring-transcripts", limit=30)
    def read_transcript(session_id: UUID) -> Transcript:
        """For the session's tutor and its student. Each reading is audited."""
        return Transcript(text=service().transcript(current_caller(), str(session_id)))

    @blueprint.post("/sessions/<uuid:session_id>/summary")
    @operation(
        "Write a session's summary",
        {
            200: Outcome("The job has ended; the summary is in `summaries`.", SummaryStarted),
            202: Outcome("It is queued.", SummaryStarted),
        },
        errors=(NotFound, SummaryOverridden, AgentDisabled, AgentModelUnknown),
    )
    @rate_limited("tutoring-summaries", limit=30)
    @blueprint.input(WaitQuery, location="query", arg_name="query")
    def summarise_session(session_id: UUID, query: WaitQuery) -> Any:
        """For the session's tutor. Without a transcript the summary is made of the session's topics alone.

        A summary that a tutor has corrected is never written again.
        """
        check_agent(context().database, context().settings, "tutor_companion")
        job_id = service().summarise(current_caller(), str(session_id))
        row = wait_for_job(job_id, query.wait) if query.wait else None
        has_ended = row is not None and row["status"] not in LIVE
        return SummaryStarted(job_id=UUID(job_id)), 200 if has_ended else 202


def _add_notes(blueprint: APIBlueprint, parent: Parent) -> None:
    path = f"/{parent}s/<uuid:parent_id>/notes"

    @blueprint.get(path, endpoint=f"read_{parent}_note")
    @operation(f"Read your note on a {parent}", {200: Outcome("The note.", NoteAnswer)}, errors=(NotFound,))
    @rate_limited("tutoring-notes", limit=120)
    def read_note(parent_id: UUID) -> NoteAnswer:
        """For its author alone, who is the tutor of it. Each reading is audited."""
        return NoteAnswer(body=service().note(current_caller(), parent, str(parent_id)))

    @blueprint.put(path, endpoint=f"put_{parent}_note")
    @operation(f"Write your note on a {parent}", {204: Outcome("It is stored.")}, errors=(NotFound,))
    @rate_limited("tutoring-notes", limit=120)
    @blueprint.input(Note, arg_name="body")
    def put_note(parent_id: UUID, body: Note) -> Any:
        """It is encrypted, and replaces the one before. Nobody else reads it: no student, parent or colleague."""
        service().put_note(current_caller(), parent, str(parent_id), body.body)
        return "", 204

    @blueprint.delete(path, endpoint=f"delete_{parent}_note")
    @operation(f"Delete your note on a {parent}", {204: Outcome("There is none.")}, errors=(NotFound,))
    @rate_limited("tutoring-notes", limit=120)
    def delete_note(parent_id: UUID) -> Any:
        """Without a note nothing happens."""
        service().delete_note(current_caller(), parent, str(parent_id))
        return "", 204
