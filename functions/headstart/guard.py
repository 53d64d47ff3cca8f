"""The leak guard: a headstart never contains the finished work.

It compares a text with known solutions: runs of words, code without regard to names, and formulas. Text of the task
itself, which the student can see, may be quoted. The guard also refuses the form of finished work: whole essay
paragraphs, whole functions, filled tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from functions.headstart.errors import AnswerLeak
from functions.shared.markup.markdown import MAX_MARKDOWN_CHARACTERS, is_readable

SHINGLE_WORDS = 8
MIN_SOLUTION_WORDS = 4
CODE_WINDOW_TOKENS = 14
MIN_CODE_TOKENS = 8  # different ones in a window, so that brackets and commas alone never match
MIN_ESSAY_WORDS = 110
MIN_MARKED_ESSAY_WORDS = 45
MIN_PROGRAM_LINES = 15
CARRIED_WORDS = 60

WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^(?: {4}|\t)[^\n]*\n?(?:[ \t]*\n)*)+", re.MULTILINE)
TOKEN = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\w\s]")
SIDE = re.compile(r"[\w^().*/+\-√π{},\\]+")
MAX_SIDE_CHARACTERS = 100
ANSWER_IS = re.compile(
    r"(?:answer|result|solution|antwort|ergebnis|lösung|respuesta|réponse)\s{0,5}(?:is|ist|:|=|es|est|lautet)?[\s*_`$]{0,10}"
    r"(-?\d+(?:[.,]\d+)*)",
    re.IGNORECASE,
)
CLAIMED = re.compile(
    r"^[^\w\n]{0,20}(?:here(?:'s| is) (?:the|a|your) (?:complete |full |finished |model )?(?:solution|answer|essay)"
    r"|(?:model|full|complete|final|sample)[ -](?:solution|answer|essay)|answer key)\b",
    re.IGNORECASE | re.MULTILINE,
)
ESSAY_MARK = re.compile(
    r"\b(?:in this (?:essay|paper|report)|this (?:essay|paper) (?:will|argues|examines|explores)|I (?:will|shall)"
    r" (?:argue|show|demonstrate)|in conclusion|to conclude|as this essay has shown)\b",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"\b(?:you|your|yours|yourself|du|dein\w*|dir|dich|ihr|sie|ihnen|tu|tes|ton|vous|votre|vos|tú|tus|usted)\b",
    re.IGNORECASE,
)
FUNCTION_HEAD = re.compile(
    r"^\s*(?:async\s+)?(?:def\s+\w+|(?:export\s+)?(?:async\s+)?function\s+\w+|(?:(?:public|private|protected|static|final"
    r"|inline|const|fn|func|int|void|double|float|bool|boolean|char|long|string|String|auto|let)\s+)+[\w<>\[\]*&]+\s*"
    r"(?:=\s*)?\(|const\s+\w+\s*=\s*(?:async\s*)?\()"
)
PLACEHOLDER = re.compile(
    r"\.\.\.|…|\bTODO\b|\bpass\b|NotImplemented|your (?:code|turn)|fill in|unimplemented|complete this|<[a-z _-]+>",
    re.IGNORECASE,
)
COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|--|\"\"\"|''')")
TABLE_ROW = re.compile(r"[ \t]*\|(.+)\|[ \t]*$")


class LeakGuard:
    """Checks one run's text for what must not be in it.

    :param solutions: known solutions, and notes for teachers
    :param task: the task as the student sees it, which may be quoted
    """

    def __init__(self, solutions: Sequence[str], task: str) -> None:
        task = task[:MAX_MARKDOWN_CHARACTERS]
        task_words = words(task)
        self._task_shingles = set(shingles(task_words, SHINGLE_WORDS))
        self._task_code = set(code_windows(task))
        self._task_equations = equations(task)
        self._task_numbers = {number(found) for found in NUMBER.findall(task)}
        self._task_text = "".join(task.split())
        self._task_tables = [table for table in tables(task) if any(not cell for row in table[1:] for cell in row)]
        self._shingles: dict[int, set[tuple[str, ...]]] = {}
        self._code: set[tuple[str, ...]] = set()
        self._equations: set[tuple[str, str]] = set()
        self._numbers: set[str] = set()
        for solution in (one[:MAX_MARKDOWN_CHARACTERS] for one in solutions):
            found = words(solution)
            size = min(SHINGLE_WORDS, len(found))
            if size >= MIN_SOLUTION_WORDS:
                known = {s for s in shingles(found, size) if not _is_quoted(s, task_words, self._task_shingles)}
                self._shingles.setdefault(size, set()).update(known)
            self._code |= set(code_windows(solution)) - self._task_code
            self._equations |= equations(solution) - self._task_equations
            self._numbers |= {number(found) for found in NUMBER.findall(solution)} - self._task_numbers
        self._carried: list[str] = []

    def check(self, text: str) -> None:
        """Checks the next piece of the text, together with the end of the pieces before it.

        :raise AnswerLeak: the piece must not be shown
        """
        if not is_readable(text):
            raise AnswerLeak
        found = words(text)
        self._compare(self._carried + found)
        if set(code_windows(text)) & self._code or equations(text) & self._equations:
            raise AnswerLeak
        if {number(value) for value in ANSWER_IS.findall(text)} & self._numbers:
            raise AnswerLeak
        self._check_form(text)
        self._carried = (self._carried + found)[-CARRIED_WORDS:]

    def check_short(self, texts: Iterable[str]) -> None:
        """Checks titles, steps and questions, each alone and all in a row.

        :raise AnswerLeak: one of them must not be shown
        """
        self._carried = []
        for text in texts:
            self.check(text)

    def _compare(self, found: list[str]) -> None:
        for size, known in self._shingles.items():
            if not known.isdisjoint(shingles(found, size)):
                raise AnswerLeak

    def _check_form(self, text: str) -> None:
        if CLAIMED.search(text):
            raise AnswerLeak
        for block in code_blocks(text):
            if is_finished_code(block) and "".join(block.split()) not in self._task_text:
                raise AnswerLeak
        prose = INDENTED.sub("\n", FENCE.sub("\n", text))
        for paragraph in re.split(r"\n[ \t]*\n", prose):
            if is_essay_paragraph(paragraph) and "".join(paragraph.split()) not in self._task_text:
                raise AnswerLeak
        for table in tables(text):
            if any(is_filled(table, blank) for blank in self._task_tables):
                raise AnswerLeak


def words(text: str) -> list[str]:
    """The normalised words and numbers of a text."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [number(found) if found[0].isdigit() else found for found in WORD.findall(plain)]


