"""The handler of ``canvas_revoke`` jobs: revokes at Canvas a grant that we gave up. Payload ``{"revocation_id": id}``.

It may run twice: Canvas answers the second revocation with 401, which counts as revoked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from functions.shared.canvas import oauth
from functions.shared.canvas.errors import (
    CanvasError,
    CanvasUnavailable,
    LmsConnectionNotFound,
    ReauthorizationRequired,
)
from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.canvas.tokens import opened
from functions.shared.canvas.transport import Transport
from functions.shared.crypto import DecryptionFailed
from functions.shared.database import rpc, run
from functions.shared.errors import Unavailable
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure

log = structlog.get_logger(__name__)


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("canvas_revoke", revoke_grant)


def revoke_grant(context: JobContext) -> Mapping[str, Any]:
    """Tells Canvas that a grant has ended, then forgets its tokens. Result: ``{"revoked": bool}``.

    :raise JobFailure: Canvas or the database cannot be reached; tried again later
    """
    try:
        return _revoke_grant(context, str(context.job.payload["revocation_id"]))
    except (CanvasUnavailable, Unavailable) as error:
        raise JobFailure(error.code, error.message, retryable=True) from error


def _revoke_grant(context: JobContext, revocation_id: str) -> Mapping[str, Any]:
    service = context.database.service()

    def call(name: str, args: dict[str, Any]) -> Any:
        return rpc(service, name, args, safe=True)

    rows = call("svc_get_grant_revocation", {"p_id": revocation_id})
    if not rows:
        return {"revoked": True}
    row = rows[0]
    factory = CanvasFactory(context.settings, context.http, context.crypto, context.clock, call)
    connections = run(service.from_("lms_connections").select(CONNECTION_COLUMNS).eq("id", row["lms_connection_id"]))
    is_revoked = False
    try:
        access_token, refresh_token = opened(context.crypto, row["integration_id"], row)
        transport = factory.transport(factory.origin(connections[0]))
        _revoke(transport, lambda: factory.installation(connections[0]), access_token, refresh_token)
        is_revoked = True
    except CanvasUnavailable:
        raise
    except (CanvasError, DecryptionFailed, LmsConnectionNotFound) as error:
        # no later attempt would do better: the person can still remove the grant in their Canvas settings
        log.warning("grant_not_revoked", integration_id=row["integration_id"], reason=type(error).__name__)
    call("svc_finish_grant_revocation", {"p_id": revocation_id})
    return {"revoked": is_revoked}


def _revoke(
    transport: Transport,
    installation: Callable[[], oauth.Installation],
    access_token: str,
    refresh_token: str | None,
) -> None:
    """Revokes a grant. An expired access token cannot do that, so it is refreshed first."""
    if oauth.revoke(transport, access_token) or refresh_token is None:
        return
    try:
        newer = oauth.refresh(transport, installation(), refresh_token)
    except ReauthorizationRequired:
        return  # the grant has ended already
    oauth.revoke(transport, newer.access_token)
