"""The errors of this service. Those of Canvas itself are in ``shared/canvas/errors.py``."""

from __future__ import annotations

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
