"""Starts, follows and cancels runs. Models are called by the job (jobs.py), never here."""

from __future__ import annotations

from typing import Any, NamedTuple

from functions.headstart.errors import AssignmentNotFound, AssignmentRemoved, RunFinished
from functions.shared.answers.following import Follower, Parts
from functions.shared.answers.reading import EventReader
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.tokens import Caller

RUN_COLUMNS = "assignment_id,status,trigger,model,prompt_version,created_at,started_at,ended_at,error,metrics"
DOC_COLUMNS = "id,status,title,summary"
FINAL = frozenset({"succeeded", "failed", "cancelled"})


class Started(NamedTuple):
    """A run and its job. ``created`` is False when a live run was joined."""

    run_id: str
    job_id: str
    status: str
    created: bool


class HeadstartService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, reader: EventReader) -> None:
        self._database = database
        self._reader = reader

    def start(self, caller: Caller, assignment_id: str) -> Started:
        """Starts a run for one of the caller's assignments, or joins the live one.

        :raise AssignmentNotFound: it does not exist, or belongs to another person
        :raise AssignmentRemoved: Canvas no longer has it
        """
        args = {"p_user_id": caller.user_id, "p_assignment_id": assignment_id, "p_trigger": "manual"}
        try:
            # the function looks among the caller's own assignments, and a second call joins the first
            row = rpc_row(self._database.service(), "svc_start_headstart_run", args, safe=True)
        except NotFound as error:
            raise AssignmentNotFound() from error
        except Conflict as error:
            raise AssignmentRemoved() from error
        query = self._database.user(caller.token).from_("headstart_runs").select("status").eq("id", row["run_id"])
        return Started(row["run_id"], row["job_id"], run(query.single())["status"], row["created"])

    def find(self, caller: Caller, run_id: str) -> dict[str, Any]:
        """A run of the caller with its documents.

        :raise NotFound: it does not exist, or belongs to another person
        """
        query = self._database.user(caller.token).from_("headstart_runs")
        rows = run(query.select(f"{RUN_COLUMNS},docs:headstart_docs({DOC_COLUMNS})").eq("id", run_id).limit(1))
        if not rows:
            raise NotFound
        return {"run_id": run_id, **rows[0]}

    def cancel(self, caller: Caller, run_id: str) -> None:
        """Ends a run.

        :raise NotFound: it does not exist, or belongs to another person
        :raise RunFinished: it has ended
        """
        try:
            args = {"p_run_id": run_id, "p_user_id": caller.user_id}
            rpc(self._database.service(), "svc_cancel_headstart_run", args)
        except Conflict as error:
            raise RunFinished() from error

    def follow(self, caller: Caller, run_id: str) -> Follower:
        """Reads the run's stream.

        :raise NotFound: the run does not exist, or belongs to another person
        """
        if not run(self._database.user(caller.token).from_("headstart_runs").select("id").eq("id", run_id).limit(1)):
            raise NotFound
        return Follower(self._reader, run_id, lambda is_stored: self._ended(run_id, is_stored))

    def _ended(self, run_id: str, is_stored: bool) -> Parts | None:
        """The last events of a run that ended without its worker, or all events when they were purged."""
        columns = f"status,error,docs:headstart_docs({DOC_COLUMNS},content_md)"
        rows = run(self._database.service().from_("headstart_runs").select(columns).eq("id", run_id).limit(1))
        if not rows:
            return [{"type": "abort", "status": "cancelled"}]
        row = rows[0]
        if row["status"] not in FINAL:
            return None
        parts: list[dict[str, Any]] = [] if is_stored else [{"type": "status", "status": row["status"]}]
        doc = row["docs"][0] if row["docs"] else None
        if row["status"] == "succeeded":
            if doc is not None:
                parts += [] if is_stored else [{"type": "text-delta", "delta": doc["content_md"]}]
                parts.append({"type": "doc", "doc_id": doc["id"], "status": doc["status"], "title": doc["title"]})
            parts.append({"type": "finish", "status": "succeeded", "doc_id": doc and doc["id"]})
        elif row["status"] == "failed":
            code, _, message = (row["error"] or "internal").partition(": ")
            parts.append({"type": "error", "code": code, "message": message})
        else:
            parts.append({"type": "abort", "status": "cancelled"})
        return parts
