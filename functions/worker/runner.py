"""The worker: one thread claims, one keeps the leases, one sends completions, one sweeps, and one for each job works.

    claim -> run (thread of its own) -> completion, batched  ->  confirmed
                 |                                |
                 +--- heartbeat every third of a lease, independent of the work, until the end is confirmed

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
from functions.worker.queue import Abandoned, Queue

log = structlog.get_logger(__name__)
BUSY_PAUSE_SECONDS = 0.25
COMPLETION_BATCH = 50
CLAIM_LIMIT = 100
SWEEP_SECONDS = 15.0
PURGE_SECONDS = 6 * 3600.0
LONGEST_BEAT_SECONDS = 15.0


@dataclass
class Running:
    """A job in work. ``kept_at`` is when its lease was last confirmed, on the monotonic clock."""

    job: Job
    deadline: float
    kept_at: float
    progress: Mapping[str, Any] | None = None
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

        :raise LeaseLost: somebody else has it, or may soon
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
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._types = types or registry.types
        self._concurrency = concurrency or settings.worker_concurrency
        self._clock = clock or SystemClock()
        self._database = Database(settings)
        self._http = Http.of(settings)
        self._crypto = Envelope(settings.encryption_keys)
        self.queue = Queue(self._database, f"{socket.gethostname()}:{os.getpid()}", settings.job_lease_seconds)
        self._running: dict[str, Running] = {}
        self._finished: list[tuple[Running, Mapping[str, Any] | None]] = []
        self._lock = threading.Lock()
        self._room = threading.Event()  # a place fell free, or the end was asked for
        self._has_finished = threading.Event()
        self._stopping = threading.Event()
        self._left = threading.Event()

    # ---- the life of a worker ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Works until :meth:`stop`; returns when everything is finished or given back."""
        log.info("worker_started", worker=self.queue.name, types=list(self._types), concurrency=self._concurrency)
        helpers = [
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            for target in (self._keep_leases, self._send_completions, self._sweep)
        ]
        for helper in helpers:
            helper.start()
        self._claim_until_stopped()
        self._wind_down()
        self._left.set()
        self._has_finished.set()
        for helper in helpers[:2]:
            helper.join(5)
        log.info("worker_stopped", worker=self.queue.name)

    def stop(self) -> None:
        """No more claims; running jobs get the grace period."""
        self._stopping.set()
        self._room.set()

    def _claim_until_stopped(self) -> None:
        pause = BUSY_PAUSE_SECONDS
        while not self._stopping.is_set():
            free = self._concurrency - self._busy()
            if free <= 0:
                self._room.wait(1.0)
                self._room.clear()
                continue
            asked_at = time.monotonic()
            try:
                jobs = self.queue.claim(self._types, min(free, CLAIM_LIMIT), self._stopping.is_set, self._room)
                if time.monotonic() - asked_at > self._settings.job_lease_seconds / 4:
                    jobs = self._still_ours(jobs)
            except Abandoned:
                return
            except AppError as error:
                log.error("claim_refused", error_code=error.code)
                jobs = []
            for job in jobs:
                self._begin(job)
            # busy: look again at once; idle: ever less often, and not in step with other workers
            pause = 0.0 if jobs else min(self._settings.worker_poll_seconds, max(BUSY_PAUSE_SECONDS, pause * 1.5))
            if pause:
                self._room.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311
            self._room.clear()

    def _still_ours(self, jobs: list[Job]) -> list[Job]:
        """Of jobs whose claim was answered late: those whose lease lasts, from now on anew.

        :raise AppError: not answered; then none is begun, their leases end by themselves
        """
        states = self.queue.heartbeat({job.job_id: (job.lease_token, None) for job in jobs}) if jobs else {}
        return [job for job in jobs if states.get(job.job_id) in ("held", "cancel")]

    def _busy(self) -> int:
        """Places taken; a job that outlived its time has been given up and takes none."""
        with self._lock:
            return sum(not running.overdue for running in self._running.values())

    def _wind_down(self) -> None:
        """Lets running jobs end within the grace period, then gives the rest back."""
        until = time.monotonic() + self._settings.worker_grace_seconds
        while time.monotonic() < until:
            with self._lock:
                if not self._running:
                    return
            self._room.wait(0.1)
            self._room.clear()
        with self._lock:
            left = [running for running in self._running.values() if not (running.lost or running.overdue)]
            for running in left:
                running.lost = True
        if left:
            with contextlib.suppress(AppError):
                given_back = self.queue.release(running.job for running in left)
                log.info("jobs_released", count=given_back)

    # ---- one job ----------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        now = time.monotonic()
        wait = job.provider_wait_ms / 1000
        running = Running(job, deadline=now + wait + job.timeout_s, kept_at=now)
        with self._lock:
            self._running[job.lease_token] = running
        threading.Thread(target=self._work, args=(running, wait), name=f"job-{job.type}", daemon=True).start()

    def _work(self, running: Running, wait_seconds: float) -> None:
        job = running.job
        structlog.contextvars.bind_contextvars(job_id=job.job_id, type=job.type, attempt=job.retry_count + 1)
        began = time.monotonic()
        try:
            if wait_seconds and self._stopping.wait(wait_seconds):
                running.check()
            result = self._registry.get(job.type)(self._context(running))
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
            self._failed(running, JobFailure(error.code, error.message, retryable=error.status >= 500), began)
        except Exception as error:
            log.exception("job_crashed")
            detail = f"{type(error).__module__}.{type(error).__qualname__}"
            self._failed(running, JobFailure("internal", "Something went wrong on our side.", detail=detail), began)
        else:
            numbers.ended(job.type, "succeeded", time.monotonic() - began)
            with self._lock:
                self._finished.append((running, result))
            self._has_finished.set()

    def _context(self, running: Running) -> JobContext:
        def show(progress: Mapping[str, Any]) -> None:
            with running.lock:
                running.progress = dict(progress)

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
        """When to stop telling the database how a job ended: its lease is somebody else's by then."""
        return lambda: running.lost or time.monotonic() - running.kept_at > self._settings.job_lease_seconds

    def _forget(self, running: Running) -> None:
        with self._lock:
            self._running.pop(running.job.lease_token, None)
        self._room.set()

    # ---- beside the work --------------------------------------------------------------------------------------

    def _keep_leases(self) -> None:
        lease = self._settings.job_lease_seconds
        every = min(lease / 4, LONGEST_BEAT_SECONDS)
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
            # unheard for a whole lease: somebody else may have it by now
            with self._lock:
                still_ours = any(running is finished for finished, _ in self._finished)
            if not still_ours:
                running.lost = True
                numbers.LEASES_LOST.inc()
                log.warning("lease_lost", job_id=running.job.job_id, state=state or "unheard")

    def _give_up_overdue(self, kept: list[Running]) -> None:
        """A try that outlived its time is ended for it: its thread may hang for ever, its place and lease must not."""
        for running in kept:
            if time.monotonic() > running.deadline + 2 * BUSY_PAUSE_SECONDS and not running.overdue:
                failure = JobFailure("deadline_exceeded", "The work took longer than it may.")
                with contextlib.suppress(AppError, Abandoned):
                    self.queue.fail(running.job, failure, lambda: True, self._left)
                    running.overdue = True
                    self._forget(running)
                    log.warning("job_overdue", job_id=running.job.job_id, type=running.job.type)

    def _send_completions(self) -> None:
        while True:
            self._has_finished.wait()
            self._has_finished.clear()
            with self._lock:
                batch = self._finished[:COMPLETION_BATCH]
            if not batch:
                if self._left.is_set():
                    return
                continue
            last = {r.job.job_id: (r.job.lease_token, shown) for r, _ in batch if (shown := r.take_progress())}
            if last:
                # a short job never met a heartbeat: its owner still sees how far it came
                with contextlib.suppress(AppError):
                    self.queue.heartbeat(last)
            try:
                done = self._complete(batch)
            except Abandoned:
                return
            with self._lock:
                del self._finished[: len(batch)]
                more = bool(self._finished)
            for running, _ in batch:
                self._forget(running)
                if done.get(running.job.job_id) is False:
                    numbers.LEASES_LOST.inc()
                    log.warning("lease_lost", job_id=running.job.job_id, state="completed too late")
            if more or self._left.is_set():
                self._has_finished.set()

    def _complete(self, batch: list[tuple[Running, Mapping[str, Any] | None]]) -> dict[str, bool]:
        """Ends jobs in success; one whose result the database refuses ends its try in failure.

        :raise Abandoned: given up
        """
        try:
            return self.queue.complete(
                [(running.job, result) for running, result in batch], self._left.is_set, self._left
            )
        except AppError as error:
            if len(batch) > 1:
                return {key: done for one in batch for key, done in self._complete([one]).items()}
            running = batch[0][0]
            log.error("completion_refused", job_id=running.job.job_id, error_code=error.code)
            self._failed(running, JobFailure("internal", "Its result could not be stored."), time.monotonic())
            return {}

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
