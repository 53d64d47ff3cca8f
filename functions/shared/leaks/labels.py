"""Lines that announce a solution, in every language: "Model solution:", "Musterlösung", "参考答案"."""

from __future__ import annotations

import re
from functools import cache

from functions.shared.leaks.words import IS_UNSPACED, Language, all_words, folded

MAX_LABEL_CHARACTERS = 80
MAX_OPENING_CHARACTERS = 40
EDGES = (
    " \t\n\r*_~`#>|\"'()[]{}<>0123456789.-=:\u00ab\u00bb\u201e\u201c\u201d\u2018\u2019"
    "\u3010\u3011\u300c\u300d\u300e\u300f\u300a\u300b\u2013\u2014\u2022\u00b7\uff1a"
)
SEPARATOR = re.compile(r"[:\uff1a]|\s[-\u2013\u2014]\s|\n")
BLANK = re.compile(r"[\s_.\u2026?\uff1f!*#>|~`()\[\]\u25a1\u2610\u2013\u2014-]*")
LIST_MARK = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
WORDS = re.compile(r"[^\s,;:\uff1a/&()\[\]\u2013\u2014]+")
# what may stand around the words of a label and says nothing
FILLERS_TEXT = """
the a an your our my to for of and or is with only key all this these der die das den dem des ein eine zu zur
zum für von und le la les l' un une de du d' et pour à el los las una y para o os as um uma do da dos il lo
gli i per della del dei delle e het een voor van en det ett och till av på og til на к и для по na dla w z ke
so could might would can be look like könnte kann wäre lauten lautet aussehen dein deine deinen deiner sein
euer eure ihr ihre votre vos ton ta tes pourrait être ressembler tu tus su sus podría puede ser sería seu sua
poderia seria tuo tua potrebbe essere sarebbe jouw je kan zou zijn twoja twój mogłaby brzmieć может быть твой
ваш example no. nr. part question exercise task problem aufgabe teil frage exercice ejercicio pregunta
esercizio opgave
"""
FILLERS = frozenset(folded(FILLERS_TEXT).split())
# "your answer could be": what follows is one
MODALS = ("could", "might", "könnte", "pourrait", "podría", "poderia", "potrebbe", "zou kunnen", "mogłaby", "может")


@cache
def nouns() -> tuple[str, ...]:
    """What announces a solution, the longest first."""
    return tuple(sorted(all_words("solution") | all_words("work"), key=len, reverse=True))


@cache
def models() -> tuple[str, ...]:
    """What makes such a word a finished one, the longest first."""
    return tuple(sorted(all_words("model"), key=len, reverse=True))


@cache
def openings() -> tuple[str, ...]:
    """What hands something over, the longest first."""
    return tuple(sorted(all_words("here"), key=len, reverse=True))


def label_of(line: str) -> tuple[str, str]:
    """What a line announces, ``model``, ``plain`` or nothing, and what stands behind the announcement in it."""
    text = line.strip()
    head = SEPARATOR.split(text, 1)
    first = head[0][: MAX_LABEL_CHARACTERS + 1]
    rest = text[len(head[0]) :].lstrip(" \t\n\r:\uff1a-\u2013\u2014*_") if len(head) > 1 else ""
    kind = kind_of(first)
    if kind:
        return kind, rest
    # "Model solution The current is ...": a capital or a digit begins what it announces
    found = re.match(r"[\W_]*(\w[\w'-]*(?:\s\w[\w'-]*){1,2})\s+(?=[A-Z0-9\"$])", text[:MAX_LABEL_CHARACTERS])
    if found and kind_of(found[1]) == "model":
        return "model", text[found.end() :]
    return "", ""


def kind_of(text: str) -> str:
    """Whether a text is nothing but the name of a solution, and whether of a finished one."""
    plain = folded(text).strip(EDGES)
    if not plain or len(plain) > MAX_LABEL_CHARACTERS:
        return ""
    handed = next((one for one in openings() if plain.startswith(one)), "")
    left = plain.removeprefix(handed).strip(EDGES) if handed else plain
    noun = next((one for one in nouns() if has(left, one)), "")
    if not noun:
        return ""
    left = without(left, noun)
    is_model = bool(handed) or any(has(plain, word) for word in (*models(), *MODALS))
    for word in models():
        if has(left, word):
            left = without(left, word)
    # the same noun in another form, as in "answers and solutions"
    for word in nouns():
        if has(left, word):
            left = without(left, word)
    rest = [word for word in WORDS.findall(left) if word.strip(EDGES) and word.strip(EDGES) not in FILLERS]
    rest = [word for word in rest if not re.fullmatch(r"[a-z\u0430-\u044f]|[ivx]{1,4}", word.strip(EDGES))]
    if rest:
        return ""
    if is_model:
        return "model"
    return "" if noun in all_words("work") else "plain"


def has(text: str, word: str) -> bool:
    """Whether a text has a word or a phrase."""
    if IS_UNSPACED.search(word):
        return word in text
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not (text[:start][-1:].isalnum() or text[end : end + 1].isalnum()):
            return True
        start = text.find(word, start + 1)
    return False


def without(text: str, word: str) -> str:
    """A text without a word."""
    return text.replace(word, " ", 1)


def is_blank(text: str) -> bool:
    """Whether there is room for an answer and no answer."""
    return BLANK.fullmatch(LIST_MARK.sub("", text)) is not None


def is_instruction(text: str, language: Language) -> bool:
    """Whether a text begins with what the student shall do, or is a question."""
    plain = folded(text).strip()
    if plain.endswith(("?", "\uff1f", "\u061f")):
        return True
    return bool(language.imperative.match(plain) or language.address.search(plain[:MAX_OPENING_CHARACTERS]))


def ends_solution(line: str) -> bool:
    """Whether a line begins something else than a solution, such as how to hand in."""
    plain = folded(line).strip(EDGES)
    return any(
        plain == word or (plain.startswith(word) and not plain[len(word)].isalnum()) for word in all_words("ends")
    )
