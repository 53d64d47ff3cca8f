"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.programme.errors import RepositoryNeeded, WeekArchived
from functions.programme.reviews.errors import ReviewNotFailed
from functions.programme.reviews.service import ReviewService
from functions.programme.schemas import Kpi, Kpis, NotesAsked, NotesWish, PackageAsked, PackageWish, ReviewRetried
from functions.programme.service import WeekService
from functions.shared.agents import AgentDisabled, AgentModelUnknown
from functions.shared.errors import CheckFailed, NotFound
from functions.shared.usage import PlanLimitReached
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "programme",
    __name__,
    tag={"name": "programme", "description": "A learner's week: notes, brand packages, numbers, code reviews."},
)


def weeks() -> WeekService:
    """The service with this application's parts."""
    known = context()
    return WeekService(known.database, known.settings, known.clock)


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


@blueprint.post("/weeks/<uuid:week_id>/notes")
@operation(
    "Have notes on a week written",
    {202: Outcome("A job writes them.", NotesAsked)},
    errors=(
        NotFound,
        WeekArchived,
        RepositoryNeeded,
        PlanLimitReached,
        AgentDisabled,
        AgentModelUnknown,
        CheckFailed,
    ),
)
@rate_limited("programme-notes", limit=30)
@blueprint.input(NotesWish, arg_name="body")
@idempotent
def write_notes(week_id: UUID, body: NotesWish) -> Any:
    """`clo`: objectives and material for the week's focus. `engineer`: what a code review of the week has found.

    Engineer notes need `repository_url`, which is then reviewed, or a completed review of the week.
    """
    asked = weeks().ask_for_notes(current_caller(), str(week_id), body.kinds, body.repository_url)
    return NotesAsked(**asked), 202


@blueprint.post("/weeks/<uuid:week_id>/brand-package")
@operation(
    "Have a brand package written",
    {202: Outcome("A job writes it.", PackageAsked)},
    errors=(NotFound, WeekArchived, AgentDisabled, AgentModelUnknown),
)
@rate_limited("programme-packages", limit=30)
@blueprint.input(PackageWish, arg_name="body")
@idempotent
def write_package(week_id: UUID, body: PackageWish) -> Any:
    """Themes, posts and numbers with which you can show your week. Each statement names the rows it comes from."""
    return PackageAsked(job_id=UUID(weeks().ask_for_package(current_caller(), str(week_id), body.mode))), 202


@blueprint.post("/reviews/<uuid:review_id>/retry")
@operation(
    "Try a failed code review again",
    {202: Outcome("The review is pending, and its job is queued.", ReviewRetried)},
    errors=(NotFound, ReviewNotFailed, WeekArchived, PlanLimitReached),
)
@rate_limited("programme-reviews", limit=30)
def retry_review(review_id: UUID) -> Any:
    """Starts from the beginning, with the newest commit that the address means. It counts as a new review."""
    job_id = ReviewService(context().database, context().clock).retry(current_caller(), str(review_id))
    return ReviewRetried(review_id=review_id, status="pending", job_id=UUID(job_id)), 202
