"""The errors of practice that a model writes."""

from __future__ import annotations

from functions.shared.errors import AppError


class SourceUnread(AppError):
    """A source that was named has no text yet. Wait until it is read, or leave it out."""

    status = 409
    code = "source_unread"
