"""What comes in and goes out, and what a model has to answer."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime


class RunRequest(Request):
    """For which assignment."""

    assignment_id: UUID


class StartedAnswer(Answer):
    """The run, its job, and whether it was under way already."""

    run_id: UUID
    job_id: UUID
    status: str
    deduplicated: bool


class DocAnswer(Answer):
    """A document of a run; its text is read over REST."""

    id: UUID
    status: str
    title: str | None
    summary: str | None


class RunAnswer(Answer):
    """A run as its owner sees it."""

    run_id: UUID
    assignment_id: UUID
    status: str
    trigger: str
    model: str | None
    prompt_version: str | None
    created_at: UtcTime
    started_at: UtcTime | None
    ended_at: UtcTime | None
    error: str | None
    metrics: dict[str, Any]
    docs: list[DocAnswer]


class EndedAnswer(RunAnswer):
    """A run that ended while the caller waited."""

    job_id: UUID
    deduplicated: bool


class CancelledAnswer(Answer):
    """The run that was ended."""

    run_id: UUID
    status: str


# ---- what a model answers: checked for its form here, for length and content in writing.py -----------------------

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Step(BaseModel):
    """One step of the plan."""

    step: Text
    minutes: int = Field(ge=0, le=100_000)


class Resource(BaseModel):
    """Something to read."""

    title: Text
    url: str


class Extra(BaseModel):
    """Everything but the text. The last field is a required number: a truncated answer cannot lack it unnoticed."""

    title: Text
    summary: Text
    plan: list[Step]
    key_concepts: list[str]
    questions: list[str]
    resources: list[Resource]
    time_estimate_minutes: int = Field(ge=0, le=100_000)


class Headstart(BaseModel):
    """The whole answer; the text comes early so that it can be read while the rest is written."""

    title: Text
    content_md: Annotated[str, StringConstraints(min_length=1)]
    summary: Text
    plan: list[Step]
    key_concepts: list[str]
    questions: list[str]
    resources: list[Resource]
    time_estimate_minutes: int = Field(ge=0, le=100_000)
