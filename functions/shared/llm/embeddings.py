"""Vectors of texts, over an OpenAI-compatible API.

Servers differ in how many texts and tokens a call may have, in the order of their answers, and in the length of their
vectors. So calls are small, a call that is too long is split, and every vector is checked and made to length 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.errors import AppError
from functions.shared.llm import breaker, errors
from functions.shared.llm.client import connections, library
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.usage import Used, estimated_tokens
from functions.shared.llm.whole_calls import answered
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

# some servers take no more texts at once
MAX_TEXTS_A_CALL = 32
MAX_TOKENS_A_CALL = 60_000
# a text that is refused as too long is halved, but not below this
MIN_CUT_CHARACTERS = 200
# what the database's type can hold
MAX_DIMENSIONS = 16_000
# a search does not wait longer for the vector of its query
MAX_QUERY_SECONDS = 1.5
MAX_QUERY_CHARACTERS = 2000
LEFT_OUT = re.compile(r'(?:^|\s)-(?:"[^"]*"|[^\s"]\S*)')


@dataclass
class Embedder:
    """Calls an embedding model. One object is one piece of work.

    :param ledger: where the calls are recorded
    :param seconds: how long one call may take
    :param check: called several times a second while an answer is awaited; an exception ends the call
    """

    settings: Settings
    ledger: Ledger
    seconds: float
    check: Callable[[], None] = lambda: None

    @property
    def model(self) -> str:
        """The key under which vectors are stored: the model and, where they are asked for, its dimensions."""
        return model_key(self.settings)

    def embed(self, texts: Sequence[str]) -> list[str | None]:
        """A vector of length 1 for each text, as the database reads it: "[0.6,0.8]".

        None stands for a text that the model refuses. A text that is too long is represented by its beginning.

        :raise ModelError: see errors.py; ``InvalidResponse`` also for vectors of another form or length
        """
        return [vector for part in _batches(texts) for vector in self._batch(part)]

    def _batch(self, texts: Sequence[str]) -> list[str | None]:
        try:
            return list(self._called(texts))
        except (errors.ContextTooLong, errors.ContentFiltered, errors.Refused) as error:
            if len(texts) > 1:
                middle = len(texts) // 2
                return self._batch(texts[:middle]) + self._batch(texts[middle:])
            if isinstance(error, errors.ContextTooLong) and len(texts[0]) > MIN_CUT_CHARACTERS:
                return self._batch([texts[0][: len(texts[0]) // 2]])
            return [None]

    def _called(self, texts: Sequence[str]) -> list[str]:
        """One call, on record before it is sent."""
        settings = self.settings
        if not (settings.openai_api_key or settings.openai_base_url):
            raise errors.ProviderAuth("No model is configured. An operator must set OPENAI_API_KEY or OPENAI_BASE_URL.")
        model = settings.openai_embedding_model
        if not model:
            raise errors.ModelNotFound("No embedding model is configured. An operator must set OPENAI_EMBEDDING_MODEL.")
        gate = breaker.of((settings.openai_base_url or "", model))
        gate.check()
        sent = sum(map(estimated_tokens, texts))
        with self.ledger.call(model, Used(prompt_tokens=sent)) as entry:
            try:
                answer = answered(
                    lambda: self._send(model, texts), clock=self.ledger.clock, seconds=self.seconds, check=self.check
                )
            except errors.ModelError as error:
                gate.note(id(self), error)
                if not isinstance(error, errors.DeadlineExceeded | errors.Interrupted):
                    entry.refuse()
                raise
            gate.note(id(self), None)
            entry.used = Used.reported(getattr(answer, "usage", None))
        return _vectors(answer, len(texts), settings.openai_embedding_dimensions)

    def _send(self, model: str, texts: Sequence[str]) -> Any:
        settings = self.settings
        options: dict[str, Any] = {}
        if settings.openai_embedding_dimensions is not None:
            options["dimensions"] = settings.openai_embedding_dimensions
        timeout = library().Timeout(self.seconds, connect=min(settings.model_connect_timeout_seconds, self.seconds))
        client = connections(settings.openai_base_url, settings.openai_api_key)
        # as numbers, because not every server knows base64, which the library asks for by itself
        return client.embeddings.create(
            model=model, input=list(texts), encoding_format="float", timeout=timeout, **options
        )


def model_key(settings: Settings) -> str:
    """The name under which the vectors of the configured model are stored; empty when none is configured."""
    model, dimensions = settings.openai_embedding_model, settings.openai_embedding_dimensions
    if not model or not (settings.openai_api_key or settings.openai_base_url):
        return ""
    return model if dimensions is None else f"{model}@{dimensions}"


def query_vector(
    settings: Settings, service: SyncPostgrestClient, clock: Clock, user_id: str, query: str
) -> Mapping[str, str]:
    """The arguments of ``svc_search_material`` that make it search by meaning, too: ``p_embedding`` and ``p_model``.

    Empty when no model is configured, when the query asks for nothing but what to leave out, and when the model or the
    accounts do not answer at once: a search by words is better than none.

    :param service: the service's database client, for the accounts
    :param user_id: who searches, for the accounts
    """
    text = LEFT_OUT.sub(" ", query[:MAX_QUERY_CHARACTERS]).replace('"', " ").strip()
    if not model_key(settings) or not any(map(str.isalnum, text)):
        return {}
    ledger = Ledger(clock, settings.model_prices, "embedding", service=service, user_id=user_id)
    embedder = Embedder(settings, ledger, MAX_QUERY_SECONDS)
    try:
        vector = embedder.embed([text])[0]
    except AppError as error:
        log.warning("query_not_embedded", error_code=error.code)
        return {}
    return {} if vector is None else {"p_embedding": vector, "p_model": embedder.model}


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in their order, in calls that servers accept."""
    batch: list[str] = []
    size = 0
    for text in texts:
        tokens = estimated_tokens(text)
        if batch and (len(batch) == MAX_TEXTS_A_CALL or size + tokens > MAX_TOKENS_A_CALL):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += tokens
    if batch:
        yield batch


def _vectors(answer: Any, count: int, dimensions: int | None) -> list[str]:
    """The vectors of an answer in the order of the texts.

    :raise InvalidResponse: they are not what was asked for
    """
    data = getattr(answer, "data", None)
    if not isinstance(data, list) or len(data) != count:
        raise errors.InvalidResponse()
    places = [getattr(part, "index", None) for part in data]
    if sorted(place for place in places if isinstance(place, int)) == list(range(count)):
        data = sorted(data, key=lambda part: part.index)
    elif any(place is not None for place in places):
        raise errors.InvalidResponse()
    vectors = [_unit(getattr(part, "embedding", None)) for part in data]
    wanted = len(vectors[0]) if dimensions is None else dimensions
    if any(len(vector) != wanted for vector in vectors):
        raise errors.InvalidResponse(
            f"The embedding model gives {len(vectors[0])} numbers. An operator must check OPENAI_EMBEDDING_DIMENSIONS."
        )
    return ["[" + ",".join(f"{value:.6g}" for value in vector) + "]" for vector in vectors]


def _unit(vector: Any) -> list[float]:
    """A vector of length 1."""
    if not isinstance(vector, list) or not 1 <= len(vector) <= MAX_DIMENSIONS:
        raise errors.InvalidResponse()
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in vector):
        raise errors.InvalidResponse()
    length = math.hypot(*vector)
    if not math.isfinite(length) or length == 0:
        raise errors.InvalidResponse()
    return [value / length for value in vector]
