"""The errors of this service. Those of Canvas itself are in ``shared/canvas/errors.py``."""

from __future__ import annotations

from functions.shared.canvas.errors import CanvasGrantRefused
from functions.shared.errors import AppError


class RedirectNotAllowed(AppError):
    """This address is not on the list of front ends. Use a listed one, or add it to REDIRECT_ALLOWLIST."""

    status = 422
    code = "redirect_not_allowed"


class StateUnknown(AppError):
    """This sign-in at Canvas was not started here. Start again."""

    status = 400
    code = "state_unknown"


class StateNotYours(AppError):
    """Somebody else started this sign-in at Canvas. Start again with your own account."""

    status = 403
    code = "state_not_yours"


class StateUsed(AppError):
    """This sign-in at Canvas was completed before. Start again if Canvas is not connected."""

    status = 409
    code = "state_used"


class StateExpired(AppError):
    """This sign-in at Canvas took too long. Start again."""

    status = 410
    code = "state_expired"


class CanvasAccountInUse(AppError):
    """This Canvas account is connected to another account here. Disconnect it there first."""

    status = 409
    code = "canvas_account_in_use"


class OtherCanvasPerson(AppError):
    """You have connected another person of this Canvas. Disconnect them first, then connect again."""

    status = 409
    code = "other_canvas_person"


class HostInvalid(AppError):
    """This is not the public address of a Canvas. Give its host alone, such as school.instructure.com."""

    status = 422
    code = "canvas_host_invalid"


class HostPending(AppError):
    """Staff have not approved this Canvas yet. Try again when they have."""

    status = 409
    code = "canvas_host_pending"


class PersonalTokensNotAllowed(AppError):
    """This school does not allow personal access tokens. Connect with its sign-in instead."""

    status = 403
    code = "personal_tokens_not_allowed"


class TokenRefused(CanvasGrantRefused):
    """Canvas does not accept this access token. Make a new one in Canvas, under Account and Settings."""


class TokenLacksRights(CanvasGrantRefused):
    """This access token may not read your courses. Make one without limits in Canvas, under Account and Settings."""
