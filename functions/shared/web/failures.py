"""Turns every failure of a request into an answer of the one error shape."""

from __future__ import annotations

from typing import cast

import structlog
from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from functions.shared.errors import (
    AppError,
    BadRequest,
    Forbidden,
    Internal,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from functions.shared.web.bodies import discard_rest
from functions.shared.web.context import request_id

log = structlog.get_logger(__name__)

HTTP_ERRORS: dict[int, type[AppError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    406: NotAcceptable,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: ValidationFailed,
    429: RateLimited,
    503: Unavailable,
}


def set_up(app: APIFlask) -> None:
    """Registers the handlers."""
    app.error_processor(_from_apiflask)
    app.register_error_handler(AppError, _from_ours)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _from_unknown)


def error_response(error: AppError) -> Response:
    """The answer for one of our errors. What the client still sends is read first and dropped."""
    discard_rest(request)
    g.error_code = error.code
    response = jsonify(error.body(request_id()))
    response.status_code = error.status
    response.headers.update(error.headers())
    return response


def _from_ours(error: AppError) -> Response:
    if error.status >= 500:
        log.warning("request_refused", error_code=error.code, status=error.status)
    return error_response(error)


def _from_apiflask(error: HTTPError) -> Response:
    """APIFlask raises an HTTPError whose cause is pydantic's error."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        location = next(iter(error.detail), "json") if isinstance(error.detail, dict) else "json"
        prefix = () if location == "json" else (str(location),)
        return error_response(ValidationFailed(details=findings(cause, *prefix)))
    return error_response(HTTP_ERRORS.get(error.status_code, Internal)())


def findings(error: ValidationError, *prefix: str) -> list[dict[str, str]]:
    """The paths and codes of a failed validation, never the input."""
    return [
        {"path": ".".join((*prefix, *(str(part)[:100] for part in found["loc"]))), "code": found["type"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _from_werkzeug(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return cast(Response, error.get_response())
    kind = HTTP_ERRORS.get(error.code or 500)
    if kind is None:
        kind = Internal if (error.code or 500) >= 500 else BadRequest
    response = error_response(kind())
    allow = dict(error.get_headers()).get("Allow")
    if allow:
        response.headers["Allow"] = allow
    return response


def _from_unknown(error: Exception) -> Response:
    """Answers a fixed sentence. The log has the details under the same request id."""
    log.error("request_failed", exc_info=error)
    return error_response(Internal())
