"""What a teacher's own grant shows of Canvas: courses for the cache, pages and files as material."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from postgrest import SyncPostgrestClient

from functions.shared.canvas.client import Canvas, row_id
from functions.shared.canvas.errors import (
    CanvasError,
    CanvasUnavailable,
    CourseForbidden,
    CourseGone,
    IntegrationNotConnected,
    ReauthorizationRequired,
)
from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.database import rpc, run
from functions.shared.errors import Unavailable
from functions.shared.jobs import JobContext, JobFailure

CHECK_SECONDS = 0.5
MAX_COURSES_AT_ONCE = 100
MAX_TEXT_CHARACTERS = 2000
# what the assistant may know of a course: nothing of people, and no address that opens without signing in
COURSE_FIELDS = (
    "id",
    "name",
    "course_code",
    "workflow_state",
    "start_at",
    "end_at",
    "time_zone",
    "default_view",
    "public_description",
)
TERM_FIELDS = ("id", "name", "start_at", "end_at")
PAGE_NAME = re.compile(r"[^/?#]{1,500}")


def integrations(service: SyncPostgrestClient, teacher_id: str) -> list[dict[str, Any]]:
    """A teacher's connected integrations, that of their own installation first."""
    columns = f"id,lms_connection_id,instance_domain,lms_connection:lms_connections({CONNECTION_COLUMNS})"
    query = service.from_("integrations").select(columns).eq("user_id", teacher_id)
    rows = run(query.eq("provider", "canvas").eq("status", "connected").order("id"))
    homes = {
        row["lms_connection_id"]
        for row in run(service.from_("teachers").select("lms_connection_id").eq("id", teacher_id))
    }
    return sorted((dict(row) for row in rows), key=lambda row: row["lms_connection_id"] not in homes)


@contextmanager
def opened(context: JobContext, integration_id: str | None = None) -> Iterator[Canvas]:
    """Canvas in the name of the job's owner.

    :param integration_id: one of theirs; without it, their own installation's
    :raise IntegrationNotConnected: it is not connected, or not theirs
    :raise ReauthorizationRequired: Canvas no longer accepts the grant; the integration has expired now
    """
    service = context.database.service()
    rows = integrations(service, str(context.job.user_id))
    rows = [row for row in rows if integration_id in (None, row["id"])]
    if not rows:
        raise IntegrationNotConnected

    def call(name: str, args: dict[str, Any]) -> Any:
        # every function used here may run twice without harm
        return rpc(service, name, args, safe=True)

    def pause(seconds: float) -> None:
        until = context.clock.monotonic() + seconds
        while (left := until - context.clock.monotonic()) > 0:
            context.check_cancelled()
            context.clock.sleep(min(left, CHECK_SECONDS))

    factory = CanvasFactory(context.settings, context.http, context.crypto, context.clock, call, pause)
    try:
        yield factory.canvas(rows[0]["lms_connection"], rows[0]["id"])
    except ReauthorizationRequired:
        call("svc_expire_integration", {"p_integration_id": rows[0]["id"]})
        raise


def refresh_courses(context: JobContext) -> Mapping[str, Any]:
    """The handler of ``canvas_courses_cache`` jobs. Payload: ``{"canvas_course_ids"?: [...]}``, without it all courses.

    :return: ``courses``, how many were stored, and ``errors`` with ``canvas_course_id`` and ``code``
    :raise JobFailure: Canvas gave nothing; its code says why
    """
    try:
        return _refresh(context)
    except (CanvasError, IntegrationNotConnected) as error:
        is_outage = isinstance(error, CanvasUnavailable)
        raise JobFailure(error.code, error.message, retryable=is_outage) from error
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def _refresh(context: JobContext) -> Mapping[str, Any]:
    wanted = context.job.payload.get("canvas_course_ids")
    errors: list[dict[str, str]] = []
    with opened(context) as canvas:
        if wanted is None:
            rows = [row for page in canvas.courses() for row in page.rows]
        else:
            rows = []
            for course_id in wanted:
                context.check_cancelled()
                try:
                    rows.append(canvas.course(int(course_id)))
                except (CourseGone, CourseForbidden) as error:
                    errors.append({"canvas_course_id": str(course_id), "code": error.code})
    known = {course_id: course_of(row) for row in rows if (course_id := row_id(row)) is not None}
    service, teacher_id = context.database.service(), context.job.user_id
    found = [
        {"teacher_id": teacher_id, "canvas_course_id": course_id, "canvas_id": str(course_id), "course_data": data}
        for course_id, data in known.items()
    ]
    for first in range(0, len(found), MAX_COURSES_AT_ONCE):
        context.check_cancelled()
        batch = found[first : first + MAX_COURSES_AT_ONCE]
        run(service.from_("courses_cache").upsert(batch, on_conflict="teacher_id,canvas_course_id"))
    gone = service.from_("courses_cache").delete().eq("teacher_id", teacher_id)
    if wanted is None:
        # the list was complete
        run(gone.not_.in_("canvas_course_id", list(known) or [0]))
    elif errors:
        run(gone.in_("canvas_course_id", [error["canvas_course_id"] for error in errors]))
    return {"courses": len(found), "errors": errors}


def course_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a course: whole texts and numbers of these fields, and its term."""
    kept = {name: _short(row[name]) for name in COURSE_FIELDS if _is_plain(row.get(name))}
    term = row.get("term")
    if isinstance(term, dict):
        kept["term"] = {name: _short(term[name]) for name in TERM_FIELDS if _is_plain(term.get(name))}
    return kept


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _short(value: Any) -> Any:
    return value.replace("\x00", "")[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value


def page_name(page_url: str) -> str | None:
    """The name of a page in addresses, of that name or a page's whole address; None when it is neither."""
    name = page_url
    if "/pages/" in page_url:
        name = unquote(re.split(r"[?#]", page_url.partition("/pages/")[2])[0])
    name = name.strip().strip("/")
    return name if PAGE_NAME.fullmatch(name) and name not in (".", "..") else None
