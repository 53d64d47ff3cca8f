"""The handlers of what follows from launches. Payloads hold our own ids, and the platform's id of the course.

``lti_score``: ``{"line_item_id": id}``; ``lti_roster``: ``{"deployment_id": id, "context_id": text}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.lti.grades import ScoreSender
from functions.lti.names_and_roles import RosterReader
from functions.lti.platform_tokens import PlatformTokens
from functions.shared.jobs import HandlerRegistry, JobContext


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker. They share the access tokens of the process."""
    tokens = PlatformTokens()

    def send_scores(context: JobContext) -> Mapping[str, Any]:
        return ScoreSender(context, tokens).run()

    def read_roster(context: JobContext) -> Mapping[str, Any]:
        return RosterReader(context, tokens).run()

    registry.add("lti_score", send_scores)
    registry.add("lti_roster", read_roster)
