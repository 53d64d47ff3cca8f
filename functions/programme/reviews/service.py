"""What the routes of reviews call. It knows nothing of HTTP. The work itself is in work.py."""

from __future__ import annotations

from functions.programme.errors import WeekArchived
from functions.programme.reviews.errors import ReviewNotFailed
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc_row
from functions.shared.errors import Conflict
from functions.shared.tokens import Caller
from functions.shared.usage import limit_reached

METER = "code_reviews"


class ReviewService:
    """Work on the caller's own reviews."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def retry(self, caller: Caller, review_id: str) -> str:
        """Asks for a failed review again; the job.

        :raise NotFound: it does not exist, or belongs to another person
        :raise ReviewNotFailed: it has not failed
        :raise WeekArchived: its week is archived
        :raise PlanLimitReached: the caller's plan allows no more code reviews in this period
        """
        try:
            # the function looks among the caller's own reviews
            args = {"p_user_id": caller.user_id, "p_review_id": review_id}
            row = rpc_row(self._database.service(), "svc_retry_review", args)
        except Conflict as error:
            raise ReviewNotFailed from error
        match row["outcome"]:
            case "archived":
                raise WeekArchived
            case "limit":
                raise limit_reached(self._clock, METER, row)
        return str(row["job_id"])
