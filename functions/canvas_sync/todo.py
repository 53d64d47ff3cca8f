"""What the person marked complete in the to-do list of Canvas (``svc_apply_todo``).

It is one list for all courses, read where the installation allows it (``settings.reads``). An incomplete one changes
nothing and never fails a run.
"""

from __future__ import annotations

import structlog

from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import CanvasError, ReauthorizationRequired
from functions.shared.canvas.tokens import Rpc

log = structlog.get_logger(__name__)

# what can be an assignment, as svc_apply_todo names it
KINDS = {"assignment": "assignment", "quiz": "quiz", "discussion_topic": "discussion"}


def read_todo(canvas: Canvas, rpc: Rpc, integration_id: str) -> int:
    """Stores the person's marks; how many assignments have another one than before.

    :raise ReauthorizationRequired: Canvas no longer accepts the grant
    """
    try:
        rows = [row for page in canvas.planner_overrides() for row in page.rows]
    except ReauthorizationRequired:
        raise
    except CanvasError as error:
        log.warning("todo_not_read", integration_id=integration_id, reason=type(error).__name__)
        return 0
    done = sorted({item for row in rows for item in done_items(row)})
    return int(rpc("svc_apply_todo", {"p_integration_id": integration_id, "p_done": done}))


def done_items(override: Row) -> list[str]:
    """Names of what an override marks complete. Canvas names the assignment of a graded quiz or discussion besides."""
    if override.get("marked_complete") is not True or override.get("workflow_state") == "deleted":
        return []
    kind = KINDS.get(str(override.get("plannable_type")).lower())
    named = [
        (kind, row_id({"id": override.get("plannable_id")})),
        ("assignment", row_id({"id": override.get("assignment_id")})),
    ]
    return [f"{kind}:{number}" for kind, number in named if kind and number]
