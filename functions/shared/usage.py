"""Quotas: a service takes what it is about to use, and gives it back when the work failed.

Meters: ``document_mb`` (begun MiB of uploaded documents), ``lecture_minutes`` (begun minutes of transcribed lectures),
``generated_content``, ``questions``, ``practice_ai_items`` and ``code_reviews``. The last four are counted by the
function that begins the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.database import rpc, rpc_row
from functions.shared.errors import AppError

log = structlog.get_logger(__name__)


class PlanLimitReached(AppError):
    """Your plan allows no more of this at the moment. Wait for Retry-After, or choose a larger plan."""

    status = 429
    code = "plan_limit_reached"


class Usage(NamedTuple):
    """What was taken, to be given back if need be."""

    user_id: str
    meter: str
    amount: int
    period_start: str


def take_usage(client: SyncPostgrestClient, clock: Clock, user_id: str, meter: str, amount: int) -> Usage:
    """Takes an amount of a person's quota for the current period.

    :param client: the service's handle
    :param amount: whole units, at least 1
    :raise PlanLimitReached: less is left, and nothing was taken; ``retry_after`` is the time to the next period
    :raise NotFound: the person does not exist
    """
    row = rpc_row(client, "svc_take_usage", {"p_user_id": user_id, "p_meter": meter, "p_amount": amount})
    if not row["taken"]:
        raise limit_reached(clock, meter, row)
    return Usage(user_id, meter, amount, row["period_start"])


def limit_reached(clock: Clock, meter: str, row: Mapping[str, Any]) -> PlanLimitReached:
    """The error for a quota that is used up.

    :param row: ``used``, ``max_used`` and ``period_end``, as the database has told them
    """
    left = (datetime.fromisoformat(row["period_end"]) - clock.now()).total_seconds()
    return PlanLimitReached(details={"meter": meter, "used": row["used"], "limit": row["max_used"]}, retry_after=left)


def return_usage(client: SyncPostgrestClient, usage: Usage) -> None:
    """Gives back what was taken. When the database does not answer, it stays taken: nobody is kept waiting for it."""
    args: dict[str, Any] = {"p_user_id": usage.user_id, "p_meter": usage.meter, "p_amount": usage.amount}
    try:
        rpc(client, "svc_return_usage", {**args, "p_period_start": usage.period_start})
    except AppError as error:
        log.warning("usage_not_returned", meter=usage.meter, amount=usage.amount, error_code=error.code)
