"""What can go wrong with Canvas. Which error it is follows from status and headers, never from Canvas's prose."""

from __future__ import annotations

from functions.shared.crypto import UNREADABLE_RETRY_SECONDS
from functions.shared.errors import AppError


class CanvasError(AppError):
    """Canvas could not be used. Try again later."""

    status = 502
    code = "canvas_bad_answer"


class CanvasUnavailable(CanvasError):
    """Canvas does not answer at the moment. Try again later."""

    status = 503
    code = "canvas_unavailable"


class CanvasBadAnswer(CanvasError):
    """Canvas sent an answer that cannot be used. Try again later."""

    status = 502
    code = "canvas_bad_answer"


class PaginationRefused(CanvasError):
    """Canvas sent a list that does not end or leads to another host. Tell the Canvas administrator."""

    status = 502
    code = "pagination_refused"


class LmsConnectionNotFound(CanvasError):
    """This Canvas installation is unknown or switched off. Choose one from the list."""

    status = 404
    code = "lms_connection_not_found"


class SchoolSecretUnreadable(CanvasError):
    """The secret of this school's developer key cannot be opened any more. An administrator must store it again."""

    status = 503
    code = "lms_secret_unreadable"
    is_lasting = True

    def __init__(self) -> None:
        super().__init__(retry_after=UNREADABLE_RETRY_SECONDS)


class CourseForbidden(CanvasError):
    """Canvas does not show you this course. Ask the teacher for access."""

    status = 403
    code = "course_forbidden"


class CourseGone(CanvasError):
    """Canvas no longer has this course. Sync again."""

    status = 404
    code = "course_gone"


class ReauthorizationRequired(CanvasError):
    """Canvas no longer accepts the permission that you gave. Connect Canvas again."""

    status = 409
    code = "reauthorization_required"


class IntegrationNotConnected(AppError):
    """Canvas is not connected. Connect it first."""

    status = 409
    code = "integration_not_connected"


class CanvasGrantRefused(CanvasError):
    """Canvas refused the code of this sign-in. Start again."""

    status = 400
    code = "canvas_grant_refused"
