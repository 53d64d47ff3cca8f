"""The errors of this service, and why a lecture fails."""

from __future__ import annotations

from functions.shared.errors import AppError


class PanoptoUrlInvalid(AppError):
    """This is not a link to one Panopto recording. Open the recording and copy the address of its viewer."""

    status = 422
    code = "panopto_url_invalid"


class PanoptoHostNotAllowed(AppError):
    """Recordings of this Panopto site are not accepted here. Ask an administrator to add the site."""

    status = 422
    code = "panopto_host_not_allowed"


class CatalogCourseNotFound(AppError):
    """No course of the school has this id. Choose one from the catalogue."""

    status = 404
    code = "catalog_course_not_found"


class LectureNotFailed(AppError):
    """This lecture has not failed, so there is nothing to try again. Read its status."""

    status = 409
    code = "lecture_not_failed"


class LectureFailure(Exception):
    """The work on a lecture cannot go on; ``message`` is a sentence that everybody with a link may read.

    :param retryable: the same work may succeed a little later
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


def login_required() -> LectureFailure:
    """Panopto shows the recording only to people who signed in."""
    return LectureFailure(
        "panopto_login_required",
        "Panopto shows this recording only after signing in. Ask the lecturer to allow podcasts or link access.",
    )


def gone() -> LectureFailure:
    """Panopto has no such recording."""
    return LectureFailure("panopto_gone", "Panopto no longer has this recording. Check the link.")


def unreadable(sentence: str = "The recording contains no sound that can be read.") -> LectureFailure:
    """The media cannot be used."""
    return LectureFailure("media_unreadable", sentence)


def too_long(sentence: str) -> LectureFailure:
    """The media are longer or larger than this deployment accepts."""
    return LectureFailure("media_too_long", sentence)


def unavailable(sentence: str, retry_after: float | None = None) -> LectureFailure:
    """Panopto or the model's provider does not answer."""
    return LectureFailure("provider_unavailable", sentence, retryable=True, retry_after=retry_after)
