"""The application every service runs in: one error shape, request ids, CORS, limits, health, OpenAPI.

A service is a package with ``routes.py`` that holds one ``blueprint``; its paths begin behind
``/functions/v1/<service name>``. ``functions/app.py`` mounts all of them, ``create_service`` one alone.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from apiflask import APIBlueprint, APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, current_app, g, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from functions.shared import metrics, openapi
from functions.shared.auth import TokenVerifier, identify
from functions.shared.bodies import StrictRequest
from functions.shared.clock import Clock, SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import Database
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
from functions.shared.http import Http
from functions.shared.log import set_up_logs
from functions.shared.settings import Settings, load_settings

log = structlog.get_logger(__name__)

BASE = "/functions/v1"
BODY_LIMIT_BYTES = 1024 * 1024
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
WAIT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")
LONGEST_WAIT_SECONDS = 30
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
CORS_HEADERS = (
    "authorization, apikey, content-type, accept, idempotency-key, last-event-id, x-client-info, x-request-id"
)
CORS_EXPOSED = "X-Request-Id, Retry-After, Idempotent-Replayed, WWW-Authenticate, x-vercel-ai-ui-message-stream"
PREFLIGHT_SECONDS = 600
EXTENSION = "headstart"

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


@dataclass(frozen=True)
class Context:
    """What the routes of one application work with."""

    settings: Settings
    database: Database
    http: Http
    crypto: Envelope
    clock: Clock
    verifier: TokenVerifier
    readiness: Any

    @classmethod
    def of(cls, settings: Settings, clock: Clock | None = None) -> Context:
        """Fresh collaborators; nothing is contacted yet."""
        from functions.shared.health import Readiness

        clock = clock or SystemClock()
        database = Database(settings)
        return cls(
            settings=settings,
            database=database,
            http=Http.of(settings),
            crypto=Envelope(settings.encryption_keys),
            clock=clock,
            verifier=TokenVerifier(settings, clock),
            readiness=Readiness(database, clock),
        )


def context() -> Context:
    """The running application's collaborators."""
    return cast(Context, current_app.extensions[EXTENSION])


def request_id() -> str:
    """The id of the current request: the caller's own when it has the right form, else a new one."""
    if "request_id" not in g:
        wanted = request.headers.get("X-Request-Id", "")
        g.request_id = wanted if REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
    return cast(str, g.request_id)


def wait_seconds() -> float:
    """How long the caller wants to wait for a job's end: ``?wait=N``, 0 to 30, default 0 (http_contract 0).

    :raise ValidationFailed: not a number in that range
    """
    text = request.args.get("wait")
    if text is None:
        return 0.0
    if not WAIT.fullmatch(text) or float(text) > LONGEST_WAIT_SECONDS:
        raise ValidationFailed.at("query.wait", "out_of_range")
    return float(text)


def create_service(
    name: str, blueprints: APIBlueprint | Sequence[APIBlueprint], settings: Settings | None = None
) -> APIFlask:
    """One service alone, on the same paths as in the whole: ``gunicorn 'functions.<package>:create_app()'``.

    :param name: the service's name in paths, e.g. ``canvas-sync``
    :raise SettingError: a setting is missing or unusable
    """
    parts = [blueprints] if isinstance(blueprints, APIBlueprint) else blueprints
    return create_application([(name, part) for part in parts], settings)


def create_application(
    services: Iterable[tuple[str, APIBlueprint]], settings: Settings | None = None, clock: Clock | None = None
) -> APIFlask:
    """The application around any number of services.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.shared import health

    settings = settings or load_settings()
    set_up_logs(settings.log_level)
    app = APIFlask(
        "functions",
        title="Headstart functions",
        version="1",
        spec_path=f"{BASE}/openapi.json",
        docs_path=None,
        json_errors=False,
    )
    app.request_class = StrictRequest
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = Context.of(settings, clock)
    # a path with two slashes is an unknown path, answered in the one error shape, not a redirect
    app.url_map.merge_slashes = False
    app.before_request(_begin)
    app.after_request(_end)
    app.error_processor(_from_apiflask)
    app.register_error_handler(AppError, _answer_app_error)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _from_unknown)
    app.register_blueprint(health.blueprint, url_prefix=BASE)
    for name, blueprint in services:
        app.register_blueprint(blueprint, url_prefix=f"{BASE}/{name}")
    openapi.set_up(app, settings)
    return app


def _begin() -> Response | None:
    """Before every request, unknown paths too: id, log context, CORS preflight, size."""
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id())
    if request.method == "OPTIONS":
        # before any question of identity: a browser sends its preflight without credentials
        return Response(status=204)
    length = request.content_length
    if length is not None and request.max_content_length is not None and length > request.max_content_length:
        raise PayloadTooLarge()
    if not _open_to_all():
        identify()
    return None


def _open_to_all() -> bool:
    """Whether the route says ``doc(security=PUBLIC)``; what exists neither in method nor path is a 404 or 405."""
    if request.endpoint is None or request.blueprint == "openapi":
        return True
    spec = getattr(current_app.view_functions[request.endpoint], "_spec", {})
    return bool(spec.get("security") == openapi.PUBLIC)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    _cors(response)
    rule = request.url_rule.rule if request.url_rule else "(no route)"
    seconds = time.monotonic() - g.get("began", time.monotonic())
    metrics.observe(rule, request.method, response.status_code, seconds)
    log.info(
        "request",
        method=request.method,
        route=rule,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        user_id=g.caller.user_id if "caller" in g else None,
    )
    return response


def _cors(response: Response) -> None:
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or origin not in context().settings.cors_origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
        response.headers["Access-Control-Allow-Headers"] = CORS_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)


def error_response(error: AppError) -> Response:
    """The answer for an error of ours."""
    response = jsonify(error.body(request_id()))
    response.status_code = error.status
    response.headers.update(error.headers())
    return response


def _answer_app_error(error: AppError) -> Response:
    if error.status >= 500:
        log.warning("refused", error_code=error.code, status=error.status)
    return error_response(error)


def _from_apiflask(error: HTTPError) -> Response:
    """APIFlask raises its own HTTPError with pydantic's as the cause."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return error_response(ValidationFailed(details=findings(cause, error.detail)))
    return error_response(HTTP_ERRORS.get(error.status_code, Internal)())


def findings(error: ValidationError, located: Any = None) -> list[dict[str, str]]:
    """Paths and codes of a failed validation; never the input."""
    place = next(iter(located), "json") if isinstance(located, dict) else "json"
    prefix = () if place == "json" else (str(place),)
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
    """One fixed sentence; what happened stands in the log under the same id."""
    log.error("unknown failure", exc_info=error)
    return error_response(Internal())
