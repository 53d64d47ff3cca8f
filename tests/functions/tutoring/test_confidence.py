"""How sure answers are: the labelled questions on a real database, and the arithmetic of calibration.

``questions.tsv`` has 400 labelled questions about the 100 fragments of ``fragments.txt``. The half ``fit`` was used to
choose the bounds and to make the calibrator that the schema comes with; the half ``judge`` was only measured. With
``ALL_LABELLED_QUESTIONS=1`` the half ``fit`` is asked, too, and must give that calibrator.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from functions.shared.database import Database
from functions.shared.settings import load_settings
from functions.tutoring.questions import calibration
from functions.tutoring.questions.calibration import MIN_BLOCK_ANSWERS, Pair
from functions.tutoring.questions.confidence import (
    FEATURES,
    MAX_UNCALIBRATED,
    Verdict,
    Written,
    features_of,
    judge,
    score_of,
)
from functions.tutoring.questions.retrieval import Evidence, Term, searched, telling
from scripts.native.stack import Stack
from tests.support import questions
from tests.support.canvas import Student
from tests.support.questions import Seen

Connection = psycopg.Connection[Any]


@pytest.fixture
def ask(stack: Stack, db: Connection, person: Student) -> Iterator[Any]:
    """Asks the labelled questions of a half; the student's material is five documents."""
    texts = questions.fragments()
    for first in range(0, len(texts), 20):
        questions.store_material(db, person.user_id, texts[first : first + 20], f"Notes {first}.pdf")
    db.commit()
    # no vectors, which would add a call for each question and find the same fragments
    settings = dataclasses.replace(load_settings(stack.service_environment()), openai_embedding_model=None)
    database = Database(settings)
    try:
        with ThreadPoolExecutor(4) as pool:
            yield lambda half: list(
                pool.map(
                    lambda one: questions.seen(settings, database.service(), person.user_id, one),
                    questions.labelled(half),
                )
            )
    finally:
        database.close()


def shipped(db: Connection) -> list[list[float]]:
    """The calibrator that the schema comes with."""
    row = db.execute("select steps from public.svc_get_calibrator(null, %s)", (FEATURES,)).fetchone()
    assert row is not None
    return list(row[0])


def test_labelled_questions(ask: Any, db: Connection) -> None:
    table = shipped(db)
    if os.environ.get("ALL_LABELLED_QUESTIONS"):
        fitted = [(score_of(features_of(one.evidence, one.written)), one.labelled.is_answerable) for one in ask("fit")]
        assert calibration.fit(fitted) == table
    found: list[Seen] = ask("judge")
    judged = [(one.labelled, judge(one.evidence, one.written, table)) for one in found]
    assert len(judged) == 200
    chances = [(verdict.chance, one.is_answerable) for one, verdict in judged]
    quality = calibration.quality(chances)
    assert quality.auroc is not None
    assert quality.auroc >= 0.80
    assert quality.ece <= 0.10
    high = [one.is_answerable for one, verdict in judged if verdict.label == "High"]
    assert len(high) >= 40, "High must be given, too"
    assert sum(high) / len(high) >= 0.95
    foreign = [verdict.out_of_scope for one, verdict in judged if one.kind == "foreign"]
    assert sum(foreign) / len(foreign) >= 0.90
    lost = [verdict.out_of_scope for one, verdict in judged if one.is_answerable]
    assert sum(lost) / len(lost) <= 0.05, "what the material answers is in scope"
    print(quality, f"High {len(high)}, right {sum(high)}; out of scope {sum(foreign)} of {len(foreign)}")


# ---- what decides about a label --------------------------------------------------------------------------------------

CHUNK = "c"
WHOLE = Evidence([Term(1, {CHUNK}), Term(2, {CHUNK})], 50, [3.0])
FOREIGN = Evidence([Term(0, ()), Term(0, ()), Term(20, ())], 50, [])
GOOD = Written((CHUNK,), 0, "stop")
SURE = [[0.0, 0.05], [0.9, 0.97]]


def verdict(evidence: Evidence = WHOLE, written: Written = GOOD, table: Any = SURE, **changes: Any) -> Verdict:
    return judge(evidence, dataclasses.replace(written, **changes), table)


def test_only_a_whole_answer_with_true_citations_is_sure() -> None:
    assert (verdict().label, verdict().chance, verdict().score) == ("High", 0.97, 1.0)
    for changes, reason in (
        ({"cited": ()}, "no_source"),
        ({"dropped": 1}, "false_citation"),
        ({"finish_reason": "length"}, "cut_off"),
        ({"finish_reason": None}, "cut_off"),
    ):
        low = verdict(**changes)
        assert (low.label, low.features["forced_low"]) == ("Low", reason)
        assert low.chance < 0.6, "the number says the same as the label"
    assert verdict(dataclasses.replace(WHOLE, is_searched=False)).features["forced_low"] == "not_searched"
    # without a calibrator of these features nothing is High
    assert (verdict(table=None).label, verdict(table=None).chance) == ("Medium", MAX_UNCALIBRATED)
    # no table makes an answer without a source High
    assert verdict(written=Written((), 0, "stop"), table=[[0.0, 0.99]]).label == "Low"
    # a foreign fragment speaks of half the question
    half = Evidence([Term(1, {CHUNK}), Term(1, {"other"})], 50, [3.0, 2.0])
    assert verdict(half).features == {"focus": 0.5, "union": 0.5, "known": 1.0, "forced_low": None}


