"""Starts runs and reads them. A job does the work (jobs.py, sync.py)."""

from __future__ import annotations

from typing import Any

from functions.shared.canvas.errors import IntegrationNotConnected
from functions.shared.database import Database, rpc_row, run
from functions.shared.errors import NotFound
from functions.shared.jobs import Enqueued, find_job
from functions.shared.tokens import Caller

RECONNECT = "Connect Canvas with POST /canvas-oauth/start."


class SyncService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, caller: Caller, integration_id: str | None, course_ids: list[str] | None) -> Enqueued:
        """Enqueues a run of what no live run covers, or joins the live one that covers everything.

        :raise NotFound: an integration or course does not exist, or belongs to another person
        :raise IntegrationNotConnected: no integration is connected
        """
        # every id was read with the caller's own rights
        args = {
            "p_user_id": caller.user_id,
            "p_integration_ids": self._integrations(caller, integration_id, course_ids),
            "p_course_ids": course_ids,
        }
        row = rpc_row(self._database.service(), "svc_start_canvas_sync", args, safe=True)
        return Enqueued(str(row["job_id"]), bool(row["created"]))

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
