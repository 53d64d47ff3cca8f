"""Routes about the server itself, and the ones that only say what is switched off here."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from tests.standins.auth.errors import ApiError, invalid
from tests.standins.auth.web import caller, server

service = Blueprint("service", __name__)
VERSION = "v2.188.1-standin"
PROVIDERS = (
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "snapchat",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "keycloak",
    "kakao",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "spotify",
    "slack",
    "slack_oidc",
    "workos",
    "twitch",
    "twitter",
    "zoom",
)


@service.get("/health")
def health() -> Response:
    """Who answers here."""
    about = "GoTrue is a user registration and authentication API"
    return jsonify({"version": VERSION, "name": "GoTrue", "description": about})


@service.get("/.well-known/jwks.json")
def jwks() -> Response:
    """The public keys that access tokens are checked with."""
    response = jsonify({"keys": server().tokens.jwks()})
    response.headers["Cache-Control"] = "public, max-age=600"
    return response


@service.get("/.well-known/openid-configuration")
def openid_configuration() -> Response:
    """Issuer and keys, as OpenID Connect discovery names them."""
    issuer = server().config.jwt_issuer
    response = jsonify(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "ES256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        }
    )
    response.headers["Cache-Control"] = "public, max-age=600"
    return response


@service.get("/settings")
def settings() -> Response:
    """What clients may know of the settings."""
    config = server().config
    external = {"anonymous_users": config.anonymous_enabled} | dict.fromkeys(PROVIDERS, False)
    external |= {"email": config.email_enabled, "phone": False}
    return jsonify(
        {
            "external": external,
            "disable_signup": config.signup_disabled,
            "mailer_autoconfirm": config.autoconfirm,
            "phone_autoconfirm": False,
            "sms_provider": "",
            "saml_enabled": False,
            "passkeys_enabled": False,
        }
    )


@service.get("/authorize")
def authorize() -> Response:
    """Signing in at another provider: none is enabled."""
    provider = request.args.get("provider", "").lower()
    if provider in PROVIDERS:
        raise invalid("Unsupported provider: provider is not enabled")
    raise invalid(f"Unsupported provider: Provider {provider} could not be found")


@service.get("/user/identities/authorize")
def link_identity() -> Response:
    """Linking another provider by hand: switched off."""
    return _no_linking()


@service.delete("/user/identities/<identity_id>")
def unlink_identity(identity_id: str) -> Response:
    """Unlinking a provider by hand: switched off."""
    return _no_linking()


def _no_linking() -> Response:
    with server().database.transaction() as tx:
        caller(tx)
    raise ApiError(404, "manual_linking_disabled", "Manual linking is disabled")


@service.post("/sso")
def single_sign_on() -> Response:
    """Single sign-on: switched off."""
    raise ApiError(404, "saml_provider_disabled", "SAML 2.0 is disabled")
