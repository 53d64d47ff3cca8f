"""What a text has in common with known solutions: words, characters, numbers, formulas, code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

from functions.shared.leaks.reading import Block
from functions.shared.leaks.words import IS_UNSPACED, WORD, Language, all_words, folded, languages

SHINGLE_WORDS = 8
SHORT_SHINGLE_WORDS = 5
MIN_SHORT_HITS = 4
SHINGLE_CHARACTERS = 12
MIN_SOLUTION_WORDS = 4
CODE_WINDOW_TOKENS = 14
MIN_CODE_TOKENS = 8  # different ones in a window, so that brackets and commas alone never match
CONTEXT_CHARACTERS = 60
# numbers and equals signs that are looked at in one text; no document has more
MAX_LOOKS = 1000

NUMBER = re.compile(r"(?<![A-Za-z0-9_.,])[-\u2212]?\d{1,30}(?:[.,]\d{1,15}){0,6}(?![\w]*[\d])")
TOKEN = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[^\W\d]\w*|\d+(?:\.\d+)?|<-|[^\w\s]")
COMMENT = re.compile(r"[ \t]*(?:#|//|/\*|\*|--|%|\"\"\"|''')")
SIDE = re.compile(r"[\w^().*/+\-√π{}!,]{1,60}")
LATEX = (
    (re.compile(r"\\(?:left|right|displaystyle|,|;|:|!|quad|qquad| )|\\(?:text|mathrm|operatorname|mathbf)(?=\{)"), ""),
    (re.compile(r"\\[dt]?frac\{([^{}]{1,60})\}\{([^{}]{1,60})\}"), r"(\1)/(\2)"),
    (re.compile(r"\\(?:cdot|times|ast)"), "*"),
    (re.compile(r"\\(?:approx|equiv|iff|Rightarrow|implies|to)"), "="),
    (re.compile(r"\\sqrt\{([^{}]{1,60})\}"), r"√(\1)"),
    (re.compile(r"\\pi"), "π"),
    (re.compile(r"\\boxed(?=\{)"), ""),
)
POINTERS = ("≈", "=", "→", "⇒", "∴", ":")


def words(text: str) -> list[str]:
    """The folded words and numbers of a text; characters of scripts without spaces count as words."""
    return [number(found) if found[0].isdigit() else found for found in TEXT.findall(folded(text))]


TEXT = re.compile(rf"\d+(?:[.,]\d+)*|{WORD.pattern}")


def number(text: str) -> str:
    """A number in one form: 1,000 becomes 1000, 0.50 0.5, 1,5 1.5, and 1.234,50 1234.5."""
    text = text.replace("\u2212", "-")
    if re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"-?\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|-?\d{1,3}\.\d{3},\d+", text):
        text = text.replace(".", "")
    text = text.replace(",", ".")
    if text.count(".") == 1:
        text = text.rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0+(?=\d)", r"\1", text)


def shingles(found: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every run of ``size`` words."""
    for start in range(len(found) - size + 1):
        yield tuple(found[start : start + size])


class Phrases:
    """Runs of words of known solutions that are not in the task."""

    def __init__(self, solutions: Iterable[str], task: str) -> None:
        self._runs: dict[int, set[tuple[str, ...]]] = {}
        self._short: set[tuple[str, ...]] = set()
        self._characters: set[tuple[str, ...]] = set()
        task_words = words(task)
        quoted = {size: set(shingles(task_words, size)) for size in range(MIN_SOLUTION_WORDS, SHINGLE_WORDS + 1)}
        quoted_characters = set(shingles(task_words, SHINGLE_CHARACTERS))
        for solution in solutions:
            found = words(solution)
            if sum(bool(IS_UNSPACED.match(word)) for word in found) * 2 > len(found):
                self._characters.update(set(shingles(found, SHINGLE_CHARACTERS)) - quoted_characters)
                continue
            size = min(SHINGLE_WORDS, len(found))
            if size >= MIN_SOLUTION_WORDS:
                self._runs.setdefault(size, set()).update(set(shingles(found, size)) - quoted[size])
                self._short.update(set(shingles(found, SHORT_SHINGLE_WORDS)) - quoted[SHORT_SHINGLE_WORDS])

    def are_in(self, found: list[str]) -> bool:
        """Whether words contain a run of a solution, or many short ones."""
        for size, known in self._runs.items():
            if not known.isdisjoint(shingles(found, size)):
                return True
        if self._characters and not self._characters.isdisjoint(shingles(found, SHINGLE_CHARACTERS)):
            return True
        if not self._short:
            return False
        return len(self._short.intersection(shingles(found, SHORT_SHINGLE_WORDS))) >= MIN_SHORT_HITS


# ---- numbers and formulas -------------------------------------------------------------------------------------------


def flat(formula: str) -> str:
    """A formula in one form: LaTeX as plain signs, without spaces and marks."""
    text = formula
    for pattern, plain in LATEX:
        text = pattern.sub(plain, text)
    text = folded(text)
    text = re.sub(r"[\s$`*_\\]", lambda found: "*" if found[0] == "*" else "", text)
    text = re.sub(r"\(([\w.,]+)\)", r"\1", text.replace("{", "(").replace("}", ")").replace("\u2212", "-"))
    return NUMBER.sub(lambda found: number(found[0]), text).rstrip(".,;:")


