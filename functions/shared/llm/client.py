"""One call of a model over an OpenAI-compatible API. Only this package imports ``openai``.

The call runs in its own thread, and its text comes through a queue. So a silent provider, or one that sends only
comment lines, cannot hold the caller beyond the deadline, and cancelling takes effect at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import queue
import threading
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from functions.shared.llm import breaker, errors, network
from functions.shared.llm.budget import Budget
from functions.shared.llm.ledger import Entry
from functions.shared.llm.reading import Answer, finish_error
from functions.shared.llm.refusals import OptionRefused, mapped
from functions.shared.llm.thoughts import ThoughtFilter
from functions.shared.llm.usage import Used, estimated_tokens
from functions.shared.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI

Message = Mapping[str, str]

LOOK_SECONDS = 0.1
MAX_ANSWER_CHARACTERS = 300_000
# thoughts count, so it is far above what an answer needs; it ends a model that repeats itself
MAX_OUTPUT_TOKENS = 16_000

# by server and model: options that it refused, and whether it swallows the mark at which thoughts begin
_refused_options: dict[tuple[str, str], set[str]] = {}
_swallows_marks: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class ModelOptions:
    """What an agent asks of a model beside the settings. None leaves it to the settings or the server.

    :param extra_instructions: are added to what the system says
    """

    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    extra_instructions: str | None = None


class ModelClient:
    """Calls a model. Before the first call, nothing is contacted and nothing slow is imported."""

    def __init__(self, settings: Settings, options: ModelOptions = ModelOptions()) -> None:
        self._settings = settings
        self._options = options

    @property
    def model(self) -> str:
        """The model's name, from the agent or the settings."""
        return self._options.model or self._settings.openai_model

    def uninstructed(self) -> ModelClient:
        """The same model without an agent's extra instructions, to judge what the agent wrote."""
        return ModelClient(self._settings, dataclasses.replace(self._options, extra_instructions=None))

    @property
    def server(self) -> tuple[str, str]:
        """Base URL and model: what a server supports is remembered under these."""
        return self._settings.openai_base_url or "", self.model

    def prepare(self) -> None:
        """Imports the library, so that the first call of a process does not take a second longer."""
        connections(self._settings.openai_base_url, self._settings.openai_api_key)

    def prose(self, messages: Sequence[Message], budget: Budget) -> Generator[str]:
        """The text of an answer in prose as it arrives, without the model's thoughts.

        :raise ModelError: see errors.py; ``InvalidResponse`` also when thoughts cannot be told from the answer
        """
        thoughts, has_shown = ThoughtFilter(holds=self.server in _swallows_marks), False
        try:
            # closed at once when the text is not what it should be, and not when the error is forgotten
            with contextlib.closing(self.text(messages, budget)) as pieces:
                for piece in pieces:
                    if shown := thoughts.feed(piece):
                        has_shown = True
                        yield shown
            if shown := thoughts.finish():
                yield shown
        except errors.InvalidResponse:
            if thoughts.met_stray_mark:
                _swallows_marks.add(self.server)
            raise
        except errors.ModelError:
            # an answer that broke off is kept to its last character; one of which nothing was shown is asked for again
            if has_shown and (rest := thoughts.rest()):
                yield rest
            raise

    def text(
        self,
        messages: Sequence[Message],
        budget: Budget,
        *,
        response_format: Mapping[str, Any] | None = None,
        stream: bool = True,
        notes: set[str] | None = None,
    ) -> Generator[str]:
        """The answer's text as it arrives. It is complete when this ends without an error.

        It is one HTTP call, and another one for each option that the server refuses; those are remembered. The text may
        hold thoughts, see :meth:`prose`. Closing the iterator ends the call.

        :param notes: for answers that the caller checks: gets ``reasoning`` when the text came in the field for
            thoughts, and ``unfinished`` when the server sent no finish reason
        :raise ModelError: see errors.py
        """
        if not (self._settings.openai_api_key or self._settings.openai_base_url):
            raise errors.ProviderAuth("No model is configured. An operator must set OPENAI_API_KEY or OPENAI_BASE_URL.")
        client = connections(self._settings.openai_base_url, self._settings.openai_api_key)
        messages = self._instructed(messages)
        sent = sum(estimated_tokens(message["content"]) for message in messages)
        while True:
            call = _Call(client, self._request(messages, response_format, stream), self._settings, budget, notes)
            gate = breaker.of(self.server)
            gate.check()
            budget.begin_call()
            with budget.ledger.call(self.model, Used(prompt_tokens=sent)) as entry:
                call.start()
                try:
                    yield from call.text()
                    gate.note(id(budget), None)
                    return
                except OptionRefused as refused:
                    gate.note(id(budget), None)
                    _refused_options.setdefault(self.server, set()).add(refused.option)
                    if not budget.calls_left:
                        raise
                except errors.ModelError as error:
                    gate.note(id(budget), error)
                    raise
                finally:
                    call.end()
                    self._account(call, entry)

    def _instructed(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages with the agent's extra instructions at the end of what the system says."""
        extra = self._options.extra_instructions
        if extra is None:
            return messages
        system = next((message["content"] for message in messages if message["role"] == "system"), None)
        rest = [message for message in messages if message["role"] != "system" or message["content"] != system]
        return [{"role": "system", "content": extra if system is None else f"{system}\n\n{extra}"}, *rest]

    def _request(
        self, messages: Sequence[Message], response_format: Mapping[str, Any] | None, stream: bool
    ) -> dict[str, Any]:
        refused = _refused_options.get(self.server, set())
        # OpenAI knows the new name only, other servers the old one
        cap = "max_tokens" if self._settings.openai_base_url else "max_completion_tokens"
        options: dict[str, Any] = {"model": self.model, "messages": list(messages), "stream": stream}
        if cap not in refused:
            options[cap] = self._options.max_output_tokens or MAX_OUTPUT_TOKENS
        if self._options.temperature is not None and "temperature" not in refused:
            options["temperature"] = self._options.temperature
        if stream and "stream_options" not in refused:
            options["stream_options"] = {"include_usage": True}
        if response_format is not None:
            options["response_format"] = response_format
        return options

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
    network.slice_reads(client._client)
    # the connections end with this object; without that they would stay open until somebody collects them
    weakref.finalize(client, client._client.close)
    return client


class _Call:
    """One HTTP call and the thread that reads it."""

    def __init__(
        self,
        client: OpenAI,
        request: Mapping[str, Any],
        settings: Settings,
        budget: Budget,
        notes: set[str] | None,
    ) -> None:
        self.received: list[str] = []
        self.is_refused = False  # the provider answered with an error or was never reached, so nothing was used
        self._client = client
        self._request = request
        self._settings = settings
        self._budget = budget
        self._notes = notes
        self._answer = Answer(self._hear)
        self._response: Any = None
        self._abandoned = threading.Event()
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()

    @property
    def usage(self) -> Used | None:
        """What the provider reported."""
        return self._answer.usage

    def start(self) -> None:
        """Sends it."""
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
                case "error":
                    raise value
                case _:
                    break
        self._judge()
        if self._notes is not None and not self._answer.has_text and (thoughts := "".join(self._answer.thoughts)):
            self._notes.add("reasoning")
            self.received.append(thoughts)
            yield thoughts

    def _judge(self) -> None:
        """Whether the answer is complete."""
        answer = self._answer
        if answer.is_refused:
            raise errors.Refused()
        if answer.finish_reason is not None:
            failure = finish_error(answer.finish_reason)
            if failure is not None:
                raise failure
        elif not answer.has_begun:
            raise errors.InvalidResponse()
        elif not (answer.is_done and answer.usage):
            # a stream without a finish reason broke off, whatever it contains
            raise errors.Interrupted()
        elif self._notes is not None:
            self._notes.add("unfinished")

    # ---- in the thread ----------------------------------------------------------------------------------------

    def _hear(self, text: str) -> None:
        self._queue.put(("text", text))

    def _work(self) -> None:
        network.give_up_when(self._abandoned)
        try:
            self._read()
        except Exception as error:
            began = self._answer.has_begun
            failure = mapped(error, began=began, options=frozenset(self._request))
            self.is_refused = not began and not isinstance(failure, errors.DeadlineExceeded)
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
        create = self._client.chat.completions.with_streaming_response.create
        with create(**self._request, timeout=timeout) as response:
            self._response = response
            self._answer.read(self._lines(response))

    def _lines(self, response: Any) -> Iterator[str]:
        """The lines of the body, until nobody waits for them."""
        for line in response.iter_lines():
            if self._abandoned.is_set():
                return
            yield line
