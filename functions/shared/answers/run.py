"""One attempt of a worker at writing an answer.

It may run twice, and its worker may be killed at any line. Each call of the model is counted in the stream before it is
sent, and the text only grows. The row and the stream's last events are written in one transaction. A model does not
write the same text twice, so a worker that finds text of another one ends the answer as ``interrupted``.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from functions.shared.agents import AgentType, assign_agent
from functions.shared.answers.writing import StreamWriter, Superseded
from functions.shared.errors import AppError, Internal, NotFound, Unavailable
from functions.shared.jobs import JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import (
    ContentFiltered,
    DeadlineExceeded,
    Interrupted,
    InvalidResponse,
    ModelError,
    Refused,
    Truncated,
)
from functions.shared.llm.ledger import Ledger
from functions.shared.retries import Backoff, retried

log = structlog.get_logger(__name__)

MAX_CALLS = 3
MAX_TEXT_CHARACTERS = 200_000
# text that a killed worker loses is at most this old
FLUSH_SECONDS = 0.25
# how long a reader's stop may go unnoticed while the model is silent
CHECK_SECONDS = 0.5
BACKOFF = Backoff(first_seconds=0.5, max_seconds=20.0)
TEXT_ID = "text"


class TextFilter:
    """What becomes of the model's text before it is stored. This one changes nothing.

    A filter may hold text back until it knows what it is; ``finish`` gives the rest.
    """

    def feed(self, text: str) -> str:
        """The text that may be shown now."""
        return text

    def finish(self) -> str:
        """The text that was held back, when the model has come to an end."""
        return ""

    def restart(self) -> None:
        """Forgets a call that failed, before another one."""
        self.finish()

    def parts(self) -> Sequence[Mapping[str, Any]]:
        """The stream's parts after the text: sources."""
        return ()

    def citations(self) -> Sequence[Mapping[str, Any]]:
        """The row's citations."""
        return ()

    def metrics(self) -> Mapping[str, Any]:
        """More of the row's metrics."""
        return {}

    def title(self) -> str | None:
        """What the model would call the conversation."""
        return None


