"""The public keys of platforms, cached for the process, one cache for each address.

Known keys serve while the address is down. An unknown key id is looked up at once, and then not again for a minute:
forged ids must not flood a platform. Nobody waits for the network for a key that is known and fresh.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import jwt
import structlog

from functions.shared.clock import Clock
from functions.shared.errors import Unavailable
from functions.shared.http import Http, OutboundError
from functions.shared.tokens import usable_keys

log = structlog.get_logger(__name__)

FRESH_SECONDS = 600
COOL_DOWN_SECONDS = 60
RETRY_SECONDS = 2
TOTAL_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_ADDRESSES = 1000
ALGORITHM = "RS256"


@dataclass
class _Known:
    """What one address said last."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    fetched_at: float | None = None
    failed_at: float | None = None
    looked_up_at: float | None = None


class PlatformKeys:
    """Threads may share it."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def get(self, url: str, kid: str) -> jwt.PyJWK | None:
        """The key with this id at an address; None when the address does not list it.

        :raise Unavailable: the address was never read, and cannot be at the moment
        """
        with self._lock:
            if len(self._known) >= MAX_ADDRESSES and url not in self._known:
                self._known.clear()
            known = self._known.setdefault(url, _Known())
        now = self._clock.monotonic()
        if kid in known.keys and _within(known.fetched_at, now, FRESH_SECONDS):
            return known.keys[kid]
        with known.lock:
            self._look(url, known, kid)
            if known.fetched_at is None:
                raise Unavailable(retry_after=RETRY_SECONDS)
            return known.keys.get(kid)

    def _look(self, url: str, known: _Known, kid: str) -> None:
        """Reads the address when that is due."""
        now = self._clock.monotonic()
        if _within(known.failed_at, now, RETRY_SECONDS):
            return
        if _within(known.fetched_at, now, FRESH_SECONDS):
            if kid in known.keys or _within(known.looked_up_at, now, COOL_DOWN_SECONDS):
                return
            known.looked_up_at = now
        try:
            answer = self._http.request(
                "GET",
                url,
                headers={"Accept": "application/json"},
                total_seconds=TOTAL_SECONDS,
                read_seconds=TOTAL_SECONDS,
                max_bytes=MAX_BYTES,
            )
            if answer.status != 200:
                raise OutboundError(f"status {answer.status}")
            keys = usable_keys(answer.json())
        except (OutboundError, ValueError) as error:
            log.warning("platform_keys_unavailable", error=type(error).__name__)
            # the unknown key may exist, so the next launch asks again after the short pause
            known.failed_at, known.looked_up_at = self._clock.monotonic(), None
            return
        known.keys = {name: key for name, key in keys.items() if key.algorithm_name == ALGORITHM}
        known.fetched_at, known.failed_at = self._clock.monotonic(), None


def _within(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since < seconds
