"""The routes of what follows from a launch, and the blueprint, to which ``routes.py`` adds those of the launch."""

from __future__ import annotations

from html import escape
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.lti.deep_linking import answer as signed_answer
from functions.lti.deep_linking import origin_of, selection
from functions.lti.errors import (
    ContentNotAccepted,
    DeploymentDisabled,
    LineItemMissing,
    NotDeepLinking,
    RegistrationPending,
    ReturnUrlRefused,
    ServiceNotOffered,
)
from functions.lti.grades import OwnLineItem, Score, queue_score
from functions.lti.launch import PLACEMENT
from functions.lti.names_and_roles import queue_roster
from functions.lti.pages import Page, scripted_page
from functions.lti.schemas import (
    CourseContext,
    DeepLinkAnswer,
    DeepLinkChoice,
    DeepLinkRequest,
    JobStarted,
    ScoreRequest,
)
from functions.shared.crypto import DecryptionFailed
from functions.shared.errors import Forbidden, NotFound
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import idempotent
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "lti",
    __name__,
    tag={"name": "lti", "description": "Launches from Canvas by LTI 1.3, and what follows from them."},
)


@blueprint.post("/launches/<uuid:launch_id>/scores")
@operation(
    "Send a score to the gradebook",
    {202: Outcome("The score is stored, and its job sends it.", JobStarted)},
    errors=(NotFound, Forbidden, RegistrationPending, DeploymentDisabled, ServiceNotOffered, LineItemMissing),
)
@rate_limited("lti-scores", limit=600)
@blueprint.input(ScoreRequest, arg_name="body")
@idempotent
def send_score(launch_id: UUID, body: ScoreRequest) -> tuple[JobStarted, int]:
    """For a teacher of the launch's course, about a person who has come in from there. The score goes to the line item
    of the launched link, or to ``line_item``, which is made in the gradebook when it is new. A newer score for the same
    person takes the place of one that still waits. The job's ``result`` counts what was sent, outdated and refused.
    """
    score = Score(
        user_id=str(body.user_id),
        score_given=body.score_given,
        score_maximum=body.score_maximum,
        activity_progress=body.activity_progress,
        grading_progress=body.grading_progress,
        comment=body.comment,
    )
    own = None
    if body.line_item is not None:
        own = OwnLineItem(body.line_item.resource_id, body.line_item.label)
    job_id = queue_score(context().database, current_caller(), str(launch_id), score, own)
    return JobStarted(job_id=UUID(job_id)), 202


@blueprint.post("/launches/<uuid:launch_id>/roster")
@operation(
    "Read who is in the course",
    {202: Outcome("The job that reads it, or the live one of this teacher.", JobStarted)},
    errors=(NotFound, Forbidden, RegistrationPending, DeploymentDisabled, ServiceNotOffered),
)
@rate_limited("lti-roster", limit=30)
def read_roster(launch_id: UUID) -> tuple[JobStarted, int]:
    """For a teacher of the launch's course. Updates the roles of people who have an account here, and ends the rights
    of those who left the course. The job's ``result`` says how many people there are, are known here, and left.
    """
    return JobStarted(job_id=UUID(queue_roster(context().database, current_caller(), str(launch_id)))), 202


DEEP_LINK_ERRORS = (NotFound, Forbidden, RegistrationPending, DeploymentDisabled, NotDeepLinking, ReturnUrlRefused)
SUBMIT_SCRIPT = "document.getElementById('answer').submit()"


@blueprint.get("/launches/<uuid:launch_id>/deep-link")
@operation(
    "Read what Canvas lets a teacher choose",
    {200: Outcome("What may be chosen.", DeepLinkChoice)},
    errors=DEEP_LINK_ERRORS,
)
def read_deep_link(launch_id: UUID) -> DeepLinkChoice:
    """For the page that a teacher chooses on, after a launch with `message_type` LtiDeepLinkingRequest."""
    known = context()
    found = selection(known.database, known.settings, current_caller(), str(launch_id))
    given, placement = found.launch.claims.lti("context"), found.launch.claims.raw.get(PLACEMENT)
    course = None
    if found.launch.context_id is not None and isinstance(given, dict):
        texts = {name: given[name] if isinstance(given.get(name), str) else None for name in ("id", "label", "title")}
        course = CourseContext(**texts)
    return DeepLinkChoice(
        accept_types=list(found.accept_types),
        accept_multiple=found.accept_multiple,
        accept_line_item=found.accept_line_item,
        title=found.title,
        text=found.text,
        context=course,
        placement=placement if isinstance(placement, str) else None,
    )


@blueprint.post("/deep-link")
@operation(
    "Sign what a teacher chose",
    {
        200: Outcome(
            "For a form that the browser posts to Canvas.",
            DeepLinkAnswer,
            others=(
                Outcome(
                    "A page with that form, which posts itself.",
                    media_type="text/html",
                    example='<!doctype html><html lang="en">...<form method="post" action="...">...</html>',
                ),
            ),
        )
    },
    errors=(*DEEP_LINK_ERRORS, ContentNotAccepted, DecryptionFailed),
)
@rate_limited("lti-deep-link", limit=60)
@blueprint.input(DeepLinkRequest, arg_name="body")
def sign_deep_link(body: DeepLinkRequest) -> Response | tuple[DeepLinkAnswer, int, dict[str, str]]:
    """The items must lead to our pages and be of a type that Canvas takes; see `GET /lti/launches/{id}/deep-link`.
    Whoever accepts `text/html` gets a page with the form.
    """
    known = context()
    items = [item.model_dump(by_alias=True, exclude_none=True) for item in body.items]
    caller, launch_id = current_caller(), str(body.launch_id)
    signed = signed_answer(known.database, known.settings, known.crypto, known.clock, caller, launch_id, items)
    if request.accept_mimetypes.best_match(("application/json", "text/html")) != "text/html":
        return DeepLinkAnswer(return_url=signed.return_url, jwt=signed.jwt), 200, {"Cache-Control": "no-store"}
    form = (
        f'<form method="post" action="{escape(signed.return_url)}" id="answer">'
        f'<input type="hidden" name="JWT" value="{escape(signed.jwt)}">'
        '<p role="status">One moment: Canvas gets your choice.</p><button type="submit">Go on</button></form>'
    )
    origins = signed.registration.origins
    return _page_response(
        scripted_page("Headstart", form, SUBMIT_SCRIPT, origins, form_origin=origin_of(signed.return_url))
    )


def _page_response(page: Page) -> Response:
    return Response(page.html, page.status, dict(page.headers), content_type="text/html; charset=utf-8")
