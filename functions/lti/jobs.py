"""The handlers of what follows from launches. ``lti_score``: payload ``{"line_item_id": id}``, our own id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.lti.grades import ScoreSender
from functions.lti.platform_tokens import PlatformTokens
from functions.shared.jobs import HandlerRegistry, JobContext


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker. They share the access tokens of the process."""
    tokens = PlatformTokens()

    def send_scores(context: JobContext) -> Mapping[str, Any]:
        return ScoreSender(context, tokens).run()

    registry.add("lti_score", send_scores)
