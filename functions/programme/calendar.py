"""The handlers of ``week_advance`` and ``kpi_refresh``, which the clock starts.

Both work in batches and may be killed at any line: the next run finds what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.shared.database import rpc_row, run
from functions.shared.errors import Unavailable
from functions.shared.jobs import JobContext, JobFailure

WEEKS_AT_ONCE = 200


def advance(context: JobContext) -> Mapping[str, Any]:
    """Activates, completes, measures and archives weeks. The result counts them.

    :raise JobFailure: the database does not answer; the job is retried
    """
    counts = {"activated": 0, "completed": 0, "archived": 0, "sessions_archived": 0}
    try:
        service = context.database.service()
        while True:
            context.check_cancelled()
            moved = rpc_row(service, "svc_advance_weeks", {"p_limit": WEEKS_AT_ONCE})
            counts["activated"] += moved["activated"]
            counts["completed"] += moved["completed"]
            if WEEKS_AT_ONCE not in (moved["activated"], moved["completed"]):
                break
        counts["measured"] = _refresh(context, None)
        while True:
            context.check_cancelled()
            args = {"p_days": context.settings.weeks_archive_after_days, "p_limit": WEEKS_AT_ONCE}
            old = rpc_row(service, "svc_archive_weeks", args)
            counts["archived"] += old["weeks"]
            counts["sessions_archived"] += old["sessions"]
            if WEEKS_AT_ONCE not in (old["weeks"], old["sessions"]):
                return counts
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def refresh_kpis(context: JobContext) -> Mapping[str, Any]:
    """Measures the numbers of every living week. All of them have the time at which the job was made, so that a second
    run writes no second measurement.

    :raise JobFailure: the database does not answer; the job is retried
    """
    try:
        query = context.database.service().from_("jobs").select("created_at").eq("id", context.job.job_id)
        return {"measured": _refresh(context, run(query)[0]["created_at"])}
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def _refresh(context: JobContext, recorded_at: str | None) -> int:
    measured, last_id = 0, None
    while True:
        context.check_cancelled()
        args = {"p_after": last_id, "p_limit": WEEKS_AT_ONCE, "p_recorded_at": recorded_at}
        row = rpc_row(context.database.service(), "svc_refresh_weeks", args, safe=True)
        if not row["measured"]:
            return measured
        measured, last_id = measured + row["measured"], row["last_id"]
