"""The errors of this service. Those of models and of the leak guard are in ``shared``."""

from __future__ import annotations

from functions.shared.errors import AppError


class AssignmentNotFound(AppError):
    """This assignment does not exist, or it is not yours. Sync, then choose one of your own."""

    status = 404
    code = "assignment_not_found"


class AssignmentRemoved(AppError):
    """This assignment is gone from Canvas. Choose another one."""

    status = 409
    code = "assignment_removed"


class RunFinished(AppError):
    """This run has ended. Read its result."""

    status = 409
    code = "run_finished"
