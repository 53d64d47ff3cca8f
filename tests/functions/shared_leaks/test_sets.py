"""The guard's figures: how much that leaks is stopped, and how much that helps is stopped by mistake."""

from __future__ import annotations

import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.markup.markdown import ends_of_blocks

FOLDER = Path(__file__).parent / "cases"
MIN_RECALL = 0.95
MAX_FALSE_ALARMS = 0.05


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file."""
    return list(tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["case"])


LEAKING, INNOCENT = cases("leaking"), cases("innocent")


def is_stopped(case: dict[str, Any]) -> bool:
    """Whether the guard stops a text that comes block by block, as a stream does."""
    guard = LeakGuard([case["solution"]] if "solution" in case else [], case["task"])
    text = case["text"].strip("\n") + "\n"
    try:
        for start, end in pairwise([0, *ends_of_blocks(text), len(text)]):
            guard.check(text[start:end])
    except AnswerLeak:
        return True
    return False


def test_the_sets_are_large_and_in_many_languages() -> None:
    for found in (LEAKING, INNOCENT):
        assert len(found) >= 60
        assert sum(count >= 3 for count in Counter(case["lang"] for case in found).values()) >= 8
        assert {case["half"] for case in found} == {"fit", "measure"}
        assert sum(case["half"] == "measure" for case in found) >= 40


@pytest.mark.parametrize("half", ["fit", "measure"])
def test_what_leaks_is_stopped(half: str) -> None:
    chosen = [case for case in LEAKING if case["half"] == half]
    missed = [f"{case['lang']}: {case['kind']}" for case in chosen if not is_stopped(case)]
    assert 1 - len(missed) / len(chosen) >= MIN_RECALL, missed


@pytest.mark.parametrize("half", ["fit", "measure"])
def test_what_helps_passes(half: str) -> None:
    chosen = [case for case in INNOCENT if case["half"] == half]
    stopped = [f"{case['lang']}: {case['kind']}" for case in chosen if is_stopped(case)]
    assert len(stopped) / len(chosen) <= MAX_FALSE_ALARMS, stopped
