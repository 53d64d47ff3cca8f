"""What a model is asked for. Everything it says is checked against the repository afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

SEVERITIES = ("critical", "high", "medium", "low", "info")
# secret and lint are ours: a model cannot use them
CATEGORIES = ("bug", "security", "performance", "maintainability", "testing", "documentation", "style")
# what models say instead
OTHER_WORDS = {
    "blocker": "critical", "error": "high", "major": "high", "warning": "medium", "moderate": "medium",
    "minor": "low", "note": "info", "informational": "info", "secret": "security", "vulnerability": "security",
    "correctness": "bug", "reliability": "bug", "error_handling": "bug", "lint": "style", "tests": "testing",
    "docs": "documentation", "readability": "maintainability", "design": "maintainability",
}  # fmt: skip


def _severity(value: Any) -> Any:
    return _word(value, SEVERITIES, "info")


def _category(value: Any) -> Any:
    return _word(value, CATEGORIES, "maintainability")


def _word(value: Any, allowed: tuple[str, ...], other: str) -> Any:
    """One of our words for a model's; one odd word must not cost the whole answer."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower().replace(" ", "_").replace("-", "_")
    word = OTHER_WORDS.get(word, word)
    return word if word in allowed else other


class Said(BaseModel):
    """A finding as a model states it. ``quote`` should stand in the file at these lines."""

    severity: Annotated[Literal["critical", "high", "medium", "low", "info"], BeforeValidator(_severity)]
    category: Annotated[
        Literal["bug", "security", "performance", "maintainability", "testing", "documentation", "style"],
        BeforeValidator(_category),
    ]
    file: str
    line_start: int
    line_end: int
    quote: str
    message: str
    suggestion: str


class CodeReview(BaseModel):
    """A review of files."""

    findings: list[Said] = Field(max_length=200)
    good_practices: list[str]
    improvements: list[str]
    summary: str


class Overview(BaseModel):
    """What the reviews of a repository's parts come to."""

    good_practices: list[str]
    improvements: list[str]
    summary: str
