"""The route of the overview; ``tutoring/routes.py`` has the blueprint and brings it in."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint

from functions.shared.errors import NotFound
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.tutoring.overview.schemas import Overview
from functions.tutoring.overview.service import OverviewService


def add_routes(blueprint: APIBlueprint) -> None:
    """Adds the route to the blueprint of the service."""

    @blueprint.get("/students/<uuid:student_id>/overview")
    @operation("A student's overview", {200: Outcome("What you may see of it.", Overview)}, errors=(NotFound,))
    @rate_limited("tutoring-overview", limit=60)
    def read_overview(student_id: UUID) -> Overview:
        """For the student, their tutors and parents, and administrators: goals, ratings, points, sessions, practice.

        Each part has only what you may see over REST, too. Parents see no topics of items and no questions.
        """
        return Overview(**OverviewService(context().database).read(current_caller(), str(student_id)))
