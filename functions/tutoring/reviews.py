"""When an item should be answered again: FSRS-6 by the package ``fsrs``, without steps within a day or chance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import fsrs

SCHEDULER_VERSION = f"fsrs {version('fsrs')}"
RETENTION = 0.9
# every review is on another day; the package's own fuzz would make two computations differ
_scheduler = fsrs.Scheduler(desired_retention=RETENTION, learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def next_review(seen: Mapping[str, Any] | None, *, is_pass: bool, at: datetime) -> dict[str, Any]:
    """The review after an answer, as ``svc_record_answer`` takes it.

    :param seen: the row of ``practice_reviews`` that was read, or None
    :param at: when it was answered; a time before the last review counts as that review's
    """
    known = fsrs.Card(card_id=0)
    if seen is not None:
        last = datetime.fromisoformat(seen["last_review_at"]).astimezone(UTC)
        at = max(at, last)
        known = fsrs.Card(
            card_id=0,
            state=fsrs.State(seen["state"]),
            step=seen["step"],
            stability=seen["stability"],
            difficulty=seen["difficulty"],
            due=datetime.fromisoformat(seen["due_at"]).astimezone(UTC),
            last_review=last,
        )
    # the package accepts the one zone UTC only
    found, _ = _scheduler.review_card(known, fsrs.Rating.Good if is_pass else fsrs.Rating.Again, at.astimezone(UTC))
    return {
        "state": int(found.state),
        "step": found.step,
        "stability": found.stability,
        "difficulty": found.difficulty,
        "due_at": found.due.isoformat(),
        "last_review_at": at.astimezone(UTC).isoformat(),
        "scheduler_version": SCHEDULER_VERSION,
    }
