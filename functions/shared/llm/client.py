"""One call of a model over an OpenAI-compatible API. Only this package imports ``openai``.

The call runs in its own thread, and its text comes through a queue. So a silent provider, or one that sends only
comment lines, cannot hold the caller beyond the deadline, and cancelling takes effect at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import structlog

from functions.shared.llm import errors
from functions.shared.llm.budget import Budget
from functions.shared.llm.ledger import Entry
from functions.shared.llm.usage import Used, estimated_tokens
from functions.shared.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI

log = structlog.get_logger(__name__)

Message = Mapping[str, str]

LOOK_SECONDS = 0.1
MAX_ANSWER_CHARACTERS = 300_000
# finish reasons of a complete answer, as different servers name them
COMPLETE = frozenset({"stop", "eos", "end_turn", "stop_sequence", "tool_calls", "function_call"})
FORMAT_WORDS = ("response_format", "json_schema", "json_object", "json mode", "structured output", "guided", "grammar")
CONTEXT_WORDS = ("context length", "context window", "maximum context", "too many tokens", "context_length")


class ModelClient:
    """Calls a model. Before the first call, nothing is contacted and nothing slow is imported."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def model(self) -> str:
        """The model's name, from the settings."""
        return self._settings.openai_model

    @property
    def server(self) -> tuple[str, str]:
        """Base URL and model: what a server supports is remembered under these."""
        return self._settings.openai_base_url or "", self.model

    def prepare(self) -> None:
        """Imports the library, so that the first call of a process does not take a second longer."""
        connections(self._settings.openai_base_url, self._settings.openai_api_key)

    def text(
        self,
        messages: Sequence[Message],
        budget: Budget,
        *,
        response_format: Mapping[str, Any] | None = None,
        stream: bool = True,
    ) -> Generator[str]:
        """The answer's text as it arrives, from one HTTP call. It is complete when this ends without an error.

        Closing the iterator ends the call.

        :raise ModelError: see errors.py
        """
        if not (self._settings.openai_api_key or self._settings.openai_base_url):
            raise errors.ProviderAuth("No model is configured. An operator must set OPENAI_API_KEY or OPENAI_BASE_URL.")
        client = connections(self._settings.openai_base_url, self._settings.openai_api_key)
        budget.begin_call()
        sent = sum(estimated_tokens(message["content"]) for message in messages)
        with budget.ledger.call(self.model, Used(prompt_tokens=sent)) as entry:
            call = _Call(client, self._settings, messages, response_format, stream, budget)
            call.start()
            try:
                yield from call.text()
            finally:
                call.end()
                self._account(call, entry)

    def _account(self, call: _Call, entry: Entry) -> None:
        """What the call used, estimated when the provider did not report it."""
        if call.usage is not None:
            entry.used = call.usage
        elif call.is_refused and not call.received:
            entry.refuse()
        else:
            # it ended without a report, was cancelled or timed out, and the provider may have worked on it
            written = estimated_tokens("".join(call.received))
            entry.estimate = dataclasses.replace(entry.estimate, completion_tokens=written)


def library() -> ModuleType:
    """The client library; it takes about a second to import, so only a process that calls a model does it."""
    import openai

    return openai


@functools.lru_cache(maxsize=16)
def connections(base_url: str | None, api_key: str | None) -> OpenAI:
    """The library's client. A process has one for each server, so that connections are used again."""
    # The library would use a blank base URL as it is. It must not retry, because calls are counted here.
    client: OpenAI = library().OpenAI(
        api_key=api_key or "none", base_url=base_url or "https://api.openai.com/v1", max_retries=0
    )
    return client


