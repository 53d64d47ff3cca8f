"""The routes of what follows from a launch, and the blueprint, to which ``routes.py`` adds those of the launch."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint

from functions.lti.errors import DeploymentDisabled, LineItemMissing, RegistrationPending, ServiceNotOffered
from functions.lti.grades import OwnLineItem, Score, queue_score
from functions.lti.names_and_roles import queue_roster
from functions.lti.schemas import JobStarted, ScoreRequest
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
