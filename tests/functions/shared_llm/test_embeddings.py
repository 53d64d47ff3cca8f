"""Vectors from servers that behave, that are odd, and that fail."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from functions.shared.clock import SystemClock
from functions.shared.database import Database
from functions.shared.llm import errors
from functions.shared.llm.embeddings import MAX_TEXTS_A_CALL, Embedder, query_vector
from functions.shared.llm.ledger import Ledger
from tests.functions.shared_llm.conftest import MakeSettings
from tests.standins.model import ModelStandIn
from tests.standins.model.writing import embedding


def embedder(settings: MakeSettings, name: str = "normal", seconds: float = 10, **changes: str) -> Embedder:
    told = settings(OPENAI_EMBEDDING_MODEL=f"standin-{name}", **changes)
    return Embedder(told, Ledger(SystemClock(), told.model_prices, "embedding"), seconds)


def read(vectors: Iterable[str | None]) -> list[list[float]]:
    return [json.loads(vector or "null") for vector in vectors]


@pytest.mark.parametrize("name", ["normal", "vectors-shuffled", "vectors-unnumbered"])
def test_each_text_gets_its_vector_of_length_1_in_calls_that_servers_accept(
    settings: MakeSettings, model: ModelStandIn, name: str
) -> None:
    texts = [f"text number {number}" for number in range(2 * MAX_TEXTS_A_CALL + 1)]
    made = embedder(settings, name, OPENAI_EMBEDDING_DIMENSIONS="64")
    vectors = read(made.embed(texts))
    assert vectors == [pytest.approx(embedding(text, 64), abs=1e-5) for text in texts]
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-4) for vector in vectors)
    asked = [call["body"] for call in model.requests]
    assert [len(body["input"]) for body in asked] == [MAX_TEXTS_A_CALL, MAX_TEXTS_A_CALL, 1]
    assert {(body["dimensions"], body["encoding_format"]) for body in asked} == {(64, "float")}
    assert made.model == f"standin-{name}@64"
    tally = made.ledger.tally
    assert (tally.attempts, tally.usage_estimated) == (3, False)
    assert tally.prompt_tokens == sum((len(text.encode()) + 3) // 4 for text in texts)


def test_a_model_that_reads_little_gets_the_beginning_of_long_texts(settings: MakeSettings) -> None:
    texts = ["short", "word " * 400, "also short"]
    vectors = read(embedder(settings, "vectors-short").embed(texts))
    assert len(vectors) == 3
    assert vectors[1] == pytest.approx(embedding(texts[1][:500], 1536), abs=1e-5)


def test_a_text_that_is_refused_does_not_hold_up_the_others(settings: MakeSettings) -> None:
    vectors = embedder(settings, "vectors-filtered").embed(["one", "two", "a forbidden one", "three"])
    assert [vector is None for vector in vectors] == [False, False, True, False]


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        ("vectors-few", {}, errors.InvalidResponse),
        ("vectors-zero", {}, errors.InvalidResponse),
        ("vectors-uneven", {}, errors.InvalidResponse),
        ("200-text", {}, errors.InvalidResponse),
        ("200-list", {}, errors.InvalidResponse),
        ("200-null", {}, errors.InvalidResponse),
        ("402", {}, errors.QuotaExceeded),
        ("408", {}, errors.ProviderUnavailable),
        ("model-detail", {}, errors.ModelNotFound),
        ("normal", {"openai_base_url": None, "openai_api_key": None}, errors.ProviderAuth),
        ("normal", {"openai_embedding_model": None}, errors.ModelNotFound),
        ("normal", {"openai_base_url": "http://127.0.0.1:9/v1"}, errors.ProviderUnavailable),
    ],
)
def test_failures_have_types(
    settings: MakeSettings, name: str, changes: dict[str, Any], error: type[errors.ModelError]
) -> None:
    told = replace(settings(OPENAI_EMBEDDING_MODEL=f"standin-{name}"), **changes)
    with pytest.raises(error):
        Embedder(told, Ledger(SystemClock(), told.model_prices, "embedding"), 10).embed(["one", "two"])


def test_a_vector_of_another_length_than_configured_is_refused(settings: MakeSettings) -> None:
    made = embedder(settings, "vectors-fixed", OPENAI_EMBEDDING_DIMENSIONS="64")
    with pytest.raises(errors.InvalidResponse, match="gives 32 numbers"):
        made.embed(["one"])


def test_a_silent_server_holds_nobody(settings: MakeSettings) -> None:
    made = embedder(settings, "hang", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        made.embed(["one"])
    assert time.monotonic() - began < 15
    # it may have worked on it, so the estimate stands
    assert made.ledger.tally.prompt_tokens == 1
    assert made.ledger.tally.usage_estimated


def test_a_query_without_a_vector_is_searched_by_words(settings: MakeSettings, model: ModelStandIn) -> None:
    """Nothing is called without a model or a question, and a database that does not answer is no failure."""
    for told, query in (
        (settings(), "heat"),
        (settings(OPENAI_EMBEDDING_MODEL="standin-normal"), '-heat -"cold air" ?'),
        (settings(OPENAI_EMBEDDING_MODEL="standin-normal"), "heat"),
    ):
        assert query_vector(told, Database(told).service(), SystemClock(), "somebody", query) == {}
    assert model.requests == []
