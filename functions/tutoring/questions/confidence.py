"""How likely an answer is right, from evidence: what was found, what was cited, how the text ended. Never from the
model's own word.

A score from 0 to 1 is made of the evidence, a calibrator makes a chance of it, and the chance gets a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from functions.tutoring.questions.calibration import Table, chance
from functions.tutoring.questions.retrieval import Evidence

# raise it when the score of the same evidence changes: calibrators of another version are not used
FEATURES = "evidence/1"
HIGH, MEDIUM = 0.85, 0.6
# a question of which the material, whatever the words, speaks less is about something else
MIN_SCOPE_SHARE = 0.45
# how far a chance without a calibrator may go, so that nothing is called High that nobody judged
MAX_UNCALIBRATED = 0.8
WEIGHTS = {"focus": 0.6, "union": 0.25, "known": 0.15}

Label = Literal["High", "Medium", "Low"]


@dataclass(frozen=True)
class Written:
    """What is known of the answer itself.

    :param cited: the fragments with a citation whose words stand in them
    :param dropped: citations whose words do not
    :param said_scope: ``in`` or ``out``, as the model marked it
    """

    cited: Sequence[str]
    dropped: int
    finish_reason: str | None
    clarification: str | None = None
    said_scope: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said about an answer."""

    label: Label
    chance: float
    score: float
    out_of_scope: bool
    features: Mapping[str, Any]


def features_of(evidence: Evidence, written: Written) -> dict[str, float]:
    """The evidence in numbers from 0 to 1.

    focus: which part of the question the best cited fragment speaks of; union: all cited ones together; known: all of
    the student's material.
    """
    return {
        "focus": max((evidence.share({one}) for one in written.cited), default=0.0),
        "union": evidence.share(set(written.cited)),
        "known": evidence.share(),
    }


def score_of(features: Mapping[str, float]) -> float:
    """The score of the evidence, to three digits."""
    return round(min(1.0, max(0.0, sum(WEIGHTS[name] * features[name] for name in WEIGHTS))), 3)


def is_out_of_scope(evidence: Evidence, written: Written) -> bool:
    """Whether the question is neither about the student's subjects nor about their material.

    The words decide where there is material. The model's mark can take a question in, and out where nothing is cited.
    """
    if written.said_scope == "out" and not written.cited:
        return True
    is_foreign = bool(evidence.total and evidence.terms) and evidence.share() < MIN_SCOPE_SHARE
    return is_foreign and not evidence.names_subject and written.said_scope != "in"


def forced_low(evidence: Evidence, written: Written) -> str | None:
    """Why an answer is Low whatever its score; None when nothing forces it."""
    if not evidence.is_searched:
        return "not_searched"
    if written.finish_reason != "stop":
        return "cut_off"
    if written.dropped:
        return "false_citation"
    return None if written.cited else "no_source"


def judge(evidence: Evidence, written: Written, table: Table | None) -> Verdict:
    """What is said about an answer.

    :param table: the calibrator; without one the score counts, and nothing is High
    """
    features = features_of(evidence, written)
    score = score_of(features)
    value = min(score, MAX_UNCALIBRATED) if table is None else chance(table, score)
    reason, is_out = forced_low(evidence, written), is_out_of_scope(evidence, written)
    label: Label = "High" if value >= HIGH and written.cited else "Medium" if value >= MEDIUM else "Low"
    if reason or is_out:
        label = "Low"
        # the number says the same as the label
        value = min(value, MEDIUM - 0.01)
    told = {**{name: round(number, 3) for name, number in features.items()}, "forced_low": reason}
    return Verdict(label, round(value, 2), score, is_out, told)
