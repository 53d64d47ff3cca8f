"""The requests and answers of this service."""

from __future__ import annotations

from typing import Any, ClassVar

from functions.shared.web.schemas import Answer


class KeySet(Answer):
    """Our public keys."""

    example: ClassVar = {
        "keys": [{"kty": "RSA", "n": "0vx7...", "e": "AQAB", "alg": "RS256", "use": "sig", "kid": "a1"}]
    }

    keys: list[dict[str, Any]]


class ToolConfiguration(Answer):
    """A developer key of Canvas as JSON."""

    example: ClassVar = {
        "title": "Headstart",
        "description": "A head start on every assignment, and an assistant for teachers.",
        "oidc_initiation_url": "https://api.example.edu/functions/v1/lti/login",
        "target_link_uri": "https://app.example.edu",
        "redirect_uris": ["https://api.example.edu/functions/v1/lti/launch"],
        "scopes": ["https://purl.imsglobal.org/spec/lti-ags/scope/score"],
        "public_jwk_url": "https://api.example.edu/functions/v1/lti/jwks.json",
        "custom_fields": {"masquerading_user_id": "$Canvas.masqueradingUser.id"},
        "extensions": [{"platform": "canvas.instructure.com", "domain": "app.example.edu", "privacy_level": "public"}],
    }

    title: str
    description: str
    oidc_initiation_url: str
    target_link_uri: str
    redirect_uris: list[str]
    scopes: list[str]
    public_jwk_url: str
    custom_fields: dict[str, str]
    extensions: list[dict[str, Any]]
