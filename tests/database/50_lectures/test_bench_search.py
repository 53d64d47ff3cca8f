"""The benchmark of the search reads the Cranfield format and measures what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.benchmarks import search

ABSTRACTS = """.I 1
.T
boundary layers on a flat plate
.A
somebody
.W
boundary layers on a flat plate are
laminar at low reynolds numbers .
.I 2
.T
heat transfer
.W
heat is transferred to the wall by a turbulent flow .
.I 3
.T
an empty one
.W
"""
QUESTIONS = """.I 001
.W
when is the boundary layer laminar .
.I 004
.W
how is heat transferred by turbulence in pipes .
"""
JUDGED = "1 1 2\n1 2 -1\n2 2 4\n2 1 0\n"


def test_the_format_of_the_collection_is_read() -> None:
    first, second, third = search.records(ABSTRACTS)
    assert (first["I"], first["T"]) == ("1", "boundary layers on a flat plate")
    assert first["W"] == "boundary layers on a flat plate are laminar at low reynolds numbers ."
    assert (second["I"], third["W"]) == ("2", "")
    assert search.judged(JUDGED) == {1: {"1": 1}, 2: {"2": 1}}, "questions count from 1, whatever their number"


def test_the_measures_are_those_of_the_books() -> None:
    perfect = search.scores([["a", "b"]], [{"a": 1, "b": 1}])
    assert perfect == {"R@10": 1.0, "MRR@10": 1.0, "nDCG@10": 1.0, "empty": 0.0}
    second = search.scores([["x", "a"], []], [{"a": 1}, {"b": 1}])
    assert second["R@10"] == 0.5
    assert second["MRR@10"] == 0.25
    assert second["nDCG@10"] == pytest.approx(0.5 / 1.58496, abs=1e-4)
    assert second["empty"] == 1


def test_a_small_collection_runs_through(
    db: psycopg.Connection[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("cran.all.1400", ABSTRACTS), ("cran.qry", QUESTIONS), ("cranqrel", JUDGED)):
        (tmp_path / name).write_text(text)
    assert search.quality(db, tmp_path)
    # the library logs its work
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    assert lines[0] == "2 abstracts, 2 questions"
    assert lines[2].split() == ["ours", "1.000", "1.000", "1.000", "0"]
    assert lines[4].split()[-1] == "1", "no abstract has all words of the second question"
