"""The application: routes, settings and the handling of errors."""

from __future__ import annotations

import logging

import psycopg
from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from tests.standins.auth.admin import admin
from tests.standins.auth.config import Config, load_config
from tests.standins.auth.errors import UNEXPECTED, VERSION_HEADER, ApiError, WeakPassword, answer, internal
from tests.standins.auth.people import people
from tests.standins.auth.service import service
from tests.standins.auth.store import Database
from tests.standins.auth.tokens import Tokens
from tests.standins.auth.verify import verify
from tests.standins.auth.web import KEY, Server, administrator, caller, server

LARGEST_BODY_BYTES = 2**20
GUARDED = ("/user", "/reauthenticate", "/factors")
log = logging.getLogger("auth")


def create_app(config: Config | None = None) -> Flask:
    """A server for these settings, or for the environment's.

    :raise BadSetting: a setting is missing or malformed
    """
    config = config or load_config()
    app = Flask("auth", static_folder=None)
    app.json = _Json(app)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.redirect_defaults = False
    app.extensions[KEY] = Server(config, Database(config.database_url), Tokens(config))
    for blueprint in (service, people, verify, admin):
        app.register_blueprint(blueprint)
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(WeakPassword, _refused)
    app.register_error_handler(HTTPException, _no_route)
    app.register_error_handler(Exception, _failed)
    return app


class _Json(DefaultJSONProvider):
    """JSON as the real server writes it: keys in the order of its structs, text unescaped."""

    sort_keys = False
    ensure_ascii = False


def _refused(error: ApiError | WeakPassword) -> Response:
    if isinstance(error, ApiError) and error.status >= 500:
        log.error("%s %s: %s", request.method, request.path, error.message, exc_info=error.cause)
    return answer(error, request.headers.get(VERSION_HEADER))


def _no_route(error: HTTPException) -> Response:
    """Unknown paths and methods answer as the real server's router does: below some paths it first asks who calls."""
    try:
        if request.path.startswith("/admin/"):
            administrator()
        elif request.path.startswith(GUARDED):
            with server().database.transaction() as tx:
                caller(tx)
    except ApiError as refusal:
        return _refused(refusal)
    if error.code == 404:
        return Response("404 page not found\n", 404, content_type="text/plain; charset=utf-8")
    if error.code == 413:
        message = f"Request body too large (max {LARGEST_BODY_BYTES} bytes)"
        return _refused(ApiError(413, "request_entity_too_large", message))
    return Response(status=error.code or 500)


def _failed(error: Exception) -> Response:
    """Whatever was not foreseen, a dead database above all."""
    if isinstance(error, psycopg.OperationalError):
        log.error("%s %s: the database does not answer: %s", request.method, request.path, error)
    else:
        log.error("%s %s", request.method, request.path, exc_info=error)
    return answer(internal(UNEXPECTED), request.headers.get(VERSION_HEADER))
