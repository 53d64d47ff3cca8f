"""Refusals of this service, beside those of shared/canvas/errors.py."""

from __future__ import annotations

from functions.shared.errors import AppError


class IntegrationNotConnected(AppError):
    """Canvas is not connected."""

    status = 409
    code = "integration_not_connected"
