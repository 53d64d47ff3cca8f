"""What comes by the clock: ``canvas_sync_scan`` starts syncs, ``due_scan`` tells of assignments. Payload: ``{}``.

The database picks and does a batch in one transaction, so the handlers may run twice and be killed at any line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from functions.shared.database import rpc, rpc_row
from functions.shared.errors import Unavailable
from functions.shared.jobs import JobContext, JobFailure

INTEGRATIONS_AT_ONCE = 200
ASSIGNMENTS_AT_ONCE = 500
SWITCHED_OFF = "CANVAS_BACKGROUND_SYNC is off, so nothing was started."


def scan(context: JobContext) -> Mapping[str, Any]:
    """Starts what is due. The result counts what was ``started`` and ``postponed``.

    :raise JobFailure: the database does not answer; the job is retried
    """
    if not context.settings.canvas_background_sync:
        return {"started": 0, "postponed": 0, "note": SWITCHED_OFF}
    seconds = context.settings.canvas_background_sync_seconds
    args = {"p_interval_s": seconds, "p_limit": INTEGRATIONS_AT_ONCE}
    counts = Counter(started=0, postponed=0)
    try:
        while True:
            context.check_cancelled()
            batch = rpc_row(context.database.service(), "svc_start_due_syncs", args, safe=True)
            counts.update(batch)
            if not any(batch.values()):
                return dict(counts)
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def tell_due(context: JobContext) -> Mapping[str, Any]:
    """Tells people of assignments that are due within a day. The result counts the notifications.

    :raise JobFailure: the database does not answer; the job is retried
    """
    told = 0
    try:
        while True:
            context.check_cancelled()
            batch = rpc(
                context.database.service(), "svc_notify_due_assignments", {"p_limit": ASSIGNMENTS_AT_ONCE}, safe=True
            )
            told += batch
            if not batch:
                return {"told": told}
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
