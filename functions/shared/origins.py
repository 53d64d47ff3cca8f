"""Which front ends may call the functions, and to which addresses a browser may be sent.

With APP_ENV=local every loopback address counts as a front end, on any port, as it does for REST and Auth.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from functions.shared.settings import Settings, is_loopback

# a browser writes an Origin header in lower case, and nothing after the port
LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


def is_allowed_origin(origin: str, settings: Settings) -> bool:
    """Whether a page of this origin may read the answers."""
    return origin in settings.cors_origins or (settings.is_local and LOOPBACK_ORIGIN.fullmatch(origin) is not None)


def is_allowed_redirect(url: str, settings: Settings) -> bool:
    """Whether a browser may be sent to this URL: it has the origin of a listed entry and lies below its path."""
    target = _split(url)
    if target is None:
        return False
    if settings.is_local and target.scheme in ("http", "https") and is_loopback(target.hostname or ""):
        return True
    return is_listed_page(url, settings)


def is_listed_page(url: str, settings: Settings) -> bool:
    """Whether a URL lies below an entry of REDIRECT_ALLOWLIST: also in local work, no other page will do."""
    target = _split(url)
    return target is not None and any(_is_below(target, urlsplit(entry)) for entry in settings.redirect_allowlist)


def _split(url: str) -> SplitResult | None:
    """The parts of a URL, or None when browsers may read it in another way."""
    if any(ord(character) <= 32 or ord(character) == 127 for character in url) or "\\" in url or "#" in url:
        return None
    try:
        target = urlsplit(url)
        _ = target.port
    except ValueError:
        return None
    is_odd = target.username is not None or target.password is not None or "/.." in target.path or "%2e" in url.lower()
    return None if is_odd else target


def _is_below(target: SplitResult, entry: SplitResult) -> bool:
    if (target.scheme, target.hostname, target.port) != (entry.scheme, entry.hostname, entry.port):
        return False
    folder = entry.path.rstrip("/")
    if not target.path:
        return not folder
    return target.path == folder or target.path.startswith(f"{folder}/")
