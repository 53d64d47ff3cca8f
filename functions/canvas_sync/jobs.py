"""The handler of ``canvas_sync`` jobs. Payload: ``{"integration_ids"?: [...], "course_ids"?: [...]}``, our own ids.

Those of ``canvas_sync_scan`` and ``due_scan``, which come by the clock, are in scheduled.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.canvas_sync.announcements import AnnouncementReader, announcements_told
from functions.canvas_sync.feed_sync import FeedSync
from functions.canvas_sync.listings import Course
from functions.canvas_sync.modules import ModuleOrder
from functions.canvas_sync.report import Report
from functions.canvas_sync.scheduled import scan, tell_due
from functions.canvas_sync.sync import IntegrationSync
from functions.canvas_sync.todo import read_todo
from functions.shared.canvas.client import Canvas
from functions.shared.canvas.errors import CanvasError, CanvasUnavailable, ReauthorizationRequired
from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.canvas.oauth import READS, covers, reads_of
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
            IntegrationJob(context, row, report).run(only)
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
    columns = f"id,provider,scopes,lms_connection:lms_connections({CONNECTION_COLUMNS},settings)"
    query = context.database.service().from_("integrations").select(columns).eq("user_id", context.job.user_id)
    query = query.in_("provider", ["canvas", "canvas_feed"]).eq("status", "connected")
    if wanted is not None:
        query = query.in_("id", wanted)
    return [dict(row) for row in run(query.order("id"))]


class IntegrationJob:
    """The part of a job that syncs one integration, a row of :func:`_integrations`."""

    def __init__(self, context: JobContext, row: dict[str, Any], report: Report) -> None:
        self._context = context
        self._row = row
        self._report = report
        self._factory = CanvasFactory(
            context.settings, context.http, context.crypto, context.clock, self._call, self._pause
        )

    def run(self, only: set[str] | None) -> None:
        """Syncs all courses, or ``only`` those with these ids.

        :raise CanvasError: there is no list of courses; the integration has expired when Canvas refuses the grant
        """
        try:
            if self._row["provider"] == "canvas_feed":
                self._read_feed()
            else:
                self._read_courses(only)
        except ReauthorizationRequired:
            self._call("svc_expire_integration", {"p_integration_id": self._row["id"]})
            raise

    def _read_feed(self) -> None:
        context = self._context
        self._step()
        fetcher, local = Fetcher.of(context.settings), context.settings.is_local
        feed = FeedSync(self._call, context.crypto, fetcher, self._row["id"], context.job.job_id, local=local)
        feed.run(self._report, context.clock.now())

    def _read_courses(self, only: set[str] | None) -> None:
        now, job_id = self._context.clock.now, self._context.job.job_id
        sync_run = IntegrationSync(self._canvas(), self._call, self._row["id"], job_id, self._report, self._step, now)
        if only is not None:
            sync_run.run(only)
        else:
            # a client of its own, because a run may end its own while announcements are still read
            reader = AnnouncementReader(self._canvas, self._call, self._row["id"], now())
            try:
                with announcements_told(reader):
                    sync_run.run()
            finally:
                self._count(reader.requests, reader.throttled)
        self._read_order(sync_run.listed, is_whole=only is None)

    def _read_order(self, courses: list[Course], *, is_whole: bool) -> None:
        """Reads what the installation and the grant allow besides. It is one for all courses or one for each."""
        allowed = reads_of(self._row["lms_connection"]["settings"])
        reads = {name for name in allowed if covers(self._row["scopes"], READS[name])}
        if not is_whole:
            reads.discard("todo")
        if not reads & {"todo", "modules"}:
            return
        canvas = self._canvas()
        try:
            if "todo" in reads:
                read_todo(canvas, self._call, self._row["id"])
            if "modules" in reads:
                ModuleOrder(canvas, self._call, self._step).run(courses)
        finally:
            self._count(canvas.counters.requests, canvas.counters.throttled)

    def _canvas(self) -> Canvas:
        return self._factory.canvas(self._row["lms_connection"], self._row["id"])

    def _count(self, requests: int, throttled: int) -> None:
        self._report.requests += requests
        self._report.throttled += throttled

    def _call(self, name: str, args: dict[str, Any]) -> Any:
        # every function used here may run twice without harm
        return rpc(self._context.database.service(), name, args, safe=True)

    def _step(self) -> None:
        self._context.progress(self._report.progress())
        self._context.check_cancelled()

    def _pause(self, seconds: float) -> None:
        # a cancelled run must not wait until Canvas takes requests again
        clock = self._context.clock
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0:
            self._context.check_cancelled()
            clock.sleep(min(left, CHECK_SECONDS))
