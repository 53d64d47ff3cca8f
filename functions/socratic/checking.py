"""Whether an agent's turn may be shown: it asks one question, and it gives no answer, no result and no finished work.

The checks need no model. They err on the safe side: a turn that is refused is written once more, then replaced by a
question of safe.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from functions.shared.leaks import known
from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.leaks.words import MARKS as COMBINING
from functions.shared.leaks.words import UNSPACED, Language, folded, language_of, languages
from functions.socratic.safe import LEVEL

MAX_TURN_CHARACTERS = 1500
MAX_SAFE_CHARACTERS = 400
MAX_SHORT_ANSWER_WORDS = 12
MAX_FORMULA_CHARACTERS = 60
# as answers they say too much of what every question says
COMMON = frozenset(
    {"true", "false", "yes", "no", "ja", "nein", "oui", "non", "vrai", "faux", "si", "sí", "wahr", "falsch"}
)

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
QUOTED = re.compile(
    r"\"[^\"\n]{0,300}\"|\u201c[^\u201d\n]{0,300}\u201d|\u201e[^\u201c\u201d\n]{0,300}[\u201c\u201d]|«[^»\n]{0,300}»"
)
ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
# Latin and full width, Greek, Arabic, Ethiopic, Limbu, doubled and joined ones, Coptic, reversed, Vai, Bamum, vertical,
# small, Chakma. private.has_question() of the database has the same.
QUESTION_MARKS = (
    "?\uff1f\u037e\u061f\u1367\u1945\u203d\u2047\u2048\u2049\u2cfa\u2cfb\u2e2e\ua60f\ua6f7\ufe16\ufe56\U00011143"
)
# Greek is written with the semicolon; in Armenian the mark stands inside of the word that asks, once a sentence
GREEK = "[\u0370-\u03ff\u1f00-\u1fff]{2}"
ARMENIAN = "\u055e"
BEHIND = r"[\s)\]*_\"'\u201d\u2019»]"
# a mark that ends a sentence: behind a word, and before a blank or the end; several marks in a row are one
QUESTION = re.compile(
    rf"(?<=[\w{COMBINING}{UNSPACED}])[\s)\]*_\"'\u201d\u2019»%$°!]*[{QUESTION_MARKS}]+"
    rf"(?={BEHIND}|[^\w\s]|$|[\u3000-\u9fff{UNSPACED}])"
    rf"|(?<={GREEK}){BEHIND}*;(?={BEHIND}|$)"
    rf"|{ARMENIAN}[^\u0589:\n]*[\u0589:]?"
)
ASKS_AT_END = re.compile(rf"(?:[{QUESTION_MARKS}]|(?<={GREEK});){BEHIND}*$|{ARMENIAN}")
SENTENCE_END = re.compile(
    rf"(?<=[.!{QUESTION_MARKS}\u3002\u0964])[\s*_\"'\u201d\u2019»)\]]*\s+|\n+|(?<=[\u3002\uff1f])"
)
CLAUSE_END = re.compile(r"[,;:\u2013\u2014\u3001\uff0c]\s+")
MARKS = " \t*_`\"'\u201c\u201d\u201e«»()[]{}$\\"


def readable(text: str) -> str:
    """A turn without code, quotations and addresses, whose question marks ask nothing."""
    for pattern in (FENCE, QUOTED_LINE, INLINE_CODE, QUOTED, ADDRESS):
        text = pattern.sub(" ", text)
    return text


def questions(text: str) -> int:
    """How many questions a turn asks."""
    return len(QUESTION.findall(readable(text)))


def first_question_only(text: str) -> str | None:
    """A turn up to the end of its first question; None when that is not to be told from the text."""
    if readable(text) != text:
        return None
    found = QUESTION.search(text)
    return None if found is None else text[: found.end()].strip()


@dataclass(frozen=True)
class Given:
    """What a turn is checked against.

    :param said: what the learner knows already: the topic and their own lines
    :param exercises: the questions of their open practice
    :param answers: the answers of their open practice
    :param is_first: whether this is the agent's first turn, which asks for the level
    """

    said: str
    exercises: Sequence[str] = ()
    answers: Sequence[str] = ()
    is_first: bool = False


@dataclass
class Checker:
    """Checks the drafts of one turn."""

    given: Given
    _phrases: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        task = "\n\n".join([self.given.said, *self.given.exercises])
        self._task = task
        self._language = language_of(task)
        said = known.words(self.given.said)
        self._numbers = known.numbers(task) | known.numbers(known.spelt(task, self._language))
        phrases = [words for answer in self.given.answers if (words := _short(answer)) and not _runs(words, said)]
        # a number that the exercise itself names is found by the guard where it is said to be the result
        self._phrases = [
            words
            for words in phrases
            if not (len(words) == 1 and words[0] in self._numbers)
            and (len(words) == 1 or any(len(word) > 2 or not word.isascii() for word in words))
        ]
        shown = _spaced(task)
        formulas = {known.flat(answer) for answer in self.given.answers if len(answer) <= MAX_FORMULA_CHARACTERS}
        self._formulas = [one for one in formulas if len(one) > 2 and not one.isalnum() and not _has(one, shown)]

    @property
    def language(self) -> Language:
        """The language that the learner writes."""
        return self._language

    def may_replace(self, text: str) -> bool:
        """Whether a prepared question that a model put into the learner's language may take the place of a turn.

        It asks for the level by its meaning, which is not looked for in languages that nobody here may know.
        """
        is_short = 0 < len(text) <= MAX_SAFE_CHARACTERS
        return is_short and not set(self.faults(text)) - {"no_level"}

    def faults(self, text: str) -> list[str]:
        """Why a draft may not be shown, as codes; empty when it may."""
        found: list[str] = []
        asked = questions(text)
        if asked == 0:
            found.append("no_question")
        elif asked > 1:
            found.append("several_questions")
        if len(text) > MAX_TURN_CHARACTERS:
            found.append("too_long")
        if self.given.is_first and not LEVEL.search(folded(text)):
            found.append("no_level")
        if self._gives_answer(text):
            found.append("gives_answer")
        elif self._announces(text):
            found.append("announces_result")
        return found

    def _gives_answer(self, text: str) -> bool:
        """Whether it has an answer of the learner's open practice, or finished work."""
        words = known.words(text)
        spaced = _spaced(text)
        if any(_runs(phrase, words) for phrase in self._phrases) or any(_has(one, spaced) for one in self._formulas):
            return True
        try:
            # answers first among what is known, so that equations and numbers of theirs are found
            LeakGuard(self.given.answers, self._task).check(text)
        except AnswerLeak:
            return True
        return False

    def _announces(self, text: str) -> bool:
        """Whether it says what the result is: a new number behind a verb, or anything behind "the answer is"."""
        language = language_of(text) if len(text) >= 100 else self._language
        plain = readable(text)
        claims, others = known.stated(plain, language)
        # "of two plants" is no result, as "of 2" might be
        if (claims | (others & known.numbers(plain))) - self._numbers:
            return True
        return any(
            _is_announcement(clause, one)
            for sentence in SENTENCE_END.split(folded(text))
            for clause in _statements(sentence)
            for one in {one.name: one for one in (self._language, language, languages()["en"])}.values()
        )


