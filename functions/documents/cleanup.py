"""The handler of ``storage_cleanup`` jobs: files without rows go, rows without files become failed.

Every step is safe to repeat: what was found stands in the outbox (private.storage_deletions) at once, and a deletion
that was not confirmed comes back. To add a bucket, teach ``private.has_row`` (sql/90_platform/storage_sweep.sql) which
row answers for its files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from functions.shared.database import rpc, rpc_row
from functions.shared.errors import AppError, CheckFailed, Unavailable
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.storage import Storage

log = structlog.get_logger(__name__)

FILES_AT_ONCE = 1000
DELETIONS_AT_ONCE = 100


def clean_storage(context: JobContext) -> Mapping[str, Any]:
    """Sweeps and empties the outbox. The result has counts.

    :raise JobFailure: ``storage_mismatch``, so many rows have no file that Storage itself must be incomplete;
        ``service_unavailable``, the database or Storage does not answer
    """
    counts: Counter[str] = Counter()
    try:
        _sweep_files(context, counts)
        with Storage(context.settings) as storage:
            _empty_outbox(context, storage, counts)
        row = rpc_row(context.database.service(), "svc_fail_lost_files", safe=True)
    except CheckFailed as error:
        message = "Very many rows have no file, so none was changed. Restore Storage first."
        raise JobFailure("storage_mismatch", message, retryable=False) from error
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    if counts["failed"]:
        raise JobFailure("service_unavailable", "Storage did not delete every file.", retryable=True)
    return {
        "checked": counts["checked"],
        "orphaned": counts["orphaned"],
        "deleted": counts["deleted"],
        "lost_documents": row["documents"],
        "lost_lectures": row["lectures"],
    }


def _sweep_files(context: JobContext, counts: Counter[str]) -> None:
    """Puts files without a row into the outbox."""
    after: str | None = ""
    while after is not None:
        context.check_cancelled()
        args = {"p_after": after, "p_limit": FILES_AT_ONCE}
        row = rpc_row(context.database.service(), "svc_sweep_files", args, safe=True)
        counts["checked"] += row["checked"]
        counts["orphaned"] += row["orphaned"]
        after = row["last_key"]


def _empty_outbox(context: JobContext, storage: Storage, counts: Counter[str]) -> None:
    """Deletes the files that wait for it."""
    service = context.database.service()
    while rows := rpc(service, "svc_claim_storage_deletions", {"p_limit": DELETIONS_AT_ONCE}):
        context.check_cancelled()
        waiting: dict[str, list[tuple[int, str]]] = {}
        for row in rows:
            bucket, _, key = row["storage_key"].partition("/")
            waiting.setdefault(bucket, []).append((row["id"], key))
        for bucket, files in waiting.items():
            problem: str | None = None
            try:
                storage.remove(bucket, [key for _, key in files])
            except AppError as error:
                # of this bucket alone; the files come back after their pause
                log.warning("files_not_deleted", bucket=bucket, count=len(files), error_code=error.code)
                problem = error.code
            counts["failed" if problem else "deleted"] += len(files)
            for row_id, _ in files:
                rpc(service, "svc_finish_storage_deletion", {"p_id": row_id, "p_error": problem}, safe=True)
