"""The routes of this service."""

from __future__ import annotations

from html import escape
from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from functions.canvas_oauth.errors import (
    CanvasAccountInUse,
    HostInvalid,
    HostPending,
    OtherCanvasPerson,
    PersonalTokensNotAllowed,
    RedirectNotAllowed,
    StateExpired,
    StateNotYours,
    StateUnknown,
    StateUsed,
)
from functions.canvas_oauth.schemas import (
    CompleteAnswer,
    CompleteRequest,
    HostAnswer,
    HostRequest,
    SecretRequest,
    StartAnswer,
    StartRequest,
    TokenAnswer,
    TokenRequest,
)
from functions.canvas_oauth.service import OAuthService
from functions.shared.canvas.errors import (
    CanvasBadAnswer,
    CanvasGrantRefused,
    CanvasUnavailable,
    LmsConnectionNotFound,
    SchoolSecretUnreadable,
)
from functions.shared.canvas.factory import CanvasFactory
from functions.shared.database import rpc
from functions.shared.errors import AppError
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Access, Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "canvas-oauth",
    __name__,
    tag={
        "name": "canvas-oauth",
        "description": "Connects a person's Canvas: start, consent at Canvas, callback, complete.",
    },
)
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
MAX_PROPOSALS, PROPOSAL_SECONDS = 5, 24 * 3600
PAGE_EXAMPLE = '<!doctype html><html lang="en">...<p>This sign-in at Canvas took too long. Start again.</p></html>'


def _service() -> OAuthService:
    known = context()

    def call(name: str, args: dict[str, Any]) -> Any:
        return rpc(known.database.service(), name, args)

    factory = CanvasFactory(known.settings, known.http, known.crypto, known.clock, call)
    return OAuthService(known.database, factory)


@blueprint.put("/connections/<uuid:connection_id>/secret")
@operation(
    "Store the secret of our developer key",
    {204: Outcome("Stored, encrypted.")},
    access=Access.ADMINISTRATION,
    errors=(LmsConnectionNotFound,),
)
@blueprint.input(SecretRequest, arg_name="body")
def put_secret(connection_id: UUID, body: SecretRequest) -> Response:
    """Encrypts the secret before it is stored. No call returns it."""
    _service().put_secret(str(connection_id), body.client_secret)
    return Response(status=204)


@blueprint.post("/start")
@operation(
    "Begin to connect Canvas",
    {200: Outcome("Send the browser to `authorize_url`.", StartAnswer)},
    errors=(RedirectNotAllowed, LmsConnectionNotFound, SchoolSecretUnreadable),
)
@rate_limited("canvas-oauth-start", limit=20)
@blueprint.input(StartRequest, arg_name="body")
def start(body: StartRequest) -> StartAnswer:
    """Gives the address where the person consents. It can be used once, within ten minutes."""
    return StartAnswer(**_service().start(current_caller(), str(body.lms_connection_id), body.redirect_to))


@blueprint.get("/callback")
@operation(
    "Come back from Canvas",
    {
        303: Outcome(
            "Back to the front end, with `state` and `code`, or `state` and `error`, after the `#`.",
            headers={"Location": "The front end's address."},
        ),
        400: Outcome("A page: this sign-in was not started here.", media_type="text/html", example=PAGE_EXAMPLE),
        410: Outcome("A page: this sign-in is over.", media_type="text/html", example=PAGE_EXAMPLE),
    },
    access=Access.PUBLIC,
)
@rate_limited("canvas-oauth-callback", limit=60, by="address")
def callback() -> AnyResponse:
    """Canvas sends the browser here. Passes on what Canvas sent, and changes nothing."""
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
@operation(
    "Finish connecting Canvas",
    {200: Outcome("Connected; the first sync is queued.", CompleteAnswer)},
    errors=(
        StateUnknown,
        StateNotYours,
        StateUsed,
        StateExpired,
        LmsConnectionNotFound,
        CanvasGrantRefused,
        CanvasAccountInUse,
        OtherCanvasPerson,
        SchoolSecretUnreadable,
        CanvasBadAnswer,
        CanvasUnavailable,
    ),
)
@rate_limited("canvas-oauth-complete", limit=20)
@blueprint.input(CompleteRequest, arg_name="body")
@idempotent
def complete(body: CompleteRequest) -> CompleteAnswer:
    """Exchanges the code. Only the person who started may finish."""
    return CompleteAnswer(**_service().complete(current_caller(), body.state, body.code))


@blueprint.post("/tokens")
@operation(
    "Connect Canvas with a personal access token",
    {200: Outcome("Connected; the first sync is queued.", TokenAnswer)},
    errors=(
        LmsConnectionNotFound,
        HostPending,
        PersonalTokensNotAllowed,
        CanvasGrantRefused,
        CanvasAccountInUse,
        OtherCanvasPerson,
        CanvasBadAnswer,
        CanvasUnavailable,
    ),
)
@rate_limited("canvas-oauth-tokens", limit=10)
@blueprint.input(TokenRequest, arg_name="body")
@idempotent
def connect_token(body: TokenRequest) -> TokenAnswer:
    """For schools that gave us no developer key. The token is checked at Canvas, kept encrypted, and never refreshed:
    when it ends, the integration becomes expired. Disconnecting forgets it here; the person deletes it in Canvas.
    """
    return TokenAnswer(**_service().connect_token(current_caller(), str(body.lms_connection_id), body.token))


@blueprint.post("/hosts")
@operation(
    "Propose a Canvas that is not on the list",
    {202: Outcome("Staff decide; or what was decided before.", HostAnswer)},
    errors=(HostInvalid,),
)
@rate_limited("canvas-oauth-hosts", limit=MAX_PROPOSALS, window_seconds=PROPOSAL_SECONDS)
@blueprint.input(HostRequest, arg_name="body")
@idempotent
def propose_host(body: HostRequest) -> tuple[HostAnswer, int]:
    """Each host is one row, whoever proposes it. Until staff approve it, nobody can connect to it."""
    return HostAnswer(**_service().propose_host(current_caller(), body.host, body.name)), 202


@blueprint.delete("/integrations/<uuid:integration_id>")
@operation("Disconnect Canvas", {204: Outcome("Disconnected; courses stay.")})
def disconnect(integration_id: UUID) -> Response:
    """Deletes the tokens, and revokes the grant if Canvas can be reached."""
    _service().disconnect(current_caller(), str(integration_id))
    return Response(status=204)


def _page(error: AppError) -> Response:
    # an expired or used state is gone, an unknown one never existed
    status = 400 if isinstance(error, StateUnknown) else 410
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Canvas</title>'
        f"<h1>This did not work</h1><p>{escape(error.message)}</p><p>Code: {escape(error.code)}</p></html>"
    )
    return Response(text, status, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)
