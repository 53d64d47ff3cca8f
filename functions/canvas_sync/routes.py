"""The calls of http_contract 2."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.canvas_sync.schemas import EndedAnswer, RunAnswer, RunRequest, StartedAnswer, run_fields
from functions.canvas_sync.service import SyncService
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.waiting import WaitQuery, wait_for_job

blueprint = APIBlueprint("canvas-sync", __name__, tag="canvas-sync")


@blueprint.post("/runs")
@rate_limited("canvas-sync-runs", limit=30)
@blueprint.input(RunRequest, arg_name="body")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@blueprint.output(StartedAnswer, status_code=202)
@blueprint.doc(summary="Sync courses and assignments", responses={200: "Ended while the caller waited (?wait=N)"})
@idempotent
def start(body: RunRequest, query: WaitQuery) -> Any:
    """Joins a live run of the same integration; its truth is the row in jobs."""
    integration_id = str(body.integration_id) if body.integration_id else None
    course_ids = [str(course_id) for course_id in body.course_ids] if body.course_ids else None
    job_id, created = SyncService(context().database).start(current_caller(), integration_id, course_ids)
    row = wait_for_job(job_id, query.wait) if query.wait else None
    if row is not None and row["status"] not in LIVE:
        return EndedAnswer(**run_fields(row), deduplicated=not created), 200
    return StartedAnswer(job_id=UUID(job_id), deduplicated=not created), 202


@blueprint.get("/runs/<uuid:job_id>")
@blueprint.output(RunAnswer)
@blueprint.doc(summary="Look at a run")
def look(job_id: UUID) -> Any:
    """Own runs only."""
    return RunAnswer(**run_fields(SyncService(context().database).find(current_caller(), str(job_id))))