def equations(text: str) -> set[tuple[str, str]]:
    """What stands on both sides of each equals sign, where the right side has a number or is a formula."""
    found: set[tuple[str, str]] = set()
    spaced = text
    for pattern, plain in LATEX:
        spaced = pattern.sub(plain, spaced)
    spaced = re.sub(r"[$`]|\*\*|__|\\[()\[\]]", "", folded(spaced))
    spaced = re.sub(r"(?<=[\w)}])[ \t]{1,5}(?=[+*/^=-])|(?<=[+*/^=-])[ \t]{1,5}(?=[\w({√-])", "", spaced)
    parts = spaced.split("=", MAX_LOOKS)
    for index in range(len(parts) - 1):
        left = re.findall(r"[\w^().*/+\-√π{}!]+$", parts[index][-60:].rstrip())
        right = SIDE.match(parts[index + 1][:120].lstrip())
        if left and right and any(character.isdigit() for character in right[0]):
            found.add((flat(left[0].lstrip("-")), flat(right[0])))
    return found


def results(text: str, formulas: Iterable[str]) -> set[str]:
    """Formulas that could be results: right sides and whole formulas of some length."""
    found = {right for _, right in equations(text) if len(right) >= 4 and not right.isdigit()}
    for formula in formulas:
        found |= {side for part in formula.split("=") if len(side := flat(part)) >= 5 and re.search(r"[^\w.]", side)}
    return found


def numbers(text: str) -> set[str]:
    """The numbers of a text."""
    return {number(found) for found in NUMBER.findall(text)}


def spelt(text: str, language: Language) -> str:
    """A text with number words as digits: forty-two becomes 42."""
    if not language.numbers:
        return text

    def digits(match: re.Match[str]) -> str:
        parts = [
            language.numbers.get(part, -1)
            for part in re.split(r"[\s-]+|\band\b|\bund\b|\by\b|\be\b|\bet\b", match[0])
            if part
        ]
        if match[0] in language.numbers:
            return str(language.numbers[match[0]])
        if -1 in parts or not parts or any(later >= earlier for earlier, later in pairwise(parts)):
            return match[0]
        return str(sum(parts))

    names = "|".join(sorted(map(re.escape, language.numbers), key=len, reverse=True))
    joint = r"(?:[\s-]|\s?(?:and|und|y|e|et)\s)"
    return re.sub(rf"(?<!\w)(?:{names})(?:{joint}(?:{names})){{0,3}}(?!\w)", digits, folded(text))


def equated(text: str, language: Language) -> str:
    """A text whose number words are digits and whose verbs before numbers are equals signs: x is five becomes x=5."""
    verbs = "|".join(re.escape(word) for word in language.copulas if len(word) > 1)
    return re.sub(rf"\s(?:{verbs or '='})\s(?=-?\d)", " = ", spelt(text, language))


def stated(text: str, language: Language) -> tuple[set[str], set[str]]:
    """Numbers that a text states as results: behind "the answer is", and behind any "is", "you get" or arrow."""
    plain = spelt(folded(text), language)
    claims: set[str] = set()
    others: set[str] = set()
    for match in islice(NUMBER.finditer(plain), MAX_LOOKS):
        before = plain[max(0, match.start() - CONTEXT_CHARACTERS) : match.start()].rstrip(" \t*_`$({\\[")
        after = re.match(r"[\s*_`$)}%-]*([^\W\d_]+)?", plain[match.end() : match.end() + 30])
        unit = after[1] if after else None
        if unit and unit in all_words("work_units"):
            continue
        clause = re.split(r"[.!?;\n。]", before)[-1]
        if any(is_answer(clause, one) for one in languages().values()):
            claims.add(number(match[0]))
        if clause.endswith((*language.copulas, *POINTERS)):
            others.add(number(match[0]))
    return claims, others


def is_answer(clause: str, language: Language) -> bool:
    """Whether what stands before a number makes it the answer, in one language."""
    noun = next((word for word in language.solution if has_noun(clause, word)), "")
    if not noun:
        return False
    if clause.endswith((*language.copulas, *POINTERS)):
        return True
    return language.is_verb_final and len(clause) - clause.rfind(noun) - len(noun) <= 4


def measures(text: str) -> set[tuple[str, str]]:
    """Each number with the unit behind it."""
    found = re.finditer(rf"({NUMBER.pattern})[\s*_`$]{{0,4}}([^\W\d_]{{1,20}}[²³]?)", folded(text))
    units = all_words("work_units")
    return {(number(match[1]), match[2]) for match in found if match[2] not in units}


def has_noun(clause: str, noun: str) -> bool:
    """Whether a clause has a word of solutions, as a word."""
    index = clause.rfind(noun)
    if index < 0:
        return False
    return bool(IS_UNSPACED.match(noun)) or not (
        clause[:index][-1:].isalpha() or clause[index + len(noun) :][:1].isalpha()
    )


# ---- code -----------------------------------------------------------------------------------------------------------


def code_windows(code: str) -> Iterator[tuple[str, ...]]:
    """Runs of code tokens in which names are numbered by their first use, so that renaming changes nothing."""
    found = TOKEN.findall("\n".join(line for line in code.splitlines() if not COMMENT.match(line)))
    for window in shingles(["=" if one == "<-" else one for one in found], CODE_WINDOW_TOKENS):
        names: dict[str, str] = {}
        renamed = tuple(
            names.setdefault(token, f"n{len(names)}") if token[0].isalpha() or token[0] == "_" else token
            for token in window
        )
        if len(set(renamed)) >= MIN_CODE_TOKENS and sum(not token[0].isalnum() for token in window) >= 4:
            yield renamed


def code_of(blocks: Iterable[Block]) -> str:
    """All code of a text."""
    return "\n".join(block.text for block in blocks if block.kind == "code")
