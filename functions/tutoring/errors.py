"""The errors of this service."""

from __future__ import annotations

from functions.shared.errors import AppError


class SubjectNotFound(AppError):
    """No subject has this id. Choose one from the list of subjects."""

    status = 404
    code = "subject_not_found"


class NoItems(AppError):
    """There is nothing left to practise here. Choose another topic or subject, or ask your tutor for more."""

    status = 409
    code = "no_items"


class ItemChanged(AppError):
    """The question was changed since it was asked. Ask for the next practice and answer it as it is now."""

    status = 409
    code = "item_changed"


class PracticeWithdrawn(AppError):
    """A tutor has withdrawn this question, so it takes no answer. Ask for the next practice."""

    status = 409
    code = "practice_withdrawn"


class PracticeAnswered(AppError):
    """This practice is answered, so there are no more hints. Ask for the next practice."""

    status = 409
    code = "practice_answered"
