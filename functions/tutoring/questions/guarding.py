"""What an answer must not contain: the finished work of the student's open assignments and open practice.

Each piece of work has a guard of its own, because what one task may quote is the solution of another. A question that
is about a piece of work is held strictly: no finished work of any kind, and no right answer, however short. For all
other work only its known solution is stopped, so that a key such as "4" does not silence every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from functions.shared.answers.marks import MarkFilter
from functions.shared.answers.run import TextFilter
from functions.shared.leaks import known
from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.leaks.solutions import read_description
from functions.shared.leaks.words import all_words, folded, language_of
from functions.shared.llm.errors import Truncated
from functions.shared.markup.markdown import ends_of_blocks, is_readable
from functions.tutoring.grading import Key, chosen, grade, plain
from functions.tutoring.questions.retrieval import ASKING

MAX_ANSWER_CHARACTERS = 20_000
WORD = re.compile(r"[^\W_]+")
MIN_WORD_CHARACTERS = 4
STEM_CHARACTERS = 5
MIN_SHARED_WORDS = 2
MIN_SHARE = 0.5
# a question of so few words may mean anything
MIN_TELLING_WORDS = 3
MIN_FOREIGN_KEY_WORDS = 3
QUANTITY = re.compile(
    r"[-\u2212]?\d[\d.,\u00a0' ]*(?:/\s*\d+|\s*[*xX\u00d7\u00b7]\s*10\s*(?:\^|\*\*)?\s*[-\u2212]?\d+|[eE][-+]?\d+)?"
    r"(?P<unit>\s*(?:%|[^\W\d_]{1,15}(?:\s*[/*\u00b7]\s*[^\W\d_]{1,10})?(?:\^?\d)?))?"
)
MARKS = re.compile(r"[*_`$~\\]|\\[()\[\]]")
MAX_QUANTITIES = 300


class Withheld(AnswerLeak):
    """The answer contained a solution or finished work and was stopped. Ask again, in other words."""

    # while nothing was shown, the model may write another answer
    is_repeatable = True


def stems(text: str) -> set[str]:
    """The beginnings of the longer words of a text, and its numbers."""
    return {
        folded(word)[:STEM_CHARACTERS]
        for word in WORD.findall(text)
        if len(word) >= MIN_WORD_CHARACTERS or word[0].isdigit()
    }


def is_vague(question: str) -> bool:
    """Whether a question names too little to tell what it is about, as "Just tell me the answer" does."""
    empty = {word[:STEM_CHARACTERS] for word in (*ASKING, *all_words("solution"))}
    return len(stems(question) - empty) < MIN_TELLING_WORDS


def is_about(question: str, task: str) -> bool:
    """Whether a question is about a task: half of its words stand there, or half of the task's words here."""
    asked, given = stems(question), stems(task)
    shared = len(asked & given)
    if shared < min(MIN_SHARED_WORDS, len(given)) or not shared:
        return False
    return shared >= MIN_SHARE * len(asked) or shared >= MIN_SHARE * len(given)


def is_guess(question: str, key: Key) -> bool:
    """Whether a question is little more than a right answer: "Is it 25 km?"."""
    said = f" {' '.join(WORD.findall(plain(question)))} "
    rights = [f" {' '.join(WORD.findall(plain(right)))} " for right in _rights(key)]
    return any(right in said and is_vague(said.replace(right, " ")) for right in rights)


class _Work:
    """One piece of open work."""

    def __init__(self, task: str, solutions: Sequence[str], is_asked: bool, key: Key | None = None) -> None:
        self._task, self._solutions, self._key, self._is_asked = task, solutions, key, is_asked
        self._given = f" {' '.join(WORD.findall(plain(task)))} "
        self.restart()

    def restart(self) -> None:
        self._guard = LeakGuard(self._solutions, self._task, judges_form=self._is_asked)

    def check(self, text: str) -> None:
        """:raise AnswerLeak: the text must not be shown"""
        self._guard.check(text)
        if self._key is not None and self._has_key(text, self._key):
            raise AnswerLeak

    def _has_key(self, text: str, key: Key) -> bool:
        shown = MARKS.sub("", text)
        said = f" {' '.join(WORD.findall(plain(shown)))} "
        for right in _rights(key):
            words = WORD.findall(plain(right))
            phrase = f" {' '.join(words)} "
            is_long = len(words) >= MIN_FOREIGN_KEY_WORDS
            # a number is compared as a number, and one word of the task says nothing
            if words and (self._is_asked or is_long) and phrase in said and phrase not in self._given:
                return True
        return self._is_asked and (self._has_letter(shown, key) or self._has_number(text, key))

    def _has_letter(self, text: str, key: Key) -> bool:
        """Whether a text names the right choice by its letter."""
        if key.kind != "choice":
            return False
        places = {chosen(key.choices, right) for right in key.accepted}
        for place in places - {None}:
            letter = chr(ord("A") + (place or 0))
            # a capital that is no word of its sentence, or a letter in the form of a choice
            capital = rf"(?<!\w){letter}(?!\w)" + (r"(?!\s+[a-z])" if letter == "A" else "")
            if re.search(capital, text) or re.search(rf"(?<!\w)\(?{letter.lower()}\)(?!\w)", text):
                return True
        return False

    def _has_number(self, text: str, key: Key) -> bool:
        """Whether a text has a number that would be graded as right and does not stand in the task."""
        if key.kind != "numeric" and not any(char.isdigit() for right in key.accepted for char in right):
            return False
        numeric = key if key.kind == "numeric" else Key("numeric", key.accepted, language=key.language)
        given = known.numbers(self._task)
        for candidate in _quantities(text):
            found = grade(numeric, candidate)
            if found is not None and found.score == 1 and not given & known.numbers(candidate):
                return True
        return False


