"""The requests and answers of this service, and the answers that a model must give."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime

ASSIGNMENT_ID = "6e5d4c3b-2a1f-4e0d-9c8b-7a6f5e4d3c2b"
RUN_ID = "2c3d4e5f-6a7b-4c8d-9e0f-1a2b3c4d5e6f"
JOB_ID = "9c8b7a6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"


class HeadstartRequest(Request):
    """The assignment to write a headstart for."""

    example: ClassVar = {"assignment_id": ASSIGNMENT_ID}

    assignment_id: UUID


class HeadstartStarted(Answer):
    """The run, its job, and whether it was already under way."""

    example: ClassVar = {"run_id": RUN_ID, "job_id": JOB_ID, "status": "queued", "deduplicated": False}

    run_id: UUID
    job_id: UUID
    status: str
    deduplicated: bool


class HeadstartDocument(Answer):
    """A document of a run. Its text is read over REST."""

    id: UUID
    status: str
    title: str | None
    summary: str | None


class HeadstartRun(Answer):
    """A run as its owner sees it."""

    example: ClassVar = {
        "run_id": RUN_ID,
        "assignment_id": ASSIGNMENT_ID,
        "status": "succeeded",
        "trigger": "manual",
        "model": "some-model",
        "prompt_version": "headstart/1.2.0",
        "created_at": "2026-03-02T09:00:00Z",
        "started_at": "2026-03-02T09:00:01Z",
        "ended_at": "2026-03-02T09:00:21Z",
        "error": None,
        "metrics": {
            "attempts": 1,
            "prompt_tokens": 900,
            "completion_tokens": 700,
            "cached_tokens": 0,
            "cost_usd": "0.0105",
            "latency_ms": 20150,
            "usage_estimated": False,
            "parse_path": "json_schema/strict",
        },
        "docs": [
            {
                "id": "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
                "status": "ready",
                "title": "Beginning the essay on rivers",
                "summary": "What is asked, how to begin, and three ideas to read about.",
            }
        ],
    }

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
    docs: list[HeadstartDocument]


class HeadstartRunEnded(HeadstartRun):
    """A run that ended while the caller waited."""

    example: ClassVar = {**HeadstartRun.example, "job_id": JOB_ID, "deduplicated": False}

    job_id: UUID
    deduplicated: bool


class HeadstartCancelled(Answer):
    """The run that was ended."""

    example: ClassVar = {"run_id": RUN_ID, "status": "cancelled"}

    run_id: UUID
    status: str


# ---- what a model answers; writing.py checks its length and content -----------------------------------------------

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
DURATION = re.compile(r"(\d{1,4}(?:[.,]\d{1,3})?)\s*(?:m|min|mins|minutes?|(h|hours?))?\.?", re.IGNORECASE)


def whole_minutes(value: Any) -> Any:
    """Whole minutes of what models write: 12.5, "15 min", "1.5 hours". Anything else stays for the schema to refuse."""
    if isinstance(value, str) and (match := DURATION.fullmatch(value.strip())):
        value = float(match.group(1).replace(",", ".")) * (60 if match.group(2) else 1)
    return round(value) if isinstance(value, float) and math.isfinite(value) else value


Minutes = Annotated[int, BeforeValidator(whole_minutes), Field(ge=0, le=100_000)]


class Step(BaseModel):
    """One step of the plan."""

    step: Text
    minutes: Minutes


class Resource(BaseModel):
    """Something to read."""

    title: Text
    url: str


class Extra(BaseModel):
    """Everything but the text. A truncated answer is noticed, because it lacks the last field."""

    title: str
    summary: str
    plan: list[Step]
    key_concepts: list[str]
    questions: list[str]
    resources: list[Resource]
    time_estimate_minutes: Minutes


class Headstart(BaseModel):
    """The whole answer. The text comes early, so that it can be read while the rest is written."""

    title: str
    content_md: Annotated[str, StringConstraints(min_length=1)]
    summary: str
    plan: list[Step]
    key_concepts: list[str]
    questions: list[str]
    resources: list[Resource]
    time_estimate_minutes: Minutes
