"""The application around the services: error shape, request ids, CORS, limits, health and the API page.

A service is a package whose ``routes.py`` has one ``blueprint``. Its paths begin with ``/functions/v1/<service name>``.
``functions/app.py`` mounts all services, ``create_service`` mounts one alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, g, request
from pydantic import BaseModel

from functions.shared import metrics
from functions.shared.clock import Clock
from functions.shared.errors import PayloadTooLarge
from functions.shared.log import set_up_logs
from functions.shared.origins import is_allowed_origin
from functions.shared.settings import Settings, load_settings
from functions.shared.web import docs, failures, health
from functions.shared.web.bodies import StrictRequest
from functions.shared.web.callers import admit
from functions.shared.web.context import EXTENSION, Context, context, request_id
from functions.shared.web.openapi import BASE, TITLE
from functions.shared.web.operations import operation_of

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
CORS_HEADERS = (
    "authorization, apikey, content-type, accept, idempotency-key, last-event-id, x-client-info, x-request-id"
)
CORS_EXPOSED = (
    "X-Request-Id, Retry-After, Idempotent-Replayed, Deduplicated, WWW-Authenticate, x-vercel-ai-ui-message-stream"
)
PREFLIGHT_SECONDS = 600


class Application(APIFlask):
    """Flask whose views may also return models."""

    def make_response(self, value: Any) -> Response:
        """A model, alone or followed by status and headers, becomes JSON. Flask handles everything else."""
        body, *rest = value if isinstance(value, tuple) else (value,)
        if isinstance(body, BaseModel):
            body = body.model_dump(mode="json")
        made: Response = super().make_response((body, *rest) if rest else body)
        return made


def create_service(name: str, blueprint: APIBlueprint, settings: Settings | None = None) -> APIFlask:
    """One service alone, on the paths that it has among all: ``gunicorn 'functions.<package>:create_app()'``.

    :param name: the service's name in paths, for example ``canvas-sync``
    :raise SettingError: a setting is missing or unusable
    """
    return create_application([(name, blueprint)], settings)


def create_application(
    services: Iterable[tuple[str, APIBlueprint]], settings: Settings | None = None, clock: Clock | None = None
) -> APIFlask:
    """The application around these services.

    :raise SettingError: a setting is missing or unusable
    """
    settings = settings or load_settings()
    set_up_logs(settings.log_level)
    app = Application("functions", title=TITLE, enable_openapi=False, json_errors=False)
    app.request_class = StrictRequest
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = Context.of(settings, clock)
    # a path with two slashes is unknown: without this, Flask would redirect it
    app.url_map.merge_slashes = False
    app.before_request(_begin)
    app.after_request(_end)
    failures.set_up(app)
    for name, blueprint in services:
        app.register_blueprint(blueprint, url_prefix=f"{BASE}/{name}")
    app.register_blueprint(health.blueprint, url_prefix=BASE)
    docs.set_up(app, settings)
    return app


def _begin() -> Response | None:
    """Runs before every request: id, log context, CORS preflight, size of the body, access."""
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id())
    if request.method == "OPTIONS":
        # before credentials are checked: a browser sends its preflight without them
        return Response(status=204)
    # an unknown path or method is a 404 or 405 for everybody
    said = operation_of(current_app.view_functions[request.endpoint]) if request.endpoint is not None else None
    if said is not None and said.max_body_bytes is not None:
        request.max_content_length = said.max_body_bytes
    if said is not None and isinstance(request, StrictRequest):
        request.text_types = said.texts
    length = request.content_length
    if length is not None and request.max_content_length is not None and length > request.max_content_length:
        raise PayloadTooLarge()
    if said is not None:
        admit(said.access)
    return None


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
        error_code=g.get("error_code"),
        ms=round(seconds * 1000, 1),
        user_id=g.caller.user_id if "caller" in g else None,
    )
    return response


def _cors(response: Response) -> None:
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or not is_allowed_origin(origin, context().settings):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
        response.headers["Access-Control-Allow-Headers"] = CORS_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
