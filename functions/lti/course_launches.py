"""A launch that a person refers to later, with what they are in its course now."""

from __future__ import annotations

from dataclasses import dataclass

from functions.lti.errors import DeploymentDisabled, RegistrationPending
from functions.lti.launch import Claims
from functions.lti.roles import Role, role_of
from functions.shared.database import Database, rpc
from functions.shared.errors import Forbidden, NotFound
from functions.shared.tokens import Caller


@dataclass(frozen=True)
class CourseLaunch:
    """A launch of the last day.

    :param deployment: our id of the deployment; ``deployment_id`` is the platform's
    :param role: in the course, as of the last launch or roster; the launch's own roles may be out of date
    """

    launch_id: str
    deployment: str
    deployment_id: str
    registration_id: str
    context_id: str | None
    message_type: str
    claims: Claims
    role: Role


def course_launch(database: Database, caller: Caller, launch_id: str, *, must_teach: bool) -> CourseLaunch:
    """A launch of the caller's own.

    :param must_teach: only a teacher of the launch's course may go on
    :raise NotFound: it is unknown, older than a day, or another person's
    :raise RegistrationPending, DeploymentDisabled: switched off since the launch
    :raise Forbidden: the caller does not teach the course now
    """
    args = {"p_launch_id": launch_id, "p_user_id": caller.user_id}
    rows = rpc(database.service(), "svc_get_lti_launch", args, safe=True)
    if not rows:
        raise NotFound
    row = rows[0]
    if row["status"] == "pending":
        raise RegistrationPending
    if row["status"] != "active":
        raise DeploymentDisabled
    role = role_of(row["roles"])
    if must_teach and (role != "teacher" or row["context_id"] is None):
        raise Forbidden("Only a teacher of this course may do this.")
    return CourseLaunch(
        launch_id=launch_id,
        deployment=row["deployment"],
        deployment_id=row["deployment_id"],
        registration_id=row["registration_id"],
        context_id=row["context_id"],
        message_type=row["message_type"],
        claims=Claims(row["claims"]),
        role=role,
    )
