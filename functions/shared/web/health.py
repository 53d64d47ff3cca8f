"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import hmac

from apiflask import APIBlueprint
from flask import Response, jsonify, request

from functions.shared import metrics
from functions.shared.errors import Unauthorized
from functions.shared.settings import is_loopback
from functions.shared.web.callers import bearer_token
from functions.shared.web.context import context
from functions.shared.web.openapi import PUBLIC

blueprint = APIBlueprint("health", __name__, tag="health")


@blueprint.get("/healthz")
@blueprint.doc(summary="The process is alive", security=PUBLIC)
def healthz() -> Response:
    """No question is asked of anybody."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@blueprint.doc(summary="The service can work", security=PUBLIC, responses={503: "The database is away or older"})
def readyz() -> tuple[Response, int] | tuple[Response, int, dict[str, str]]:
    """Asks the database, at most every two seconds."""
    is_ready, checks = context().readiness.check()
    if is_ready:
        return jsonify(status="ok", checks=checks), 200
    return jsonify(status="unavailable", checks=checks), 503, {"Retry-After": "2"}


@blueprint.get("/metrics")
@blueprint.doc(hide=True, security=PUBLIC)
def prometheus() -> Response:
    """For this machine itself, or with METRICS_TOKEN as bearer."""
    wanted, shown = context().settings.metrics_token, bearer_token()
    by_token = wanted is not None and shown is not None and hmac.compare_digest(wanted.encode(), shown.encode())
    # what the gateway passes on comes from loopback too, but carries the caller's address
    by_place = "X-Forwarded-For" not in request.headers and is_loopback(request.remote_addr or "")
    if not (by_token or by_place):
        raise Unauthorized()
    return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
