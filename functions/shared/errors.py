"""The shape of every error, and the errors that every service may answer.

A code never changes. docs/errors.md lists each with status, meaning and remedy. A test compares the page with the
subclasses of :class:`AppError`, in whichever module they are.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any


class AppError(Exception):
    """Something went wrong on our side. Report the request id.

    Subclasses set ``status`` and ``code``; the first line of their docstring is the default message.

    :param message: what the caller reads: what happened, then what to do. Never input, secrets or words of the database
    :param retry_after: seconds after which the caller should try again
    """

    status = 500
    code = "internal"
    # the further statuses that single errors of a class may have
    also_statuses: tuple[int, ...] = ()
    # whether trying again brings nothing until somebody acts: a job that meets such an error is not repeated
    is_lasting = False

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
    """Something went wrong on our side. Report the request id."""


class BadRequest(AppError):
    """The request could not be understood. Check that its body is complete."""

    status = 400
    code = "bad_request"


class MalformedJson(AppError):
    """The body is not one JSON object in UTF-8. Correct it and send it again."""

    status = 400
    code = "malformed_json"


class Unauthorized(AppError):
    """The access token is missing, expired or not valid here. Sign in and try again."""

    status = 401
    code = "unauthorized"

    def headers(self) -> dict[str, str]:
        """Adds the scheme that is expected, as RFC 6750 requires."""
        return {"WWW-Authenticate": 'Bearer realm="headstart", error="invalid_token"'}


class Forbidden(AppError):
    """You are not allowed to do this. Ask an administrator if you should be."""

    status = 403
    code = "forbidden"


class AnonymousForbidden(AppError):
    """An anonymous sign-in is not allowed to do this. Create an account first."""

    status = 403
    code = "anonymous_forbidden"


class NotFound(AppError):
    """Nothing with this id exists, or you may not see it. Check the id."""

    status = 404
    code = "not_found"


class MethodNotAllowed(AppError):
    """This path does not accept this method. Use one that Allow lists."""

    status = 405
    code = "method_not_allowed"


class NotAcceptable(AppError):
    """This path cannot answer in any type that you accept. Change Accept."""

    status = 406
    code = "not_acceptable"


class Conflict(AppError):
    """This conflicts with something that exists or is under way. Read the current state, then decide."""

    status = 409
    code = "conflict"


class IdempotencyInFlight(AppError):
    """The first request with this Idempotency-Key is still running. Wait for Retry-After, then try again."""

    status = 409
    code = "idempotency_in_flight"


class PayloadTooLarge(AppError):
    """The body is larger than this path accepts. Send less."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(AppError):
    """The body is not sent as JSON. Set Content-Type to application/json."""

    status = 415
    code = "unsupported_media_type"


class ValidationFailed(AppError):
    """The input is not valid. Correct the fields that details lists."""

    status = 422
    code = "validation_failed"

    @classmethod
    def at(cls, path: str, problem: str) -> ValidationFailed:
        """One finding, for example ``at("query.wait", "less_than_equal")``."""
        return cls(details=[{"path": path, "code": problem}])


class CheckFailed(AppError):
    """The values or the current state do not allow this. Read the current state, then decide."""

    status = 422
    code = "check_failed"


class IdempotencyMismatch(AppError):
    """This Idempotency-Key was used with another body. Use a new key."""

    status = 422
    code = "idempotency_mismatch"


class RateLimited(AppError):
    """Too many requests arrived. Wait for Retry-After, then try again."""

    status = 429
    code = "rate_limited"


class Unavailable(AppError):
    """The service is not available at the moment. Wait for Retry-After, then try again."""

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
    """Every error class that has been imported. Tests compare them with docs/errors.md."""
    for error in base.__subclasses__():
        yield error
        yield from every_error(error)
