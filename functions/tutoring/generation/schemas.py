"""The requests and answers of practice that a model writes."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request

MAX_INSTRUCTIONS_CHARACTERS = 2000


class GenerationRequest(Request):
    """What practice to write. With `source_ids`, each question cites its place in these sources."""

    example: ClassVar = {
        "subject_id": "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a",
        "source_ids": ["2b1c0d9e-8f7a-4b6c-9d5e-4f3a2b1c0d9e"],
        "count": 5,
    }

    student_id: UUID | None = Field(default=None, description="For a tutor: the student. Left out: yourself.")
    subject_id: UUID
    topic_tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=20)] = []
    source_ids: Annotated[list[UUID], Field(max_length=20)] = Field(
        default=[], description="Documents of your own, lectures that you follow, or your material as a teacher."
    )
    difficulty_level: int | None = Field(default=None, ge=1, le=10, strict=True)
    count: int = Field(default=5, ge=1, le=10, strict=True)
    instructions: str | None = Field(default=None, min_length=1, max_length=MAX_INSTRUCTIONS_CHARACTERS, pattern=r"\S")


class GenerationStarted(Answer):
    """A job writes the practice. Its result says what was stored, and why the rest was dropped."""

    example: ClassVar = {"job_id": "5f4e3d2c-1b0a-4f9e-8d7c-6b5a4f3e2d1c"}

    job_id: UUID
