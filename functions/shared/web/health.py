"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import hmac
from typing import ClassVar, Literal

from apiflask import APIBlueprint
from flask import Response, jsonify, request

from functions.shared import metrics
from functions.shared.errors import Unauthorized
from functions.shared.settings import is_loopback
from functions.shared.web.callers import bearer_token
from functions.shared.web.context import context
from functions.shared.web.operations import Access, Outcome, operation
from functions.shared.web.schemas import Answer

blueprint = APIBlueprint(
    "health", __name__, tag={"name": "health", "description": "For load balancers and monitoring."}
)


class HealthAnswer(Answer):
    """The process is alive."""

    example: ClassVar = {"status": "ok"}

    status: Literal["ok"]


class ReadinessAnswer(Answer):
    """Whether the service can work."""

    example: ClassVar = {"status": "ok", "checks": {"database": "ok"}}

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]


@blueprint.get("/healthz")
@operation(
    "Tell that the process is alive",
    {200: Outcome("It is.", HealthAnswer)},
    access=Access.PUBLIC,
)
def healthz() -> Response:
    """Contacts nothing, so the answer says nothing about the database."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@operation(
    "Tell whether the service can work",
    {
        200: Outcome("The database answers, and its schema is not older than this code.", ReadinessAnswer),
        503: Outcome(
            "The database does not answer, or its migrations are missing.",
            ReadinessAnswer,
            headers={"Retry-After": "Seconds until the question is worth asking again."},
        ),
    },
    access=Access.PUBLIC,
)
def readyz() -> tuple[Response, int] | tuple[Response, int, dict[str, str]]:
    """Asks the database at most every two seconds."""
    is_ready, checks = context().readiness.check()
    if is_ready:
        return jsonify(status="ok", checks=checks), 200
    return jsonify(status="unavailable", checks=checks), 503, {"Retry-After": "2"}


@blueprint.get("/metrics")
@operation("Show the numbers", access=Access.PUBLIC, is_listed=False)
def prometheus() -> Response:
    """Answers this machine, and callers with METRICS_TOKEN as bearer."""
    wanted, shown = context().settings.metrics_token, bearer_token()
    by_token = wanted is not None and shown is not None and hmac.compare_digest(wanted.encode(), shown.encode())
    # the gateway calls from loopback, too, but adds the caller's address
    by_address = "X-Forwarded-For" not in request.headers and is_loopback(request.remote_addr or "")
    if not (by_token or by_address):
        raise Unauthorized()
    return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
