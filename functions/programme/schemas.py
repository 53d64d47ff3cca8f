"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, RootModel, StringConstraints, model_validator

from functions.shared.web.schemas import Answer, Request, UtcTime

WEEK_ID = "4b1f0a6c-5d2e-4f3a-8b7c-9d0e1f2a3b4c"
JOB_ID = "7e4f3d9f-8a5b-4c6d-9e0f-2a3b4c5d6e7f"
MetricName = Literal[
    "hours_worked", "completion", "questions_asked", "practice_accuracy", "code_quality", "study_blocks_kept"
]


class Kpi(Answer):
    """A row of `kpi_metrics`."""

    example: ClassVar = {
        "id": "5c2e1b7d-6e3f-4a4b-9c8d-0e1f2a3b4c5d",
        "week_id": WEEK_ID,
        "user_id": "6d3f2c8e-7f4a-4b5c-8d9e-1f2a3b4c5d6e",
        "metric_name": "hours_worked",
        "metric_category": "effort",
        "current_value": 4.5,
        "target_value": 6,
        "previous_value": 3,
        "delta": 1.5,
        "trend": "up",
        "unit": "hours",
        "recorded_at": "2031-05-09T18:00:00Z",
        "created_at": "2031-05-09T18:00:00Z",
    }

    id: UUID
    week_id: UUID
    user_id: UUID
    metric_name: MetricName
    metric_category: str | None
    current_value: float
    target_value: float | None
    previous_value: float | None
    delta: float | None
    trend: Literal["up", "down", "stable"] | None
    unit: str | None
    recorded_at: UtcTime
    created_at: UtcTime


class Kpis(RootModel[list[Kpi]]):
    """The numbers of a week. A mean or share without data is left out."""

    example: ClassVar = [Kpi.example]


class NotesWish(Request):
    """Which notes to write."""

    example: ClassVar = {"kinds": ["clo", "engineer"], "repository_url": "https://github.com/example/project"}

    kinds: list[Literal["clo", "engineer"]] = Field(min_length=1, max_length=2)
    repository_url: (
        Annotated[
            str,
            StringConstraints(
                strip_whitespace=True,
                max_length=500,
                pattern=r"^https://(www\.)?github\.com/[A-Za-z0-9-]+/[A-Za-z0-9._-]+",
            ),
        ]
        | None
    ) = Field(default=None, description="Has this repository reviewed for engineer notes.")

    @model_validator(mode="after")
    def _is_for_engineer(self) -> Self:
        if self.repository_url is not None and "engineer" not in self.kinds:
            raise ValueError("repository_url is for engineer notes")
        return self


class NotesAsked(Answer):
    """The job that writes them. With `review_id`, engineer notes come at the end of that code review."""

    example: ClassVar = {"job_id": JOB_ID, "review_id": None}

    job_id: UUID | None = Field(description="Null only when the job has just ended.")
    review_id: UUID | None


class PackageWish(Request):
    """What kind of brand package."""

    example: ClassVar = {"mode": "quiet and technical, for other students"}

    mode: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = Field(
        default=None, description="The style or audience, in your own words."
    )


class PackageAsked(Answer):
    """The job that writes it; its result has the id of the row of `brand_packages`."""

    example: ClassVar = {"job_id": JOB_ID}

    job_id: UUID


class ReviewRetried(Answer):
    """A review that is done again. Its row and the job's row show how it goes on."""

    example: ClassVar = {
        "review_id": "3f2a1b0c-9d8e-4f7a-8b6c-5d4e3f2a1b0c",
        "status": "pending",
        "job_id": "0c1b2a3f-8e9d-4a7f-8c6b-0b1c2a3f4e5d",
    }

    review_id: UUID
    status: str
    job_id: UUID
