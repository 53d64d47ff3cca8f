"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from functions.shared.web.schemas import Answer, Request, UtcTime

THREAD_ID = "0f1e2d3c-4b5a-4968-8776-655443322110"
QUESTION_ID = "1a2b3c4d-5e6f-4708-9192-a3b4c5d6e7f8"
ANSWER_ID = "2b3c4d5e-6f70-4819-a2b3-c4d5e6f70819"
CLASS_ID = "4d5e6f70-8192-4a3b-84d5-e6f708192a3b"
JOB_ID = "5e6f7081-92a3-4b4c-95e6-f708192a3b4c"
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


class SourceForm(Request):
    """The fields beside the file."""

    example: ClassVar = {"title": "Photosynthesis", "class_id": CLASS_ID}

    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] | None = Field(
        default=None, description="Shown in lists; by default the name of the file."
    )
    class_id: UUID | None = Field(default=None, description="The class that the material is for.")


class ContentSource(Answer):
    """A teacher's material, as over REST, and the job that reads it."""

    example: ClassVar = {
        "id": SOURCE_ID,
        "teacher_id": "5f4e3d2c-1b0a-4f9e-8d7c-6b5a4f3e2d1c",
        "class_id": CLASS_ID,
        "kind": "upload",
        "title": "Photosynthesis",
        "source_url": None,
        "storage_key": f"content/{SOURCE_ID}.pdf",
        "text_content": None,
        "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "metadata": {"media_type": "application/pdf", "filename": "Photosynthesis.pdf", "size_bytes": 482113},
        "status": "pending",
        "error_message": None,
        "created_at": "2026-03-02T09:30:00Z",
        "updated_at": "2026-03-02T09:30:00Z",
        "job_id": JOB_ID,
    }

    id: UUID
    teacher_id: UUID
    class_id: UUID | None
    kind: Literal["upload"]
    title: str
    source_url: str | None
    storage_key: str
    text_content: str | None
    checksum: str
    metadata: dict[str, Any]
    status: Literal["pending", "processing", "ready", "failed"]
    error_message: str | None
    created_at: UtcTime
    updated_at: UtcTime
    job_id: UUID | None = Field(description="Null when the file was read before.")


def content_source(row: dict[str, Any], job_id: str | None) -> ContentSource:
    """From a row of content_sources, which may have columns that this version does not know."""
    known = {name: row[name] for name in ContentSource.model_fields if name != "job_id"}
    return ContentSource(**known, job_id=job_id)


Kind = Literal["lesson_plan", "quiz", "rubric", "worksheet", "slides", "summary", "other"]


class Wish(Request):
    """Material to be written."""

    example: ClassVar = {
        "kind": "quiz",
        "instructions": "Five questions on the light reaction for class 9, two of them open.",
        "content_source_ids": [SOURCE_ID],
    }

    kind: Kind
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None = Field(
        default=None, description="Shown in lists; by default the model gives one."
    )
    instructions: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")] = Field(
        description="What it is about and for whom."
    )
    class_id: UUID | None = Field(default=None, description="The class that it is for.")
    content_source_ids: list[UUID] = Field(
        default_factory=list,
        max_length=MAX_SOURCES,
        description="What it may quote. By default the material of the class, else all of yours.",
    )
    thread_id: UUID | None = Field(default=None, description="The conversation that asks for it, which is read too.")


class WishTaken(Answer):
    """The row that will hold the material, and the job that writes it."""

    example: ClassVar = {"job_id": JOB_ID, "generated_content_id": "6f708192-a3b4-4c5d-86f7-08192a3b4c5d"}

    job_id: UUID
    generated_content_id: UUID


class ExportQuery(Request):
    """In which form material is wanted."""

    example: ClassVar = {"format": "md", "answers": True}

    format: Literal["md", "html", "csv"] = "md"
    answers: bool = Field(default=True, description="Whether the answers of quizzes and worksheets are in it.")


CanvasId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")]


class CanvasWish(Request):
    """A page or a file of Canvas, one of the two."""

    example: ClassVar = {"canvas_course_id": "1001", "page_url": "light-reaction"}

    canvas_course_id: CanvasId = Field(description="The course in Canvas.")
    page_url: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = Field(
        default=None, description="The page's name in addresses (`url` in Canvas's API), or its address."
    )
    file_id: CanvasId | None = Field(default=None, description="The file in Canvas.")
    class_id: UUID | None = Field(default=None, description="The class that the material is for.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.page_url is None) == (self.file_id is None):
            raise ValueError("give page_url or file_id")
        return self


class SourceAsked(Answer):
    """The material, and the job that reads it."""

    example: ClassVar = {"content_source_id": SOURCE_ID, "job_id": JOB_ID}

    content_source_id: UUID
    job_id: UUID


class CoursesWish(Request):
    """Which courses to fetch."""

    example: ClassVar = {"canvas_course_ids": ["1001"]}

    canvas_course_ids: list[CanvasId] | None = Field(
        default=None, min_length=1, max_length=100, description="Courses in Canvas; without it, all active ones."
    )


class JobAsked(Answer):
    """The job that does it."""

    example: ClassVar = {"job_id": JOB_ID}

    job_id: UUID
