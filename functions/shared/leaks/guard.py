"""The guard itself: it compares a text, piece by piece, with what is known and with the form of finished work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from functions.shared.leaks import known
from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.form import Essay, has_blanks, is_filled, is_finished_code, is_key, normal_cells
from functions.shared.leaks.labels import EDGES, is_blank, is_instruction, label_of
from functions.shared.leaks.reading import Block, blocks_of
from functions.shared.leaks.words import Language, language_of, prepare
from functions.shared.markup.markdown import MAX_MARKDOWN_CHARACTERS, is_readable

CARRIED_WORDS = 60
MIN_QUOTED_WORDS = 4
MIN_SAMPLE_CHARACTERS = 100


class LeakGuard:
    """Checks one text for what must not be in it.

    :param solutions: known solutions, and notes for teachers
    :param task: the task as the student sees it, which may be quoted
    :param judges_form: whether finished work is stopped also where no solution is known: essays, functions, results
    """

    def __init__(self, solutions: Sequence[str], task: str, *, judges_form: bool = True) -> None:
        # a model takes its time before the first piece comes
        prepare()
        self._given = ([one[:MAX_MARKDOWN_CHARACTERS] for one in solutions], task[:MAX_MARKDOWN_CHARACTERS])
        self._is_ready = False
        self._judges_form = judges_form
        self._begin()

    def _read(self) -> None:
        """Reads the task and the solutions, once."""
        solutions, task = self._given
        self._is_ready = True
        language = language_of(task)
        self._sample = task[:MIN_SAMPLE_CHARACTERS]
        self._task = "".join(known.words(task))
        task_blocks = blocks_of(task)
        self._task_code = "".join(known.code_of(task_blocks).split())
        self._task_numbers = known.numbers(known.spelt(task, language)) | known.numbers(task)
        self._blank_tables = [rows for one in task_blocks if has_blanks(rows := normal_cells(one.rows))]
        self._task_claims = known.stated(task, language)[0]
        self._phrases = known.Phrases(solutions, task)
        self._equations: set[tuple[str, str]] = set()
        self._results: set[str] = set()
        self._numbers: set[str] = set()
        self._measures: set[tuple[str, str]] = set()
        self._code: set[tuple[str, ...]] = set()
        for solution in solutions:
            self._learn(solution, language_of(solution))
        self._equations -= known.equations(task)
        self._results -= known.results(task, [formula for one in task_blocks for formula in one.formulas])
        self._numbers -= self._task_numbers
        self._measures -= known.measures(task)
        self._code -= set(known.code_windows(known.code_of(task_blocks)))

    def _learn(self, solution: str, language: Language) -> None:
        blocks = blocks_of(solution)
        text = known.spelt(solution, language)
        self._equations |= known.equations(solution) | known.equations(text)
        self._results |= known.results(solution, [formula for one in blocks for formula in one.formulas])
        self._measures |= known.measures(solution)
        self._numbers |= known.numbers(solution) | known.numbers(text)
        self._code |= set(known.code_windows(known.code_of(blocks)))
        if not any(one.kind == "code" for one in blocks) and looks_like_code(solution):
            self._code |= set(known.code_windows(solution))

    def _begin(self) -> None:
        self._carried: list[str] = []
        self._essay = Essay()
        self._label = ""

    def check(self, text: str) -> None:
        """Checks the next piece of the text, together with what came before it.

        :raise AnswerLeak: the piece must not be shown
        """
        if not is_readable(text):
            # nobody can tell what is in it
            raise AnswerLeak
        if not self._is_ready:
            self._read()
        language = language_of(text if len(text) >= MIN_SAMPLE_CHARACTERS else f"{text}\n{self._sample}")
        found = known.words(text)
        if self._phrases.are_in(self._carried + found):
            raise AnswerLeak
        self._carried = (self._carried + found)[-CARRIED_WORDS:]
        blocks = blocks_of(text)
        self._check_results(text, blocks, language)
        if self._judges_form:
            self._check_form(blocks, language)
        elif not self._code.isdisjoint(known.code_windows(known.code_of(blocks))):
            raise AnswerLeak

    def check_short(self, texts: Iterable[str]) -> None:
        """Checks titles, steps and questions, each alone and all in a row.

        :raise AnswerLeak: one of them must not be shown
        """
        self._begin()
        for text in texts:
            self.check(text)

    def _check_results(self, text: str, blocks: Sequence[Block], language: Language) -> None:
        prose = "\n".join(one.text for one in blocks if one.kind != "code")
        if (known.equations(text) | known.equations(known.equated(prose, language))) & self._equations:
            raise AnswerLeak
        if known.results(prose, [formula for one in blocks for formula in one.formulas]) & self._results:
            raise AnswerLeak
        claims, others = known.stated(prose, language)
        claims = claims - self._task_claims if self._judges_form else claims & self._numbers
        if claims or others & self._numbers or known.measures(prose) & self._measures:
            raise AnswerLeak
        # a number that nobody writes by chance
        striking = {one for one in known.numbers(prose) if is_striking(one)}
        if striking & self._numbers:
            raise AnswerLeak

    def _check_form(self, blocks: Sequence[Block], language: Language) -> None:
        if is_key(blocks):
            raise AnswerLeak
        for block in blocks:
            if self._announces(block, language):
                raise AnswerLeak
            if block.kind == "code":
                if "".join(block.text.split()) in self._task_code:
                    continue
                if is_finished_code(block.text) or not self._code.isdisjoint(known.code_windows(block.text)):
                    raise AnswerLeak
            elif block.kind == "table":
                rows = normal_cells(block.rows)
                if any(is_filled(rows, blank) for blank in self._blank_tables):
                    raise AnswerLeak
            elif self._essay.add(block, language) and not self._is_quoted(block.text):
                raise AnswerLeak

    def _is_quoted(self, text: str) -> bool:
        """Whether a text is a passage of the task."""
        found = known.words(text)
        return len(found) >= MIN_QUOTED_WORDS and "".join(found) in self._task

    def _announces(self, block: Block, language: Language) -> bool:
        """Whether a block is, or follows, the announcement of a solution."""
        waiting, self._label = self._label, ""
        kind, rest = label_of(block.label or block.text) if block.kind in ("heading", "prose", "item") else ("", "")
        if kind and block.label and not rest:
            rest = block.text.strip()[len(block.label) :].lstrip(EDGES)
        if kind and not rest.strip():
            self._label = kind
            return False
        content = rest if kind else block.text
        if not (kind or waiting) or (block.kind == "heading" and not kind):
            return False
        if is_blank(content) or self._is_quoted(content):
            return False
        return block.kind in ("code", "table") or not is_instruction(content, language)


def is_striking(number: str) -> bool:
    """Whether a number is unlikely to be there by chance: one with decimals, or with more than four digits."""
    digits = number.lstrip("-")
    return len(digits) >= 4 if "." in digits else len(digits) >= 5


def looks_like_code(text: str) -> bool:
    """Whether a text without fences is code, as in a description that has no other way to show it."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = sum(line.rstrip().endswith((";", "{", "}", ":", ")")) for line in lines)
    return len(lines) >= 2 and marked * 2 >= len(lines)
