"""The worker: one thread completes and claims jobs, one keeps the leases, one sweeps, and one for each job works.

    claim -> run (thread of its own) -> finished -> complete -> claim ...
                 |                                     |
                 +--- heartbeat every quarter of a lease, independent of all this, until the end is confirmed

Nothing here decides who owns a job: the lease token does, in the database. A worker that lost a lease stops quietly.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from functions.shared.clock import Clock, SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.errors import AppError, Unavailable
from functions.shared.http import Http
from functions.shared.jobs import HandlerRegistry, Job, JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.settings import Settings
from functions.worker import numbers
from functions.worker.queue import Abandoned, Queue, clean

log = structlog.get_logger(__name__)
BUSY_PAUSE_SECONDS = 0.25
MAX_COMPLETIONS = 50
MAX_CLAIMS = 100
SWEEP_SECONDS = 15.0
PURGE_SECONDS = 6 * 3600.0
MAX_BEAT_SECONDS = 15.0


@dataclass(eq=False)
class Running:
    """A job in work. ``kept_at`` is when its lease was last confirmed, on the monotonic clock.

    ``ended``: its handler is through; from then on how it ended tells whose it was, no heartbeat.
    """

    job: Job
    deadline: float
    kept_at: float
    progress: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    ended: bool = False
    cancelled: bool = False
    lost: bool = False
    overdue: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_progress(self) -> Mapping[str, Any] | None:
        """What to show, once."""
        with self.lock:
            progress, self.progress = self.progress, None
            return progress

    def check(self) -> None:
        """Between two steps of the work.

        :raise LeaseLost: another worker has it, or may soon
        :raise JobCancelled: the owner asked for an end
        """
        if self.lost or self.overdue:
            raise LeaseLost
        if self.cancelled:
            raise JobCancelled


class Worker:
    """Claims and runs jobs until told to stop."""

    def __init__(
        self,
        settings: Settings,
        registry: HandlerRegistry,
        *,
        types: tuple[str, ...] | None = None,
        concurrency: int | None = None,
        sweeps: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._types = types or registry.types
        self._concurrency = concurrency or settings.worker_concurrency
        self._sweeps = sweeps
        self._clock = clock or SystemClock()
        self._database = Database(settings)
        self._http = Http.of(settings)
        self._crypto = Envelope(settings.encryption_keys)
        self.queue = Queue(self._database, f"{socket.gethostname()}:{os.getpid()}", settings.job_lease_seconds)
        self._running: dict[str, Running] = {}  # by lease: a job may come again under another one
        self._finished: list[Running] = []  # in success, not yet handed in; still in _running too
        self._lock = threading.Lock()
        self._wake = threading.Event()  # a job ended, or the end of the worker was asked for
        self._stopping = threading.Event()
        self._left = threading.Event()  # the grace period is over, or nothing was left to wait for

    # ---- the life of a worker ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Works until :meth:`stop`; returns when everything is finished or given back."""
        log.info("worker_started", worker=self.queue.name, types=list(self._types), concurrency=self._concurrency)
        keeper = threading.Thread(target=self._keep_leases, name="keep_leases", daemon=True)
        keeper.start()
        if self._sweeps:
            threading.Thread(target=self._sweep, name="sweep", daemon=True).start()
        self._work_until_left()
        self._give_back()
        self._left.set()
        keeper.join(5)
        log.info("worker_stopped", worker=self.queue.name)

    def wake(self) -> None:
        """Looks for work now."""
        self._wake.set()

    def stop(self) -> None:
        """No more claims; running jobs get the grace period."""
        self._stopping.set()
        self._wake.set()
        grace = threading.Timer(self._settings.worker_grace_seconds, self._leave)
        grace.daemon = True
        grace.start()

    def _leave(self) -> None:
        self._left.set()
        self._wake.set()

    def _work_until_left(self) -> None:
        pause = 0.0
        while True:
            self._wake.clear()  # before looking: what happens from here on wakes us again
            try:
                self._hand_in()
            except Abandoned:
                return
            stopping = self._stopping.is_set()
            with self._lock:
                # one that outlived its time has been given up and takes no slot of ours
                taken = sum(not running.overdue for running in self._running.values())
                nothing_left = not self._running
            if self._left.is_set() or (stopping and nothing_left):
                return
            free = 0 if stopping else min(self._concurrency - taken, MAX_CLAIMS)
            if free <= 0:
                self._wake.wait()
                continue
            jobs = self._claim(free)
            for job in jobs:
                self._begin(job)
            # busy: look again at once; idle: ever less often, and not in step with other workers
            pause = 0.0 if jobs else min(self._settings.worker_poll_seconds, max(BUSY_PAUSE_SECONDS, pause * 1.5))
            if pause:
                self._wake.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311

    def _hand_in(self) -> None:
        """Completes what has finished.

        :raise Abandoned: the database was away until the end of the grace period; the jobs run again
        """
        while True:
            with self._lock:
                batch = self._finished[:MAX_COMPLETIONS]
            if not batch:
                return
            self._show_last_progress(batch)
            late = self._complete(batch)
            with self._lock:
                del self._finished[: len(batch)]
                for running in batch:
                    self._running.pop(running.job.lease_token, None)
            for running in batch:
                if running.job.job_id in late:
                    self._count_lost(running, "completed too late")

    def _claim(self, free: int) -> list[Job]:
        """Up to ``free`` jobs whose lease is ours; none when the database does not answer before a job of ours ends."""
        try:
            return self._still_ours(self.queue.claim(self._types, free, self._wake.is_set, self._wake))
        except Abandoned:
            return []
        except AppError as error:
            log.error("claim_refused", error_code=error.code)
            return []

    def _show_last_progress(self, batch: list[Running]) -> None:
        """A short job never met a heartbeat: its owner still sees how far it came."""
        last = {r.job.job_id: (r.job.lease_token, shown) for r in batch if (shown := r.take_progress())}
        if last:
            with contextlib.suppress(AppError):
                self.queue.heartbeat(last)

    def _complete(self, batch: list[Running]) -> set[str]:
        """Ends jobs in success and tells which of them came too late.

        A job whose result the database refuses ends its attempt in failure, alone.

        :raise Abandoned: given up
        """
        try:
            return self.queue.complete(
                [(running.job, running.result) for running in batch], self._left.is_set, self._left
            )
        except AppError as error:
            if len(batch) > 1:
                return {late for one in batch for late in self._complete([one])}
            log.error("completion_refused", job_id=batch[0].job.job_id, error_code=error.code)
            self._failed(batch[0], JobFailure("internal", "Its result could not be stored."), time.monotonic())
            return set()

    def _still_ours(self, jobs: list[Job]) -> list[Job]:
        """Of jobs whose claim was answered late: those whose lease lasts, from now on anew.

        :raise AppError: not answered; then none is begun, their leases end by themselves
        """
        if not jobs or time.monotonic() - self.queue.claim_asked_at <= self._settings.job_lease_seconds / 4:
            return jobs
        states = self.queue.heartbeat({job.job_id: (job.lease_token, None) for job in jobs})
        return [job for job in jobs if states.get(job.job_id) in ("held", "cancel")]

    def _give_back(self) -> None:
        """What did not end within the grace period waits for another worker."""
        with self._lock:
            rest = [running for running in self._running.values() if not (running.lost or running.overdue)]
            for running in rest:
                running.lost = True
        if rest:
            with contextlib.suppress(AppError):
                given_back = self.queue.release(running.job for running in rest)
                log.info("jobs_released", count=given_back)

    # ---- one job ----------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        now = time.monotonic()
        wait = job.provider_wait_ms / 1000
        running = Running(job, deadline=now + wait + job.timeout_s, kept_at=now)
        with self._lock:
            # only its newest lease can be held: beats of an older one would be answered for this
            before = [other for other in self._running.values() if other.job.job_id == job.job_id]
            self._running[running.job.lease_token] = running
        for other in before:
            self._lose(other, "handed out anew")
        threading.Thread(target=self._work, args=(running, wait), name=f"job-{job.type}", daemon=True).start()

    def _work(self, running: Running, wait_seconds: float) -> None:
        job = running.job
        structlog.contextvars.bind_contextvars(job_id=job.job_id, type=job.type, attempt=job.retry_count + 1)
        began = time.monotonic()
        try:
            if wait_seconds and self._stopping.wait(wait_seconds):
                running.check()
            result = self._registry.get(job.type)(self._context(running))
            running.result = None if result is None else clean(result)
        except LeaseLost:
            self._forget(running)
            numbers.ended(job.type, "lost", time.monotonic() - began)
            log.info("job_lost")
        except JobCancelled:
            self._failed(running, JobFailure("cancelled", "Cancelled by its owner.", retryable=False), began)
        except JobFailure as failure:
            self._failed(running, failure, began)
        except Unavailable as error:
            retry_after = None if error.retry_after is None else int(error.retry_after)
            self._failed(running, JobFailure(error.code, error.message, retry_after_s=retry_after), began)
        except AppError as error:
            is_passing = error.status >= 500 and not error.is_lasting
            self._failed(running, JobFailure(error.code, error.message, retryable=is_passing), began)
        except Exception as error:
            log.exception("job_crashed")
            detail = f"{type(error).__module__}.{type(error).__qualname__}"
            self._failed(running, JobFailure("internal", "Something went wrong on our side.", detail=detail), began)
        else:
            numbers.ended(job.type, "succeeded", time.monotonic() - began)
            with self._lock:
                running.ended = True
                self._finished.append(running)
            self._wake.set()

    def _context(self, running: Running) -> JobContext:
        def show(progress: Mapping[str, Any]) -> None:
            shown = clean(progress)
            with running.lock:
                running.progress = shown

        return JobContext(
            job=running.job,
            settings=self._settings,
            database=self._database,
            http=self._http,
            crypto=self._crypto,
            clock=self._clock,
            deadline=running.deadline,
            on_progress=show,
            on_check=running.check,
        )

    def _failed(self, running: Running, failure: JobFailure, began: float) -> None:
        running.ended = True
        try:
            status = None if running.lost else self.queue.fail(running.job, failure, self._gone(running), self._left)
        except Abandoned:
            status = None
        except AppError as error:
            log.error("failure_refused", error_code=error.code)
            status = None
        self._forget(running)
        numbers.ended(running.job.type, status or "lost", time.monotonic() - began)
        log.info("job_ended", status=status or "lost", error_code=failure.code)

    def _gone(self, running: Running) -> Any:
        """When to stop telling the database how a job ended: another worker may hold it by then."""
        lease = self._settings.job_lease_seconds
        return lambda: running.lost or self._left.is_set() or time.monotonic() - running.kept_at > lease

    def _forget(self, running: Running) -> None:
        with self._lock:
            self._running.pop(running.job.lease_token, None)
        self._wake.set()

    # ---- beside the work --------------------------------------------------------------------------------------

    def _keep_leases(self) -> None:
        lease = self._settings.job_lease_seconds
        every = min(lease / 4, MAX_BEAT_SECONDS)
        while not self._left.wait(every):
            with self._lock:
                kept = [running for running in self._running.values() if not (running.lost or running.overdue)]
            self._give_up_overdue(kept)
            kept = [running for running in kept if not running.overdue]
            if not kept:
                continue
            said = {running.job.job_id: (running.job.lease_token, running.take_progress()) for running in kept}
            sent_at = time.monotonic()
            try:
                states = self.queue.heartbeat(said)
            except AppError as error:
                log.warning("heartbeat_failed", error_code=error.code, jobs=len(kept))
                states = {}
            for running in kept:
                self._take_state(running, states.get(running.job.job_id), sent_at)

    def _take_state(self, running: Running, state: str | None, sent_at: float) -> None:
        if state in ("held", "cancel"):
            running.kept_at = sent_at
            running.cancelled = state == "cancel"
        elif state in ("lost", "gone") or sent_at - running.kept_at > self._settings.job_lease_seconds:
            # unheard for a whole lease: another worker may have it by now
            self._lose(running, state or "unheard")

    def _lose(self, running: Running, reason: str) -> None:
        if not (running.ended or running.lost):
            running.lost = True
            self._count_lost(running, reason)

    def _count_lost(self, running: Running, reason: str) -> None:
        numbers.LEASES_LOST.inc()
        log.warning("lease_lost", job_id=running.job.job_id, reason=reason)

    def _give_up_overdue(self, kept: list[Running]) -> None:
        """Ends attempts that outlived their time: the thread may hang for ever, its slot and lease must not."""
        for running in kept:
            if time.monotonic() > running.deadline + 2 * BUSY_PAUSE_SECONDS and not running.ended:
                failure = JobFailure("deadline_exceeded", "The work took longer than it may.")
                with contextlib.suppress(AppError, Abandoned):
                    self.queue.fail(running.job, failure, lambda: True, self._left)
                    running.overdue = True
                    self._forget(running)
                    log.warning("job_overdue", job_id=running.job.job_id, type=running.job.type)

    def _sweep(self) -> None:
        purge_at = time.monotonic() + random.uniform(60, 600)  # noqa: S311  not all workers at once
        # often enough that a dead worker's jobs run again within 1.3 leases
        every = min(SWEEP_SECONDS, self._settings.job_lease_seconds / 5)
        while not self._left.wait(every * random.uniform(0.8, 1.2)):  # noqa: S311
            self.queue.sweep("svc_reap_expired_jobs")
            self.queue.sweep("svc_tick_schedules")
            self.queue.sweep("svc_sweep_generations")
            if time.monotonic() > purge_at:
                purge_at = time.monotonic() + PURGE_SECONDS
                self.queue.sweep("svc_purge_expired")
