"""Starts runs and reads them. A job does the work (jobs.py, sync.py)."""

from __future__ import annotations

import uuid
from typing import Any

from functions.canvas_sync.feeds import URL_FIELD, CanvasAlreadyConnected, feed_address
from functions.shared.canvas.errors import IntegrationNotConnected
from functions.shared.crypto import Envelope
from functions.shared.database import Database, rpc_row, run
from functions.shared.errors import NotFound
from functions.shared.jobs import Enqueued, find_job
from functions.shared.settings import Settings
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

    def add_feed(
        self, caller: Caller, url: str, name: str | None, crypto: Envelope, settings: Settings
    ) -> tuple[str, str]:
        """Stores the address of a person's feed, encrypted, and starts its first sync; the integration and the job.

        :raise FeedUrlInvalid: it is no address of a Canvas calendar
        :raise CanvasAlreadyConnected: the account itself is connected
        """
        address = feed_address(url, local=settings.is_local)
        service = self._database.service()
        query = service.from_("integrations").select("id").eq("user_id", caller.user_id).eq("provider", "canvas_feed")
        rows = run(query.eq("instance_domain", address.host))
        integration_id = str(rows[0]["id"]) if rows else str(uuid.uuid4())
        outcome: dict[str, Any] = {"outcome": "other_id", "integration_id": integration_id}
        # once more at most: another tab of the person added a feed of this host meanwhile
        for _ in range(2):
            if outcome["outcome"] == "other_id":
                integration_id = outcome["integration_id"]
                args = {
                    "p_integration_id": integration_id,
                    "p_user_id": caller.user_id,
                    "p_instance_domain": address.host,
                    "p_name": name,
                    "p_url_enc": crypto.encrypt(address.url, row_id=integration_id, field=URL_FIELD),
                }
                outcome = rpc_row(service, "svc_put_feed", args, safe=True)
        if outcome["outcome"] == "account_connected":
            raise CanvasAlreadyConnected
        return integration_id, str(outcome["job_id"])

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
        query = user.from_("integrations").select("id,provider,status,lms_connection:lms_connections(status)")
        rows = run(query.in_("provider", ["canvas", "canvas_feed"]).eq("user_id", caller.user_id).order("id"))
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
        # people cannot see an installation that is switched off; a feed has none
        usable = [
            row["id"]
            for row in rows
            if row["status"] == "connected" and (row["provider"] == "canvas_feed" or row["lms_connection"] is not None)
        ]
        if not usable:
            raise IntegrationNotConnected(hint=RECONNECT)
        return usable
