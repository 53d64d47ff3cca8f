"""Accounts for calls of models. Every call of chat, embeddings or transcription is a row of ``private.model_usage``.

A piece of work has one ledger, and each call goes through it::

    ledger = Ledger.of_job(context, "transcription")
    with ledger.call(model, Used(audio_seconds=Decimal(30))) as call:
        answer = client.audio.transcriptions.create(...)
        call.used = Used.reported(answer.usage, Decimal(30))

The row is written before the call is sent, with the estimate, and corrected at the end of the block, before the caller
stores any result. So a killed worker leaves its call on record as estimated.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.database import rpc, rpc_row
from functions.shared.errors import AppError
from functions.shared.jobs import JobContext
from functions.shared.llm.prices import PriceTable
from functions.shared.llm.usage import Tally, Used

log = structlog.get_logger(__name__)

MAX_MODEL_CHARACTERS = 200


@dataclass
class Entry:
    """One call.

    :param used: what the provider reported; None means that it reported nothing, and the estimate stands
    :param estimate: what it used as far as is known; a caller may raise it while text arrives
    """

    estimate: Used
    used: Used | None = None

    def refuse(self) -> None:
        """The provider refused the call or was never reached, so it used nothing."""
        self.used = Used()


class Ledger:
    """The calls of one piece of work, for one purpose. Threads may share it only for calls that they end themselves.

    :param purpose: what for, in lower case: headstart, chat_answer, embedding, transcription
    :param service: the service's database client; without one, calls are only summed
    :param job_id: the job that calls; None for the call of a request
    :param user_id: for whom; a job of nobody may set it when it knows
    """

    def __init__(
        self,
        clock: Clock,
        prices: PriceTable,
        purpose: str,
        *,
        service: SyncPostgrestClient | None = None,
        job_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        self.clock = clock
        self.tally = Tally()
        self._prices = prices
        self._purpose = purpose
        self._service = service
        self._job_id = job_id
        self.user_id = user_id

    @classmethod
    def of_job(cls, context: JobContext, purpose: str) -> Ledger:
        """The ledger of a job, for its owner. ``ledger.user_id`` may name somebody else."""
        job, prices = context.job, context.settings.model_prices
        service = context.database.service()
        return cls(context.clock, prices, purpose, service=service, job_id=job.job_id, user_id=job.user_id)

    def resume(self) -> None:
        """Adds what calls of this job used before, in workers that were killed or gave up. Call it at most once.

        :raise Unavailable: the database does not answer
        """
        if self._service is None or self._job_id is None:
            return
        args = {"p_job_id": self._job_id, "p_purpose": self._purpose}
        row = rpc_row(self._service, "svc_sum_model_usage", args, safe=True)
        used = Used(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])
        used = dataclasses.replace(used, is_estimated=row["is_estimated"])
        self.tally.add(used, None if row["cost_usd"] is None else Decimal(row["cost_usd"]))
        self.tally.attempts += row["attempts"]

    @contextlib.contextmanager
    def call(self, model: str, estimate: Used) -> Generator[Entry]:
        """Records one call. What happens in the block decides what it used, see :class:`Entry`.

        :param estimate: what it will use at least, as far as is known before
        :raise Unavailable: the call could not be recorded, so it must not be sent
        """
        at = self.clock.now()
        entry = Entry(dataclasses.replace(estimate, is_estimated=True))
        self.tally.attempts += 1
        row_id = self._record(model, entry.estimate, self._prices.cost(model, entry.estimate, at), None)
        try:
            yield entry
        finally:
            used = entry.used or dataclasses.replace(entry.estimate, is_estimated=True)
            cost = self._prices.cost(model, used, at)
            self.tally.add(used, cost)
            try:
                self._record(model, used, cost, row_id)
            except AppError as error:
                # the estimate stays on record; what the block says goes first
                log.warning("model_usage_not_corrected", error_code=error.code, job_id=self._job_id)

    def _record(self, model: str, used: Used, cost: Decimal | None, row_id: int | None) -> int | None:
        if self._service is None:
            return None
        args: dict[str, Any] = {
            "p_job_id": self._job_id,
            "p_user_id": self.user_id,
            "p_purpose": self._purpose,
            "p_model": model[:MAX_MODEL_CHARACTERS],
            "p_usage_id": row_id,
            "p_prompt_tokens": used.prompt_tokens,
            "p_completion_tokens": used.completion_tokens,
            "p_cached_tokens": used.cached_tokens,
            # as text, because a number of JSON would be rounded
            "p_audio_seconds": None if used.audio_seconds is None else format(used.audio_seconds, "f"),
            "p_cost_usd": None if cost is None else format(cost, "f"),
            "p_is_estimated": used.is_estimated,
        }
        return int(rpc(self._service, "svc_record_model_usage", args, safe=row_id is not None))
