"""Hints in three levels, made by rule from topics, kind and explanation. None of them contains the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.tutoring.grading import Key, plain

LEVELS = 3
MAX_HINT_CHARACTERS = 1000
LAST_RESORT = "Say in your own words what is asked, and what you know about it."
_STRATEGIES = {
    "choice": "Cross out what cannot be right and say why. Then compare what remains.",
    "numeric": "Write down what is given, with units. Estimate the size of the result before you compute it.",
    "exact": "Recall where you met this word or form, and what it was used for there.",
    "text": "Name the central idea in one sentence first. Then give the reason for it.",
}
_WORDS = re.compile(r"[^\W_]+")
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def hint(level: int, key: Key, question: str, topics: Sequence[str], explanation: str | None) -> str:
    """The hint of a level, 1 to 3; each says more than the one before."""
    for text in _candidates(level, key, topics, explanation):
        if is_safe(text, key, question, explanation):
            return text[:MAX_HINT_CHARACTERS]
    return LAST_RESORT


def _candidates(level: int, key: Key, topics: Sequence[str], explanation: str | None) -> Iterator[str]:
    if level >= LEVELS:
        for sentence in _SENTENCES.split(explanation or ""):
            if sentence.strip():
                yield sentence.strip()
    if level == 1 and topics:
        yield f"This is about {', '.join(topics)}. What do you know about it?"
    if level >= 2:
        yield _STRATEGIES[key.kind]


def is_safe(text: str, key: Key, question: str, explanation: str | None) -> bool:
    """Whether a hint gives nothing away: neither a right answer as a word, nor what the leak guard knows."""
    said = _words(text)
    for right in _rights(key):
        if len(words := _words(right)) > len("  ") and words in said:
            return False
    try:
        LeakGuard([*_rights(key)], question).check(text)
    except AnswerLeak:
        return False
    return True


def _words(text: str) -> str:
    """The words of a text between single blanks, one before and one after."""
    return f" {' '.join(_WORDS.findall(plain(text)))} "


def _rights(key: Key) -> Iterator[str]:
    """Every right answer; for a choice given by its letter its words, too."""
    yield from key.accepted
    for right in key.accepted:
        letter = re.fullmatch(r"\(?([a-z])\s*[).:]?", plain(right))
        if letter and key.kind == "choice" and ord(letter[1]) - ord("a") < len(key.choices):
            yield key.choices[ord(letter[1]) - ord("a")]
