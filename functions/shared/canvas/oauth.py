"""The grant at Canvas: the consent page, exchange of the code, refresh and revocation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from functions.shared.canvas.errors import (
    CanvasBadAnswer,
    CanvasGrantRefused,
    CanvasUnavailable,
    ReauthorizationRequired,
)
from functions.shared.canvas.transport import Transport
from functions.shared.http import Answer
from functions.shared.settings import is_loopback

# What sync needs and nothing else. docs/canvas.md gives the reasons, and a test compares the lists.
SCOPES = (
    "url:GET|/api/v1/courses",
    "url:GET|/api/v1/courses/:id",
    "url:GET|/api/v1/courses/:course_id/assignments",
    "url:GET|/api/v1/courses/:course_id/assignments/:id",
    "url:GET|/api/v1/announcements",
)
# what teachers are asked for besides, so that the assistant may read the pages and files that they name
MATERIAL_SCOPES = (
    "url:GET|/api/v1/courses/:course_id/pages/:url_or_id",
    "url:GET|/api/v1/courses/:course_id/files/:id",
)
PAGE_SCOPE = MATERIAL_SCOPES[0]
SYLLABUS_SCOPE = SCOPES[1]
MODULE_ITEMS_SCOPE = "url:GET|/api/v1/courses/:course_id/modules/:module_id/items"
# what is asked for where staff say that the developer key allows it; a key that does not would let nobody connect
READS = {
    "modules": ("url:GET|/api/v1/courses/:course_id/modules", MODULE_ITEMS_SCOPE),
    "todo": ("url:GET|/api/v1/planner/overrides",),
    "pages": (PAGE_SCOPE, MODULE_ITEMS_SCOPE),
}


@dataclass(frozen=True)
class Installation:
    """A Canvas host, and our developer key there."""

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Tokens:
    """An answer of the token endpoint. The answer to a refresh has no refresh token."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime | None
    canvas_user_id: str | None
    name: str | None = field(default=None, repr=False)


def base_url(instance_domain: str, *, local: bool) -> str:
    """The origin of an installation: https, or http for a loopback host when APP_ENV is local."""
    host = instance_domain.partition(":")[0]
    return f"{'http' if local and is_loopback(host) else 'https'}://{instance_domain}"


def scopes_of(is_teacher: bool, settings: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """What a person is asked for at an installation with these ``settings`` (a row of lms_connections)."""
    more = [scope for name in reads_of(settings) for scope in READS[name]]
    return tuple(dict.fromkeys((*SCOPES, *(MATERIAL_SCOPES if is_teacher else ()), *more)))


def reads_of(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What an installation lets us read besides: those of ``READS`` that staff listed in its settings."""
    listed = (settings or {}).get("reads")
    return tuple(name for name in READS if isinstance(listed, list) and name in listed)


def covers(granted: Sequence[str], scopes: Sequence[str]) -> bool:
    """Whether a grant has these scopes. A token without a list, such as a personal one, is not scoped."""
    return not granted or set(scopes) <= set(granted)


def authorize_url(installation: Installation, redirect_uri: str, state: str, scopes: Sequence[str] = SCOPES) -> str:
    """The address where the person consents. It always has scopes."""
    query = {
        "client_id": installation.client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "state": state,
        "scope": " ".join(scopes),
        "purpose": "Headstart",
    }
    return f"{installation.base_url}/login/oauth2/auth?{urlencode(query, quote_via=quote)}"


def exchange_code(transport: Transport, installation: Installation, code: str, redirect_uri: str) -> Tokens:
    """Exchanges a code for tokens. It is sent once, because Canvas accepts a code once.

    :raise CanvasGrantRefused: the code is used, expired or not ours
    :raise CanvasBadAnswer: the answer is unusable, or Canvas does not know our key
    :raise NotTaken: Canvas has not seen the code, so it may be sent again later
    :raise CanvasUnavailable: Canvas does not answer, and may have used the code
    """
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    response = transport.post_form("/login/oauth2/token", {**form, **_key(installation)}, repeatable=False)
    if _error(response) in ("invalid_grant", "invalid_request"):
        raise CanvasGrantRefused
    tokens = _tokens(response)
    if tokens.canvas_user_id is None:
        raise CanvasBadAnswer(details="the token answer names no person")
    return tokens


def refresh(transport: Transport, installation: Installation, refresh_token: str) -> Tokens:
    """Gets a new access token. Canvas no longer accepts the old one.

    :raise ReauthorizationRequired: Canvas no longer accepts the refresh token
    :raise CanvasBadAnswer, CanvasUnavailable: everything else is temporary, also a throttled call
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **_key(installation)}
    response = transport.post_form("/login/oauth2/token", form, repeatable=True)
    # a redirect is a login page or a proxy: it says nothing about the grant
    if response.status == 400 and _error(response) in ("invalid_grant", "invalid_request"):
        raise ReauthorizationRequired
    return _tokens(response)


def revoke(transport: Transport, access_token: str) -> bool:
    """Revokes the grant at Canvas. False when Canvas no longer accepts this access token.

    :raise CanvasUnavailable: Canvas does not answer, throttles, or answers with anything but success and 401
    """
    status = transport.delete("/login/oauth2/token", access_token)
    if status == 401:
        return False
    if not 200 <= status < 300:
        raise CanvasUnavailable(details=f"HTTP {status}")
    return True


def _key(installation: Installation) -> dict[str, str]:
    return {"client_id": installation.client_id, "client_secret": installation.client_secret}


def _error(response: Answer) -> str | None:
    """The ``error`` key of a refusal. Older installations redirect and put it into the query."""
    if response.status == 302:
        found = parse_qs(urlsplit(response.headers.get("location", "")).query).get("error")
        return found[0] if found else None
    if response.status != 400:
        return None
    error = _object(response).get("error")
    return error if isinstance(error, str) else None


def _object(response: Answer) -> Mapping[str, Any]:
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _tokens(response: Answer) -> Tokens:
    if response.status == 401:
        raise CanvasBadAnswer(
            "Canvas does not accept our developer key. An administrator must check it.", details="invalid_client"
        )
    body = _object(response)
    access_token, refresh_token = body.get("access_token"), body.get("refresh_token")
    if response.status != 200 or not isinstance(access_token, str) or not access_token:
        # Canvas has been seen to refresh with a null access token, which must not be stored
        raise CanvasBadAnswer(details=f"HTTP {response.status} without a token")
    expires_in = body.get("expires_in")
    lives = isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and 0 < expires_in < 10**9
    user = body.get("user")
    user_id, name = (user.get("id"), user.get("name")) if isinstance(user, dict) else (None, None)
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
        expires_at=datetime.now(UTC) + timedelta(seconds=float(expires_in)) if lives else None,  # type: ignore[arg-type]
        canvas_user_id=str(user_id) if isinstance(user_id, int | str) and str(user_id) else None,
        name=name if isinstance(name, str) else None,
    )
