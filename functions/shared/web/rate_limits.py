"""Limits on how often a route may be called, counted in the database and therefore over all processes and machines."""

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
    """For views: at most ``limit`` calls in ``window_seconds`` by one person, or from one address on open routes.

    Stands right below the route. Off with ``RATE_LIMITS=off``.

    :raise RateLimited: with Retry-After
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

    :raise RateLimited: the bucket is empty
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
    # an address is personal data: a digest counts as well
    return hashlib.sha256(client_address().encode()).hexdigest()[:32]


def client_address() -> str:
    """The caller's address as the outermost proxy of ours saw it (TRUSTED_PROXIES says how many there are).

    Addresses further left in X-Forwarded-For are whatever the caller wrote there. IPv6 counts per /64.
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
