"""One attempt at one stage of a lecture: the row it works on, its lease, its progress, and how it ends.

The database decides what an attempt may still write (sql/50_lectures/lecture_work.sql). Every call can be repeated.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from functions.lectures.errors import LectureFailure
from functions.shared.database import rpc
from functions.shared.errors import AppError, PayloadTooLarge, Unavailable
from functions.shared.jobs import JobContext, JobFailure, LeaseLost
from functions.shared.storage import Storage

log = structlog.get_logger(__name__)

NOTE_SECONDS = 2.0
MAX_WAIT_SECONDS = 120

Stage = Callable[["Work"], Mapping[str, Any]]


class LectureGone(Exception):
    """The lecture was deleted, has ended, or another worker has it: nothing is left to do."""


class Work:
    """One attempt. ``row`` is what ``svc_begin_lecture`` returned."""

    def __init__(self, context: JobContext, storage: Storage) -> None:
        self.context = context
        self.storage = storage
        self.lecture_id = str(context.job.payload["lecture_id"])
        self.row: dict[str, Any] = {}
        self._service = context.database.service()
        self._noted_at: float | None = None
        self._shown: tuple[str, int, int | None] = ("downloading", 0, None)

    def call(self, name: str, **arguments: Any) -> Any:
        """Calls a function of the work under this job's lease."""
        job = self.context.job
        held = {"p_lecture_id": self.lecture_id, "p_job_id": job.job_id, "p_lease_token": job.lease_token}
        named = {f"p_{argument}": value for argument, value in arguments.items()}
        return rpc(self._service, name, held | named, safe=True)

    def pieces(self, model: str) -> list[dict[str, Any]]:
        """The pieces that this model has transcribed."""
        args = {"p_lecture_id": self.lecture_id, "p_model": model}
        return list(rpc(self._service, "svc_list_lecture_pieces", args, safe=True))

    def begin(self, stage: str) -> bool:
        """Takes the lecture. False when another stage is next: this one was done before."""
        for _ in range(MAX_WAIT_SECONDS):
            rows = self.call("svc_begin_lecture")
            if not rows:
                raise LectureGone
            self.row = rows[0]
            if not self.row["wait_s"]:
                return bool(self.row["stage"] == stage)
            # a file of an earlier attempt, under the same name, is being deleted right now
            self.context.check_cancelled()
            self.context.clock.sleep(1)
        raise JobFailure("service_unavailable", "A file of an earlier attempt is still being deleted.")

    def show(self, stage: str, done: int, total: int | None = None) -> None:
        """Shows how far the work is; written at most every two seconds, but a new stage at once.

        :raise LectureGone: nobody follows the lecture any more
        """
        if stage != self._shown[0]:
            self._noted_at = None
        self._shown = (stage, done, total)
        self.check()

    def check(self) -> None:
        """Call several times a second.

        :raise LectureGone: nobody follows the lecture any more
        :raise LeaseLost: another worker has the job
        """
        self.context.check_cancelled()
        now = time.monotonic()
        if self._noted_at is not None and now - self._noted_at < NOTE_SECONDS:
            return
        self._noted_at = now
        stage, done, total = self._shown
        try:
            held = self.call("svc_note_lecture_progress", stage=stage, done=done, total=total)
        except Unavailable:
            # the next write tells
            return
        if not held:
            raise LectureGone

    def upload(self, key: str, source: Any, content_type: str) -> None:
        """Stores a file under ``bucket/name``, in place of one that is there.

        :raise LectureFailure: Storage does not take files of this size
        """
        bucket, _, name = key.partition("/")
        try:
            self.storage.upload(bucket, name, source, content_type)
        except PayloadTooLarge as error:
            raise LectureFailure("media_too_long", "The recording is too large to be stored here.") from error

    def stored(self, outcome: str, *keys: str) -> None:
        """Reads the answer of a function that names files in the row.

        :raise LectureGone: the lecture was deleted meanwhile; its new files are deleted, too
        :raise LeaseLost: another worker has the job
        """
        if outcome == "gone":
            for key in keys:
                bucket, _, name = key.partition("/")
                # a file that stays has no row, and the sweep finds it
                with contextlib.suppress(AppError):
                    self.storage.remove(bucket, [name])
            raise LectureGone
        if outcome == "lost":
            raise LeaseLost


def run_stage(context: JobContext, stage: str, work_on: Stage) -> Mapping[str, Any]:
    """Runs one stage. A failure that will not pass, and that of the last attempt, ends the lecture.

    :raise JobFailure: the lecture failed, or the job is tried again
    """
    with Storage(context.settings) as storage:
        work = Work(context, storage)
        try:
            if not work.begin(stage):
                return {"lecture_id": work.lecture_id, "status": "done before"}
            return {"lecture_id": work.lecture_id, **work_on(work)}
        except LectureGone:
            return {"lecture_id": work.lecture_id, "status": "gone"}
        except LectureFailure as failure:
            raise _failed(work, failure) from failure
        except Unavailable as error:
            sentence = "A part of this service did not answer."
            raise _failed(work, LectureFailure(error.code, sentence, retryable=True)) from error
        except JobFailure as failure:
            # its own time is over
            raise _failed(work, LectureFailure(failure.code, failure.message, retryable=True)) from failure
        except AppError as error:
            log.error("lecture_failed", lecture_id=work.lecture_id, error_code=error.code)
            raise _failed(work, LectureFailure(error.code, error.message, retryable=error.status >= 500)) from error


def _failed(work: Work, failure: LectureFailure) -> JobFailure:
    """What the queue is told, after the lecture was ended if no attempt is left."""
    job = work.context.job
    again = failure.retryable and job.retry_count < job.max_retries
    if not again:
        # if the database is away, the sweep ends the lecture when this job has failed
        with contextlib.suppress(AppError):
            work.call("svc_end_lecture", error=f"{failure.code}: {failure.message}")
    wait = None if failure.retry_after is None else int(failure.retry_after)
    return JobFailure(failure.code, failure.message, retryable=again, retry_after_s=wait)
