"""The requests and answers of this service."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import RootModel

from functions.shared.web.schemas import Answer, UtcTime

WEEK_ID = "4b1f0a6c-5d2e-4f3a-8b7c-9d0e1f2a3b4c"
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
