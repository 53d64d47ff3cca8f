"""The errors of questions. Those of models are in ``shared/llm/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError


class QuestionConflict(AppError):
    """This external_id was used for another question. Use a new one."""

    status = 409
    code = "external_id_conflict"


class AnswerNotEnded(AppError):
    """The answer to this question is being written. Wait for it, or stop it."""

    status = 409
    code = "answer_in_progress"


class NoTutor(AppError):
    """You have no tutor for this subject at the moment. Invite one, or ask your school."""

    status = 409
    code = "no_tutor"
