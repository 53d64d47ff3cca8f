"""The queue as a worker uses it: the RPCs of ``sql/90_platform``, called again when an answer is lost.

Every call may be sent twice. A claim has an id and gets the same answer again, and a completion or failure counts only
under its lease. So after a lost answer (reset, 503, time-out) the call is simply repeated.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from functions.shared.database import Database, rpc
from functions.shared.errors import AppError, Unavailable
from functions.shared.jobs import Job, JobFailure
from functions.shared.retries import Backoff, retried

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.1, max_seconds=5.0)
MAX_MESSAGE_CHARS, MAX_DETAIL_CHARS = 500, 4000


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
        """Calls until there is an answer.

        :raise Abandoned: ``give_up`` became true between two calls
        :raise AppError: the database refused, which is a mistake of ours
        """

        def pause(error: Unavailable, failures: int) -> float:
            if give_up():
                raise Abandoned from error
            seconds = BACKOFF.seconds(failures)
            log.warning("queue_unavailable", call=name, pause_s=round(seconds, 2))
            return seconds

        def sleep(seconds: float) -> None:
            wake.wait(seconds)
            if give_up():
                raise Abandoned

        return retried(lambda: rpc(self._database.service(), name, args), on=Unavailable, pause=pause, sleep=sleep)

    def claim(self, types: Iterable[str], limit: int, give_up: Callable[[], bool], wake: threading.Event) -> list[Job]:
        """Up to ``limit`` jobs of these types, leased to this worker.

        :raise Abandoned: given up; what the database may have leased all the same comes with the next claim
        :raise AppError: refused: a mistake of ours
        """
        if self._claim_id is None:
            self._claim_id, self.claim_asked_at = str(uuid.uuid4()), time.monotonic()
        args = {
            "p_worker": self.name,
            "p_types": list(types),
            "p_limit": limit,
            "p_lease_s": self.lease_seconds,
            "p_claim_id": self._claim_id,
        }
        rows = self._call("svc_claim_jobs", args, give_up, wake)
        self._claim_id = None
        return [Job.from_row(row) for row in rows]

    def heartbeat(self, jobs: Mapping[str, tuple[str, Mapping[str, Any] | None]]) -> dict[str, str]:
        """Keeps the leases of ``{job_id: (lease_token, new progress)}``; the state of each: held, lost, cancel, gone.

        One call: the next heartbeat comes soon.

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
        said = [{"job_id": job.job_id, "lease_token": job.lease_token, "result": result} for job, result in done]
        rows = self._call("svc_complete_jobs", {"p_jobs": said}, give_up, wake)
        return {row["job_id"] for row in rows if not row["done"]}

    def fail(self, job: Job, failure: JobFailure, give_up: Callable[[], bool], wake: threading.Event) -> str | None:
        """Ends an attempt in failure; the job's status now, None when the lease was lost.

        :raise Abandoned: given up; the lease ends by itself
        """
        args = {
            "p_job_id": job.job_id,
            "p_lease_token": job.lease_token,
            "p_error_code": clean(failure.code),
            "p_error_message": clean(failure.message)[:MAX_MESSAGE_CHARS],
            "p_retryable": failure.retryable,
            "p_retry_after_s": failure.retry_after_s,
            "p_error_detail": None if failure.detail is None else clean(failure.detail)[:MAX_DETAIL_CHARS],
        }
        rows = self._call("svc_fail_job", args, give_up, wake)
        return str(rows[0]["status"]) if rows else None

    def release(self, jobs: Iterable[Job]) -> int:
        """Gives jobs back, the attempt not counted. One call, because a worker that stops does not wait.

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

    def waiting(self) -> dict[str, tuple[int, int]]:
        """By type, how many jobs wait and for how many seconds the first of them has been due.

        :raise AppError: not answered
        """
        rows = rpc(self._database.service(), "svc_count_waiting_jobs", {})
        return {row["type"]: (row["waiting"], row["oldest_s"]) for row in rows}


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
