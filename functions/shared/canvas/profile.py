"""What Canvas says of the person whose token it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from functions.shared.canvas.errors import CanvasError
from functions.shared.canvas.transport import TokenRejected, Transport


@dataclass(frozen=True)
class Profile:
    """Name and time zone (an IANA name, unchecked), as far as Canvas tells them."""

    name: str | None = field(default=None, repr=False)
    time_zone: str | None = None


def own_profile(transport: Transport, access_token: str) -> Profile:
    """The profile, or an empty one: a scoped developer key may not allow the call, and nothing depends on it."""
    try:
        found = transport.get("/api/v1/users/self/profile", access_token)
    except (CanvasError, TokenRejected):
        return Profile()
    given = found if isinstance(found, dict) else {}
    return Profile(_text(given.get("name")), _text(given.get("time_zone")))


def _text(value: object) -> str | None:
    return value.replace("\0", "")[:500] if isinstance(value, str) else None
