"""Refusals, and the two shapes in which the real server writes them."""

from __future__ import annotations

import re
import uuid
from datetime import date
from typing import Any

import psycopg
from flask import Response, jsonify

VERSION_HEADER = "X-Supabase-Api-Version"
CODED_SHAPE_SINCE = date(2024, 1, 1)
UNEXPECTED = "Unexpected failure, please check server logs for more information"
DUPLICATE_EMAIL = "A user with this email address has already been registered"


class ApiError(Exception):
    """A refusal with status and code; an empty code is written as ``unknown`` and sets no header."""

    def __init__(self, status: int, code: str, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.cause = status, code, message, cause


class WeakPassword(Exception):
    """A password that the rules do not allow; ``reasons`` is part of the answer."""

    def __init__(self, message: str, reasons: list[str]) -> None:
        super().__init__(message)
        self.message, self.reasons = message, reasons


def invalid(message: str) -> ApiError:
    """400 for something the caller sent."""
    return ApiError(400, "validation_failed", message)


def internal(message: str, cause: BaseException | None = None) -> ApiError:
    """500 for something that is not the caller's doing."""
    return ApiError(500, "unexpected_failure", message, cause)


def coded_shape(header: str | None) -> bool:
    """Whether the caller asked for the newer shape: an API version of 2024-01-01 or later."""
    if not header or not re.fullmatch(r"\d{4}-\d\d-\d\d", header):
        return False
    try:
        return date.fromisoformat(header) >= CODED_SHAPE_SINCE
    except ValueError:
        return False


def answer(error: ApiError | WeakPassword, version: str | None) -> Response:
    """The response for a refusal, in the shape the caller's API version asks for."""
    coded = coded_shape(version)
    response = _weak_password(error, coded) if isinstance(error, WeakPassword) else _refusal(error, coded)
    if coded:
        response.headers[VERSION_HEADER] = CODED_SHAPE_SINCE.isoformat()
    return response


def _weak_password(error: WeakPassword, coded: bool) -> Response:
    reasons = {"weak_password": {"reasons": error.reasons}}
    if coded:
        response = jsonify({"code": "weak_password", "message": error.message} | reasons)
    else:
        response = jsonify({"code": 422, "error_code": "weak_password", "msg": error.message} | reasons)
        response.headers["X-Sb-Error-Code"] = "weak_password"
    response.status_code = 422
    return response


def _refusal(error: ApiError, coded: bool) -> Response:
    code = error.code or ("unexpected_failure" if error.status == 500 else "unknown")
    status, body = error.status, {"code": code, "message": error.message}
    if not coded:
        body = _older_body(error, code)
        status = int(body.pop("status", error.status))
    response = jsonify(body)
    response.status_code = status
    if error.code:
        response.headers["X-Sb-Error-Code"] = error.code
    return response


def _older_body(error: ApiError, code: str) -> dict[str, Any]:
    """The shape before 2024; a constraint of the project's own triggers shows through in it."""
    cause = error.cause
    if isinstance(cause, psycopg.Error) and cause.sqlstate and error.status == 500:
        status = database_status(cause.sqlstate)
        if status:
            shown = {"code": cause.sqlstate, "message": cause.diag.message_primary or ""}
            extra = {"detail": cause.diag.message_detail, "hint": cause.diag.message_hint}
            return {"status": status} | shown | {name: text for name, text in extra.items() if text}
    body: dict[str, Any] = {"code": error.status, "error_code": code, "msg": error.message}
    return body | ({"error_id": str(uuid.uuid4())} if error.status >= 500 else {})


def database_status(sqlstate: str) -> int:
    """The status for database errors a caller may see; 0 for all others."""
    if sqlstate == "P0001" or sqlstate in ("23000", "23001", "23502", "23503", "23505", "23514", "23P01"):
        return 500
    if sqlstate.startswith("PT") and sqlstate[2:].isdecimal():
        return int(sqlstate[2:])
    return 0