def number(text: str) -> str:
    """A number in one form: 1,000 becomes 1000, 0.50 0.5, 1,5 1.5, and 1.234,50 1234.5."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}\.\d{3},\d+", text):
        text = text.replace(".", "")
    text = text.replace(",", ".")
    if text.count(".") == 1:
        text = text.rstrip("0").rstrip(".")
    return re.sub(r"^0+(?=\d)", "", text)


def shingles(found: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every run of ``size`` words."""
    for start in range(len(found) - size + 1):
        yield tuple(found[start : start + size])


def _is_quoted(shingle: tuple[str, ...], task: list[str], known: set[tuple[str, ...]]) -> bool:
    return shingle in known if len(shingle) == SHINGLE_WORDS else shingle in set(shingles(task, len(shingle)))


def code_blocks(text: str) -> list[str]:
    """Fenced and indented code."""
    fenced = [match.group(2) for match in FENCE.finditer(text)]
    rest = FENCE.sub("\n", text)
    # an indented line in a list is not code
    listed = re.search(r"^[ \t]*(?:[-*+]|\d+[.)])\s", rest, re.MULTILINE)
    return fenced + ([] if listed else INDENTED.findall(rest))


def code_windows(text: str) -> Iterator[tuple[str, ...]]:
    """Runs of code tokens in which names are numbered by their first use, so that renaming changes nothing."""
    for block in code_blocks(text):
        tokens = TOKEN.findall("\n".join(line for line in block.splitlines() if not COMMENT.match(line)))
        for window in shingles(tokens, CODE_WINDOW_TOKENS):
            names: dict[str, str] = {}
            folded = tuple(
                names.setdefault(token, f"n{len(names)}") if token[0].isalpha() or token[0] == "_" else token
                for token in window
            )
            if len(set(folded)) >= MIN_CODE_TOKENS:
                yield folded


def equations(text: str) -> set[tuple[str, str]]:
    """The equations that have a number, without spaces and markup."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"(?<=[\w)}])[ \t]*([=+*/^-])[ \t]*(?=[\w({\\-])", r"\1", re.sub(r"[$`*_]{1,2}", "", plain))
    return {
        (NUMBER.sub(lambda m: number(m.group()), left), NUMBER.sub(lambda m: number(m.group()), right.rstrip(".,")))
        for left, right in sides(plain)
        if any(character.isdigit() for character in right)
    }


def sides(plain: str) -> Iterator[tuple[str, str]]:
    """What stands directly before and after each equals sign."""
    parts = plain.split("=")
    for before, after in pairwise(parts):
        left = SIDE.findall(before[-MAX_SIDE_CHARACTERS:])
        right = SIDE.match(after[:MAX_SIDE_CHARACTERS])
        if left and right and before.endswith(left[-1]):
            yield left[-1].rpartition(",")[2], right.group()


def is_finished_code(block: str) -> bool:
    """Whether code is more than an outline: a function with a body, or a program."""
    lines = [line for line in block.splitlines() if line.strip() and not COMMENT.match(line)]
    if PLACEHOLDER.search(block):
        return False
    heads = [index for index, line in enumerate(lines) if FUNCTION_HEAD.match(line)]
    for index, following in zip(heads, [*heads[1:], len(lines)], strict=False):
        body = [line for line in lines[index + 1 : following] if len(re.findall(r"\w+", line)) >= 1]
        if len(body) >= 2 and any(re.search(r"\b(?:return|print|yield|console\.log|cout)\b", line) for line in body):
            return True
    return len(lines) >= MIN_PROGRAM_LINES


def is_essay_paragraph(paragraph: str) -> bool:
    """Whether a paragraph could be part of a finished essay: long prose that addresses nobody and asks nothing."""
    text = paragraph.strip()
    if not text or text[0] in "#|>-*+" or re.match(r"\d+[.)]\s", text):
        return False
    count = len(words(text))
    if count >= MIN_MARKED_ESSAY_WORDS and ESSAY_MARK.search(text) and not ADDRESS.search(text):
        return True
    return count >= MIN_ESSAY_WORDS and "?" not in text and not ADDRESS.search(text)


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text, as rows of cells with the head first."""
    found: list[list[list[str]]] = []
    current: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        match = TABLE_ROW.match(line)
        if match:
            cells = [" ".join(words(cell)) for cell in match.group(1).split("|")]
            if not re.fullmatch(r"[\s|:-]+", match.group(1)):
                current.append(cells)
        elif current:
            found.append(current)
            current = []
    return found


def is_filled(table: list[list[str]], blank: list[list[str]]) -> bool:
    """Whether a table is one of the task with most of its empty cells filled."""
    if len(table) < 2 or table[0] != blank[0]:
        return False
    empty = sum(not cell for row in blank[1:] for cell in row)
    left = sum(not cell for row in table[1:] for cell in row)
    return len(table) >= len(blank) and left * 2 <= empty