def _rights(key: Key) -> Iterator[str]:
    """Every right answer, without those that are letters of choices: their words instead."""
    for right in key.accepted:
        place = chosen(key.choices, right) if key.kind == "choice" else None
        yield right if place is None else key.choices[place]


def _quantities(text: str) -> Iterator[str]:
    """The numbers of a text with and without what may be their unit; number words and formulas, too."""
    plain_text = text
    for pattern, replacement in known.LATEX:
        plain_text = pattern.sub(replacement, plain_text)
    plain_text = re.sub(r"\((\d+)\)/\((\d+)\)", r"\1/\2", plain_text)
    plain_text = MARKS.sub("", plain_text)
    for shown in (plain_text, known.spelt(plain_text, language_of(text))):
        for place, match in enumerate(QUANTITY.finditer(shown)):
            if place == MAX_QUANTITIES:
                break
            unit = match["unit"] or ""
            yield match[0].strip(" .,'")
            yield match[0][: len(match[0]) - len(unit)].strip(" .,'")


class AnswerGuard:
    """Guards one answer against all open work of one student.

    :param keys: what ``svc_question_keys`` gives
    :param assignment_id: the assignment that the student named
    """

    def __init__(self, keys: Mapping[str, Any], question: str, assignment_id: str | None = None) -> None:
        self.task: str | None = None
        self._work: list[_Work] = []
        for row in keys["assignments"]:
            self._assignment(row, question, row["id"] == assignment_id)
        # a question that names too little is about whatever is open
        is_open = is_vague(question) and not any(is_about(question, row["question"]) for row in keys["practice"])
        for row in keys["practice"]:
            self._practice(row, question, is_open)

    def _assignment(self, row: Mapping[str, Any], question: str, is_named: bool) -> None:
        text, solutions = read_description(row["description_html"], row["rubric"], row["notes"])
        task = f"{row['title']}\n\n{text}"
        if is_named:
            self.task = task
        if is_named or is_about(question, task):
            self._work.append(_Work(task, solutions, True))
        elif solutions:
            self._work.append(_Work(task, solutions, False))

    def _practice(self, row: Mapping[str, Any], question: str, is_open: bool) -> None:
        choices = row["choices"] or []
        key = Key(row["kind"], row["answers"], choices, language=row["language"] or "en")
        is_asked = is_open or is_guess(question, key) or is_about(question, row["question"])
        solutions = [right for right in _rights(key) if len(known.words(right)) >= known.MIN_SOLUTION_WORDS]
        if row["explanation"] and is_asked:
            solutions.append(row["explanation"])
        task = "\n".join([row["question"], *choices])
        self._work.append(_Work(row["question"] if key.kind == "choice" else task, solutions, is_asked, key))

    def restart(self) -> None:
        """Forgets the pieces of an answer that failed."""
        for work in self._work:
            work.restart()

    def check(self, piece: str) -> None:
        """Checks the next piece of the answer.

        :raise Withheld: it must not be shown
        """
        try:
            for work in self._work:
                work.check(piece)
        except AnswerLeak as error:
            raise Withheld from error


class GuardedFilter(TextFilter):
    """Shows the model's text block by block, with checked citations, as far as the guard lets it.

    :param marks: what reads the marks of the model's text
    """

    def __init__(self, marks: MarkFilter, guard: AnswerGuard) -> None:
        self.marks = marks
        self._guard = guard
        self._held = ""
        self._shown = 0
        self._passed = ""
        self._is_over = False

    def feed(self, text: str) -> str:
        """The blocks that are whole now.

        :raise Withheld: the next one must not be shown
        :raise Truncated: the answer is longer than an answer may be
        """
        self._held += self.marks.feed(text)
        if "\n" not in text:
            return self._take([])
        return self._take(ends_of_blocks(self._held) if is_readable(self._held) else [])

    def finish(self) -> str:
        """The rest.

        :raise Withheld: it must not be shown
        """
        if self._is_over:
            passed, self._passed = self._passed, ""
            return passed
        self._held += self.marks.finish()
        return self._take([len(self._held)] if self._held else [])

    def restart(self) -> None:
        """Forgets a call that failed."""
        self.marks.restart()
        self._guard.restart()
        self._held, self._passed, self._shown, self._is_over = "", "", 0, False

    def _take(self, ends: Sequence[int]) -> str:
        out: list[str] = []
        for start, end in pairwise([0, *ends]):
            piece = self._held[start:end]
            try:
                self._guard.check(piece)
            except Withheld:
                # what came before it passed, and stays when the answer ends here
                self._held, self._passed, self._is_over = "", "".join(out), True
                raise
            out.append(piece)
        self._held = self._held[ends[-1] if ends else 0 :]
        self._shown += sum(map(len, out))
        if self._shown + len(self._held) > MAX_ANSWER_CHARACTERS:
            self._held, self._passed, self._is_over = "", "".join(out), True
            raise Truncated
        return "".join(out)

    def parts(self) -> Sequence[Mapping[str, Any]]:
        """The sources."""
        return self.marks.parts()

    def citations(self) -> Sequence[Mapping[str, Any]]:
        """As the row keeps them."""
        return [
            {
                "n": one["number"],
                **{name: one[name] for name in ("kind", "source_id", "chunk_id")},
                "quote": one["quote"],
                **{name: one[name] for name in ("page_start", "start_second")},
            }
            for one in self.marks.citations()
        ]

    def metrics(self) -> Mapping[str, Any]:
        """How many citations there are, and how many were dropped."""
        return self.marks.metrics()
