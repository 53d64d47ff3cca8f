"""The errors of this service. Those of models are in ``shared/llm/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError


class WeekArchived(AppError):
    """The week is archived: it can be read, and nothing is added to it. Choose a newer week."""

    status = 409
    code = "week_archived"


class RepositoryNeeded(AppError):
    """The week has no completed code review. Send repository_url, or ask for a review of the week first."""

    status = 422
    code = "repository_needed"
