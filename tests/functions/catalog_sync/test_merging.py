"""Sections become courses, and their order never matters."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from functions.catalog_sync.merging import MAX_INSTRUCTORS_CHARACTERS, MAX_TITLE_CHARACTERS, merge
from functions.catalog_sync.reading import Section

CODES = {"CSC 173-01": "CSC 173", "csc173-2": "CSC 173", "MTH 1": "MTH 1", "": "", "X": "X" * 51}


def test_sections_of_one_course_are_one_course() -> None:
    sections = [
        Section("CSC 173-01", "Models", "B; A"),
        Section("csc173-2", "Computer Models", " C ;A;; "),
        Section("MTH 1", "Calculus", ""),
    ]
    found = merge(sections, CODES)
    assert found.courses == [
        {"code": "CSC 173", "title": "Computer Models", "instructor": "A; B; C"},
        {"code": "MTH 1", "title": "Calculus", "instructor": None},
    ]
    assert (found.skipped, found.untitled) == ([], [])


def test_an_odd_section_is_skipped_and_said() -> None:
    long = "t" * (MAX_TITLE_CHARACTERS + 1)
    sections = [Section("", "No code", ""), Section("", "", ""), Section("X", "T", ""), Section("MTH 1", long, "")]
    found = merge([*sections, Section("CSC 173-01", "", "A")], CODES)
    assert found.courses == []
    assert [(each.text, each.reason) for each in found.skipped] == [
        ("No code", "code_missing"),
        ("a course without code and title", "code_missing"),
        ("X", "code_too_long"),
        ("CSC 173", "title_missing"),
        ("MTH 1", "title_too_long"),
    ]
    assert found.untitled == ["CSC 173", "MTH 1"]
    # another section of the same course brings a title that can be used
    whole = merge([*sections, Section("MTH 1", "Calculus", "")], CODES)
    assert [course["title"] for course in whole.courses] == ["Calculus"]


def test_instructors_are_cut_between_names() -> None:
    names = [f"Name {number:03}" for number in range(100)]
    found = merge([Section("MTH 1", "T", "; ".join(names))], CODES)
    kept = found.courses[0]["instructor"]
    assert len(kept) <= MAX_INSTRUCTORS_CHARACTERS
    assert kept.split("; ") == names[: len(kept.split("; "))]
    assert [each.reason for each in found.skipped] == ["instructors_too_long"]
    only = merge([Section("MTH 1", "T", "x" * 501)], CODES)
    assert only.courses[0]["instructor"] is None


WORDS = st.sampled_from(["", "A", "B", "C; A", "x" * 501])


@given(st.lists(st.builds(Section, st.sampled_from(sorted(CODES)), WORDS, WORDS)), st.randoms())
def test_the_order_of_sections_never_matters(sections: list[Section], dice: random.Random) -> None:
    shuffled = list(sections)
    dice.shuffle(shuffled)
    assert merge(shuffled, CODES) == merge(sections, CODES)