@dataclass(frozen=True)
class State:
    """An answer as a worker finds it.

    :param status: ``streaming`` when it is to be written
    :param seq: the number of its stream's last event
    :param attempts: calls of the model that were made for it
    :param text: what was released
    :param user_id: whose it is
    :param row: what else the service knows, for :meth:`Answer.prepare`
    """

    status: str
    seq: int
    attempts: int
    text: str
    user_id: str
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How an answer ends. ``status`` is complete, stopped, interrupted or failed."""

    status: str
    content: str
    finish_reason: str | None
    error: AppError | None
    metrics: Mapping[str, Any]
    filter: TextFilter


class Answer(ABC):
    """What an answer is about: a message, a question. A service has one kind of them.

    ``agent_type`` says which agent writes it, and ``session_id`` names the Socratic session that it belongs to.
    """

    stream_id: str
    prompt_version: str
    agent_type: AgentType
    session_id: str | None = None

    @abstractmethod
    def load(self) -> State:
        """Reads its row.

        :raise NotFound: it is gone
        """

    @abstractmethod
    def prepare(self, state: State) -> tuple[Sequence[Message], TextFilter]:
        """What to ask the model, and what becomes of its text."""

    def revise(self, written: TextFilter) -> Sequence[Message] | None:
        """What to ask once more when the model has come to an end, because its text may not be shown; else None.

        The filter must have held the whole text back. Then it gets the next text too, and decides. This is asked again
        after each further text.
        """
        return None

    @abstractmethod
    def end_call(self, state: State, ending: Ending, model: str, seq: int) -> tuple[str, Mapping[str, Any]]:
        """The database function that ends the row and its stream, and its arguments.

        It answers false when the answer has ended or ``seq`` is not its last event. A stopped answer takes the metrics.
        """


class AnswerRun:
    """Writes one answer."""

    def __init__(self, context: JobContext, answer: Answer) -> None:
        self._context = context
        self._answer = answer
        self._clock = context.clock
        self._client = ModelClient(context.settings)
        self._writer = StreamWriter(context.database.service(), context.clock, answer.stream_id)
        self._ledger = Ledger.of_job(context, context.job.type)
        self._filter = TextFilter()
        self._began = self._flushed = self._looked = context.clock.monotonic()
        self._first_text_at: float | None = None
        self._waiting: list[str] = []
        self._released: list[str] = []
        self._size = 0

    def work(self) -> Mapping[str, Any]:
        """Takes the answer, writes and ends it.

        :raise JobFailure: it failed, with its code; the job is retried only when the database is unavailable
        :raise JobCancelled: its reader stopped it
        :raise LeaseLost: another worker writes it
        """
        try:
            return self._work()
        except Unavailable as error:
            raise JobFailure("service_unavailable", error.message, retryable=True) from error

    def _work(self) -> Mapping[str, Any]:
        try:
            self._state = self._answer.load()
        except NotFound as error:
            raise JobFailure("not_found", "The answer no longer exists.", retryable=False) from error
        state = self._state
        if state.status != "streaming":
            # another worker ended it but could not report that, or its reader stopped it
            return {"status": state.status}
        self._writer.seq, self._ledger.user_id = state.seq, state.user_id
        if state.attempts:
            self._ledger.resume()
            # a call may have been counted and not recorded
            self._ledger.tally.attempts = max(self._ledger.tally.attempts, state.attempts)
        self._released, self._size = ([state.text], len(state.text)) if state.text else ([], 0)
        try:
            return {"status": self._write()}
        except (Superseded, JobCancelled) as error:
            raise self._stopped() from error
        except (LeaseLost, Unavailable):
            raise
        except ModelError as error:
            failure: AppError = error
        except JobFailure as error:
            failure = DeadlineExceeded() if error.code == "deadline_exceeded" else Internal()
        except Exception as error:
            log.error("answer_failed", stream_id=self._answer.stream_id, exc_info=error)
            failure = Internal()
        raise self._failed(failure)

    def _write(self) -> str:
        state, answer = self._state, self._answer
        agent = assign_agent(self._context, answer.agent_type, session_id=answer.session_id)
        self._client = agent.client(self._context.settings)
        messages, self._filter = answer.prepare(state)
        if state.text or state.attempts >= MAX_CALLS:
            raise Interrupted
        self._client.prepare()
        deadline = min(self._clock.monotonic() + self._context.settings.model_deadline_seconds, self._context.deadline)
        budget = Budget(self._ledger, MAX_CALLS, deadline, self._count, self._check)
        finish_reason = "stop"
        try:
            retried(lambda: self._ask(messages, budget), on=ModelError, pause=self._pause(budget), sleep=budget.wait)
        except Truncated:
            finish_reason = "length"
        self._take(self._filter.finish())
        self._flush()
        if not "".join(self._released).strip():
            raise Truncated() if finish_reason == "length" else InvalidResponse()
        self._end("complete", finish_reason)
        return "complete"

    def _ask(self, messages: Sequence[Message], budget: Budget) -> None:
        """Has the model write, and write once more what may not be shown."""
        try:
            self._read(messages, budget)
        except Truncated:
            self._revise(budget)
            raise
        self._revise(budget)
        # what a filter refuses here may be asked for again, while nothing was shown
        self._take(self._filter.finish())

    def _read(self, messages: Sequence[Message], budget: Budget) -> None:
        """Makes one call of the model."""
        for text in self._client.prose(messages, budget):
            self._take(self._filter.feed(text))
            if self._size >= MAX_TEXT_CHARACTERS:
                raise Truncated

    def _revise(self, budget: Budget) -> None:
        # the filter knows what to show when this fails, too
        with contextlib.suppress(ModelError):
            while (again := self._answer.revise(self._filter)) is not None and budget.calls_left:
                self._read(again, budget)

    def _pause(self, budget: Budget) -> Any:
        def pause(error: ModelError, failures: int) -> float | None:
            # a model does not write the same text twice
            if self._released or self._waiting or not error.is_repeatable or not budget.calls_left:
                return None
            # what the filter holds back came from the call that failed
            self._filter.restart()
            seconds = max(BACKOFF.seconds(failures), error.retry_after or 0.0)
            return seconds if seconds <= BACKOFF.max_seconds and seconds < budget.remaining_seconds() else None

        return pause

    # ---- the stream -------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Counts a call before it is sent, which also stops a worker that held the answer before."""
        number = self._ledger.tally.attempts + 1
        parts: list[Mapping[str, Any]] = [{"type": "data-attempt", "data": {"number": number}, "transient": True}]
        if number == 1:
            parts += [{"type": "start-step"}, {"type": "text-start", "id": TEXT_ID}]
        self._writer.append(parts)
        self._looked = self._clock.monotonic()

    def _take(self, text: str) -> None:
        """Keeps text for the next write; the first text is written at once."""
        text = text.replace("\x00", "").encode("utf-8", "replace").decode()
        if not text:
            return
        self._waiting.append(text[: MAX_TEXT_CHARACTERS - self._size])
        self._size += len(self._waiting[-1])
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        if self._waiting and (not self._released or self._clock.monotonic() - self._flushed >= FLUSH_SECONDS):
            self._flush()

    def _flush(self) -> None:
        text = "".join(self._waiting)
        if not text:
            return
        self._writer.append([{"type": "text-delta", "id": TEXT_ID, "delta": text}])
        self._waiting.clear()
        self._released.append(text)
        self._flushed = self._looked = self._clock.monotonic()
        if self._first_text_at is None:
            self._first_text_at = self._flushed

    def _check(self) -> None:
        """Runs several times a second, also while the model is silent."""
        self._context.check_cancelled()
        self._flush_if_due()
        now = self._clock.monotonic()
        if now - self._looked < CHECK_SECONDS:
            return
        self._looked = now
        try:
            is_current = self._writer.is_current()
        except Unavailable:
            # the next write tells
            return
        if not is_current:
            raise Superseded

    # ---- the end ----------------------------------------------------------------------------------------------

    def _end(self, status: str, finish_reason: str | None = None, error: AppError | None = None) -> None:
        """Ends the row and the stream.

        :raise Superseded: they have ended, or another worker writes
        """
        ending = Ending(status, "".join(self._released), finish_reason, error, self._metrics(), self._filter)
        name, args = self._answer.end_call(self._state, ending, self._client.model, self._writer.seq)
        try:
            done, called_again = self._writer.call(name, args)
        except NotFound as gone:
            raise Superseded from gone
        # after a lost answer the second call finds the work of the first
        if not done and not (called_again and self._answer.load().status == status):
            raise Superseded

    def _metrics(self) -> dict[str, Any]:
        now = self._clock.monotonic()
        first = None if self._first_text_at is None else int((self._first_text_at - self._began) * 1000)
        metrics = self._ledger.tally.metrics(int((now - self._began) * 1000), None)
        return {**metrics, "first_text_ms": first, **self._filter.metrics()}

    def _failed(self, error: AppError) -> Exception:
        """Ends the answer in failure. What was released stays; only an answer without any is failed.

        Text that a provider's filter or the model itself took back is no answer either.
        """
        reason = None
        try:
            if isinstance(error, (ContentFiltered, Refused)):
                reason = "content_filter"
            elif self._released or self._waiting:
                self._take(self._filter.finish())
                self._flush()
            is_partial = bool(self._released) and reason is None
            self._end("interrupted" if is_partial else "failed", reason, error)
        except Superseded:
            return self._stopped()
        return JobFailure(error.code, error.message, retryable=False)

    def _stopped(self) -> Exception:
        """What to raise when the answer was ended or taken over."""
        try:
            status = self._answer.load().status
        except NotFound:
            return JobFailure("not_found", "The answer no longer exists.", retryable=False)
        if status == "streaming" and not self._is_cancelled():
            return LeaseLost()
        if status in ("streaming", "stopped"):
            # its reader ended it, and what it cost is still to be stored; or its job alone was cancelled
            with contextlib.suppress(Superseded):
                self._end("stopped")
            return JobCancelled()
        return JobFailure("interrupted", "Another process ended the answer. Ask again.", retryable=False)

    def _is_cancelled(self) -> bool:
        try:
            self._context.check_cancelled()
        except JobCancelled:
            return True
        except (LeaseLost, JobFailure):
            return False
        return False
