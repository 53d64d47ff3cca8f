"""The handler of ``canvas_sync`` jobs. Payload: ``{"integration_ids"?: [...], "course_ids"?: [...]}``, our own ids.

Those of ``canvas_sync_scan`` and ``due_scan``, which come by the clock, are in scheduled.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.canvas_sync.announcements import AnnouncementReader, announcements_told
from functions.canvas_sync.feed_sync import FeedSync
from functions.canvas_sync.report import Report
from functions.canvas_sync.scheduled import scan, tell_due
from functions.canvas_sync.sync import IntegrationSync
from functions.shared.canvas.errors import CanvasError, CanvasUnavailable, ReauthorizationRequired
from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.database import rpc, run
from functions.shared.errors import Unavailable
from functions.shared.fetch import Fetcher
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure

CHECK_SECONDS = 0.5  # how soon a waiting run notices that it was cancelled


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("canvas_sync", sync)
    registry.add("canvas_sync_scan", scan)
    registry.add("due_scan", tell_due)


def sync(context: JobContext) -> Mapping[str, Any]:
    """Syncs the job's integrations. The answer is the job's ``result``, a ``SyncResult``.

    :raise JobFailure: nothing was synced: no integration is connected, a grant is no longer accepted, or Canvas gave no
        list of courses
    """
    try:
        return _sync(context)
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def _sync(context: JobContext) -> Mapping[str, Any]:
    payload = context.job.payload
    wanted = payload.get("integration_ids")
    only = set(payload["course_ids"]) if payload.get("course_ids") else None
    rows = _integrations(context, wanted)
    if not rows:
        raise JobFailure("integration_not_connected", "Canvas is not connected. Connect it first.", retryable=False)
    report = Report()
    failures: list[CanvasError] = []
    for row in rows:
        try:
            _sync_one(context, row, report, only)
        except CanvasError as error:
            failures.append(error)
            report.fail(error.code)
    if len(failures) == len(rows):
        # nothing was synced, so the job itself fails with the reason
        first = next((error for error in failures if isinstance(error, CanvasUnavailable)), failures[0])
        outage = isinstance(first, CanvasUnavailable)
        raise JobFailure(first.code, first.message, retryable=outage, detail=str(first.details)) from first
    return report.result()


def _integrations(context: JobContext, wanted: list[str] | None) -> list[dict[str, Any]]:
    """The connected ones among the wanted integrations, and only those of the job's person."""
    columns = f"id,provider,lms_connection:lms_connections({CONNECTION_COLUMNS})"
    query = context.database.service().from_("integrations").select(columns).eq("user_id", context.job.user_id)
    query = query.in_("provider", ["canvas", "canvas_feed"]).eq("status", "connected")
    if wanted is not None:
        query = query.in_("id", wanted)
    return [dict(row) for row in run(query.order("id"))]


def _sync_one(context: JobContext, row: dict[str, Any], report: Report, only: set[str] | None) -> None:
    service = context.database.service()

    def call(name: str, args: dict[str, Any]) -> Any:
        # every function used here may run twice without harm
        return rpc(service, name, args, safe=True)

    def step() -> None:
        context.progress(report.progress())
        context.check_cancelled()

    def pause(seconds: float) -> None:
        # a cancelled run must not wait until Canvas takes requests again
        until = context.clock.monotonic() + seconds
        while (left := until - context.clock.monotonic()) > 0:
            context.check_cancelled()
            context.clock.sleep(min(left, CHECK_SECONDS))

    factory = CanvasFactory(context.settings, context.http, context.crypto, context.clock, call, pause)
    try:
        if row["provider"] == "canvas_feed":
            step()
            fetcher = Fetcher.of(context.settings)
            feed = FeedSync(
                call, context.crypto, fetcher, row["id"], context.job.job_id, local=context.settings.is_local
            )
            feed.run(report, context.clock.now())
            return
        canvas = factory.canvas(row["lms_connection"], row["id"])
        sync_run = IntegrationSync(canvas, call, row["id"], context.job.job_id, report, step, context.clock.now)
        if only is not None:
            sync_run.run(only)
            return
        # its own client, because a run may end its own while announcements are still read; both share one throttle
        reader = AnnouncementReader(
            lambda: factory.canvas(row["lms_connection"], row["id"]), call, row["id"], context.clock.now()
        )
        try:
            with announcements_told(reader):
                sync_run.run()
        finally:
            report.requests += reader.requests
            report.throttled += reader.throttled
    except ReauthorizationRequired:
        call("svc_expire_integration", {"p_integration_id": row["id"]})
        raise