def test_scope() -> None:
    assert verdict(FOREIGN).out_of_scope
    assert verdict(FOREIGN).label == "Low"
    assert not verdict(dataclasses.replace(FOREIGN, names_subject=True)).out_of_scope
    assert not verdict(FOREIGN, said_scope="in").out_of_scope, "a subject without material"
    assert not verdict(WHOLE).out_of_scope
    assert verdict(WHOLE, said_scope="out", cited=()).out_of_scope
    assert not verdict(WHOLE, said_scope="out").out_of_scope, "what is cited is material"
    # nothing is known: no material, or a question without words
    assert not verdict(Evidence([], 0, [])).out_of_scope
    assert not verdict(Evidence([], 50, [])).out_of_scope


def test_words_that_ask_are_no_evidence() -> None:
    kept = telling("Explain how osmosis works. What does plasmolysis mean?")
    assert re.findall(r"\w+", kept) == ["how", "osmosis", "What", "does", "plasmolysis"]
    assert telling("Erkläre die Osmose").split() == ["die", "Osmose"]
    assert searched('What is -5 and "a b" -x - y?') == "What is 5 and  a b  x - y?"


# ---- calibration -----------------------------------------------------------------------------------------------------


def scattered(seed: int, count: int = 300) -> list[Pair]:
    """Scores, and verdicts that are right with the square of the score."""
    chosen = random.Random(seed)
    scores = [round(chosen.random(), 2) for _ in range(count)]
    return [(score, chosen.random() < score**2) for score in scores]


def test_a_fit_rises_and_is_calibrated() -> None:
    for seed in range(20):
        pairs = scattered(seed)
        table = calibration.fit(pairs)
        assert table[0][0] == 0.0
        assert table == sorted(table)
        rates = [rate for _, rate in table]
        assert rates == sorted(rates)
        edges = [*[first for first, _ in table], 2.0]
        for (low, rate), high in zip(table, edges[1:], strict=True):
            inside = [is_right for score, is_right in pairs if low <= score < high]
            assert len(inside) >= MIN_BLOCK_ANSWERS
            assert rate == round((sum(inside) + 1) / (len(inside) + 2), 3)
        fresh = [(calibration.chance(table, score), is_right) for score, is_right in scattered(seed + 100)]
        raw = [(score, is_right) for score, is_right in scattered(seed + 100)]
        assert calibration.brier(fresh) < calibration.brier(raw)
    # one verdict, one score, only right ones
    assert calibration.fit([(0.7, True)]) == [[0.0, 0.667]]
    assert calibration.fit([(0.4, True)] * 20) == [[0.0, 0.955]]
    with pytest.raises(ValueError, match="no verdicts"):
        calibration.fit([])


def test_no_rising_table_fits_better() -> None:
    """Of all rising steps over a grid, pooled violators have the least squared error; blocks are large enough here."""
    pairs = [(place / 4, is_right) for place, ones in enumerate((6, 3, 12, 9)) for is_right in [True] * ones]
    pairs += [(place / 4, False) for place, ones in enumerate((14, 17, 8, 11)) for _ in range(ones)]
    table = calibration.fit(pairs)
    ours = sum((calibration.chance(table, score) - is_right) ** 2 for score, is_right in pairs)
    grid = [number / 20 for number in range(21)]
    best = min(
        sum((rates[int(score * 4)] - is_right) ** 2 for score, is_right in pairs)
        for rates in itertools.combinations_with_replacement(grid, 4)
    )
    # one answer more on each side costs a little
    assert ours <= best * 1.01


def test_measures() -> None:
    pairs = scattered(1)
    right = [score for score, is_right in pairs if is_right]
    wrong = [score for score, is_right in pairs if not is_right]
    wins = sum((good > bad) + (good == bad) / 2 for good in right for bad in wrong)
    assert calibration.auroc(pairs) == pytest.approx(wins / len(right) / len(wrong))
    assert calibration.auroc([(0.5, True)]) is None
    assert calibration.ece([(1.0, True)] * 10 + [(0.0, False)] * 10) == 0
    assert calibration.ece([(0.8, True)] * 20) == pytest.approx(0.2)
    assert calibration.brier([(0.8, True), (0.8, False)]) == pytest.approx((0.04 + 0.64) / 2)
    assert len(calibration.crossed(pairs)) == len(pairs)
    assert re.fullmatch(r"[a-z]+/\d+", FEATURES)
