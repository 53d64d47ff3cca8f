"""What the routes of weeks call. It knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from functions.programme.errors import RepositoryNeeded, WeekArchived
from functions.programme.reviews.service import METER as REVIEWS_METER
from functions.shared.agents import check_agent
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row
from functions.shared.errors import Conflict
from functions.shared.settings import Settings
from functions.shared.tokens import Caller
from functions.shared.usage import limit_reached


class WeekService:
    """Work on the caller's own weeks."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

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

    def ask_for_notes(
        self, caller: Caller, week_id: str, kinds: Sequence[Literal["clo", "engineer"]], repository_url: str | None
    ) -> dict[str, Any]:
        """Has notes on a week written; ``{job_id, review_id}``.

        :raise NotFound: the week does not exist, or belongs to another person
        :raise WeekArchived: it is archived
        :raise RepositoryNeeded: engineer notes without a repository, for a week without a completed review
        :raise PlanLimitReached: the caller's plan allows no more code reviews in this period
        :raise AgentDisabled: the agent for one of the kinds is switched off
        """
        for kind in kinds:
            check_agent(self._database, self._settings, kind)
        if repository_url is None:
            return self._begin_notes(caller, week_id, kinds, None)
        # said again after a lost answer, it joins the review
        review = self._begin_notes(caller, week_id, ["engineer"], repository_url)
        if "clo" not in kinds:
            return review
        return {**self._begin_notes(caller, week_id, ["clo"], None), "review_id": review["review_id"]}

    def _begin_notes(
        self, caller: Caller, week_id: str, kinds: Sequence[str], repository_url: str | None
    ) -> dict[str, Any]:
        args = {"p_week_id": week_id, "p_kinds": list(kinds), "p_repository_url": repository_url}
        try:
            # the function looks among the caller's own weeks
            row = rpc_row(self._database.service(), "svc_begin_week_notes", {**args, "p_user_id": caller.user_id})
        except Conflict as error:
            raise WeekArchived from error
        match row["outcome"]:
            case "repository_needed":
                raise RepositoryNeeded
            case "limit":
                raise limit_reached(self._clock, REVIEWS_METER, row)
        return {"job_id": row["job_id"], "review_id": row["review_id"]}

    def ask_for_package(self, caller: Caller, week_id: str, mode: str | None) -> str:
        """Has a brand package of a week written; the job's id.

        :raise NotFound: the week does not exist, or belongs to another person
        :raise WeekArchived: it is archived
        :raise AgentDisabled: the agent is switched off
        """
        check_agent(self._database, self._settings, "brand")
        args = {"p_week_id": week_id, "p_user_id": caller.user_id, "p_mode": mode}
        try:
            # the function looks among the caller's own weeks
            return str(rpc(self._database.service(), "svc_begin_brand_package", args))
        except Conflict as error:
            raise WeekArchived from error
