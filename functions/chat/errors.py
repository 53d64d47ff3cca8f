"""The errors of this service. Those of models are in ``shared/llm/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError


class ExternalIdConflict(AppError):
    """This external_id was used for another question of the thread. Use a new one."""

    status = 409
    code = "external_id_conflict"


class AnswerInProgress(AppError):
    """Another question of this thread is being answered. Wait for its answer, or stop it."""

    status = 409
    code = "answer_in_progress"
