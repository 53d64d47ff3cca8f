"""One run for a calendar feed: it is fetched as any foreign address is, read, and stored whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import httpx

from functions.canvas_sync.feeds import (
    MAX_FEED_BYTES,
    URL_FIELD,
    FeedAddress,
    FeedUnreadable,
    FeedUrlInvalid,
    feed_address,
    read_feed,
)
from functions.canvas_sync.report import Report
from functions.shared.canvas.errors import CanvasBadAnswer, CanvasUnavailable, ReauthorizationRequired
from functions.shared.canvas.tokens import Rpc
from functions.shared.crypto import DecryptionFailed, Envelope
from functions.shared.fetch import Fetcher
from functions.shared.http import AddressRefused, AnswerTooLarge, OutboundError

TOTAL_SECONDS = 30.0
# Canvas gives a feed a new address when its owner asks for one, and says so of the old one
GONE = frozenset({401, 404, 410})


class FeedUnavailable(CanvasUnavailable):
    """The calendar feed does not answer at the moment. Try again later."""

    code = "feed_unavailable"


class FeedBroken(CanvasBadAnswer):
    """The calendar feed is not a calendar that can be read. Nothing was changed."""

    code = "feed_unreadable"


class FeedGone(ReauthorizationRequired):
    """The address of the calendar feed no longer works. Copy the new one from Canvas and add it again."""

    code = "feed_gone"


class FeedSync:
    """Syncs one feed. ``rpc`` calls database functions as the service."""

    def __init__(
        self, rpc: Rpc, crypto: Envelope, fetcher: Fetcher, integration_id: str, run_id: str, *, local: bool
    ) -> None:
        self._rpc = rpc
        self._crypto = crypto
        self._fetcher = fetcher
        self._integration_id = integration_id
        self._run_id = run_id
        self._local = local

    def run(self, report: Report, now: datetime) -> None:
        """Reads and stores the feed.

        :raise FeedGone: the address no longer works, or no key opens it
        :raise FeedUnavailable: it does not answer
        :raise FeedBroken: it is no calendar
        """
        rows = self._rpc("svc_get_feed", {"p_integration_id": self._integration_id})
        if not rows:
            return  # it was disconnected, or replaced by the account
        address = self._address(rows[0]["url_enc"])
        report.requests += 1
        content, etag = self._fetch(address, rows[0]["etag"])
        if content is None:
            return
        try:
            feed = read_feed(content, address.origin, rows[0]["time_zone"], now)
        except FeedUnreadable as error:
            raise FeedBroken(details=error.reason) from error
        args = {
            "p_integration_id": self._integration_id,
            "p_courses": feed.courses,
            "p_assignments": feed.assignments,
            "p_until": feed.until.isoformat(),
            "p_etag": etag,
            "p_run": self._run_id,
        }
        counts = self._rpc("svc_apply_feed", args)
        if counts is not None:
            _add(report.courses, counts["courses"])
            _add(report.assignments, counts["assignments"])
            report.skipped += feed.skipped

    def _address(self, sealed: str) -> FeedAddress:
        try:
            url = self._crypto.decrypt(sealed, row_id=self._integration_id, field=URL_FIELD)
            return feed_address(url, local=self._local)
        except (DecryptionFailed, FeedUrlInvalid) as error:
            raise FeedGone from error

    def _fetch(self, address: FeedAddress, etag: str | None) -> tuple[bytes | None, str | None]:
        """The calendar and its ETag; None when it is the one that was stored last. No message names the address."""
        conditions = {"if-none-match": etag} if etag else {}
        try:
            with self._fetcher.get(
                address.url,
                max_bytes=MAX_FEED_BYTES,
                total_seconds=TOTAL_SECONDS,
                headers=conditions,
                hosts=[address.host],
            ) as found:
                if found.status == httpx.codes.NOT_MODIFIED and etag:
                    return None, etag
                if found.status in GONE:
                    raise FeedGone
                if found.status != httpx.codes.OK:
                    raise FeedUnavailable(details=f"HTTP {found.status}")
                return found.read(), _usable(found.headers.get("etag"))
        except (AddressRefused, AnswerTooLarge) as error:
            raise FeedBroken(details=error.code) from None
        except OutboundError as error:
            raise FeedUnavailable(details=error.code) from None


def _usable(etag: str | None) -> str | None:
    return etag if etag and len(etag) <= 500 and etag.isascii() and etag.isprintable() else None


def _add(counts: Any, found: Mapping[str, int]) -> None:
    for one in fields(counts):
        setattr(counts, one.name, getattr(counts, one.name) + found.get(one.name, 0))
