"""Starts runs. A job does the work (jobs.py)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from functions.catalog_sync.errors import CatalogNotConfigured
from functions.shared.database import Database
from functions.shared.jobs import Enqueued, enqueue
from functions.shared.settings import Settings

TIMEOUT_SECONDS = 1800


class CatalogService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def start(self, terms: list[str] | None, *, dry_run: bool, confirm_removals: bool) -> Enqueued:
        """Enqueues a run, or joins a live one that was asked for in the same way. It is not tried again by itself,
        because the administrator who asked for it is there.

        :raise CatalogNotConfigured: there is no catalogue, or there are no terms to ask it for
        """
        wanted = list(dict.fromkeys(terms)) if terms else list(self._settings.catalog_terms)
        if self._settings.catalog_url is None or not wanted:
            raise CatalogNotConfigured
        payload: dict[str, Any] = {"terms": wanted, "dry_run": dry_run, "confirm_removals": confirm_removals}
        key = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:32]
        # the route admits administrators only
        return enqueue(
            self._database.service(),
            "catalog_sync",
            payload,
            dedupe_key=f"catalog_sync:{key}",
            max_retries=0,
            timeout_s=TIMEOUT_SECONDS,
        )
