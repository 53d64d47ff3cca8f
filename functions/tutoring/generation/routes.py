"""The route of practice that a model writes; ``tutoring/routes.py`` has the blueprint and brings it in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.errors import NotFound
from functions.shared.usage import PlanLimitReached
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.tutoring.errors import SubjectNotFound
from functions.tutoring.generation.errors import SourceUnread
from functions.tutoring.generation.schemas import GenerationRequest, GenerationStarted
from functions.tutoring.generation.service import GenerationService


def add_routes(blueprint: APIBlueprint) -> None:
    """Adds the route to the blueprint of the service."""

    @blueprint.post("/practice/generate")
    @operation(
        "Have practice written",
        {202: Outcome("A job writes and checks it.", GenerationStarted)},
        errors=(NotFound, SubjectNotFound, SourceUnread, PlanLimitReached, AgentDisabled, AgentModelUnknown),
    )
    @rate_limited("practice-generate", limit=30)
    @blueprint.input(GenerationRequest, arg_name="body")
    @idempotent
    def generate_practice(body: GenerationRequest) -> Any:
        """For yourself, or, as an active tutor, for a student of yours, from a topic or from `source_ids`.

        Each question is answered a second time without its key, and dropped when the answers differ. What is left can
        be practised at once, and is rated only after a tutor has accepted it by `review_practice`.
        """
        known = context()
        check_agent(known.database, known.settings, "tutor_companion")
        service = GenerationService(known.database, known.waker, known.clock)
        return GenerationStarted(job_id=UUID(service.begin(current_caller(), body))), 202
