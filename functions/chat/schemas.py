"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime

THREAD_ID = "0f1e2d3c-4b5a-4968-8776-655443322110"
QUESTION_ID = "1a2b3c4d-5e6f-4708-9192-a3b4c5d6e7f8"
ANSWER_ID = "2b3c4d5e-6f70-4819-a2b3-c4d5e6f70819"
SOURCE_ID = "3c4d5e6f-7081-492a-b3c4-d5e6f7081920"
MAX_CONTENT_CHARACTERS = 50_000
MAX_SOURCES = 20


class Question(Request):
    """A question in a thread."""

    example: ClassVar = {
        "content": "Which of my texts explains the light reaction?",
        "external_id": "question-1",
        "content_source_ids": [SOURCE_ID],
    }

    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CONTENT_CHARACTERS, pattern=r"\S")] = Field(
        description="The question, as Markdown."
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Your own id of the question. The same id and question give the same answer, however often you ask."
    )
    class_id: UUID | None = Field(default=None, description="The class that the question is about.")
    content_source_ids: list[UUID] = Field(
        default_factory=list,
        max_length=MAX_SOURCES,
        description="What the answer may quote. By default the material of the class, else all of yours.",
    )


class Message(Answer):
    """A line of a thread."""

    id: UUID
    thread_id: UUID
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
    citations: list[dict[str, Any]]
    created_at: UtcTime


def _message(**columns: Any) -> dict[str, Any]:
    return {
        "thread_id": THREAD_ID,
        "status": "complete",
        "external_id": None,
        "parent_id": None,
        "finish_reason": None,
        "error_code": None,
        "model": None,
        "prompt_version": None,
        "metrics": {},
        "citations": [],
        "created_at": "2026-03-02T09:00:00Z",
        **columns,
    }


class Exchange(Answer):
    """A question and its answer."""

    example: ClassVar = {
        "user_message": _message(
            id=QUESTION_ID, role="user", content=Question.example["content"], external_id="question-1"
        ),
        "assistant_message": _message(
            id=ANSWER_ID,
            role="assistant",
            content="It turns light into chemical energy [1].",
            parent_id=QUESTION_ID,
            finish_reason="stop",
            model="some-model",
            prompt_version="chat/1.0.0",
            metrics={"attempts": 1, "citations": 1, "citations_dropped": 0},
            citations=[
                {
                    "number": 1,
                    "content_source_id": SOURCE_ID,
                    "kind": "text",
                    "title": "Photosynthesis",
                    "url": None,
                    "quote": "turns light into chemical energy",
                }
            ],
        ),
    }

    user_message: Message
    assistant_message: Message


class Stopped(Answer):
    """What was stopped: nothing when no answer was being written."""

    example: ClassVar = {"thread_id": THREAD_ID, "assistant_message_id": ANSWER_ID}

    thread_id: UUID
    assistant_message_id: UUID | None
