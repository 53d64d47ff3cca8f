"""The list is foreign: what is not a complete, plain, believable list is refused, and nothing of it is lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.catalog_sync.errors import CatalogBadAnswer, CatalogUnavailable
from functions.catalog_sync.reading import MAX_FIELD_CHARACTERS, Section, parse, read_term
from functions.shared.fetch import Fetcher
from tests.standins.catalogue import FALL, CatalogueStandIn, Course, document

FETCHER = Fetcher(local=True)


def parsed(xml: str | bytes, size: int = 7) -> list[Section]:
    """Read in small pieces."""
    data = xml.encode() if isinstance(xml, str) else xml
    return parse(data[start : start + size] for start in range(0, len(data), size))


def test_a_term_is_read_whole() -> None:
    with CatalogueStandIn() as catalogue:
        found = read_term(FETCHER, catalogue.url, FALL)
        assert [section.code for section in found] == [course.cn for course in catalogue.terms[FALL]]
        assert {"AI & Society", "Topology < Geometry"} <= {section.title for section in found}
        assert any("Chloé Duval" in section.instructors for section in found)
        read_term(FETCHER, catalogue.url, "Été & 2027/28?")
        assert catalogue.asked == [FALL, "Été & 2027/28?"]


@pytest.mark.parametrize(
    "xml",
    [
        "<courses><course><cn>A 1</cn><title>T</title></course></courses>",
        "<x:r xmlns:x='u'><x:course><x:cn>A 1</x:cn><x:title>T</x:title></x:course></x:r>",
        "<r><group><course><CN> A\n 1 </CN><title><b>T</b></title></course></group></r>",
        "<r><course><cn>A 1</cn><title>T</title><title>U</title><cn>B 2</cn></course></r>",
        "<r><course><section><cn>no</cn></section><cn>A 1</cn><title>T<!-- c --></title></course></r>",
        "<r><course><cn><![CDATA[A 1]]></cn><title>&#84;</title></course></r>",
        "<course><course><cn>A 1</cn><title>T</title></course></course>",
    ],
)
def test_the_same_course_in_other_clothes(xml: str) -> None:
    assert parsed(xml) == [Section("A 1", "T", "")]


def test_absent_fields_are_empty() -> None:
    assert parsed("<r><course/><course><title>T</title></course>x</r>") == [Section("", "", ""), Section("", "T", "")]


def test_other_encodings_are_read() -> None:
    xml = document([Course("A 1", "Café")]).replace("UTF-8", "ISO-8859-1").encode("latin-1")
    assert parsed(xml)[0].title == "Café"
    utf16 = document([Course("A 1", "Café")]).replace("UTF-8", "UTF-16").encode("utf-16")
    assert parsed(utf16)[0].title == "Café"


def test_a_field_is_kept_up_to_a_length() -> None:
    found = parsed(document([Course("A 1", "x" * 3 * MAX_FIELD_CHARACTERS, "y")]), 1000)
    assert (len(found[0].title), found[0].instructors) == (MAX_FIELD_CHARACTERS, "y")


@pytest.mark.parametrize(
    "fault",
    [
        "gone",
        "broken",
        "cut",
        "nothing",
        "web_page",
        "latin_lie",
        "odd_encoding",
        "dtd",
        "deep",
        "huge",
        "bomb",
        "elsewhere",
    ],
)
def test_what_is_no_list_is_refused(fault: str) -> None:
    with CatalogueStandIn() as catalogue:
        catalogue.faults[FALL] = fault
        with pytest.raises(CatalogBadAnswer):
            read_term(FETCHER, catalogue.url, FALL)


def test_a_school_that_does_not_answer_is_unavailable() -> None:
    with CatalogueStandIn() as catalogue:
        url = catalogue.url
        catalogue.faults[FALL] = "down"
        with pytest.raises(CatalogUnavailable):
            read_term(FETCHER, url, FALL)
    with pytest.raises(CatalogUnavailable):
        read_term(FETCHER, url, FALL)


@given(
    st.lists(st.tuples(*[st.one_of(st.none(), st.text(st.characters(codec="utf-8", categories=["L", "N", "P"])))] * 3))
)
def test_every_course_that_is_written_is_read(fields: list[tuple[str | None, str | None, str | None]]) -> None:
    courses = [Course(*each) for each in fields]
    expected = [Section(*(" ".join((value or "").split()) for value in each)) for each in fields]
    assert parsed(document(courses), 100) == expected


@settings(max_examples=300)
@given(st.integers(0, 10**9))
def test_damage_is_refused_or_read_and_never_anything_else(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(document([Course("A 1", "T", "N"), Course("B 2", "U")]).encode())
    for _ in range(dice.randint(1, 5)):
        place = dice.randrange(len(data))
        match dice.randrange(3):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                del data[place:]
                data += b"<"
            case _:
                data[place:place] = dice.choice([b"<", b"&", b"]]>", b"\x00", b"<!DOCTYPE x>", b"<course>", b"\xff"])
    try:
        assert len(parsed(bytes(data))) <= 3
    except CatalogBadAnswer:
        return
