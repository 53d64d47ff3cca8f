"""Refusals of this service, beside those of shared/canvas/errors.py."""

from __future__ import annotations

from functions.shared.errors import AppError


class RedirectNotAllowed(AppError):
    """That address is not on the list of front ends (REDIRECT_ALLOWLIST)."""

    status = 422
    code = "redirect_not_allowed"


class StateUnknown(AppError):
    """This sign-in at Canvas was not started here; start again."""

    status = 400
    code = "state_unknown"


class StateNotYours(AppError):
    """Somebody else started this sign-in at Canvas."""

    status = 403
    code = "state_not_yours"


class StateUsed(AppError):
    """This sign-in at Canvas was already completed."""

    status = 409
    code = "state_used"


class StateExpired(AppError):
    """This sign-in at Canvas took too long; start again."""

    status = 410
    code = "state_expired"


class CanvasAccountInUse(AppError):
    """This Canvas account is connected to another account here."""

    status = 409
    code = "canvas_account_in_use"
