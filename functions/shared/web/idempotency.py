"""Idempotency-Key: a request that is sent twice starts its work once."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, ParamSpec

import structlog
from flask import Response, current_app, jsonify, request

from functions.shared.database import rpc, rpc_row
from functions.shared.errors import AppError, IdempotencyInFlight, IdempotencyMismatch, Unavailable, ValidationFailed
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.failures import error_response
from functions.shared.web.operations import Header, may_also

log = structlog.get_logger(__name__)

P = ParamSpec("P")

MIN_KEY_CHARACTERS, MAX_KEY_CHARACTERS = 8, 255
HEADER = Header(
    "Idempotency-Key",
    "The same key and body give the first answer again for 24 hours, and the work starts once.",
    {"type": "string", "minLength": MIN_KEY_CHARACTERS, "maxLength": MAX_KEY_CHARACTERS},
)
RETRY_SECONDS = 1
# these answers ask the caller to try again, so they must not be repeated
NOT_STORED = frozenset({401, 408, 429})


def idempotent(view: Callable[P, Any]) -> Callable[P, Response]:
    """For views that start work in a person's name. It stands directly above the view, below ``input``.

    Without the header the view simply runs. With it, the same key and body give the first answer again, with
    ``Idempotent-Replayed: true``. Answers of 500 and above are not kept.

    :raise IdempotencyMismatch: the key was used with another body
    :raise IdempotencyInFlight: the first request is still running
    :raise ValidationFailed: the key does not have 8 to 255 printable ASCII characters
    """

    @functools.wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Response:
        return answer_once(request.get_json, lambda: view(*args, **kwargs))

    return may_answer_once(wrapper)


def may_answer_once(view: Callable[P, Response]) -> Callable[P, Response]:
    """For views that call :func:`answer_once` themselves: declares its errors and the header."""
    may_also(view, IdempotencyInFlight, IdempotencyMismatch, ValidationFailed, Unavailable, header=HEADER)
    return view


def answer_once(body: Callable[[], Any], answer: Callable[[], Any]) -> Response:
    """The answer of ``answer()``, or the one that is stored for the request's Idempotency-Key. See :func:`idempotent`.

    :param body: what the key stands for, as JSON; asked only when there is a key
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return current_app.make_response(answer())
    if not MIN_KEY_CHARACTERS <= len(key) <= MAX_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise ValidationFailed.at("header.Idempotency-Key", "invalid_key")
    names = {
        "p_user_id": current_caller().user_id,
        "p_route": f"{request.method} {request.path}",
        "p_key": key,
    }
    stored = _begin(names, body())
    if stored is not None:
        return stored
    try:
        response = current_app.make_response(answer())
    except AppError as error:
        response = error_response(error)
    except BaseException:
        _finish(names, None)
        raise
    _finish(names, response)
    return response


def _begin(names: dict[str, str], body: Any) -> Response | None:
    """Claims the key, or returns the answer that is stored for it."""
    canonical = json.dumps(body, sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    row = rpc_row(context().database.service(), "svc_begin_idempotent", {**names, "p_request_hash": digest})
    match row["outcome"]:
        case "new":
            return None
        case "replay":
            response = jsonify(row["response"])
            if row["status"] == 204:
                response.set_data(b"")
            response.status_code = row["status"]
            response.headers["Idempotent-Replayed"] = "true"
            return response
        case "mismatch":
            raise IdempotencyMismatch()
        case _:
            raise IdempotencyInFlight(retry_after=RETRY_SECONDS)


def _finish(names: dict[str, str], response: Response | None) -> None:
    """Stores the answer, or releases the key so that a repeat runs the view again."""
    stored: dict[str, Any] = {}
    if response is not None and response.status_code < 500 and response.status_code not in NOT_STORED:
        stored = {"p_status": response.status_code, "p_response": response.get_json(silent=True)}
    try:
        rpc(context().database.service(), "svc_finish_idempotent", {**names, **stored}, safe=True)
    except Unavailable:
        # the work is done, so the caller gets the answer; the key is released after two minutes
        log.warning("answer_not_stored")
