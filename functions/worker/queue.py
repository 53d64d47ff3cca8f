"""The queue as a worker speaks to it: RPCs of rpc_contract "Jobs" with retries of our own.

Every call may be sent twice: a claim carries an id and is answered the same again, a completion or failure is fenced by
the lease, an exchange is both. So a lost answer (reset, 503, time-out) is simply asked for again, until ``give_up``
says that nobody waits.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from functions.shared.database import Database, rpc
from functions.shared.errors import AppError, Unavailable
from functions.shared.jobs import Job, JobFailure

log = structlog.get_logger(__name__)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
MESSAGE_LIMIT, DETAIL_LIMIT = 500, 4000


class Abandoned(Exception):
    """The call was given up before it succeeded."""


class Queue:
    """The jobs' side of the database for one worker.

    One thread claims. ``claim_asked_at``: when the rows of the last claim were first asked for, on the monotonic clock.
    """

    def __init__(self, database: Database, name: str, lease_seconds: int) -> None:
        self._database = database
        self.name = name
        self.lease_seconds = lease_seconds
        self._claim_id: str | None = None
        self.claim_asked_at = 0.0

    def _call(self, name: str, args: Mapping[str, Any], give_up: Callable[[], bool], wake: threading.Event) -> Any:
        """Calls until it is answered.

        :raise Abandoned: ``give_up`` said so between two tries
        :raise AppError: refused for good: a mistake of ours
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return rpc(self._database.service(), name, args)
            except Unavailable as error:
                if give_up():
                    raise Abandoned from error
                log.warning("queue_unavailable", call=name, pause_s=round(pause, 2))
            wake.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311
            if give_up():
                raise Abandoned
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def claim(self, types: Iterable[str], limit: int, give_up: Callable[[], bool], wake: threading.Event) -> list[Job]:
        """Up to ``limit`` jobs of these types, leased to this worker.

        :raise Abandoned: given up; what the database may have leased all the same comes with the next claim
        """
        rows = self._claim("svc_claim_jobs", {}, types, limit, give_up, wake)
        return [Job.from_row(row) for row in rows]

    def exchange(
        self,
        done: Iterable[tuple[Job, Mapping[str, Any] | None]],
        types: Iterable[str],
        limit: int,
        give_up: Callable[[], bool],
        wake: threading.Event,
    ) -> tuple[list[Job], set[str]]:
        """:meth:`complete` and :meth:`claim` in one call: the new jobs, and the ids whose completion came too late.

        :raise Abandoned: given up; the completions may be said again, what was leased comes with the next claim
        :raise AppError: refused, then nothing was changed: one of the results, or a mistake of ours
        """
        rows = self._claim("svc_exchange_jobs", {"p_done": _completions(done)}, types, limit, give_up, wake)
        return [Job.from_row(row) for row in rows if not row["lost"]], {row["job_id"] for row in rows if row["lost"]}

    def _claim(
        self,
        name: str,
        args: Mapping[str, Any],
        types: Iterable[str],
        limit: int,
        give_up: Callable[[], bool],
        wake: threading.Event,
    ) -> Any:
        if self._claim_id is None:
            self._claim_id, self.claim_asked_at = str(uuid.uuid4()), time.monotonic()
        args = {
            **args,
            "p_worker": self.name,
            "p_types": list(types),
            "p_limit": limit,
            "p_lease_s": self.lease_seconds,
            "p_claim_id": self._claim_id,
        }
        try:
            rows = self._call(name, args, give_up, wake)
        except AppError:
            self._claim_id = None
            raise
        self._claim_id = None
        return rows

    def heartbeat(self, jobs: Mapping[str, tuple[str, Mapping[str, Any] | None]]) -> dict[str, str]:
        """Keeps the leases of ``{job_id: (lease_token, new progress)}``; the state of each: held, lost, cancel, gone.

        One try: the next beat comes soon.

        :raise Unavailable: not answered
        """
        said = [
            {"job_id": job_id, "lease_token": token} | ({} if progress is None else {"progress": progress})
            for job_id, (token, progress) in jobs.items()
        ]
        args = {"p_jobs": said, "p_lease_s": self.lease_seconds}
        rows = rpc(self._database.service(), "svc_heartbeat_jobs", args)
        return {row["job_id"]: row["state"] for row in rows}

    def complete(
        self, done: Iterable[tuple[Job, Mapping[str, Any] | None]], give_up: Callable[[], bool], wake: threading.Event
    ) -> set[str]:
        """Ends jobs in success; the ids of those whose lease was lost.

        :raise Abandoned: given up; the jobs run again
        """
        rows = self._call("svc_complete_jobs", {"p_jobs": _completions(done)}, give_up, wake)
        return {row["job_id"] for row in rows if not row["done"]}

    def fail(self, job: Job, failure: JobFailure, give_up: Callable[[], bool], wake: threading.Event) -> str | None:
        """Ends a try in failure; the job's status now, None when the lease was lost.

        :raise Abandoned: given up; the lease ends by itself
        """
        args = {
            "p_job_id": job.job_id,
            "p_lease_token": job.lease_token,
            "p_error_code": clean(failure.code),
            "p_error_message": clean(failure.message)[:MESSAGE_LIMIT],
            "p_retryable": failure.retryable,
            "p_retry_after_s": failure.retry_after_s,
            "p_error_detail": None if failure.detail is None else clean(failure.detail)[:DETAIL_LIMIT],
        }
        rows = self._call("svc_fail_job", args, give_up, wake)
        return str(rows[0]["status"]) if rows else None

    def release(self, jobs: Iterable[Job]) -> int:
        """Gives jobs back, the try not counted; one try, because whoever stops does not wait.

        :raise Unavailable: not answered; the leases end by themselves
        """
        said = [{"job_id": job.job_id, "lease_token": job.lease_token} for job in jobs]
        return int(rpc(self._database.service(), "svc_release_jobs", {"p_jobs": said}))

    def sweep(self, name: str, args: Mapping[str, Any] | None = None) -> Any:
        """One of the sweeps that any worker may do; None when the database could not be asked or refused."""
        try:
            return rpc(self._database.service(), name, args or {})
        except AppError as error:
            log.warning("sweep_failed", sweep=name, error_code=error.code)
            return None

    def depth(self) -> tuple[int, str | None]:
        """How many jobs wait, and when the oldest of them was due (ISO 8601).

        :raise AppError: not answered
        """
        [row] = rpc(self._database.service(), "svc_count_waiting_jobs", {})
        return row["waiting"], row["oldest"]


def _completions(done: Iterable[tuple[Job, Mapping[str, Any] | None]]) -> list[dict[str, Any]]:
    return [{"job_id": job.job_id, "lease_token": job.lease_token, "result": result} for job, result in done]


def clean(value: Any) -> Any:
    """The value without what Postgres cannot store: NUL characters, lone surrogates, numbers that are none."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    plain = json.loads(json.dumps(value, default=str))
    return clean(plain) if isinstance(plain, str) else plain
