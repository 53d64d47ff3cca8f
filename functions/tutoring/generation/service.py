"""Has practice written. Models are called by the job (writing.py), never here."""

from __future__ import annotations

from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc_row, run
from functions.shared.errors import Conflict
from functions.shared.tokens import Caller
from functions.shared.usage import limit_reached
from functions.tutoring.errors import SubjectNotFound
from functions.tutoring.generation.errors import SourceUnread
from functions.tutoring.generation.schemas import GenerationRequest

METER = "practice_ai_items"


class GenerationService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, waker: Waker, clock: Clock) -> None:
        self._database = database
        self._waker = waker
        self._clock = clock

    def begin(self, caller: Caller, wish: GenerationRequest) -> str:
        """Has practice written; the job's id.

        :raise NotFound: the student is not the caller's, or a source is not theirs to see
        :raise SubjectNotFound: there is no such subject
        :raise SourceUnread: a source has no text yet
        :raise PlanLimitReached: the caller's plan allows no more in this period
        """
        subject_id = str(wish.subject_id)
        # subjects are nobody's secret, and the function answers 404 for the rest
        if not run(self._database.service().from_("subjects").select("id").eq("id", subject_id)):
            raise SubjectNotFound
        args = {
            "p_requested_by": caller.user_id,
            "p_student_id": str(wish.student_id or caller.user_id),
            "p_subject_id": subject_id,
            "p_count": wish.count,
            "p_topic_tags": wish.topic_tags,
            "p_source_ids": sorted({str(source) for source in wish.source_ids}),
            "p_difficulty_level": wish.difficulty_level,
            "p_instructions": wish.instructions,
        }
        try:
            row = rpc_row(self._database.service(), "svc_begin_practice_generation", args)
        except Conflict as error:
            raise SourceUnread from error
        if not row["taken"]:
            raise limit_reached(self._clock, METER, row)
        self._waker.wake()
        return str(row["job_id"])
