"""The routes of administrators: registrations, which they list, approve and switch off."""

from __future__ import annotations

from uuid import UUID

from flask import Response

from functions.lti.administration import approve, disable, listed
from functions.lti.course_routes import blueprint
from functions.lti.schemas import ApprovalRequest, RegistrationList, RegistrationRow
from functions.shared.errors import Conflict, NotFound, Unauthorized
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Access, Outcome, operation

__all__ = ["blueprint"]


@blueprint.get("/registrations")
@operation(
    "List registrations",
    {200: Outcome("All of them, newest first.", RegistrationList)},
    access=Access.ADMINISTRATION,
)
def list_registrations() -> RegistrationList:
    """With the platform whose addresses an approval trusts, the deployments, and when each was last used."""
    return RegistrationList(registrations=[RegistrationRow(**row) for row in listed(context().database)])


@blueprint.post("/registrations/<uuid:registration_id>/approve")
@operation(
    "Approve a registration",
    {204: Outcome("Launches from its deployments work.")},
    access=Access.ADMINISTRATION,
    errors=(NotFound, Conflict),
)
@blueprint.input(ApprovalRequest, arg_name="body")
def approve_registration(registration_id: UUID, body: ApprovalRequest) -> Response:
    """Check the addresses of the platform first: whoever has its keys can sign anybody in. Name the school of a
    deployment that Canvas did not tell us about; launches from unknown deployments are refused.
    """
    school = None if body.lms_connection_id is None else str(body.lms_connection_id)
    approve(context().database, str(registration_id), _decided_by(), school, body.deployment_id)
    return Response(status=204)


@blueprint.post("/registrations/<uuid:registration_id>/disable")
@operation(
    "Switch a registration off",
    {204: Outcome("Launches, tickets and jobs of it are refused.")},
    access=Access.ADMINISTRATION,
    errors=(NotFound,),
)
def disable_registration(registration_id: UUID) -> Response:
    """Approving it switches it on again."""
    disable(context().database, str(registration_id), _decided_by())
    return Response(status=204)


def _decided_by() -> str | None:
    # the secret key names nobody
    try:
        return current_caller().user_id
    except Unauthorized:
        return None
