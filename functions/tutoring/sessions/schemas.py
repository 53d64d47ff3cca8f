"""The requests and answers of sessions."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request
from functions.tutoring.sessions.transcripts import MAX_BODY_BYTES

MAX_NOTE_CHARACTERS = 50_000
TEXT = "Tutor: What do we know about the mass?\nAda: It cancels."


class TranscriptRequest(Request):
    """A transcript as plain text. Captions are sent as they are, with their own Content-Type."""

    example: ClassVar = {"text": TEXT}

    text: str = Field(min_length=1, max_length=MAX_BODY_BYTES, pattern=r"\S")


class Transcript(Answer):
    """What was said, one line for each turn."""

    example: ClassVar = {"text": TEXT}

    text: str


class SummaryStarted(Answer):
    """The summary is being written; read it in `summaries` when the job has ended."""

    example: ClassVar = {"job_id": "5f4e3d2c-1b0a-4f9e-8d7c-6b5a4f3e2d1c"}

    job_id: UUID


class Note(Request):
    """A tutor's own note."""

    example: ClassVar = {"body": "Slow down at fractions."}

    body: str = Field(min_length=1, max_length=MAX_NOTE_CHARACTERS, pattern=r"\S")


class NoteAnswer(Answer):
    """A tutor's own note; null when there is none."""

    example: ClassVar = {"body": "Slow down at fractions."}

    body: str | None
