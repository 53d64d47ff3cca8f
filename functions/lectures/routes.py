"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.lectures.errors import (
    CatalogCourseNotFound,
    LectureNotFailed,
    PanoptoHostNotAllowed,
    PanoptoUrlInvalid,
)
from functions.lectures.schemas import LectureMedia, LectureRequest, LectureSubmitted
from functions.lectures.service import LectureService, Submitted
from functions.shared.errors import NotFound, Unavailable
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "lectures",
    __name__,
    tag={"name": "lectures", "description": "Recorded lectures: audio, transcript with times, captions."},
)


def service() -> LectureService:
    """The service with this application's settings and database."""
    return LectureService(context().settings, context().database)


def answer(submitted: Submitted) -> LectureSubmitted:
    """A lecture as the caller sees it."""
    return LectureSubmitted(lecture_id=UUID(submitted.lecture_id), status=submitted.status, created=submitted.created)


@blueprint.post("")
@operation(
    "Submit a lecture",
    {202: Outcome("The caller follows the lecture, and its work is queued unless it is done.", LectureSubmitted)},
    errors=(PanoptoUrlInvalid, PanoptoHostNotAllowed, CatalogCourseNotFound),
)
@rate_limited("lectures", limit=30)
@blueprint.input(LectureRequest, arg_name="body")
@idempotent
def submit(body: LectureRequest) -> Any:
    """Takes a Viewer, Embed or Podcast link of a Panopto recording. All links of one recording are one lecture.

    The row in `lectures` shows `status`, `progress` (`stage`, `done`, `total`) and `error_message`.
    """
    submitted = service().submit(current_caller(), str(body.catalog_course_id), body.panopto_url, body.title)
    return answer(submitted), 202


@blueprint.post("/<uuid:lecture_id>/retry")
@operation(
    "Try a failed lecture again",
    {202: Outcome("The lecture is pending.", LectureSubmitted)},
    errors=(NotFound, LectureNotFailed),
)
@rate_limited("lectures", limit=30)
def retry(lecture_id: UUID) -> Any:
    """Starts the work from the beginning: a failed lecture keeps no files."""
    return answer(service().retry(current_caller(), str(lecture_id))), 202


@blueprint.get("/<uuid:lecture_id>/media")
@operation(
    "Addresses of a lecture's files",
    {200: Outcome("The addresses, which expire after five minutes.", LectureMedia)},
    errors=(NotFound, Unavailable),
)
def media(lecture_id: UUID) -> LectureMedia:
    """Gives signed addresses of the audio, the transcript (JSON) and the captions (WebVTT)."""
    urls, expires_at = service().media(current_caller(), str(lecture_id), context().clock)
    return LectureMedia(**urls, expires_at=expires_at)
