"""The one error shape, and the errors every service may answer.

A code is stable. docs/errors.md lists each with status, meaning and remedy; a test compares the page with the
subclasses of :class:`AppError`, wherever they stand.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any


class AppError(Exception):
    """Something went wrong on our side.

    Subclasses set ``status`` and ``code``; the first line of their docstring is the default message.

    :param message: what the caller reads; never input, secrets or a database's own words
    :param retry_after: seconds after which a repeat makes sense
    """

    status = 500
    code = "internal"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Any = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message or (inspect.getdoc(type(self)) or "").partition("\n")[0]
        super().__init__(self.message)
        self.details = details
        self.hint = hint
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, Any]:
        """The answer's JSON."""
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
            "request_id": request_id,
        }

    def headers(self) -> dict[str, str]:
        """The answer's extra headers."""
        return {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class Internal(AppError):
    """Something went wrong on our side. Quote the request id when you report it."""


class BadRequest(AppError):
    """The request cannot be understood."""

    status = 400
    code = "bad_request"


class MalformedJson(AppError):
    """The body is not a JSON object in UTF-8."""

    status = 400
    code = "malformed_json"


class Unauthorized(AppError):
    """Sign in first: the access token is missing, expired or not ours."""

    status = 401
    code = "unauthorized"

    def headers(self) -> dict[str, str]:
        """RFC 6750: says which scheme is wanted."""
        return {"WWW-Authenticate": 'Bearer realm="headstart", error="invalid_token"'}


class Forbidden(AppError):
    """You are not allowed to do this."""

    status = 403
    code = "forbidden"


class AnonymousForbidden(AppError):
    """This needs an account; an anonymous sign-in is not enough."""

    status = 403
    code = "anonymous_forbidden"


class NotFound(AppError):
    """There is no such thing, or it is not yours to see."""

    status = 404
    code = "not_found"


class MethodNotAllowed(AppError):
    """This path does not take this method."""

    status = 405
    code = "method_not_allowed"


class NotAcceptable(AppError):
    """This path cannot answer in any of the accepted types."""

    status = 406
    code = "not_acceptable"


class Conflict(AppError):
    """This conflicts with something that exists or is under way."""

    status = 409
    code = "conflict"


class IdempotencyInFlight(AppError):
    """The first request with this Idempotency-Key is still running."""

    status = 409
    code = "idempotency_in_flight"


class PayloadTooLarge(AppError):
    """The body is larger than this path takes."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(AppError):
    """The body must be sent as application/json."""

    status = 415
    code = "unsupported_media_type"


class ValidationFailed(AppError):
    """The input is not valid; details lists the paths and what is wrong with each."""

    status = 422
    code = "validation_failed"

    @classmethod
    def at(cls, path: str, problem: str) -> ValidationFailed:
        """One finding, e.g. ``at("query.wait", "less_than_equal")``."""
        return cls(details=[{"path": path, "code": problem}])


class CheckFailed(AppError):
    """The database refused this: the values or the present state do not allow it."""

    status = 422
    code = "check_failed"


class IdempotencyMismatch(AppError):
    """This Idempotency-Key was used for another request."""

    status = 422
    code = "idempotency_mismatch"


class RateLimited(AppError):
    """Too many requests; wait for the time in Retry-After."""

    status = 429
    code = "rate_limited"


class Unavailable(AppError):
    """The service is not available at the moment; try again."""

    status = 503
    code = "service_unavailable"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Any = None,
        hint: str | None = None,
        retry_after: float | None = 2,
    ) -> None:
        super().__init__(message, details=details, hint=hint, retry_after=retry_after)


def every_error(base: type[AppError] = AppError) -> Iterator[type[AppError]]:
    """Every error class that has been imported; the registry behind docs/errors.md."""
    for error in base.__subclasses__():
        yield error
        yield from every_error(error)
