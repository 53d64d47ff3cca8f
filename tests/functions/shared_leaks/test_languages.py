"""The words of each language."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from functions.shared.leaks.form import is_help
from functions.shared.leaks.labels import is_instruction, kind_of, label_of
from functions.shared.leaks.words import folded, language_of, languages

SAMPLES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "cases" / "languages.toml").read_text(encoding="utf-8")
)


def test_there_are_at_least_thirty_languages_and_each_has_samples() -> None:
    assert len(languages()) >= 30
    assert languages().keys() == SAMPLES.keys()


@pytest.mark.parametrize("code", SAMPLES)
def test_a_model_solution_is_announced(code: str) -> None:
    for label in SAMPLES[code]["model"]:
        assert kind_of(label) == "model", label
        assert label_of(f"{label}: x")[0] == "model", label


@pytest.mark.parametrize("code", SAMPLES)
def test_an_answer_is_announced(code: str) -> None:
    for label in SAMPLES[code]["plain"]:
        assert kind_of(label) in ("plain", "model"), label


@pytest.mark.parametrize("code", SAMPLES)
def test_help_speaks_to_the_student_in_the_texts_language(code: str) -> None:
    text = SAMPLES[code]["help"]
    language = language_of(text)
    assert language is languages()[code]
    assert is_help(folded(text), language)
    assert is_instruction(text, language)
    # the same words announce nothing
    assert label_of(text) == ("", "")


@pytest.mark.parametrize("code", SAMPLES)
def test_a_statement_speaks_to_nobody(code: str) -> None:
    text = SAMPLES[code]["statement"]
    assert not is_help(folded(text), languages()[code]), text


@pytest.mark.parametrize("code", SAMPLES)
def test_an_essay_is_marked(code: str) -> None:
    for phrase in SAMPLES[code]["essay"]:
        assert languages()[code].essay.search(folded(phrase)), phrase
