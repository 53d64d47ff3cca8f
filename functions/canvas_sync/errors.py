"""The errors of this service. Those of Canvas itself are in ``shared/canvas/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError


class IntegrationNotConnected(AppError):
    """Canvas is not connected. Connect it first."""

    status = 409
    code = "integration_not_connected"
