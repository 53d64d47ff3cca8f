"""Background work: how services ask for it and what a handler is given.

A service puts its handlers into ``functions/<service>/jobs.py``::

    def register(registry: HandlerRegistry) -> None:
        registry.add("canvas_sync", sync)

    def sync(context: JobContext) -> dict[str, Any] | None: ...

What a handler returns becomes the job's ``result``. It must be safe to run twice and safe to be killed at any line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.database import Database, rpc_row, run
from functions.shared.http import Http
from functions.shared.settings import Settings

LIVE = ("queued", "running")
MIN_LOOK_SECONDS = 0.1
MAX_LOOK_SECONDS = 0.5
# what the owner of a job may see
JOB_COLUMNS = "id,type,status,progress,result,error_code,error_message,created_at,started_at,completed_at"


class Enqueued(NamedTuple):
    """A job's id, and whether this call made it (False: a live job with the same key was joined)."""

    job_id: str
    created: bool


def enqueue(
    service_client: SyncPostgrestClient,
    type: str,
    payload: Mapping[str, Any],
    *,
    user_id: str | None = None,
    week_id: str | None = None,
    dedupe_key: str | None = None,
    dedupe_mode: str = "join",
    priority: int = 0,
    scheduled_at: datetime | None = None,
    max_retries: int = 3,
    timeout_s: int = 600,
    provider: str | None = None,
) -> Enqueued:
    """Puts a job into the queue.

    :param payload: ids, never text of students nor tokens
    :param dedupe_key: a live job with this key is joined instead; ``dedupe_mode`` "queued" joins only waiting ones
    """
    row = rpc_row(
        service_client,
        "svc_enqueue_job",
        {
            "p_type": type,
            "p_payload": dict(payload),
            "p_user_id": user_id,
            "p_week_id": week_id,
            "p_dedupe_key": dedupe_key,
            "p_dedupe_mode": dedupe_mode,
            "p_priority": priority,
            "p_scheduled_at": None if scheduled_at is None else scheduled_at.isoformat(),
            "p_max_retries": max_retries,
            "p_timeout_s": timeout_s,
            "p_provider": provider,
        },
        # with a key, a repeat after a lost answer joins the first job
        safe=dedupe_key is not None,
    )
    return Enqueued(str(row["job_id"]), bool(row["created"]))


class JobFailure(Exception):
    """A handler gives up: ``code`` is listed in docs/errors.md, ``message`` is a sentence the owner may read.

    :param detail: for operators, kept apart from what the owner sees; no secrets, no text of students
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = True,
        retry_after_s: int | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.detail = detail


class JobCancelled(Exception):
    """The owner asked for an end; raised by ``check_cancelled``, handled by the worker."""


class LeaseLost(Exception):
    """Another worker has the job now; nothing more may be written. Handled by the worker."""


@dataclass(frozen=True)
class Job:
    """One claimed job, as ``svc_claim_jobs`` gives it."""

    job_id: str
    type: str
    user_id: str | None
    week_id: str | None
    payload: Mapping[str, Any]
    retry_count: int
    max_retries: int
    timeout_s: int
    lease_token: str = field(repr=False)
    locked_until: str
    provider_wait_ms: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Job:
        """From the row of a claim."""
        return cls(
            job_id=row["job_id"],
            type=row["type"],
            user_id=row["user_id"],
            week_id=row["week_id"],
            payload=row["payload"] or {},
            retry_count=row["retry_count"],
            max_retries=row["max_retries"],
            timeout_s=row["timeout_s"],
            lease_token=row["lease_token"],
            locked_until=row["locked_until"],
            provider_wait_ms=row["provider_wait_ms"] or 0,
        )


@dataclass(frozen=True)
class JobContext:
    """What a handler works with. ``deadline`` is on the monotonic clock."""

    job: Job
    settings: Settings
    database: Database
    http: Http
    crypto: Envelope
    clock: Clock
    deadline: float
    on_progress: Callable[[Mapping[str, Any]], None]
    on_check: Callable[[], None]

    def progress(self, progress: Mapping[str, Any]) -> None:
        """Shows progress in the job's row; written with the next heartbeat, so call it as often as you like."""
        self.on_progress(progress)

    def check_cancelled(self) -> None:
        """Call between steps.

        :raise JobCancelled: the owner asked for an end
        :raise LeaseLost: another worker took over
        :raise JobFailure: ``deadline_exceeded``, the job's own time is up
        """
        self.on_check()
        if self.clock.monotonic() > self.deadline:
            raise JobFailure("deadline_exceeded", "The work took longer than it may.")

    def remaining_seconds(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock.monotonic())


Handler = Callable[[JobContext], Mapping[str, Any] | None]


class HandlerRegistry:
    """Which function runs which type of job."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._answers: set[str] = set()

    def add(self, type: str, handler: Handler, *, is_answer: bool = False) -> None:
        """Registers a handler.

        :param is_answer: somebody reads what it writes; such jobs mostly wait for a model and have a lane of their own
        :raise ValueError: the type has one already
        """
        if type in self._handlers:
            raise ValueError(f"two handlers for jobs of type {type}")
        self._handlers[type] = handler
        if is_answer:
            self._answers.add(type)

    def replace(self, other: HandlerRegistry) -> None:
        """Takes the other's handlers, also for types that have one already."""
        self._handlers |= other._handlers
        self._answers = self._answers - set(other._handlers) | other._answers

    def handler(self, type: str) -> Callable[[Handler], Handler]:
        """The same as a decorator."""

        def register(handler: Handler) -> Handler:
            self.add(type, handler)
            return handler

        return register

    def get(self, type: str) -> Handler:
        """The handler of a type.

        :raise KeyError: nobody registered one
        """
        return self._handlers[type]

    @property
    def types(self) -> tuple[str, ...]:
        """The types that can be run, sorted."""
        return tuple(sorted(self._handlers))

    def is_answer(self, type: str) -> bool:
        """Whether jobs of this type belong to the lane of answers."""
        return type in self._answers


def find_job(client: SyncPostgrestClient, job_id: str) -> dict[str, Any] | None:
    """The job's row as far as the client's owner may see it, or None."""
    rows = run(client.from_("jobs").select(JOB_COLUMNS).eq("id", job_id).limit(1))
    return rows[0] if rows else None


def wait_for_job(job_id: str, seconds: float, *, client: SyncPostgrestClient, clock: Clock) -> dict[str, Any] | None:
    """Waits until a job has ended or the time is over, and returns its row; its ``status`` says which.

    :param seconds: 0 looks once
    :param client: whose eyes to look through
    :return: None when the client may not see such a job
    """
    until = clock.monotonic() + seconds
    pause = MIN_LOOK_SECONDS
    while True:
        job = find_job(client, job_id)
        left = until - clock.monotonic()
        if job is None or job["status"] not in LIVE or left <= 0:
            return job
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, MAX_LOOK_SECONDS)
