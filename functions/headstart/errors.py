"""Refusals of this service, and ends of a run beside those of shared/llm/errors.py."""

from __future__ import annotations

from functions.shared.errors import AppError
from functions.shared.llm.errors import ModelError


class AssignmentNotFound(AppError):
    """There is no such assignment, or it is not yours."""

    status = 404
    code = "assignment_not_found"


class AssignmentRemoved(AppError):
    """The assignment is gone from Canvas."""

    status = 409
    code = "assignment_removed"


class RunFinished(AppError):
    """The run is over."""

    status = 409
    code = "run_finished"


class AnswerLeak(ModelError):
    """The text held finished work or a solution and was stopped."""

    status = 422
    code = "answer_leak"
