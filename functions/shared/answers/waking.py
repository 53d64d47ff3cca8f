"""Tells workers that there is something to do. Whoever is not reached finds it at the next look for work."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

import httpx
import structlog

log = structlog.get_logger(__name__)
TIMEOUT = httpx.Timeout(1.0, connect=0.3)


class Waker:
    """Wakes the workers that WORKER_WAKE_URL names."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False)
        weakref.finalize(self, self._http.close)

    def wake(self) -> None:
        """Returns at once; a worker that does not answer holds nobody up."""
        for url in self._urls:
            threading.Thread(target=self._post, args=(url,), name="wake", daemon=True).start()

    def _post(self, url: str) -> None:
        try:
            self._http.post(url)
        except httpx.HTTPError as error:
            log.info("worker_not_woken", error=type(error).__name__)
