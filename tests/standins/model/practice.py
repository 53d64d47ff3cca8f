"""What the stand-in writes as practice: gaps in sentences of the material, or sums where there is none; and how it
answers them, from the material alone. The model ``standin-flawed-practice`` puts the flaws first.
"""

from __future__ import annotations

import re
from typing import Any

WRITES = "You write short practice questions"
SOLVES = "You answer practice questions"
FLAWED = "flawed-practice"
SENTENCES = re.compile(r"(?<=[.!?])\s+")
LONG_WORD = re.compile(r"[^\W\d_]{5,}")
GAP = "____"
SUM = re.compile(r"(\d+) \+ (\d+)")
COUNT = re.compile(r"practice questions: (\d+)")
LEVEL = re.compile(r"or near it: (\d+)")


def item(**values: Any) -> dict[str, Any]:
    """A question with the fields that every question has."""
    empty = {"choices": [], "accepted": [], "tolerance": "", "source": 0, "quote": "", "topics": ["material"]}
    return {"kind": "exact", "level": 3, "explanation": "It stands there.", **empty, **values}


def write(model: str, data: dict[str, str], request: str) -> dict[str, Any]:
    """A deck of as many questions as are asked for.

    :param data: the blocks of the request
    :param request: its text outside of the blocks
    """
    count = int(found[1]) if (found := COUNT.search(request)) else 1
    level = int(found[1]) if (found := LEVEL.search(request)) else 3
    sources = {name: text for name, text in data.items() if name.startswith("source_")}
    made = [item(**one, level=level) for one in (_gaps(sources) if sources else _sums(count))]
    flaws = _flaws(made) if model.endswith(FLAWED) else []
    language = "de" if " der " in "".join(sources.values()) else "en"
    return {"language": language, "items": [*flaws, *made][:count]}


def _gaps(sources: dict[str, str]) -> list[dict[str, Any]]:
    """One question for each sentence that has long words."""
    made: list[dict[str, Any]] = []
    for name, text in sources.items():
        for sentence in SENTENCES.split(text.partition("\n\n")[2]):
            sentence = " ".join(sentence.split())
            found = LONG_WORD.findall(sentence)
            if len(found) < 2 or sentence.count(found[-1]) > 1:
                continue
            question = f"Which word is missing? {sentence.replace(found[-1], GAP)}"
            quote = " ".join(sentence.split()[:12])
            number = int(name.removeprefix("source_"))
            made.append({"question": question, "answer": found[-1], "source": number, "quote": quote})
    return made


def _sums(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"What is {n + 2} + {n + 5}?", "answer": str(2 * n + 7), "kind": "numeric", "topics": ["sums"]}
        for n in range(count)
    ]


def _flaws(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A wrong key, two right choices, equal choices, an invented quote, an odd level, and the same question twice."""
    good = made[0]
    shown = good["question"].partition("? ")[2]
    words = [word for word in LONG_WORD.findall(shown) if word != good["answer"]]
    right = good["answer"]
    return [
        {**good, "question": f"Fill in: {shown}", "answer": "nonsense"},
        {**good, "question": f"Which of these stand in this? {shown}", "kind": "choice",
         "choices": [words[0], words[-1], "nonsense"], "answer": words[0]},
        {**good, "kind": "choice", "choices": [right, f"{right.upper()}.", "nonsense"]},
        {**good, "question": f"Once more: {good['question']}", "quote": "words that nobody ever wrote there"},
        {**good, "question": f"How hard? {shown}", "level": 11},
        {**good, "question": f"Say it: {shown}"},
        {**good, "question": f"say  it: {shown}!"},
    ]  # fmt: skip


def solve(data: dict[str, str]) -> dict[str, Any]:
    """An answer to each question."""
    asked = {name: text for name, text in data.items() if name.startswith("question_")}
    return {"answers": [_answer(int(name.removeprefix("question_")), text, data) for name, text in asked.items()]}


def _answer(number: int, text: str, data: dict[str, str]) -> dict[str, Any]:
    lines = text.splitlines()
    source = next((data[f"source_{line[8:]}"] for line in lines if line.startswith("Source: ")), "")
    right, answer = [], ""
    for line in lines:
        place, dot, choice = line.partition(". ")
        if dot and place.isdigit() and choice in text.partition("\n1. ")[0]:
            right.append(int(place))
    if found := SUM.search(text):
        answer = str(int(found[1]) + int(found[2]))
    elif GAP in text:
        before, _, after = next(line for line in lines if GAP in line).partition(GAP)
        before = before.rpartition("? ")[2].rpartition(": ")[2]
        match = re.search(rf"{re.escape(before)}(\S+?){re.escape(after)}", " ".join(source.split()))
        answer = match[1] if match else ""
    return {"number": number, "is_answerable": bool(answer or right), "answer": answer, "right_choices": right}
