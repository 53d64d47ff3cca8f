"""The engineer notes of a week, out of a completed review. No model takes part: everything was said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.programme.reviews.address import read_address
from functions.programme.reviews.findings import prose

MAX_RECOMMENDATIONS = 10
MAX_DEBTS = 20
MAX_PRACTICES = 5
MAX_PRACTICE_CHARACTERS = 300
DEBT = frozenset({"maintainability", "performance", "testing", "documentation", "style", "lint"})


def notes_of(
    github_url: str, result: Mapping[str, Any], good_practices: Sequence[str], improvements: Sequence[str]
) -> dict[str, Any]:
    """The columns of a row of ``engineer_notes``: recommendations and debts name the file and line they come from."""
    findings = result["findings"]
    return {
        "repository_url": read_address(github_url).page,
        "analysis_summary": result["summary"],
        "code_quality_score": result["score"],
        "recommendations": [
            {**_place(one), "text": one["suggestion"] or one["message"]}
            for one in findings
            if one["category"] not in DEBT or one["severity"] in ("critical", "high")
        ][:MAX_RECOMMENDATIONS],
        "technical_debt_items": [
            {**_place(one), "text": one["message"]} for one in findings if one["category"] in DEBT
        ][:MAX_DEBTS],
        "best_practices_followed": sentences(good_practices),
        "areas_for_improvement": sentences(improvements),
        "content": {"commit_sha": result["commit_sha"]},
    }


def sentences(texts: Sequence[str]) -> list[str]:
    """A model's short sentences, safe to show, without the empty ones."""
    shown = (prose(" ".join(text.split()), MAX_PRACTICE_CHARACTERS) for text in texts[:MAX_PRACTICES])
    return [text for text in shown if text]


def _place(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {"severity": finding["severity"], "file": finding["file"], "line": finding["line_start"]}
