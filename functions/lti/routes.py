"""The routes of this service."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec
from urllib.parse import urlsplit

import structlog
from flask import Response, current_app, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from functions.lti.accounts import Accounts, Visitor
from functions.lti.administration_routes import blueprint
from functions.lti.configuration import tool_configuration
from functions.lti.errors import (
    AccountBanned,
    BrowserUnproven,
    DeploymentDisabled,
    IdentityInUse,
    LaunchRefused,
    LaunchReused,
    LoginInvalid,
    NotSignedIn,
    RegistrationPending,
    RegistrationRefused,
    RoleConflict,
    TicketInvalid,
)
from functions.lti.keys import load_signing_keys, public_key_set
from functions.lti.pages import Page, failure_page, headers, scripted_page, storage_page
from functions.lti.platform_keys import PlatformKeys
from functions.lti.registration import admitted_origin, register
from functions.lti.schemas import KeySet, LinkAnswer, RegisterQuery, SessionAnswer, TicketRequest, ToolConfiguration
from functions.lti.service import LtiService
from functions.shared.errors import AppError, Forbidden, Internal, RateLimited, Unavailable
from functions.shared.web.bodies import body_faults
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context, request_id
from functions.shared.web.failures import error_response
from functions.shared.web.operations import Access, Outcome, operation
from functions.shared.web.rate_limits import client_address, rate_limited

__all__ = ["blueprint"]
log = structlog.get_logger(__name__)
P = ParamSpec("P")

PAGE_EXAMPLE = '<!doctype html><html lang="en">...<p>One moment: we are opening Headstart.</p>...</html>'
STORAGE_OUTCOME = Outcome(
    "A page that keeps the browser's secret at the platform, then goes on.",
    media_type="text/html",
    example=PAGE_EXAMPLE,
)
STATE_OUTCOME = {"Location": "Where the browser goes."}
# A class behind one address gets in within a minute. Whoever may log in may also finish.
PER_MINUTE = 300
FINISHED_PER_MINUTE = 600
COOKIE = re.compile(r"__Host-lti-([0-9a-f]{16})")
COOKIE_SECONDS = 660
EXTENSION = "headstart-lti"
# tells Canvas, on whichever host it shows us, that the frame may be closed; the message holds nothing
CLOSE_SCRIPT = "window.parent.postMessage({subject: 'org.imsglobal.lti.close'}, '*')"


@dataclass(frozen=True)
class Parts:
    """What the requests of one application share."""

    accounts: Accounts
    keys: PlatformKeys


def _shown(page: Page) -> Response:
    return Response(page.html, page.status, dict(page.headers), content_type="text/html; charset=utf-8")


def _service() -> LtiService:
    """The service of this request."""
    if "lti" not in g:
        known = context()
        parts: Parts | None = current_app.extensions.get(EXTENSION)
        if parts is None:
            made = Parts(Accounts(known.settings), PlatformKeys(known.http, known.clock))
            parts = current_app.extensions.setdefault(EXTENSION, made)
        g.lti = LtiService(known.settings, known.database, known.clock, parts.accounts, parts.keys)
    service: LtiService = g.lti
    return service


def _with_pages(view: Callable[P, AnyResponse]) -> Callable[P, AnyResponse]:
    """For views that a browser opens in a frame: failures are short pages, or JSON for callers who prefer that.

    No failure tells more than its code and the request's id, under which the log has the reason.
    """

    @functools.wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> AnyResponse:
        try:
            return view(*args, **kwargs)
        except AppError as error:
            log.info("lti_refused", error_code=error.code, status=error.status, reason=getattr(error, "reason", None))
            service = _service()
            if isinstance(error, RateLimited):
                service.recognize(request.values.to_dict())
            origins = service.registration.origins if service.registration is not None else g.get("lti_origins", ())
            if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
                answer = error_response(error)
                answer.headers.update(headers(origins))
                return answer
            g.error_code = error.code
            window_url = service.target_link_uri if isinstance(error, BrowserUnproven) else None
            return _shown(failure_page(error, request_id(), origins, window_url=window_url))

    return wrapper


LOGIN_OUTCOMES = {
    303: Outcome("To the platform's authorization endpoint.", headers=STATE_OUTCOME),
    200: STORAGE_OUTCOME,
}
LOGIN_ERRORS = (LoginInvalid, RegistrationPending, DeploymentDisabled, Unavailable)


@blueprint.post("/login")
@operation("Begin a launch", LOGIN_OUTCOMES, access=Access.PUBLIC, errors=LOGIN_ERRORS)
@_with_pages
@rate_limited("lti-login", limit=PER_MINUTE, by="address")
def login() -> AnyResponse:
    """The platform sends the browser here first, with a form of ``iss``, ``client_id``, ``login_hint`` and
    ``target_link_uri``. Failures are HTML pages, or JSON for callers who prefer it.
    """
    return _begun(_form())


@blueprint.get("/login")
@operation("Begin a launch by a link", LOGIN_OUTCOMES, access=Access.PUBLIC, errors=LOGIN_ERRORS)
@_with_pages
@rate_limited("lti-login", limit=PER_MINUTE, by="address")
def login_by_link() -> AnyResponse:
    """The same with a query in place of the form: a platform may use either."""
    return _begun(request.args.to_dict())


@blueprint.post("/launch")
@operation(
    "Launch",
    {
        303: Outcome("To the page that was opened, with `lti_ticket` after the `#`.", headers=STATE_OUTCOME),
        200: STORAGE_OUTCOME,
    },
    access=Access.PUBLIC,
    errors=(
        LaunchRefused,
        LaunchReused,
        NotSignedIn,
        RegistrationPending,
        DeploymentDisabled,
        AccountBanned,
        RoleConflict,
        Unavailable,
    ),
)
@_with_pages
@rate_limited("lti-launch", limit=FINISHED_PER_MINUTE, by="address")
def launch() -> AnyResponse:
    """The platform posts ``id_token`` and ``state`` here, or ``error`` and ``state``. Failures are HTML pages, or JSON
    for callers who prefer it; a replay, a foreign state and a foreign nonce look alike.
    """
    landed = _service().launch(_form(), dict(_bindings()))
    if landed.is_bound:
        return _redirect(landed.url)
    box = {
        "op": "get",
        "target": landed.storage_target,
        "origin": _origin(landed.registration.auth_url),
        "key": f"lti-{landed.key}",
        "next": landed.url,
    }
    return _shown(storage_page(box, landed.target_link_uri, landed.registration.origins))


@blueprint.post("/session")
@operation(
    "Exchange a ticket for a session",
    {200: Outcome("A session; call `setSession` with its tokens.", SessionAnswer)},
    access=Access.PUBLIC,
    errors=(TicketInvalid, RegistrationPending, DeploymentDisabled, AccountBanned, Internal, Unavailable),
)
@rate_limited("lti-session", limit=FINISHED_PER_MINUTE, by="address")
@blueprint.input(TicketRequest, arg_name="body")
def session(body: TicketRequest) -> SessionAnswer:
    """Works once, within 60 seconds, in the browser that launched: send credentials, so that its cookie comes along,
    or ``binding`` from the address. After a 503 the ticket is used up: open it again from Canvas.
    """
    visitor = Visitor(client_address(), request.headers.get("User-Agent", ""))
    opened = _service().open_session(body.ticket, _shown_bindings(body), visitor)
    given = opened.session.body
    return SessionAnswer(
        access_token=given["access_token"],
        refresh_token=given["refresh_token"],
        expires_in=given["expires_in"],
        token_type=given["token_type"],
        user=given["user"],
        launch=opened.launch,
    )


@blueprint.post("/link")
@operation(
    "Join Canvas to the account that you are signed in to",
    {200: Outcome("Joined.", LinkAnswer)},
    errors=(TicketInvalid, IdentityInUse, RegistrationPending, DeploymentDisabled),
)
@rate_limited("lti-link", limit=20)
@blueprint.input(TicketRequest, arg_name="body")
def link(body: TicketRequest) -> LinkAnswer:
    """Use the ticket of a fresh launch here instead of for a session, after the person has agreed. From then on that
    person of Canvas comes in to this account. A notification tells them.
    """
    _service().link(current_caller(), body.ticket, _shown_bindings(body))
    return LinkAnswer(linked=True)


@blueprint.delete("/link")
@operation("Part your account from Canvas", {204: Outcome("No person of Canvas comes in to it.")}, errors=(Forbidden,))
def unlink() -> Response:
    """For an account of one's own. One that Canvas made is refused, because nobody could enter it then."""
    _service().unlink(current_caller())
    return Response(status=204)


