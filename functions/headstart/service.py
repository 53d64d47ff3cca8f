"""Starts, follows and cancels runs. Models are called by the job (jobs.py), never here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from functions.headstart.errors import AssignmentNotFound, AssignmentRemoved, RunFinished
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.events import Batch, Event
from functions.shared.tokens import Caller

RUN_COLUMNS = "assignment_id,status,trigger,model,prompt_version,created_at,started_at,ended_at,error,metrics"
DOC_COLUMNS = "id,status,title,summary"
FINAL = frozenset({"succeeded", "failed", "cancelled"})
TERMINAL = frozenset({"finish", "error", "abort"})


class Started(NamedTuple):
    """A run and its job. ``created`` is False when a live run was joined."""

    run_id: str
    job_id: str
    status: str
    created: bool


class HeadstartService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database) -> None:
        self._database = database

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

    def follow(self, caller: Caller, run_id: str, after: int) -> tuple[int, Callable[[int], Batch]]:
        """The number after which to begin, and the function that reads what follows; an event stream repeats it.

        :param after: the last event that the client has; a number that this run never had means the start
        :raise NotFound: the run does not exist, or belongs to another person
        """
        rows = run(self._database.user(caller.token).from_("headstart_runs").select("seq").eq("id", run_id).limit(1))
        if not rows:
            raise NotFound
        tail = Tail(self._database, run_id)
        return (after if after <= rows[0]["seq"] else 0), tail.look


class Tail:
    """Reads the stored events of one run. Its owner was checked before."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._run_id = run_id

    def look(self, after: int) -> Batch:
        """The events after a number."""
        events = self._read(after)
        if events:
            return Batch(events, events[-1].data["type"] in TERMINAL)
        row = self._run()
        if row is None:
            return Batch((), True)
        if row["status"] not in FINAL:
            return Batch((), False)
        # it may have ended between the two reads
        events = self._read(after)
        if events:
            return Batch(events, events[-1].data["type"] in TERMINAL)
        last = self._read(row["seq"] - 1)
        if last and last[-1].data["type"] in TERMINAL:
            # the client has all events
            return Batch((), True)
        return Batch([event for event in self._rebuilt(row, bool(last)) if event.seq > after], True)

    def _read(self, after: int) -> list[Event]:
        args = {"p_stream_id": self._run_id, "p_after_seq": after}
        rows = rpc(self._database.service(), "svc_read_generation", args, safe=True)
        return [Event(row["seq"], row["part"]) for row in rows]

    def _run(self) -> dict[str, Any] | None:
        columns = f"status,seq,error,docs:headstart_docs({DOC_COLUMNS},content_md)"
        query = self._database.service().from_("headstart_runs").select(columns).eq("id", self._run_id).limit(1)
        rows = run(query)
        return rows[0] if rows else None

    def _rebuilt(self, row: dict[str, Any], kept: bool) -> list[Event]:
        """The last events of a run that ended without its worker, or all events when they were purged."""
        parts: list[dict[str, Any]] = [] if kept else [{"type": "status", "status": row["status"]}]
        doc = row["docs"][0] if row["docs"] else None
        if row["status"] == "succeeded":
            if doc is not None:
                parts += [] if kept else [{"type": "text-delta", "delta": doc["content_md"]}]
                parts.append({"type": "doc", "doc_id": doc["id"], "status": doc["status"], "title": doc["title"]})
            parts.append({"type": "finish", "status": "succeeded", "doc_id": doc and doc["id"]})
        elif row["status"] == "failed":
            code, _, message = (row["error"] or "internal").partition(": ")
            parts.append({"type": "error", "code": code, "message": message})
        else:
            parts.append({"type": "abort", "status": "cancelled"})
        # after the events that the client may have, or up to the number of the last event
        first = row["seq"] + 1 if kept else max(1, row["seq"] - len(parts) + 1)
        return [Event(first + index, part) for index, part in enumerate(parts)]
