"""The calls of http_contract 3."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.headstart.schemas import (
    CancelledAnswer,
    EndedAnswer,
    RunAnswer,
    RunRequest,
    StartedAnswer,
)
from functions.headstart.service import HeadstartService
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.streams import event_stream, last_seq
from functions.shared.web.waiting import WaitQuery, wait_for_job

blueprint = APIBlueprint("headstart", __name__, tag="headstart")


def service() -> HeadstartService:
    """The service with this application's collaborators."""
    return HeadstartService(context().database)


@blueprint.post("/runs")
@rate_limited("headstart-runs", limit=30)
@blueprint.input(RunRequest, arg_name="body")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@blueprint.output(StartedAnswer, status_code=202)
@blueprint.doc(summary="Start a headstart", responses={200: "Ended while the caller waited (?wait=N)"})
@idempotent
def start(body: RunRequest, query: WaitQuery) -> Any:
    """A live run of the same assignment is joined."""
    started = service().start(current_caller(), str(body.assignment_id))
    if query.wait:
        row = wait_for_job(started.job_id, query.wait)
        if row is not None and row["status"] not in LIVE:
            fields = service().find(current_caller(), started.run_id)
            return EndedAnswer(**fields, job_id=UUID(started.job_id), deduplicated=not started.created), 200
    return StartedAnswer(
        run_id=UUID(started.run_id),
        job_id=UUID(started.job_id),
        status=started.status,
        deduplicated=not started.created,
    ), 202


@blueprint.get("/runs/<uuid:run_id>")
@blueprint.output(RunAnswer)
@blueprint.doc(summary="Look at a run")
def look(run_id: UUID) -> Any:
    """Own runs only, with their documents."""
    return RunAnswer(**service().find(current_caller(), str(run_id)))


@blueprint.get("/runs/<uuid:run_id>/events")
@blueprint.doc(summary="Follow a run", responses={200: "Events (text/event-stream)"})
def events(run_id: UUID) -> Response:
    """The text as it is written; resumes behind Last-Event-ID, replays a finished run."""
    stream = str(run_id)
    after, follow = service().follow(current_caller(), stream, last_seq(stream))
    return event_stream(stream, follow, after=after)


@blueprint.post("/runs/<uuid:run_id>/cancel")
@blueprint.output(CancelledAnswer, status_code=202)
@blueprint.doc(summary="Cancel a run")
def cancel(run_id: UUID) -> Any:
    """Ends it at once, with its stream."""
    service().cancel(current_caller(), str(run_id))
    return CancelledAnswer(run_id=run_id, status="cancelled"), 202
