"""What a stream tells about an answer, live and when it is read again later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DISCLAIMER = (
    "A model wrote this answer, and it may be wrong. Check it against your material, and ask your tutor when in doubt."
)
TOLD = ("confidence", "confidence_score", "out_of_scope", "clarification_question", "tutor_escalation_suggested")


def confidence_part(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part after the text: the confidence, what to do about it, and the notice that a model answers.

    :param told: a row of ``qa_interactions``, or what will be written into it
    """
    return {"type": "data-confidence", "data": {**{name: told[name] for name in TOLD}, "disclaimer": DISCLAIMER}}
