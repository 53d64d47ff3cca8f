"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.headstart.errors import AssignmentNotFound, AssignmentRemoved, RunFinished
from functions.headstart.schemas import (
    HeadstartCancelled,
    HeadstartRequest,
    HeadstartRun,
    HeadstartRunEnded,
    HeadstartStarted,
)
from functions.headstart.service import HeadstartService
from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.jobs import LIVE
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.slots import TooManyStreams
from functions.shared.web.streams import LAST_EVENT_ID, event_stream, last_seq
from functions.shared.web.waiting import WaitQuery, wait_for_job

blueprint = APIBlueprint(
    "headstart",
    __name__,
    tag={
        "name": "headstart",
        "description": "Writes a study start for an assignment: what is asked, a plan, ideas, questions, time.",
    },
)
EVENTS_EXAMPLE = (
    "retry: 3000\n\n"
    'id: 2c3d4e5f-6a7b-4c8d-9e0f-1a2b3c4d5e6f:1\ndata: {"type":"status","status":"running"}\n\n'
    'id: 2c3d4e5f-6a7b-4c8d-9e0f-1a2b3c4d5e6f:2\ndata: {"type":"text-delta","delta":"## What is asked\\n\\n"}\n\n'
    'id: 2c3d4e5f-6a7b-4c8d-9e0f-1a2b3c4d5e6f:3\ndata: {"type":"finish","status":"succeeded"}\n\n'
    "data: [DONE]\n\n"
)


def service() -> HeadstartService:
    """The service with this application's database."""
    return HeadstartService(context().database, context().reader)


@blueprint.post("/runs")
@operation(
    "Start a headstart",
    {
        202: Outcome("The run is queued, or a live one was joined.", HeadstartStarted),
        200: Outcome("The run ended while the caller waited (`?wait=N`).", HeadstartRunEnded),
    },
    errors=(AssignmentNotFound, AssignmentRemoved, AgentDisabled, AgentModelUnknown),
)
@rate_limited("headstart-runs", limit=30)
@blueprint.input(HeadstartRequest, arg_name="body")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@idempotent
def start(body: HeadstartRequest, query: WaitQuery) -> Any:
    """Joins a live run of the same assignment. When the run has succeeded, read its document over REST."""
    check_agent(context().database, context().settings, "headstart")
    started = service().start(current_caller(), str(body.assignment_id))
    if query.wait:
        row = wait_for_job(started.job_id, query.wait)
        if row is not None and row["status"] not in LIVE:
            fields = service().find(current_caller(), started.run_id)
            return HeadstartRunEnded(**fields, job_id=UUID(started.job_id), deduplicated=not started.created), 200
    return HeadstartStarted(
        run_id=UUID(started.run_id),
        job_id=UUID(started.job_id),
        status=started.status,
        deduplicated=not started.created,
    ), 202


@blueprint.get("/runs/<uuid:run_id>")
@operation("Look at a run", {200: Outcome("The run as it is now, with its documents.", HeadstartRun)})
def look(run_id: UUID) -> HeadstartRun:
    """Shows one of your own runs."""
    return HeadstartRun(**service().find(current_caller(), str(run_id)))


@blueprint.get("/runs/<uuid:run_id>/events")
@operation(
    "Follow a run",
    {200: Outcome("The events, until the run ends.", media_type="text/event-stream", example=EVENTS_EXAMPLE)},
    errors=(TooManyStreams,),
    headers=(LAST_EVENT_ID,),
)
def events(run_id: UUID) -> Response:
    """Sends the text while it is written, or all of it when the run has ended.

    `Last-Event-ID` resumes after an event. The last event is `finish`, `error` or `abort`.
    """
    stream = str(run_id)
    follower = service().follow(current_caller(), stream)
    return event_stream(stream, follower.look, after=follower.start(last_seq(stream)), idle_seconds=0)


@blueprint.post("/runs/<uuid:run_id>/cancel")
@operation("Cancel a run", {202: Outcome("The run has ended.", HeadstartCancelled)}, errors=(RunFinished,))
def cancel(run_id: UUID) -> Any:
    """Ends the run at once, and its stream with it."""
    service().cancel(current_caller(), str(run_id))
    return HeadstartCancelled(run_id=run_id, status="cancelled"), 202