@blueprint.get("/register")
@operation(
    "Register us at a Canvas",
    {200: Outcome("The registration waits for approval.", media_type="text/html", example=PAGE_EXAMPLE)},
    access=Access.PUBLIC,
    errors=(RegistrationRefused, Unavailable),
)
@_with_pages
@rate_limited("lti-register", limit=10, by="address")
@blueprint.input(RegisterQuery, location="query", arg_name="query")
def register_platform(query: RegisterQuery) -> AnyResponse:
    """An administrator of Canvas gives Canvas this address; Canvas opens it in a frame with `openid_configuration` and
    `registration_token`. Nothing works before an administrator of ours approves the registration.
    """
    known = context()
    origin = admitted_origin(known.database, known.settings, query.openid_configuration)
    g.lti_origins = (origin,)
    register(known.database, known.settings, known.http, query.openid_configuration, query.registration_token)
    body = (
        '<h1>Headstart is registered</h1><p role="status">It waits for our approval. You can close this window; '
        "we tell you when it is ready.</p>"
    )
    return _shown(scripted_page("Headstart is registered", body, CLOSE_SCRIPT, g.lti_origins))


@blueprint.get("/jwks.json")
@operation(
    "Read our public keys", {200: Outcome("A JSON Web Key Set.", KeySet)}, access=Access.PUBLIC, errors=(Unavailable,)
)
@rate_limited("lti-keys", limit=600, by="address")
def jwks() -> tuple[KeySet, int, dict[str, str]]:
    """Platforms check with these what we sign. A retired key stays for at least a day."""
    known = context()
    keys = load_signing_keys(known.database.service(), known.crypto)
    return KeySet(**public_key_set(keys)), 200, {"Cache-Control": "public, max-age=300"}


