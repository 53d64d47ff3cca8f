"""Looks whether the links of resources answer. A model invents addresses, so a learner gets only those that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from functions.shared.clock import Clock, utc
from functions.shared.fetch import Fetcher
from functions.shared.http import AnswerTooLarge, OutboundError

MAX_URL_CHARACTERS = 300
# an address that was made up to carry what the model has read would need more
MAX_QUERY_CHARACTERS = 64
MAX_BYTES = 64 * 1024
MAX_SECONDS = 8.0
AT_ONCE = 5


def checked(fetcher: Fetcher, clock: Clock, resources: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The same resources with ``check``: what was seen, and when. Those whose link does not answer lose it.

    :param resources: ``{title, url, why}``
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        looks = list(pool.map(lambda one: look(fetcher, one["url"]), resources))
    at = utc(clock.now())
    return [
        {
            **resource,
            "url": seen["url"] if seen["outcome"] == "answers" else None,
            "check": None if seen["outcome"] == "none" else {**seen, "checked_at": at},
        }
        for resource, seen in zip(resources, looks, strict=True)
    ]


def look(fetcher: Fetcher, url: str) -> dict[str, Any]:
    """``outcome`` is answers, refuses, unreachable, not_allowed or none; ``url`` is where the redirects ended."""
    seen: dict[str, Any] = {"outcome": "none", "url": url[:MAX_URL_CHARACTERS], "status": None, "media_type": None}
    if not url.strip():
        return seen
    if not _may_be_asked(url):
        return {**seen, "outcome": "not_allowed"}
    try:
        with fetcher.get(url, max_bytes=MAX_BYTES, total_seconds=MAX_SECONDS) as answer:
            seen |= {"status": answer.status, "media_type": answer.media_type[:100] or None}
            if not 200 <= answer.status < 300:
                return {**seen, "outcome": "refuses"}
            with suppress(AnswerTooLarge):
                # one piece is enough to know that somebody answers
                next(iter(answer.chunks()), b"")
            return {**seen, "outcome": "answers", "url": answer.url[:2000]}
    except OutboundError:
        return {**seen, "outcome": "unreachable"}


def _may_be_asked(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in ("https", "http")
        and not (parts.username or parts.password)
        and len(url) <= MAX_URL_CHARACTERS
        and len(parts.query) <= MAX_QUERY_CHARACTERS
    )
