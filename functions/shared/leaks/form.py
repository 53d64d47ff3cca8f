"""The form of finished work, whatever the task: whole essays, whole functions, filled tables, keys of answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from functions.shared.leaks.labels import is_blank
from functions.shared.leaks.reading import Block
from functions.shared.leaks.words import IS_UNSPACED, WORD, Language, folded

MIN_ESSAY_WORDS = 90
MIN_MARKED_ESSAY_WORDS = 40
MIN_ITEM_WORDS = 30
MAX_HELP_SHARE = 0.3
MIN_PROGRAM_LINES = 15
MIN_PROGRAM_SCORE = 6.0
QUESTION = re.compile("[?\uff1f\u061f]")
SENTENCE_END = re.compile(r"(?<=[.!?\u2026\u3002\uff01\uff1f\u061f\u0964])[\"'\u00bb\u201d\u2019)]*\s*|\n")

HEAD = re.compile(
    r"[ \t]*(?:(?:async\s+)?(?:def|function|func|fn|fun|sub|procedure|define|defn|let\s+rec)\s+\(?[\w.!?-]+"
    r"|(?:export\s+)?(?:default\s+)?(?:async\s+)?function\s*\w*\s*\(|function\s+[\w\[\], ]+=\s*\w+"
    r"|(?:export\s+)?(?:const|let|var|val)\s+\w+\s*(?::[^=\n]{1,60})?=\s*(?:async\s*)?(?:\([^()\n]{0,120}\)|\w+)\s*=>"
    r"|[\w.]+\s*(?:<-|=)\s*(?:function|lambda)\b"
    r"|(?:(?:public|private|protected|static|final|inline|const|override|virtual|unsigned)\s+){0,4}"
    r"(?:void|int|double|float|bool|boolean|char|long|string|String|auto|List<\w+>|vector<\w+>|int\[\]|\w+\*)"
    r"\s+\w+\s*\([^;\n]*$"
    r"|\w+\s*::\s*[\w\[\] ()=>-]+$)"
)
CONTROL = re.compile(
    r"[ \t}]*(?:if|elif|elsif|else|for|foreach|while|do|switch|case|when|try|catch|except|finally|with|unless|until)\b"
    r"|[ \t]*(?:match|repeat|loop|begin|end)\b",
)
RETURN = re.compile(
    r"[ \t]*(?:return|yield|print|println|puts|echo|console\.log|System\.out|cout|disp|cat|printf)\b(.*)", re.DOTALL
)
LITERAL = re.compile(
    r"[ \t]*(?:let|var|const|val|int|float|double|auto|my|String|string|bool|long)?[ \t]*[$\w., \t]+(?:<-|:=|=)[ \t]*"
    r"(?:-?[\d.]+|\"[^\"]*\"|'[^']*'|\[\]|\{\}|\(\)|c\(\)|list\(\)|dict\(\)|set\(\)|[Nn]one|null|nil|NULL|[Tt]rue|[Ff]alse"
    r"|[01], ?[01])[;, \t]*$"
)
WORK = re.compile(r"[-+*/%<>=]|\w\(|\.\w|\[")
IGNORED = re.compile(
    r"[ \t]*(?:[{}()\[\];,]*|end|fi|done|import\b.*|from\b.*|#include.*|using\b.*|package\b.*|library\(.*|require.*)"
    r"[ \t]*$"
)
COMMENT = re.compile(r"[ \t]*(?:#(?!include)|//|/\*|\*(?!\w)|--|%|\"\"\"|''')")
PLACEHOLDER = re.compile(
    r"(?<![(,])(?<![(,] )\.\.\.(?![\w.])|\u2026|\bTODO\b|^\s*pass\s*$|NotImplemented|your (?:code|turn|answer)"
    r"|fill (?:in|this)|unimplemented|complete (?:this|me)|<[a-z]{1,20}[ _-][a-z _-]{1,30}>|_{3,}|\?\?\?",
    re.IGNORECASE,
)
QUERY = re.compile(r"\bselect\b[^;]{1,2000}?\bfrom\b[^;]{1,2000}?\b(?:where|join|group\s+by|having)\b", re.IGNORECASE)
CHOICE = re.compile(
    r"[(\[]?[a-eA-E][)\].]?|true|false|wahr|falsch|richtig|vrai|faux|verdadero|falso|vero|verdadeiro|prawda|fa\u0142sz"
)


# ---- essays ---------------------------------------------------------------------------------------------------------


def count_words(text: str) -> int:
    """The words of a text. In scripts without spaces, about two characters are one."""
    found = WORD.findall(text)
    single = sum(len(word) == 1 and bool(IS_UNSPACED.match(word)) for word in found)
    return len(found) - single + single * 10 // 18


class Essay:
    """Follows the prose of a text and tells when it is an essay: prose that speaks to nobody and asks nothing."""

    def __init__(self) -> None:
        self._words = 0
        self._sentences = 0
        self._helping = 0
        self._is_marked = False
        self._was_help = False

    def add(self, block: Block, language: Language) -> bool:
        """Adds a block. True when the prose up to here is one of finished work."""
        if block.kind == "heading":
            # "Introduction" opens an essay; under other headings of one it goes on
            if language.essay.search(folded(block.text)):
                self._is_marked = True
            elif not self._is_marked:
                self.__init__()  # type: ignore[misc]
            return False
        if block.kind not in ("prose", "item") or block.formulas == [block.text]:
            return False
        count = count_words(block.text)
        if block.kind == "item" and count < MIN_ITEM_WORDS:
            return False
        sentences = [one for one in SENTENCE_END.split(folded(block.text)) if one.strip()]
        helping = sum(is_help(sentence, language) for sentence in sentences)
        is_help_paragraph = helping * 2 > len(sentences)
        if is_help_paragraph and (len(sentences) > 1 or self._was_help):
            # help ends what might have been an essay; one short sentence may only sound like it
            self.__init__()  # type: ignore[misc]
            self._was_help = True
            return False
        self._was_help = is_help_paragraph
        self._words += count
        self._sentences += len(sentences)
        self._helping += helping
        self._is_marked = self._is_marked or bool(language.essay.search(folded(block.text)))
        if self._helping > MAX_HELP_SHARE * self._sentences:
            return False
        return self._words >= (MIN_MARKED_ESSAY_WORDS if self._is_marked else MIN_ESSAY_WORDS)


def is_help(sentence: str, language: Language) -> bool:
    """Whether a folded sentence speaks to the student or asks."""
    if QUESTION.search(sentence):
        return True
    return bool(language.address.search(sentence) or language.imperative.match(sentence))


# ---- code -----------------------------------------------------------------------------------------------------------


def is_finished_code(code: str) -> bool:
    """Whether code is more than an outline: a function with a body, a query, or a program."""
    lines = [line for line in code.splitlines() if line.strip()]
    placeholders = sum(bool(PLACEHOLDER.search(line)) for line in lines)
    kept = [
        line for line in lines if not COMMENT.match(line) and not IGNORED.match(line) and not PLACEHOLDER.search(line)
    ]
    heads = sum(bool(HEAD.match(line)) for line in kept)
    score = sum(weight_of(line) for line in kept)
    if not placeholders and QUERY.search(code):
        return True
    if heads and score >= (1.5 if not placeholders else 2.5 + 0.5 * (placeholders - 1)):
        return True
    if placeholders > score / 4:
        return False
    return score >= MIN_PROGRAM_SCORE or len(kept) >= MIN_PROGRAM_LINES


def weight_of(line: str) -> float:
    """How much of the work a line does."""
    text = line[:500]
    if HEAD.match(text):
        if text.rstrip().endswith(("{", ":", ",", "(")):
            return 0.0
        # a body on the line of its head
        body = re.split(r"\)\s*\{|=>\s*(?!\{?\s*$)|\)\s*:\s*(?=\S)|lambda[^:]*:", text, maxsplit=1)
        return 1.5 if len(body) > 1 and WORK.search(body[1]) else 0.0
    found = RETURN.match(text)
    if found:
        return 1.0 if WORK.search(found[1].strip("(); \t\"'")) else 0.5
    if CONTROL.match(text):
        return 1.0 if re.search(r"\breturn\b.*[-+*/\w]|\)\s*\w+.*;|:\s*\w+.*[=(]", text) else 0.5
    if LITERAL.match(text):
        return 0.5
    return 1.0 if WORK.search(text) else 0.0


# ---- tables and keys ------------------------------------------------------------------------------------------------


def normal_cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Cells in one form; what only leaves room is empty."""
    return [
        ["" if is_blank(cell) else " ".join(WORD.findall(folded(cell)) or [cell.strip()]) for cell in row]
        for row in rows
    ]


def has_blanks(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table leaves cells to fill."""
    return any(not cell for row in rows[1:] for cell in row)


def is_filled(table: Sequence[Sequence[str]], blank: Sequence[Sequence[str]]) -> bool:
    """Whether a table is one of the task with most of its empty cells filled."""
    if len(table) < 2 or len(blank) < 2:
        return False
    given = {row[0] for row in blank[1:] if row and row[0]}
    same_rows = len(given.intersection(row[0] for row in table[1:] if row)) * 2 > len(given) > 0
    if list(table[0]) != list(blank[0]) and not (same_rows and len(table[0]) == len(blank[0])):
        return False
    empty = sum(not cell for row in blank[1:] for cell in row)
    left = sum(not cell or cell.endswith("?") for row in table[1:] for cell in row)
    return len(table) * 2 > len(blank) and left * 2 <= empty


def is_key(blocks: Sequence[Block]) -> bool:
    """Whether items in a row are nothing but choices: 1. b, 2. d, 3. a."""
    run = 0
    for block in blocks:
        is_choice = block.kind == "item" and CHOICE.fullmatch(block.text.strip().rstrip(".").casefold()) is not None
        run = run + 1 if is_choice else 0
        if run >= 3:
            return True
    return False
