"""Limits on how often a route may be called. The database counts, so a limit holds over all processes and machines."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from flask import request

from functions.shared.database import rpc_row
from functions.shared.errors import RateLimited, Unavailable
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import may_also

P = ParamSpec("P")
T = TypeVar("T")

By = Literal["person", "address"]


def rate_limited(
    name: str, *, limit: int = 60, window_seconds: int = 60, by: By = "person"
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For views: allows ``limit`` calls in ``window_seconds`` by one person, or from one address on public routes.

    ``RATE_LIMITS=off`` switches all limits off.

    :raise RateLimited: the limit is reached; has Retry-After
    """

    def decorate(view: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(view)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            take(f"{name}:{_who(by)}", limit, window_seconds)
            return view(*args, **kwargs)

        may_also(wrapper, RateLimited, Unavailable)
        return wrapper

    return decorate


def take(bucket: str, limit: int, window_seconds: int) -> None:
    """Counts one call.

    :raise RateLimited: the limit is reached
    """
    if not context().settings.rate_limits:
        return
    row = rpc_row(
        context().database.service(),
        "svc_take_rate",
        {"p_bucket": bucket, "p_limit": limit, "p_window_s": window_seconds},
    )
    if not row["allowed"]:
        raise RateLimited(retry_after=row["retry_after_s"])


def _who(by: By) -> str:
    if by == "person":
        return current_caller().user_id
    # an address is personal data, and its digest identifies the caller just as well
    return hashlib.sha256(client_address().encode()).hexdigest()[:32]


def client_address() -> str:
    """The caller's address as our outermost proxy saw it. TRUSTED_PROXIES says how many proxies there are.

    Callers can write anything into the addresses further left in X-Forwarded-For. IPv6 addresses count by /64.
    """
    hops = context().settings.trusted_proxies
    listed = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    shown = listed[-hops] if 0 < hops <= len(listed) else request.remote_addr or ""
    try:
        address = ipaddress.ip_address(shown)
    except ValueError:
        return request.remote_addr or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
