"""Personal access tokens: people make them in Canvas by themselves, for schools that gave us no developer key.

Such a token is checked once here and is never refreshed. It stays the person's own, so we never revoke it at Canvas.
"""

from __future__ import annotations

from datetime import datetime

from functions.canvas_oauth.errors import TokenLacksRights, TokenRefused
from functions.shared.canvas.client import row_id
from functions.shared.canvas.errors import CanvasBadAnswer, CanvasError, CourseForbidden, CourseGone
from functions.shared.canvas.oauth import Tokens
from functions.shared.canvas.transport import TokenRejected, Transport


def checked(transport: Transport, token: str) -> Tokens:
    """Asks Canvas whose token it is, and whether it may list courses.

    :raise TokenRefused: Canvas does not know the token, or it has expired
    :raise TokenLacksRights: it may not read what a sync reads
    :raise CanvasBadAnswer, CanvasUnavailable: Canvas gives no usable answer
    """
    try:
        person = transport.get("/api/v1/users/self", token)
        transport.page(transport.first("/api/v1/courses", {"enrollment_state": "active", "per_page": "1"}), token)
    except TokenRejected as error:
        raise TokenRefused from error
    except (CourseForbidden, CourseGone) as error:
        raise TokenLacksRights from error
    number = row_id(person) if isinstance(person, dict) else None
    if number is None:
        raise CanvasBadAnswer(details="users/self names no person")
    name = person.get("name")
    return Tokens(token, None, _expiry(transport, token), str(number), name if isinstance(name, str) else None)


def _expiry(transport: Transport, token: str) -> datetime | None:
    """When the token ends, if this Canvas lists people's own tokens. A list needs no part of the token in its URL."""
    try:
        page = transport.page(transport.first("/api/v1/users/self/user_generated_tokens", {"per_page": "100"}), token)
    except (CanvasError, TokenRejected):
        return None
    for row in page.rows:
        hint, given = row.get("token_hint"), row.get("expires_at")
        if isinstance(hint, str) and hint and token.startswith(hint) and isinstance(given, str):
            return _moment(given)
    return None


def _moment(given: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        return None
    return found if found.tzinfo else None
