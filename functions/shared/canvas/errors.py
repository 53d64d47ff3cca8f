"""What can go wrong with Canvas, as callers and docs/errors.md name it. Decided by status and headers, not prose."""

from __future__ import annotations

from functions.shared.errors import AppError


class CanvasError(AppError):
    """Canvas could not be used."""

    status = 502
    code = "canvas_bad_answer"


class CanvasUnavailable(CanvasError):
    """Canvas does not answer right now."""

    status = 503
    code = "canvas_unavailable"


class CanvasBadAnswer(CanvasError):
    """Canvas answered something that makes no sense."""

    status = 502
    code = "canvas_bad_answer"


class PaginationRefused(CanvasError):
    """Canvas sent a list whose pages do not end or lead elsewhere."""

    status = 502
    code = "pagination_refused"


class LmsConnectionNotFound(CanvasError):
    """This Canvas is not known here, or it is switched off."""

    status = 404
    code = "lms_connection_not_found"


class CourseForbidden(CanvasError):
    """Canvas does not let this person see that."""

    status = 403
    code = "course_forbidden"


class CourseGone(CanvasError):
    """Canvas does not know that any more."""

    status = 404
    code = "course_gone"


class ReauthorizationRequired(CanvasError):
    """The permission at Canvas is gone; connect again."""

    status = 409
    code = "reauthorization_required"


class CanvasGrantRefused(CanvasError):
    """Canvas refused the code; start again."""

    status = 400
    code = "canvas_grant_refused"
