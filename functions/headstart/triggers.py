"""The handler of ``headstart_scan`` jobs: starts headstarts because something happened.

The database reports new and changed assignments: ``{"user_id", "changes": [{"assignment_id", "trigger"}]}``. The
schedule's payload is ``{}``: what is due soon. ``svc_start_automatic_headstart`` decides under a lock whether a
headstart starts, once for each assignment, trigger, task and prompt version. The handler may run twice, and be killed
at any line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from postgrest import SyncPostgrestClient

from functions.headstart.writing import prompt
from functions.shared.agents import AgentDisabled, AgentModelUnknown, check_agent
from functions.shared.database import rpc, rpc_row
from functions.shared.errors import Unavailable
from functions.shared.jobs import JobContext, JobFailure, enqueue

log = structlog.get_logger(__name__)

ASSIGNMENTS_AT_ONCE = 200
# a run that reads an older text has ended by then
BUSY_PAUSE = timedelta(minutes=5)


def scan(context: JobContext) -> Mapping[str, Any]:
    """Starts what is to be started. The result counts the outcomes of ``svc_start_automatic_headstart``.

    :raise JobFailure: the database does not answer; the job is retried
    """
    try:
        check_agent(context.database, context.settings, "headstart")
        payload = context.job.payload
        counts = _changed(context, payload) if "changes" in payload else _due(context)
    except (AgentDisabled, AgentModelUnknown) as error:
        # no runs that can only fail; what is due soon is looked for again
        log.warning("no_automatic_headstarts", error_code=error.code)
        return {error.code: len(context.job.payload.get("changes", ()))}
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    return dict(counts)


def _changed(context: JobContext, payload: Mapping[str, Any]) -> Counter[str]:
    service, version = context.database.service(), prompt().version
    counts: Counter[str] = Counter()
    busy = []
    for change in payload["changes"]:
        context.check_cancelled()
        outcome = _start(service, payload["user_id"], change["assignment_id"], change["trigger"], version)
        counts[outcome] += 1
        if outcome == "busy":
            busy.append(change)
    if busy:
        later = {"user_id": payload["user_id"], "changes": busy}
        enqueue(service, "headstart_scan", later, priority=-10, scheduled_at=context.clock.now() + BUSY_PAUSE)
    return counts


def _due(context: JobContext) -> Counter[str]:
    service, version = context.database.service(), prompt().version
    counts: Counter[str] = Counter()
    args = {"p_prompt_version": version, "p_limit": ASSIGNMENTS_AT_ONCE}
    while rows := rpc(service, "svc_due_headstarts", args, safe=True):
        started = counts["started"]
        for row in rows:
            context.check_cancelled()
            counts[_start(service, row["user_id"], row["assignment_id"], "due_soon", version)] += 1
        if counts["started"] == started:
            # another worker is ahead
            break
    return counts


def _start(service: SyncPostgrestClient, user_id: str, assignment_id: str, trigger: str, version: str) -> str:
    """The outcome for one assignment; the function looks among this person's own."""
    args = {
        "p_user_id": user_id,
        "p_assignment_id": assignment_id,
        "p_trigger": trigger,
        "p_prompt_version": version,
    }
    return str(rpc_row(service, "svc_start_automatic_headstart", args, safe=True)["outcome"])
