"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.canvas_sync.feeds import CanvasAlreadyConnected, FeedUrlInvalid
from functions.canvas_sync.schemas import (
    FeedRequest,
    FeedStarted,
    SyncRequest,
    SyncRun,
    SyncRunEnded,
    SyncStarted,
    run_fields,
)
from functions.canvas_sync.service import SyncService
from functions.shared.canvas.errors import IntegrationNotConnected
from functions.shared.errors import NotFound
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.waiting import WaitQuery, wait_for_job

blueprint = APIBlueprint(
    "canvas-sync",
    __name__,
    tag={"name": "canvas-sync", "description": "Brings a person's Canvas courses and assignments here."},
)


@blueprint.post("/runs")
@operation(
    "Sync courses and assignments",
    {
        202: Outcome("The run is queued, or a live one was joined.", SyncStarted),
        200: Outcome("The run ended while the caller waited (`?wait=N`).", SyncRunEnded),
    },
    errors=(NotFound, IntegrationNotConnected),
)
@rate_limited("canvas-sync-runs", limit=30)
@blueprint.input(SyncRequest, arg_name="body")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@idempotent
def start(body: SyncRequest, query: WaitQuery) -> Any:
    """Joins a live run that syncs the same. The row of the job, in REST and Realtime, shows the run as well."""
    integration_id = str(body.integration_id) if body.integration_id else None
    course_ids = [str(course_id) for course_id in body.course_ids] if body.course_ids else None
    job_id, created = SyncService(context().database).start(current_caller(), integration_id, course_ids)
    row = wait_for_job(job_id, query.wait) if query.wait else None
    if row is not None and row["status"] not in LIVE:
        return SyncRunEnded(**run_fields(row), deduplicated=not created), 200
    return SyncStarted(job_id=UUID(job_id), deduplicated=not created), 202


@blueprint.get("/runs/<uuid:job_id>")
@operation("Look at a run", {200: Outcome("The run as it is now.", SyncRun)})
def look(job_id: UUID) -> SyncRun:
    """Shows one of your own runs."""
    return SyncRun(**run_fields(SyncService(context().database).find(current_caller(), str(job_id))))


@blueprint.post("/feeds")
@operation(
    "Add a calendar feed of Canvas",
    {202: Outcome("The feed is stored, and its first sync is queued.", FeedStarted)},
    errors=(FeedUrlInvalid, CanvasAlreadyConnected),
)
@rate_limited("canvas-sync-feeds", limit=10, window_seconds=3600)
@blueprint.input(FeedRequest, arg_name="body")
@idempotent
def add_feed(body: FeedRequest) -> Any:
    """Brings courses and due dates where the school gives no developer key. It replaces an earlier feed of the host.
    When the account itself is connected, it takes the feed's place. `DELETE /canvas-oauth/integrations/{id}` ends it.
    """
    known = context()
    service = SyncService(known.database)
    integration_id, job_id = service.add_feed(current_caller(), body.url, body.name, known.crypto, known.settings)
    return FeedStarted(integration_id=UUID(integration_id), job_id=UUID(job_id)), 202
