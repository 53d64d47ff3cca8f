"""The words of each language that the guard knows, read from ``words/*.toml``.

name        the language's English name
solution    what announces a solution: nouns, as a heading or before a colon
work        work that is handed in, such as an essay: a finished one only beside "model" or "here is"
model       what stands beside such a noun and makes it a finished one: "model", "complete"
here        openings of a sentence that hands something over: "here is"
address     words that speak to the student wherever they stand: pronouns, polite forms
imperative  verbs that speak to the student at the beginning of a sentence
essay       phrases of finished essays and reports
is          verbs between "answer" and a result; where is_verb_final, nothing need stand between them
work_units  what is counted in the student's work and in no result: words, pages, minutes
ends        headings at which a solution ends, because instructions follow
numbers     number words from zero on
tens        those of twenty, thirty and so on; tens_from says where they begin
"""

from __future__ import annotations

import re
import threading
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "words"
# scripts whose words are not divided by spaces
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
IS_UNSPACED = re.compile(f"[{UNSPACED}]")
MAX_SAMPLE_CHARACTERS = 2000
_LOADING = threading.Lock()
# a word, with its combining marks and joiners
MARKS = "\u0300-\u036f\u0590-\u05c7\u064b-\u065f\u0670\u0900-\u0dff\u200c\u200d"
WORD = re.compile(f"[{UNSPACED}]|(?:[^\\W\\d_{UNSPACED}]|[{MARKS}])+(?:['\u2019](?:[^\\W\\d_])+)?")


def folded(text: str) -> str:
    """A text in one form: compatibility characters and capitals do not count."""
    # a dotted capital I of Turkish folds into two characters
    return unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i")


@dataclass(frozen=True)
class Language:
    """The words of one language, folded."""

    name: str
    solution: tuple[str, ...]
    work: tuple[str, ...]
    model: tuple[str, ...]
    here: tuple[str, ...]
    address: re.Pattern[str]
    imperative: re.Pattern[str]
    essay: re.Pattern[str]
    copulas: tuple[str, ...]
    is_verb_final: bool
    work_units: frozenset[str]
    ends: tuple[str, ...]
    numbers: dict[str, int]


def phrases(words: list[str]) -> re.Pattern[str]:
    """Any of these words or phrases. A trailing * stands for any ending."""
    parts = []
    # *ending stands for any word that ends so
    for word in sorted(map(folded, words), key=len, reverse=True):
        core = re.escape(word.removesuffix("*")).replace("\\ ", r"\s{1,3}")
        if IS_UNSPACED.search(word):
            parts.append(core)
        elif word.startswith("*"):
            parts.append(re.escape(word[1:]) + r"(?!\w)")
        else:
            parts.append(rf"(?<!\w){core}" + (r"\w{0,12}" if word.endswith("*") else r"(?!\w)"))
    return re.compile("|".join(parts) or r"(?!)")


def beginning(words: list[str]) -> re.Pattern[str]:
    """Any of these words at the beginning of a sentence, at most one other word before it."""
    return re.compile(rf"[\W\d_]*(?:\w{{1,20}}[,\s]{{1,3}})?(?:{phrases(words).pattern})")


@cache
def languages() -> dict[str, Language]:
    """Every language by its code."""
    found: dict[str, Language] = {}
    for file in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(file.read_text(encoding="utf-8"))

        def words(key: str, data: dict[str, object] = data) -> list[str]:
            value = data.get(key, "")
            return [folded(" ".join(word.split())) for word in str(value).split(",") if word.strip()]

        found[file.stem] = Language(
            name=str(data["name"]),
            solution=tuple(words("solution")),
            work=tuple(words("work")),
            model=tuple(words("model")),
            here=tuple(words("here")),
            address=phrases(words("address")),
            imperative=beginning(words("imperative")),
            essay=phrases(words("essay")),
            copulas=tuple(words("is")),
            is_verb_final=bool(data.get("is_verb_final")),
            work_units=frozenset(words("work_units")),
            ends=tuple(words("ends")),
            numbers={word: number for number, word in enumerate(words("numbers"))}
            | {word: 10 * index + int(data.get("tens_from", 20)) for index, word in enumerate(words("tens"))},
        )
    return found


def prepare() -> None:
    """Begins to load what recognises languages, so that the first text of a process need not wait for it."""
    threading.Thread(target=_identifier, name="languages", daemon=True).start()


def _identifier() -> Any:
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> Any:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(languages()))
    return identifier


def language_of(text: str) -> Language:
    """The language of a text: the most likely of those that the guard knows, English for a text without letters."""
    sample = re.sub(r"```.*?(?:```|\Z)", " ", text[:MAX_SAMPLE_CHARACTERS], flags=re.DOTALL)
    if not any(map(str.isalpha, sample)):
        return languages()["en"]
    return languages()[_identifier().classify(sample)[0]]


@cache
def all_words(field: str) -> frozenset[str]:
    """The words of one field in every language."""
    return frozenset(word for language in languages().values() for word in getattr(language, field))
