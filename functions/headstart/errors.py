"""The errors of this service. Those of models are in ``shared/llm/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError
from functions.shared.llm.errors import ModelError


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


class AnswerLeak(ModelError):
    """The text contained a solution or finished work and was stopped. Start a new run."""

    status = 422
    code = "answer_leak"