def _short(answer: str) -> list[str]:
    """The words of an answer that is short enough to be found as it is; none when it says nothing alone."""
    words = known.words(answer)
    if not 0 < len(words) <= MAX_SHORT_ANSWER_WORDS:
        return []
    if len(words) == 1 and (words[0] in COMMON or (len(words[0]) == 1 and words[0].isalpha() and words[0].isascii())):
        return []
    return words


def _runs(phrase: Sequence[str], words: Sequence[str]) -> bool:
    """Whether words hold a phrase, in its order and without a gap."""
    size = len(phrase)
    return any(list(words[start : start + size]) == list(phrase) for start in range(len(words) - size + 1))


def _spaced(text: str) -> str:
    """A text with plain signs in the place of LaTeX, in which formulas are looked for."""
    for pattern, plain in known.LATEX:
        text = pattern.sub(plain, text)
    return re.sub(r"[$`\\]|\*\*|__", "", folded(text).replace("\u2212", "-"))


def _has(formula: str, text: str) -> bool:
    """Whether a text holds a formula, however it is spaced, that is not a part of a longer number or name."""
    signs = r"[ \t]{0,3}".join(map(re.escape, formula))
    return re.search(rf"(?<![\w.]){signs}(?!\w|\.\d)", text) is not None


def _statements(sentence: str) -> list[str]:
    """The parts of a sentence that state something: all of them, but the last one of a question."""
    clauses = [clause.strip(MARKS) for clause in CLAUSE_END.split(sentence) if clause.strip(MARKS)]
    is_question = ASKS_AT_END.search(sentence) is not None
    # "the answer: chlorophyll" is cut at its colon
    whole = [] if is_question else [sentence.strip(MARKS)]
    return whole + (clauses[:-1] if is_question else clauses)


def _is_announcement(clause: str, language: Language) -> bool:
    """Whether a clause says "the answer is ..." with something behind it."""
    for noun in language.solution:
        index = clause.find(noun)
        while index >= 0:
            if not known.has_noun(clause[: index + len(noun)], noun):
                index = clause.find(noun, index + 1)
                continue
            rest = clause[index + len(noun) :].lstrip(MARKS)
            if rest[:1].isdigit():
                return True
            for copula in (*language.copulas, *known.POINTERS):
                after = rest.removeprefix(copula)
                if after != rest and after.strip(MARKS + ".!") and not (copula.isalpha() and after[:1].isalpha()):
                    return True
            index = clause.find(noun, index + 1)
    return False
