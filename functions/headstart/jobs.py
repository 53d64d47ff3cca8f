"""The handler of ``headstart`` jobs. Payload: ``{"run_id": ...}``. That of ``headstart_scan`` is in triggers.py.

It may run twice, and its worker may be killed at any line. Each call of the model is counted before it is sent, and the
text of a run only grows. The run, its document, notification and last events are written in one transaction. A model
does not write the same text twice, so a worker that finds released text of another one ends the run as ``interrupted``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from functions.headstart.assignment import Task, read_task
from functions.headstart.material import is_wanted, material_of
from functions.headstart.timing import HORIZON_DAYS
from functions.headstart.triggers import scan
from functions.headstart.writing import Writer, prompt
from functions.shared.agents import assign_agent
from functions.shared.answers.writing import StreamWriter, Superseded
from functions.shared.database import rpc, rpc_row, run
from functions.shared.errors import AppError, Internal, NotFound, Unavailable
from functions.shared.jobs import HandlerRegistry, JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import ModelClient
from functions.shared.llm.errors import DeadlineExceeded, Interrupted, ModelError
from functions.shared.llm.ledger import Ledger

log = structlog.get_logger(__name__)

MAX_CALLS = 3
CHECK_SECONDS = 1.0
TASK_COLUMNS = (
    "title,description_html,due_at,unlock_at,lock_at,raw_payload,points_possible,submission_types,canvas_url,status,"
    "is_description_cut,course:courses(name,time_zone),profile:profiles(timezone,timezone_source),"
    "effort:assignment_efforts(effort_minutes)"
)


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("headstart", write_headstart)
    registry.add("headstart_scan", scan)


def write_headstart(context: JobContext) -> Mapping[str, Any]:
    """Writes the run's headstart.

    :raise JobFailure: the run failed, with the run's code; the job is retried only when the database is unavailable
    :raise JobCancelled: the owner ended the run
    """
    try:
        return RunJob(context, str(context.job.payload["run_id"])).work()
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


class RunJob:
    """One attempt at one run."""

    def __init__(self, context: JobContext, run_id: str) -> None:
        self._context = context
        self._run_id = run_id
        self._service = context.database.service()
        self._client = ModelClient(context.settings)
        self._began = self._looked = context.clock.monotonic()
        self._writer = StreamWriter(self._service, context.clock, run_id)
        self._ledger = Ledger.of_job(context, "headstart")

    def work(self) -> Mapping[str, Any]:
        """Takes the run, writes its document and ends it."""
        found = prompt()
        refusal: ModelError | None = None
        try:
            self._client = assign_agent(self._context, "headstart").client(self._context.settings)
        except ModelError as error:
            # the run is told of it when it has begun
            refusal = error
        args = {
            "p_run_id": self._run_id,
            "p_model": self._client.model,
            "p_prompt_version": found.version,
            "p_prompt_hash": found.hash,
        }
        try:
            row = rpc_row(self._service, "svc_begin_headstart_run", args, safe=True)
        except NotFound as error:
            raise JobFailure("not_found", "The run no longer exists.", retryable=False) from error
        if row["user_id"] != self._context.job.user_id:
            raise JobFailure("not_found", "The run belongs to another person.", retryable=False)
        if row["status"] != "running":
            # another worker ended it but could not report that
            return {"run_id": self._run_id, "status": row["status"]}
        self._writer.seq = row["seq"]
        if row["attempts"]:
            self._ledger.resume()
            # a call may have been counted and not recorded
            self._ledger.tally.attempts = max(self._ledger.tally.attempts, row["attempts"])
        return self._write(row["assignment_id"], bool(row["text_released"]), refusal)

    def _write(self, assignment_id: str, text_released: bool, refusal: ModelError | None) -> Mapping[str, Any]:
        path: str | None = None
        try:
            if refusal is not None:
                raise refusal
            if text_released or self._ledger.tally.attempts >= MAX_CALLS:
                raise Interrupted
            task = self._task(assignment_id)
            self._client.prepare()
            opinion = self._context.settings.leak_second_opinion
            writer = Writer(self._client, task, self._budget(), self._release, has_second_opinion=opinion)
            document, path = writer.write(self._context.clock.now())
            self._end("succeeded", path, document=document)
        except (Superseded, JobCancelled) as error:
            raise self._stopped() from error
        except ModelError as error:
            self._fail(error, path)
        except (LeaseLost, Unavailable):
            raise
        except JobFailure as error:
            self._fail(DeadlineExceeded() if error.code == "deadline_exceeded" else Internal(), path)
        except Exception as error:
            log.error("headstart_failed", run_id=self._run_id, exc_info=error)
            self._fail(Internal(), path)
        return {"run_id": self._run_id, "status": "succeeded"}

    def _task(self, assignment_id: str) -> Task:
        owner = self._context.job.user_id
        query = self._service.from_("assignments").select(TASK_COLUMNS)
        row = run(query.eq("id", assignment_id).eq("user_id", owner).single())
        notes = rpc(self._service, "svc_get_assignment_notes", {"p_assignment_id": assignment_id}, safe=True)
        settings = run(self._service.from_("planner_settings").select("*").eq("user_id", owner).limit(1))
        now = self._context.clock.now()
        planned = self._service.from_("study_blocks").select("start_at,end_at").eq("user_id", owner)
        planned = planned.in_("status", ["planned", "in_progress"]).gt("end_at", now.isoformat())
        blocks = run(planned.lt("start_at", (now + timedelta(days=HORIZON_DAYS + 1)).isoformat()))
        # half of the window; rubric, prompt and answer need the rest
        max_tokens = self._context.settings.model_context_tokens // 2
        wanted = is_wanted(self._context)
        material = material_of(self._context, assignment_id, row["description_html"] or "") if wanted else []
        return read_task(row, notes, settings[0] if settings else None, blocks, max_tokens, material)

    def _budget(self) -> Budget:
        clock = self._context.clock
        deadline = min(clock.monotonic() + self._context.settings.model_deadline_seconds, self._context.deadline)
        return Budget(self._ledger, MAX_CALLS, deadline, self._count, self._check)

    def _count(self) -> None:
        args = {"p_run_id": self._run_id, "p_seq": self._writer.seq}
        if rpc(self._service, "svc_count_headstart_call", args) is None:
            raise Superseded

    def _check(self) -> None:
        """Stops when the run was ended. The run is read once a second, which is sooner than the next heartbeat."""
        self._context.check_cancelled()
        now = self._context.clock.monotonic()
        if now - self._looked < CHECK_SECONDS:
            return
        self._looked = now
        try:
            rows = run(self._service.from_("headstart_runs").select("status").eq("id", self._run_id).limit(1))
        except Unavailable:
            # the next write tells
            return
        if not rows or rows[0]["status"] != "running":
            raise Superseded

    def _release(self, paragraphs: Sequence[str]) -> None:
        """Stores paragraphs, so that they can be read."""
        self._writer.append([{"type": "text-delta", "delta": paragraph} for paragraph in paragraphs])

    def _end(
        self, status: str, path: str | None, *, document: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        latency = int((self._context.clock.monotonic() - self._began) * 1000)
        args = {
            "p_run_id": self._run_id,
            "p_seq": self._writer.seq,
            "p_status": status,
            "p_doc": document,
            "p_error": error,
            "p_metrics": self._ledger.tally.metrics(latency, path),
        }
        done, called_again = self._writer.call("svc_end_headstart_run", args)
        # after a lost answer the second call finds the work of the first
        if not done and not (called_again and self._status() == status):
            raise Superseded

    def _status(self) -> str | None:
        rows = run(self._service.from_("headstart_runs").select("status").eq("id", self._run_id).limit(1))
        return rows[0]["status"] if rows else None

    def _fail(self, error: AppError, path: str | None) -> None:
        """Ends the run as failed. The job fails with the same code and is not retried."""
        try:
            self._end("failed", path, error=f"{error.code}: {error.message}")
        except Superseded as superseded:
            raise self._stopped() from superseded
        raise JobFailure(error.code, error.message, retryable=False) from error

    def _stopped(self) -> Exception:
        """What to raise when the run was ended or taken over."""
        status = self._status()
        if status == "running" and self._is_cancelled():
            # the job was cancelled but the run was not, so both end
            self._end("cancelled", None, error="cancelled: The owner ended it.")
        elif status == "cancelled":
            # the owner ended the run, and what it cost is still to be stored
            self._end("cancelled", None)
        elif status != "running":
            return JobFailure("interrupted", "Another process ended the run. Start a new one.", retryable=False)
        else:
            return LeaseLost()
        return JobCancelled()

    def _is_cancelled(self) -> bool:
        try:
            self._context.check_cancelled()
        except JobCancelled:
            return True
        except (LeaseLost, JobFailure):
            return False
        return False
