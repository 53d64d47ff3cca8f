"""The errors of sessions."""

from __future__ import annotations

from functions.shared.errors import AppError


class SummaryOverridden(AppError):
    """A tutor has corrected this summary, so it is not written again. Correct it by apply_override."""

    status = 409
    code = "summary_overridden"


class TranscriptUnreadable(AppError):
    """The transcript is empty, or its captions cannot be read. Send text, WebVTT or SRT with the right Content-Type."""

    status = 422
    code = "transcript_unreadable"
