"""What the routes of reviews call. It knows nothing of HTTP. The work itself is in work.py."""

from __future__ import annotations

from functions.programme.reviews.errors import ReviewNotFailed
from functions.shared.database import Database, rpc
from functions.shared.errors import Conflict
from functions.shared.tokens import Caller


class ReviewService:
    """Work on the caller's own reviews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def retry(self, caller: Caller, review_id: str) -> str:
        """Asks for a failed review again; the job.

        :raise NotFound: it does not exist, or belongs to another person
        :raise ReviewNotFailed: it has not failed
        """
        try:
            # the function looks among the caller's own reviews
            args = {"p_user_id": caller.user_id, "p_review_id": review_id}
            return str(rpc(self._database.service(), "svc_retry_review", args))
        except Conflict as error:
            raise ReviewNotFailed from error
