"""The error of the leak guard."""

from __future__ import annotations

from functions.shared.llm.errors import ModelError


class AnswerLeak(ModelError):
    """The text contained a solution or finished work and was stopped. Start a new run."""

    status = 422
    code = "answer_leak"
