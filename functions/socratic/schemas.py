"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime

SESSION_ID = "0f1e2d3c-4b5a-4968-8776-655443322110"
WEEK_ID = "4d5e6f70-8192-4a3b-84d5-e6f708192a3b"
LINE_ID = "1a2b3c4d-5e6f-4708-9192-a3b4c5d6e7f8"
ANSWER_ID = "2b3c4d5e-6f70-4819-a2b3-c4d5e6f70819"
JOB_ID = "5e6f7081-92a3-4b4c-95e6-f708192a3b4c"
MAX_CONTENT_CHARACTERS = 20_000


class SocraticLine(Request):
    """What the learner says."""

    example: ClassVar = {"content": "Plants need light, but I do not know what for.", "external_id": "line-1"}

    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CONTENT_CHARACTERS, pattern=r"\S")] = Field(
        description="The line, as Markdown."
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Your own id of the line. The same id and line give the same answer, however often you send them."
    )


class Spoken(Request):
    """The fields beside the recording."""

    example: ClassVar = {"external_id": "line-2"}
    file_part: ClassVar = "audio"

    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Your own id of the line. The same id and recording give the same answer."
    )


class SpokenLine(Answer):
    """Where a spoken line can be heard."""

    example: ClassVar = {
        "url": f"https://project.example/storage/v1/object/sign/socratic-audio/{LINE_ID}?token=eyJh",
        "expires_at": "2026-03-02T10:00:00Z",
    }

    url: str
    expires_at: UtcTime


class SocraticMessage(Answer):
    """A line of a session."""

    id: UUID
    session_id: UUID
    role: str
    content: str
    status: str
    external_id: str | None
    parent_id: UUID | None
    finish_reason: str | None
    error_code: str | None
    model: str | None
    prompt_version: str | None
    metrics: dict[str, Any]
    audio_url: str | None
    audio_seconds: float | None
    transcript: str | None
    created_at: UtcTime


def _message(**columns: Any) -> dict[str, Any]:
    return {
        "session_id": SESSION_ID,
        "status": "complete",
        "external_id": None,
        "parent_id": None,
        "finish_reason": None,
        "error_code": None,
        "model": None,
        "prompt_version": None,
        "metrics": {},
        "audio_url": None,
        "audio_seconds": None,
        "transcript": None,
        "created_at": "2026-03-02T09:00:00Z",
        **columns,
    }


class SocraticExchange(Answer):
    """The learner's line and the agent's."""

    example: ClassVar = {
        "user_message": _message(id=LINE_ID, role="user", external_id="line-1", content="Plants need light."),
        "assistant_message": _message(
            id=ANSWER_ID,
            role="assistant",
            parent_id=LINE_ID,
            content="What do you think happens to the light once it reaches a leaf?",
            finish_reason="stop",
            model="writer-1",
            prompt_version="socratic/1.0.0",
        ),
    }

    user_message: SocraticMessage
    assistant_message: SocraticMessage


class SocraticStopped(Answer):
    """The answer that was stopped, if one was being written."""

    example: ClassVar = {"session_id": SESSION_ID, "assistant_message_id": ANSWER_ID}

    session_id: UUID
    assistant_message_id: UUID | None


class SocraticSession(Answer):
    """An ended session."""

    example: ClassVar = {
        "id": SESSION_ID,
        "week_id": WEEK_ID,
        "topic": "Photosynthesis",
        "started_at": "2026-03-02T09:00:00Z",
        "ended_at": "2026-03-02T09:20:00Z",
        "total_questions": 4,
        "insights_generated": ["Light is the leaf's source of energy."],
        "voice_enabled": False,
        "session_metadata": {
            "insights": [
                {
                    "text": "Light is the leaf's source of energy.",
                    "message_id": LINE_ID,
                    "quote": "the light gives it energy",
                }
            ]
        },
    }

    id: UUID
    week_id: UUID
    topic: str
    started_at: UtcTime
    ended_at: UtcTime | None
    total_questions: int
    insights_generated: list[str]
    voice_enabled: bool
    session_metadata: dict[str, Any]


class InsightsAwaited(Answer):
    """The session has ended, and a job still writes its insights."""

    example: ClassVar = {"job_id": JOB_ID}

    job_id: UUID
