"""The errors of reviews, and why one fails."""

from __future__ import annotations

from functions.shared.errors import AppError


class ReviewNotFailed(AppError):
    """This review has not failed, so there is nothing to try again. Read its status."""

    status = 409
    code = "review_not_failed"


class ReviewFailure(Exception):
    """The review cannot go on; ``message`` is a sentence that its owner may read.

    :param retryable: the same work may succeed later, after ``retry_after`` seconds if that is known
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


def not_found(sentence: str = "The repository is not found or private. Check its address.") -> ReviewFailure:
    """GitHub shows no such repository, or no such branch or commit."""
    return ReviewFailure("repository_not_found", sentence)


def private() -> ReviewFailure:
    """Our token could read it, but only public code is reviewed."""
    return ReviewFailure("repository_private", "The repository is private. Make it public to have it reviewed.")


def too_large(sentence: str) -> ReviewFailure:
    """It is over one of the limits."""
    return ReviewFailure("repository_too_large", sentence)


def empty(sentence: str = "The repository holds no commit yet. Push some code first.") -> ReviewFailure:
    """There is nothing to review."""
    return ReviewFailure("repository_empty", sentence)


def unreadable(sentence: str = "The repository's archive is damaged or unsafe, so it was not read.") -> ReviewFailure:
    """The archive is broken or hostile."""
    return ReviewFailure("repository_unreadable", sentence)


def unavailable(retry_after: float | None = None) -> ReviewFailure:
    """GitHub does not answer, or accepts no more requests for now."""
    sentence = "GitHub does not answer at the moment. Try again later."
    return ReviewFailure("provider_unavailable", sentence, retryable=True, retry_after=retry_after)
