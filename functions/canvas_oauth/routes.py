"""The five calls of http_contract 1."""

from __future__ import annotations

from html import escape
from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from functions.canvas_oauth.errors import StateExpired, StateUnknown, StateUsed
from functions.canvas_oauth.schemas import CompleteAnswer, CompleteRequest, SecretRequest, StartAnswer, StartRequest
from functions.canvas_oauth.service import OAuthService
from functions.shared.canvas.factory import CanvasFactory
from functions.shared.database import rpc
from functions.shared.errors import AppError
from functions.shared.web.callers import current_caller, require_administration
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.openapi import PUBLIC
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint("canvas-oauth", __name__, tag="canvas-oauth")
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


def _service() -> OAuthService:
    known = context()

    def call(name: str, args: dict[str, Any]) -> Any:
        return rpc(known.database.service(), name, args)

    factory = CanvasFactory(known.settings, known.http, known.crypto, known.clock, call)
    return OAuthService(known.database, factory)


@blueprint.put("/connections/<uuid:connection_id>/secret")
@blueprint.input(SecretRequest, arg_name="body")
@blueprint.doc(summary="Store the secret of our developer key (administration)", responses={204: "Stored, encrypted"})
def put_secret(connection_id: UUID, body: SecretRequest) -> Response:
    """Encrypted before it is stored, never readable again."""
    require_administration()
    _service().put_secret(str(connection_id), body.client_secret)
    return Response(status=204)


@blueprint.post("/start")
@rate_limited("canvas-oauth-start", limit=20)
@blueprint.input(StartRequest, arg_name="body")
@blueprint.output(StartAnswer)
@blueprint.doc(summary="Begin to connect Canvas")
def start(body: StartRequest) -> dict[str, Any]:
    """The address where the person gives consent."""
    return _service().start(current_caller(), str(body.lms_connection_id), body.redirect_to)


@blueprint.get("/callback")
@rate_limited("canvas-oauth-callback", limit=60, by="address")
@blueprint.doc(
    summary="Where Canvas sends the browser back to",
    security=PUBLIC,
    responses={303: "Back to the front end, code or error behind the #", 400: "A page", 410: "A page"},
)
def callback() -> AnyResponse:
    """Passes on what Canvas said; exchanges and consumes nothing."""
    given = request.args
    try:
        state = given.get("state", "")
        if not 0 < len(state) <= 512 or len(given.get("code", "")) > 4096:
            raise StateUnknown
        target = _service().returned(state, given.get("code"), given.get("error"))
    except (StateUnknown, StateUsed, StateExpired) as error:
        return _page(error)
    answer = redirect(target, 303)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@blueprint.post("/complete")
@rate_limited("canvas-oauth-complete", limit=20)
@blueprint.input(CompleteRequest, arg_name="body")
@blueprint.output(CompleteAnswer)
@blueprint.doc(summary="Finish connecting Canvas; starts the first sync")
@idempotent
def complete(body: CompleteRequest) -> dict[str, Any]:
    """Only the person who started may finish."""
    return _service().complete(current_caller(), body.state, body.code)


@blueprint.delete("/integrations/<uuid:integration_id>")
@blueprint.doc(summary="Disconnect Canvas", responses={204: "Disconnected; courses stay"})
def disconnect(integration_id: UUID) -> Response:
    """Revokes at Canvas if it can be reached; deletes the tokens always."""
    _service().disconnect(current_caller(), str(integration_id))
    return Response(status=204)


def _page(error: AppError) -> Response:
    # an expired or used state is gone for good, an unknown one was never ours
    status = 400 if isinstance(error, StateUnknown) else 410
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Canvas</title>'
        f"<h1>This did not work</h1><p>{escape(error.message)}</p><p>Code: {escape(error.code)}</p></html>"
    )
    return Response(text, status, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)
