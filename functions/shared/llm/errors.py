"""What can go wrong between a request and a usable answer of a model."""

from __future__ import annotations

from functions.shared.errors import AppError


class ModelError(AppError):
    """The model gave no usable answer. Try again."""

    # whether the same call may succeed when it is repeated within the run
    is_repeatable = False


class ModelRateLimited(ModelError):
    """The model's provider accepts no more requests for now. Try again later."""

    status = 429
    code = "rate_limited"
    is_repeatable = True


class QuotaExceeded(ModelError):
    """The account at the model's provider is used up. An operator must raise its limit."""

    status = 503
    code = "quota_exceeded"


class ProviderAuth(ModelError):
    """The model's provider refuses our key. An operator must check OPENAI_API_KEY."""

    status = 502
    code = "provider_auth"


class ModelNotFound(ModelError):
    """The model's provider has no model of this name. An operator must check OPENAI_MODEL."""

    status = 502
    code = "model_not_found"


class ContextTooLong(ModelError):
    """The text is longer than the model can read. Shorten it."""

    status = 422
    code = "context_too_long"


class ContentFiltered(ModelError):
    """The provider's content filter stopped the answer. Change the text."""

    status = 422
    code = "content_filtered"


class Refused(ModelError):
    """The model refused to answer. Change the request."""

    status = 422
    code = "refused"


class Truncated(ModelError):
    """The answer was cut off at the model's length limit. Ask for less, or try again."""

    status = 502
    code = "truncated"


class InvalidResponse(ModelError):
    """The model's answer does not have the form that was asked for. Try again."""

    status = 502
    code = "invalid_response"


class ProviderUnavailable(ModelError):
    """The model's provider cannot be reached or fails. Try again later."""

    status = 503
    code = "provider_unavailable"
    is_repeatable = True


class DeadlineExceeded(ModelError):
    """The model took longer than allowed. Try again."""

    status = 504
    code = "deadline_exceeded"


class Interrupted(ModelError):
    """The answer broke off before its end. Try again."""

    status = 502
    code = "interrupted"
    is_repeatable = True


class FormatUnsupported(ModelError):
    """The provider does not accept the response format. An operator must choose another model."""

    status = 502
    code = "invalid_response"
