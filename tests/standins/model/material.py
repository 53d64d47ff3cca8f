"""What the stand-in writes for teachers: each kind of material, out of the request and its sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KINDS = ("lesson_plan", "quiz", "rubric", "worksheet", "slides", "summary", "other")
SENTENCE = re.compile(r"(?<=[.!?])\s+")
LONG = re.compile(r"[A-Za-z][A-Za-z-]{4,}")


def write(kind: str, wish: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """Material of a kind.

    :param wish: what the teacher asks for
    :param sources: their texts by number
    """
    facts = [fact for number, text in sources.items() for fact in facts_of(number, text)][:5]
    facts = facts or [(f"This is about: {wish.strip()[:200]}", "", "subject")]
    title = " ".join(wish.split()[:8]).strip(" .,:")[:80] or "Material"
    return {"title": title, **WRITERS[kind](facts)}


def facts_of(number: str, text: str) -> list[tuple[str, str, str]]:
    """Sentences of a source with their citations, and a word of each to ask for."""
    found = []
    lines = (line for line in text.partition("\n\n")[2].splitlines() if not line.startswith("#"))
    for sentence in SENTENCE.split("\n".join(lines)):
        plain = " ".join(sentence.split())
        words = sorted(LONG.findall(plain), key=len)
        if len(plain) > 20 and words:
            quoted = " ".join(plain.split()[:12]).rstrip(".")
            found.append((plain, f' [{number}: "{quoted}"]', words[-1]))
    return found


Facts = list[tuple[str, str, str]]


def lesson_plan(facts: Facts) -> dict[str, Any]:
    """A plan of 45 minutes."""
    return {
        "summary": f"The lesson builds on one statement: {facts[0][0]}{facts[0][1]}",
        "objectives": [f"Explain what *{word}* has to do with it." for _, _, word in facts],
        "materials": ["The text", "Paper"],
        "steps": [
            {"title": "Opening", "minutes": 10, "text": "Students say what they know."},
            {"title": "Core", "minutes": 25, "text": "\n".join(f"- {fact}{mark}" for fact, mark, _ in facts)},
            {"title": "Close", "minutes": 10, "text": "Each student writes one sentence."},
        ],
        "differentiation": ["Give the key words to those who need them."],
        "assessment": "Read the sentences.",
        "homework": "",
        "labels": dict.fromkeys(("objectives", "materials", "steps", "differentiation", "assessment"), "")
        | {"homework": "", "minutes": "min"},
    }


def quiz(facts: Facts) -> dict[str, Any]:
    """A question with choices for each fact, and an open one."""
    words = [word for _, _, word in facts] + ["nothing", "everything"]
    questions = []
    for place, (fact, mark, word) in enumerate(facts):
        others = [other for other in words if other != word][:3]
        choices = [*others[: place % 3], word, *others[place % 3 :]]
        questions.append(
            {
                "prompt": f"Which word is missing? {fact.replace(word, '____')}",
                "choices": choices,
                "correct": [choices.index(word) + 1],
                "answer": "",
                "explanation": f"{fact}{mark}",
                "points": 1,
            }
        )
    questions.append(
        {
            "prompt": "Say in your own words what the text is about.",
            "choices": [],
            "correct": [],
            "answer": f"{facts[0][0]}{facts[0][1]}",
            "explanation": "",
            "points": 3,
        }
    )
    return {"instructions": "Read, then answer.", "questions": questions, "labels": {"answers": "", "points": ""}}


def rubric(facts: Facts) -> dict[str, Any]:
    """Three levels."""
    levels = ["all of it", "half of it", "little of it"]
    return {
        "summary": "For short answers.",
        "levels": [{"name": name, "points": 2 - place} for place, name in enumerate(("Full", "Partly", "Begun"))],
        "criteria": [
            {"name": f"Explains {word}", "descriptions": [f"Says {level}." for level in levels]} for _, _, word in facts
        ],
    }


def worksheet(facts: Facts) -> dict[str, Any]:
    """A task for each fact."""
    tasks = [{"prompt": f"Explain *{word}* in a sentence.", "answer": f"{fact}{mark}"} for fact, mark, word in facts]
    section = {"heading": "Read and explain", "text": "Use the text.", "tasks": tasks}
    return {"instructions": "Work alone.", "sections": [section], "labels": {"answers": ""}}


def slides(facts: Facts) -> dict[str, Any]:
    """A slide for each fact."""
    made = [
        {"title": word.capitalize(), "bullets": [f"{fact}{mark}"], "notes": "Ask why."} for fact, mark, word in facts
    ]
    return {"slides": made, "labels": {"notes": ""}}


def summary(facts: Facts) -> dict[str, Any]:
    """The facts, shorter."""
    return {
        "overview": f"{facts[0][0]}{facts[0][1]}",
        "key_points": [f"{fact}{mark}" for fact, mark, _ in facts],
        "sections": [],
        "terms": [{"term": word, "meaning": "a word of the text"} for _, _, word in facts],
        "labels": {"key_points": "", "terms": ""},
    }


def other(facts: Facts) -> dict[str, Any]:
    """A letter."""
    text = "\n\n".join(f"{fact}{mark}" for fact, mark, _ in facts)
    return {"sections": [{"heading": "What we learn", "text": text}]}


WRITERS = {
    "lesson_plan": lesson_plan,
    "quiz": quiz,
    "rubric": rubric,
    "worksheet": worksheet,
    "slides": slides,
    "summary": summary,
    "other": other,
}
