"""Our errors for what a model's server refuses or breaks, whatever the shape of its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import structlog

from functions.shared.llm import errors

log = structlog.get_logger(__name__)

MAX_SAID_CHARACTERS = 4000
MAX_DEPTH = 6
# options that a call can do without; a server that names one in a refusal does not get it again
OPTIONS = ("stream_options", "max_completion_tokens", "max_tokens", "temperature")
# each kind of refusal by words that servers use for it, the first that fits counts
WORDS: tuple[tuple[type[errors.ModelError], re.Pattern[str]], ...] = (
    (errors.QuotaExceeded, re.compile(
        r"insufficient[_ ]quota|billing[_ ]hard[_ ]limit|exceeded your current quota|quota[_ ]exceeded|quota exhausted"
        r"|insufficient[_ ](?:balance|credits?|funds)|credit balance|out of credits|payment required"
    )),
    (errors.ContextTooLong, re.compile(
        r"context[_ ]length|context[_ ]window|context size|maximum context|max_model_len|too many tokens"
        r"|(?:prompt|input|request) is too long|prompt too long|exceeds? the max(?:imum)? [a-z ]{0,20}tokens"
        r"|string_above_max_length|input length .{0,40}exceed"
    )),
    (errors.ContentFiltered, re.compile(
        r"content[_ -]?filter|content[_ -]policy|content management policy|responsible ?ai|data_inspection_failed"
        r"|flagged by|blocked by .{0,30}safety"
    )),
    (errors.FormatUnsupported, re.compile(
        r"response_format|json_schema|json_object|json mode|structured output|guided|grammar"
    )),
    (errors.ModelNotFound, re.compile(
        r"model[_ ]not[_ ]found|unknown model|no such model|invalid model|model .{0,120}(?:not found|does not exist"
        r"|not exist|is not available|not supported for|is not loaded)"
    )),
)  # fmt: skip
CAP = re.compile(r"max_(?:completion_)?tokens|in the completion|output tokens|completion tokens")


class OptionRefused(errors.ModelError):
    """The server does not know an option of the request. The call is made again without it."""

    code = "invalid_response"
    status = 502

    def __init__(self, option: str) -> None:
        super().__init__()
        self.option = option


def said_by(body: Any, depth: int = 0) -> Iterator[str]:
    """All words of a refusal: an object, a list of objects, something under ``detail``, or a text."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, (int, float)) and not isinstance(body, bool):
        yield str(body)
    elif depth < MAX_DEPTH and isinstance(body, (list, dict)):
        for part in list(body.values() if isinstance(body, dict) else body)[:50]:
            yield from said_by(part, depth + 1)


def by_words(body: Any, options: frozenset[str] = frozenset()) -> errors.ModelError | None:
    """The error that a refusal names in its words. None when it names none.

    :param options: the options of the request that may be left out
    """
    said = " ".join(part[:MAX_SAID_CHARACTERS] for part in said_by(body))[:MAX_SAID_CHARACTERS].lower()
    if "stream_options" in options and re.search(r"stream_options|include_usage", said):
        return OptionRefused("stream_options")
    if "temperature" in options and "temperature" in said:
        # models that reason take no other than their own
        return OptionRefused("temperature")
    cap = next((option for option in OPTIONS if option in options and option.endswith("tokens")), None)
    if cap is not None and CAP.search(said):
        # it does not know the name, or the cap does not fit beside the prompt
        return OptionRefused(cap)
    return next((kind() for kind, words in WORDS if words.search(said)), None)


def mapped_status(error: Any, options: frozenset[str]) -> errors.ModelError:
    """Our error for an answer with another status than 200."""
    status, body = int(error.status_code), error.body
    if body is None:
        # neither an object nor a text for the library
        body = error.response.text
    log.warning("model_provider_refused", status=status, provider_request=error.request_id)
    failure = None
    if status not in (401, 408, 409, 425):
        failure = by_words(body, options if status < 500 else frozenset())
    if status >= 500 and not isinstance(failure, (errors.QuotaExceeded, errors.ContextTooLong, errors.ModelNotFound)):
        # a server that fails says many things
        failure = None
    failure = failure or _by_status(status, error)
    failure.__cause__ = error
    return failure


def _by_status(status: int, error: Any) -> errors.ModelError:
    if status in (401, 403):
        return errors.ProviderAuth()
    if status == 402:
        return errors.QuotaExceeded()
    if status == 404:
        return errors.ModelNotFound()
    if status == 413:
        return errors.ContextTooLong()
    if status == 429:
        return errors.ModelRateLimited(retry_after=retry_after(error))
    if status in (408, 409, 425) or status >= 500:
        return errors.ProviderUnavailable(retry_after=retry_after(error))
    return errors.InvalidResponse("The model's provider refused the request. Report the request id.")


def retry_after(error: Any) -> float | None:
    """Seconds of a Retry-After header. None for a date or a malformed value."""
    try:
        seconds = float(error.response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def mapped(error: Exception, *, began: bool, options: frozenset[str] = frozenset()) -> errors.ModelError:
    """Our error for an exception of the client library, which also lets exceptions of others through.

    :param began: an answer had begun
    :param options: the options of the request that may be left out
    """
    import openai

    if isinstance(error, errors.ModelError):
        return error
    if isinstance(error, openai.APIStatusError):
        return mapped_status(error, options)
    names = {type(error).__name__, type(error.__cause__).__name__}
    failure: errors.ModelError
    if began:
        failure = errors.Interrupted()
    elif any(name.endswith(("ReadTimeout", "APITimeoutError")) for name in names) and "ConnectTimeout" not in names:
        failure = errors.DeadlineExceeded()
    elif isinstance(error, openai.APIConnectionError):
        failure = errors.ProviderUnavailable()
    elif isinstance(error, (json.JSONDecodeError, UnicodeError, TypeError, AttributeError, ValueError)):
        failure = errors.InvalidResponse()
    else:
        failure = errors.ProviderUnavailable()
    log.warning("model_call_failed", error=type(error).__name__, error_code=failure.code)
    failure.__cause__ = error
    return failure