class _Call:
    """One HTTP call and the thread that reads it."""

    def __init__(
        self,
        client: OpenAI,
        settings: Settings,
        messages: Sequence[Message],
        response_format: Mapping[str, Any] | None,
        stream: bool,
        budget: Budget,
    ) -> None:
        self.messages = messages
        self.received: list[str] = []
        self.usage: Used | None = None
        self.is_accepted = False  # the provider began to answer
        self.is_refused = False  # the provider answered with an error or was never reached, so nothing was used
        self._client = client
        self._settings = settings
        self._budget = budget
        self._stream = stream
        self._format = response_format
        self._response: Any = None
        self._abandoned = threading.Event()
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()

    def start(self) -> None:
        threading.Thread(target=self._work, name="model-call", daemon=True).start()

    def end(self) -> None:
        """Ends the call if it still runs, because its provider would go on and charge for it."""
        self._abandoned.set()
        response = self._response
        if response is not None:
            with contextlib.suppress(Exception):
                response.close()

    def text(self) -> Iterator[str]:
        """The text that the thread reads, as it arrives."""
        finish_reason: str | None = None
        refused = False
        size = 0
        while True:
            self._budget.check()
            left = self._budget.remaining_seconds()
            if not left:
                raise errors.DeadlineExceeded()
            try:
                kind, value = self._queue.get(timeout=min(LOOK_SECONDS, left))
            except queue.Empty:
                continue
            match kind:
                case "text":
                    size += len(value)
                    if size > MAX_ANSWER_CHARACTERS:
                        raise errors.InvalidResponse("The model's answer is too long. Try again.")
                    self.received.append(value)
                    yield value
                case "refusal":
                    refused = True
                case "finish":
                    finish_reason = value
                case "error":
                    raise value
                case "end":
                    break
        if refused:
            raise errors.Refused()
        if finish_reason is None:
            # a stream without a finish reason broke off, whatever it contains
            raise errors.Interrupted() if self.is_accepted else errors.InvalidResponse()
        if finish_reason in ("length", "max_tokens"):
            raise errors.Truncated()
        if finish_reason == "content_filter":
            raise errors.ContentFiltered()
        if finish_reason not in COMPLETE:
            log.info("finish_reason_unknown", finish_reason=finish_reason[:40])

    # ---- in the thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._read()
        except Exception as error:
            failure = mapped(error, began=self.is_accepted)
            self.is_refused = not isinstance(failure, (errors.DeadlineExceeded, errors.Interrupted))
            self._queue.put(("error", failure))
        else:
            self._queue.put(("end", None))

    def _read(self) -> None:
        left = max(0.05, self._budget.remaining_seconds())
        timeout = library().Timeout(
            left,
            connect=min(self._settings.model_connect_timeout_seconds, left),
            read=min(self._settings.model_read_timeout_seconds, left),
        )
        options: dict[str, Any] = {"model": self._settings.openai_model, "messages": list(self.messages)}
        if self._format is not None:
            options["response_format"] = self._format
        if self._stream:
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = self._client.chat.completions.create(**options, timeout=timeout)
        if not self._stream:
            self._take(answer, "message")
            return
        self._response = answer
        try:
            for chunk in answer:
                self._take(chunk, "delta")
                if self._abandoned.is_set():
                    return
        finally:
            with contextlib.suppress(Exception):
                answer.close()

    def _take(self, part: Any, kind: str) -> None:
        """A chunk, or a complete answer. Both have the same shape, which the library does not check."""
        usage = getattr(part, "usage", None)
        if usage is not None:
            # some servers send it with every chunk, and the last one counts
            self.usage = Used.reported(usage)
        choices = getattr(part, "choices", None)
        if not isinstance(choices, list):
            if kind == "message":
                raise errors.InvalidResponse()
            return
        for choice in choices[:1]:
            content = getattr(choice, kind, None)
            self.is_accepted = True
            if getattr(content, "refusal", None):
                self._queue.put(("refusal", None))
            text = getattr(content, "content", None)
            if isinstance(text, str) and text:
                self._queue.put(("text", text))
            if getattr(choice, "finish_reason", None):
                self._queue.put(("finish", str(choice.finish_reason)))


def mapped(error: Exception, *, began: bool) -> errors.ModelError:
    """Our error for an exception of the client library, which also lets exceptions of others through.

    :param began: an answer had begun
    """
    openai = library()
    if isinstance(error, errors.ModelError):
        return error
    if isinstance(error, openai.APIStatusError):
        return _mapped_status(error)
    failure: errors.ModelError
    if isinstance(error, openai.APITimeoutError):
        # the connection timed out, or the answer did
        cause = type(error.__cause__).__name__
        failure = errors.ProviderUnavailable() if cause.startswith("Connect") else errors.DeadlineExceeded()
        failure = errors.Interrupted() if began else failure
    elif isinstance(error, openai.APIConnectionError):
        failure = errors.Interrupted() if began else errors.ProviderUnavailable()
    elif isinstance(error, openai.APIError):
        # an error event in the middle of a stream
        failure = _by_code(str(error.code or ""), str(error.message or "")) or (
            errors.Interrupted() if began else errors.ProviderUnavailable()
        )
    elif isinstance(error, (json.JSONDecodeError, UnicodeError, TypeError, AttributeError, ValueError)):
        failure = errors.InvalidResponse()
    else:
        failure = errors.Interrupted() if began else errors.ProviderUnavailable()
    log.warning("model_call_failed", error=type(error).__name__, error_code=failure.code)
    failure.__cause__ = error
    return failure


def _mapped_status(error: Any) -> errors.ModelError:
    body = error.body if isinstance(error.body, dict) else {}
    message, code, status = str(body.get("message") or ""), str(error.code or ""), int(error.status_code)
    log.warning("model_provider_refused", status=status, provider_code=code[:60], provider_request=error.request_id)
    failure = _by_code(code, message)
    if failure is None:
        failure = _by_status(status, error, message, str(body.get("param") or ""))
    failure.__cause__ = error
    return failure


def _by_code(code: str, message: str) -> errors.ModelError | None:
    text = message.lower()
    if code in ("insufficient_quota", "billing_hard_limit_reached"):
        return errors.QuotaExceeded()
    if code == "context_length_exceeded" or any(words in text for words in CONTEXT_WORDS):
        return errors.ContextTooLong()
    if code in ("content_filter", "content_policy_violation"):
        return errors.ContentFiltered()
    if code == "model_not_found":
        return errors.ModelNotFound()
    return None


def _by_status(status: int, error: Any, message: str, param: str) -> errors.ModelError:
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
    said = f"{param} {message}".lower()
    if any(words in said for words in FORMAT_WORDS):
        return errors.FormatUnsupported()
    return errors.InvalidResponse("The model's provider refused the request. Report the request id.")


def retry_after(error: Any) -> float | None:
    """Seconds of a Retry-After header. None for a date or a malformed value."""
    try:
        seconds = float(error.response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
