"""The application: what is served, what this stand-in does not have, and how errors are answered."""

from __future__ import annotations

import logging

import psycopg
from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from tests.standins.auth import tokens
from tests.standins.auth.admin import admin
from tests.standins.auth.config import config
from tests.standins.auth.people import people
from tests.standins.auth.verify import verify
from tests.standins.auth.web import ApiError, invalid

VERSION = "v2.196.0-standin"
PROVIDERS = (
    "apple azure bitbucket discord facebook figma github gitlab google kakao keycloak linkedin_oidc notion slack"
)
PROVIDERS += " spotify twitch twitter zoom"
ABSENT = {
    "/sso": (404, "saml_provider_disabled", "single sign-on"),
    "/factors": (422, "mfa_totp_enroll_not_enabled", "second factor"),
}
log = logging.getLogger("auth")
service = Blueprint("service", __name__)


def create_app() -> Flask:
    """A server for the environment's settings.

    :raise BadSetting: a setting is missing or malformed
    """
    config()
    app = Flask("auth", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.redirect_defaults = False
    for blueprint in (service, people, verify, admin):
        app.register_blueprint(blueprint)
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(HTTPException, _no_route)
    app.register_error_handler(Exception, _failed)
    return app


@service.get("/health")
def health() -> Response:
    """Who answers here."""
    about = "GoTrue is a user registration and authentication API"
    return jsonify({"version": VERSION, "name": "GoTrue", "description": about})


@service.get("/.well-known/jwks.json")
def jwks() -> Response:
    """The public keys that access tokens are checked with."""
    public = {name: value for name, value in config().signing_key.items() if name in ("kid", "kty", "crv", "x", "y")}
    response = jsonify({"keys": [{**public, "alg": tokens.ALGORITHM, "use": "sig", "key_ops": ["verify"]}]})
    response.headers["Cache-Control"] = "public, max-age=600"
    return response


@service.get("/settings")
def settings() -> Response:
    """What clients may know of the settings."""
    external = {"anonymous_users": config().anonymous_enabled, "email": True, "phone": False}
    body = {"external": external | dict.fromkeys(PROVIDERS, False), "disable_signup": config().signup_disabled}
    body |= {"mailer_autoconfirm": config().autoconfirm, "phone_autoconfirm": False, "saml_enabled": False}
    return jsonify(body)


@service.get("/authorize")
def authorize() -> Response:
    """Signing in at another provider: none is enabled."""
    provider = request.args.get("provider", "").lower()
    if provider in PROVIDERS:
        raise invalid("Unsupported provider: provider is not enabled")
    raise invalid(f"Unsupported provider: Provider {provider} could not be found")


def _refused(error: ApiError) -> Response:
    if error.status >= 500:
        log.error("%s %s: %s", request.method, request.path, error.message, exc_info=error.__cause__)
    return error.response()


def _no_route(error: HTTPException) -> Response:
    """Unknown paths and methods. The real server says 404 in plain text; clients read JSON better."""
    for prefix, (status, code, what) in ABSENT.items():
        if request.path.startswith(prefix):
            message = f"This stand-in for Auth has no {what}: use the real server or a hosted project."
            return ApiError(status, code, message).response()
    if error.code == 404:
        return ApiError(404, "", f"404 page not found: {request.method} {request.path}").response()
    return Response(status=error.code or 500)


def _failed(error: Exception) -> Response:
    """Whatever was not foreseen: a value no column takes, a dead database."""
    if isinstance(error, psycopg.DataError | UnicodeError):
        return ApiError(400, "bad_json", "Could not parse request body as JSON: a text is not valid UTF-8").response()
    log.error("%s %s", request.method, request.path, exc_info=error)
    message = "Unexpected failure, please check server logs for more information"
    return ApiError(500, "unexpected_failure", message).response()
