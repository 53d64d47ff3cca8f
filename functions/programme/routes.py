"""The routes of this service."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint

from functions.programme.errors import WeekArchived
from functions.programme.schemas import Kpi, Kpis
from functions.programme.service import WeekService
from functions.shared.errors import NotFound
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "programme",
    __name__,
    tag={"name": "programme", "description": "A learner's week: notes, brand packages, numbers, code reviews."},
)


def weeks() -> WeekService:
    """The service with this application's parts."""
    return WeekService(context().database)


@blueprint.post("/weeks/<uuid:week_id>/kpis")
@operation(
    "Measure a week",
    {200: Outcome("The numbers as they are now; they are stored, too.", Kpis)},
    errors=(NotFound, WeekArchived),
)
@rate_limited("programme-kpis", limit=60)
def measure_kpis(week_id: UUID) -> Kpis:
    """Also brings `completion_percentage` and `actual_hours` up to date. Every night this happens by itself."""
    rows = weeks().measure(current_caller(), str(week_id))
    return Kpis([Kpi(**row) for row in rows])