@blueprint.get("/config.json")
@operation(
    "Read the tool configuration for Canvas",
    {200: Outcome("The configuration of a developer key.", ToolConfiguration)},
    access=Access.PUBLIC,
)
def config() -> ToolConfiguration:
    """An administrator of Canvas pastes it, or its address, when they add a developer key."""
    return ToolConfiguration(**tool_configuration(context().settings))


# ---- parts ----------------------------------------------------------------------------------------------------------


def _begun(given: Mapping[str, str]) -> AnyResponse:
    """The answer to a login, with the cookie that ties it to this browser."""
    begun = _service().login(given)
    if begun.storage_target is None:
        answer = _redirect(begun.url)
    else:
        box = {
            "op": "put",
            "target": begun.storage_target,
            "origin": _origin(begun.registration.auth_url),
            "key": f"lti-{begun.key}",
            "value": begun.binding,
            "next": begun.url,
        }
        answer = _shown(storage_page(box, "", begun.registration.origins))
    # browsers take a secure cookie from a loopback address over http, too
    answer.set_cookie(
        f"__Host-lti-{begun.key}",
        begun.binding,
        max_age=COOKIE_SECONDS,
        path="/",
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )
    return answer


def _form() -> Mapping[str, str]:
    with body_faults():
        return request.form.to_dict()


def _redirect(url: str) -> AnyResponse:
    answer = redirect(url, 303)
    answer.headers.update(headers(()))
    return answer


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _bindings() -> list[tuple[str, str]]:
    """The secrets that the browser's cookies hold, each with the key of its login."""
    return [(match[1], value) for name, value in request.cookies.items() if (match := COOKIE.fullmatch(name))]


def _shown_bindings(body: TicketRequest) -> list[str]:
    return [value for _, value in _bindings()] + ([body.binding] if body.binding is not None else [])
