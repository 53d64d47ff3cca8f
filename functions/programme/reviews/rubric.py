"""The score of a review, computed from verified findings and facts alone. docs/programme.md explains it.

A model's opinion of the whole plays no part, so the same findings always give the same score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# points that a finding costs
COSTS: Mapping[str, float] = {"critical": 15, "high": 8, "medium": 4, "low": 1, "info": 0}
# the most that one category may cost, so that a hundred remarks on style do not weigh like a hole
MAX_COSTS: Mapping[str, float] = {"style": 10, "documentation": 10, "lint": 15, "testing": 20, "maintainability": 25}
MAX_COST = 45.0
NO_README, NO_TESTS = 5.0, 10.0


def score(findings: Iterable[Mapping[str, Any]], *, has_readme: bool, has_tests: bool) -> int:
    """0 to 100: 100 less what the findings cost, less 5 without a README and 10 without tests."""
    costs: dict[str, float] = {}
    for finding in findings:
        category = finding["category"]
        costs[category] = costs.get(category, 0.0) + COSTS[finding["severity"]]
    lost = sum(min(cost, MAX_COSTS.get(category, MAX_COST)) for category, cost in costs.items())
    lost += (0 if has_readme else NO_README) + (0 if has_tests else NO_TESTS)
    return max(0, round(100 - lost))
