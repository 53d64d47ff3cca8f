"""What the routes of weeks call. It knows nothing of HTTP."""

from __future__ import annotations

from typing import Any

from functions.programme.errors import WeekArchived
from functions.shared.database import Database, rpc, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.tokens import Caller


class WeekService:
    """Work on the caller's own weeks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def measure(self, caller: Caller, week_id: str) -> list[dict[str, Any]]:
        """Measures a week now; the new rows of ``kpi_metrics``.

        :raise NotFound: the week does not exist, or belongs to another person
        :raise WeekArchived: it is archived
        """
        try:
            # the function looks among the caller's own weeks
            args = {"p_week_id": week_id, "p_user_id": caller.user_id}
            return list(rpc(self._database.service(), "svc_measure_kpis", args))
        except Conflict as error:
            raise WeekArchived from error

    def _own_week(self, caller: Caller, week_id: str) -> dict[str, Any]:
        rows = run(self._database.user(caller.token).from_("weeks").select("*").eq("id", week_id).limit(1))
        if not rows:
            raise NotFound
        if rows[0]["status"] == "archived":
            raise WeekArchived
        return dict(rows[0])
