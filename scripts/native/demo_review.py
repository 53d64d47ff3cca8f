"""A chapter of ``./scripts/demo``: a student asks for a review of a small repository.

The repository is at the GitHub stand-in. The scripted model reports two true findings with wrong lines, and one that it
invents; what the review keeps is what stands in the code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from scripts.native.stack import Stack

REPOSITORY = "https://github.com/example/quiz"
MAX_WAIT_SECONDS = 120.0
MIN_FINDINGS = 2

Say = Callable[[str], None]


class Caller(Protocol):
    """The demo's person, as far as this chapter needs them."""

    user_id: str

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def insert(self, table: str, row: dict[str, Any]) -> dict[str, Any]: ...


class ReviewFailed(RuntimeError):
    """The chapter broke off; the message says where."""


def review(stack: Stack, student: Caller, headline: Say, line: Say) -> None:
    """Asks for the review over REST, waits for it and shows its findings.

    :raise ReviewFailed: it failed, or says less than the stand-in's repository deserves
    """
    headline("They have a repository reviewed")
    if not stack.has_github:
        line("GITHUB_API_URL names a real GitHub, so there is no small repository to review")
        return
    asked = student.insert("reviews", {"github_url": REPOSITORY})
    line(f"review {asked['id']} of {REPOSITORY} is {asked['status']}")
    done = _wait(student, asked["id"])
    result = done["result_json"]
    stats = result["stats"]
    line(f"commit {result['commit_sha'][:12]}, {stats['files']} files, {stats['lines']} lines, {stats['languages']}")
    line(f"score {result['score']} of 100; {done['metrics']['findings_dropped']} findings of the model were dropped")
    verified = [one for one in result["findings"] if one["category"] not in ("secret", "lint")]
    if stack.is_scripted and len(verified) < MIN_FINDINGS:
        raise ReviewFailed(f"fewer than two findings were verified: {json.dumps(result)[:800]}")
    for one in result["findings"]:
        line(f"{one['severity']:8} {one['category']:8} {one['file']}:{one['line_start']}  {one['quote'][:70]}")
        line(f"    {one['message']}")


def _wait(student: Caller, review_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        row = student.select("reviews", id=review_id)[0]
        if row["status"] == "completed":
            return row
        if row["status"] == "failed":
            raise ReviewFailed(f"the review failed: {row['error_message']}")
        time.sleep(0.2)
    raise ReviewFailed(f"the review was not done within {MAX_WAIT_SECONDS:.0f} s")
