"""What the stand-in says in Socratic sessions: questions, and insights that quote the learner's lines."""

from __future__ import annotations

import re
from typing import Any

QUESTIONS = (
    "What do you already know about this, and where do you feel unsure?",
    "You have seen something there. What would change if it were missing?",
    "What would be your own first step, and why that one?",
    "How could you check that without asking anybody?",
)
LINE = re.compile(r"^(\d+)\. Learner: (.*)$", re.MULTILINE)
MAX_WORDS = 8
MAX_INSIGHTS = 4


def turn(messages: list[dict[str, Any]]) -> str:
    """The next question."""
    asked = sum(message.get("role") == "assistant" for message in messages)
    return QUESTIONS[asked % len(QUESTIONS)]


def insights(dialogue: str) -> dict[str, Any]:
    """An insight for each of the learner's lines, at most four."""
    found = [
        {
            "text": f"Line {number} says where you stand.",
            "quote": " ".join(said.split()[:MAX_WORDS]),
            "line": int(number),
        }
        for number, said in LINE.findall(dialogue)[:MAX_INSIGHTS]
    ]
    return {"insights": found, "count": len(found)}
