"""The errors of this service. People read most of them on a page that Canvas shows in a frame."""

from __future__ import annotations

from functions.shared.errors import AppError


class LoginInvalid(AppError):
    """Canvas did not say from where this was opened, or it is not connected to us. Tell your Canvas administrator."""

    status = 400
    code = "lti_login_invalid"


class LaunchRefused(AppError):
    """Canvas sent something that we cannot accept. Open it again from Canvas.

    :param reason: for the log: which check failed, without anything of the token
    :param status: of ``status`` and ``also_statuses``
    """

    status = 401
    code = "lti_launch_refused"
    also_statuses: tuple[int, ...] = (400, 403)

    def __init__(self, reason: str = "", status: int = 401, message: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class LaunchReused(LaunchRefused):
    """This page cannot be loaded a second time, or it was open for too long. Open it again from Canvas."""

    code = "lti_launch_reused"
    also_statuses: tuple[int, ...] = ()


class BrowserUnproven(LaunchRefused):
    """Your browser keeps no cookies for us inside Canvas. Open us in a new window."""


class NotSignedIn(LaunchRefused):
    """You are not signed in to Canvas, or as somebody else. Sign in to Canvas, then open it again."""

    status = 400
    code = "lti_not_signed_in"
    also_statuses: tuple[int, ...] = (403,)

    def __init__(self, reason: str = "", status: int = 400, message: str | None = None) -> None:
        super().__init__(reason, status, message)


class RegistrationPending(AppError):
    """Your Canvas waits for our approval. Try it again when your Canvas administrator says that it is ready."""

    status = 403
    code = "lti_registration_pending"


class DeploymentDisabled(AppError):
    """This connection to Canvas is switched off. Ask your Canvas administrator."""

    status = 403
    code = "lti_deployment_disabled"


class AccountBanned(AppError):
    """Your account here is blocked. Ask your school."""

    status = 403
    code = "account_banned"


class RoleConflict(AppError):
    """Your account here is a student's with a tutor or a guardian, so it cannot be a teacher's. Ask your school."""

    status = 403
    code = "lti_role_conflict"


class TicketInvalid(AppError):
    """This sign-in was used, is too old, or began in another browser. Open it again from Canvas."""

    status = 401
    code = "lti_ticket_invalid"


class IdentityInUse(AppError):
    """This person of Canvas has an account here already. Sign in to it from Canvas."""

    status = 409
    code = "lti_identity_in_use"


class ServiceNotOffered(AppError):
    """Canvas does not offer this in the course. Ask your Canvas administrator to allow it, then open it again."""

    status = 409
    code = "lti_service_not_offered"


class LineItemMissing(AppError):
    """This link has no column in the gradebook. Name one in line_item, or make the link an assignment in Canvas."""

    status = 409
    code = "lti_line_item_missing"


class NotDeepLinking(AppError):
    """Canvas did not ask for a choice at this launch. Open the selection in Canvas again."""

    status = 409
    code = "lti_not_deep_linking"


class ContentNotAccepted(AppError):
    """Canvas does not take what was chosen. Choose something else."""

    status = 400
    code = "lti_content_not_accepted"


class ReturnUrlRefused(AppError):
    """Canvas wants the choice sent to an address that is not its own. Tell your Canvas administrator."""

    status = 400
    code = "lti_return_url_refused"


class RegistrationRefused(LaunchRefused):
    """This Canvas cannot be registered from here. Ask our support, and give them the number below."""

    status = 400
    code = "lti_registration_refused"
    also_statuses: tuple[int, ...] = ()

    def __init__(self, reason: str = "", status: int = 400, message: str | None = None) -> None:
        super().__init__(reason, status, message)
