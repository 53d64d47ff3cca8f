"""What can go wrong between a request and a usable answer of a model (http_contract 3; ai facts 2.3, 2.4)."""

from __future__ import annotations

from functions.shared.errors import AppError


class ModelError(AppError):
    """The model did not bring a usable answer."""

    # whether the same call may be made again within the same run
    repeatable = False


class ModelRateLimited(ModelError):
    """The model's provider takes no more requests for now."""

    status = 429
    code = "rate_limited"
    repeatable = True


class QuotaExceeded(ModelError):
    """The account at the model's provider is used up."""

    status = 503
    code = "quota_exceeded"


class ProviderAuth(ModelError):
    """The model's provider refuses our key."""

    status = 502
    code = "provider_auth"


class ModelNotFound(ModelError):
    """The provider has no model of this name; check OPENAI_MODEL."""

    status = 502
    code = "model_not_found"


class ContextTooLong(ModelError):
    """The text is longer than the model can read."""

    status = 422
    code = "context_too_long"


class ContentFiltered(ModelError):
    """The provider's content filter stopped the answer."""

    status = 422
    code = "content_filtered"


class Refused(ModelError):
    """The model refused to answer."""

    status = 422
    code = "refused"


class Truncated(ModelError):
    """The answer was cut off at the model's length limit."""

    status = 502
    code = "truncated"


class InvalidResponse(ModelError):
    """The model's answer does not have the form that was asked for."""

    status = 502
    code = "invalid_response"


class ProviderUnavailable(ModelError):
    """The model's provider cannot be reached or fails."""

    status = 503
    code = "provider_unavailable"
    repeatable = True


class DeadlineExceeded(ModelError):
    """The model took longer than it may."""

    status = 504
    code = "deadline_exceeded"


class Interrupted(ModelError):
    """The answer broke off before its end."""

    status = 502
    code = "interrupted"
    repeatable = True


class FormatUnsupported(ModelError):
    """The provider does not take this request's response format or options."""

    status = 502
    code = "invalid_response"
