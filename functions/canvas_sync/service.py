"""Starts runs and reads them. A job does the work (jobs.py, sync.py)."""

from __future__ import annotations

import hashlib
from typing import Any

from functions.canvas_sync.errors import IntegrationNotConnected
from functions.shared.database import Database, run
from functions.shared.errors import NotFound
from functions.shared.jobs import LIVE, Enqueued, enqueue, find_job
from functions.shared.tokens import Caller

RECONNECT = "Connect Canvas with POST /canvas-oauth/start."


class SyncService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, caller: Caller, integration_id: str | None, course_ids: list[str] | None) -> Enqueued:
        """Enqueues a run, or joins a live one that covers it.

        :raise NotFound: an integration or course does not exist, or belongs to another person
        :raise IntegrationNotConnected: no integration is connected
        """
        integrations = self._integrations(caller, integration_id, course_ids)
        payload: dict[str, Any] = {"integration_ids": integrations}
        key = run_key(integrations)
        if course_ids is not None:
            whole = self._live(caller, key)
            if whole is not None:
                return Enqueued(whole, created=False)
            payload["course_ids"] = sorted(course_ids)
            key = f"{key}:{short_hash(payload['course_ids'])}"
        # everything in the payload was read with the caller's own rights before
        return enqueue(self._database.service(), "canvas_sync", payload, user_id=caller.user_id, dedupe_key=key)

    def find(self, caller: Caller, job_id: str) -> dict[str, Any]:
        """A run of this person.

        :raise NotFound: it does not exist, or belongs to another person
        """
        row = find_job(self._database.user(caller.token), job_id)
        if row is None or row["type"] != "canvas_sync":
            raise NotFound
        return row

    def _integrations(self, caller: Caller, integration_id: str | None, course_ids: list[str] | None) -> list[str]:
        """The ids of the connected integrations to sync, read under row level security."""
        user = self._database.user(caller.token)
        query = user.from_("integrations").select("id,status,lms_connection:lms_connections(status)")
        rows = run(query.eq("provider", "canvas").eq("user_id", caller.user_id).order("id"))
        if integration_id is not None:
            rows = [row for row in rows if row["id"] == integration_id]
            if not rows:
                raise NotFound
        if course_ids is not None:
            wanted = set(course_ids)
            owned = run(
                user.from_("courses")
                .select("id,integration_id")
                .in_("id", sorted(wanted))
                .eq("user_id", caller.user_id)
            )
            known = {row["id"] for row in rows}
            courses = {row["id"]: row["integration_id"] for row in owned if row["integration_id"] in known}
            if set(courses) != wanted:
                raise NotFound
            rows = [row for row in rows if row["id"] in set(courses.values())]
        # people cannot see an installation that is switched off
        usable = [row["id"] for row in rows if row["status"] == "connected" and row["lms_connection"] is not None]
        if not usable:
            raise IntegrationNotConnected(hint=RECONNECT)
        return usable

    def _live(self, caller: Caller, key: str) -> str | None:
        query = self._database.user(caller.token).from_("jobs").select("id").eq("user_id", caller.user_id)
        rows = run(query.eq("dedupe_key", key).in_("status", list(LIVE)).limit(1))
        return str(rows[0]["id"]) if rows else None


def run_key(integrations: list[str]) -> str:
    """The dedupe key of a run: one for an integration, and one for a set of several."""
    return f"canvas_sync:{integrations[0] if len(integrations) == 1 else short_hash(integrations)}"


def short_hash(ids: list[str]) -> str:
    """A short hash of a set of ids."""
    return hashlib.sha256(",".join(sorted(ids)).encode()).hexdigest()[:32]
