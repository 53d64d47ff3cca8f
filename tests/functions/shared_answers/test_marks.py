"""Citations and titles in a text that arrives in pieces."""

from __future__ import annotations

import random
import time

import pytest

from functions.shared.answers.citations import Passage, is_verbatim
from functions.shared.answers.marks import MarkFilter
from tests.support.hostile import CHARS

PASSAGES = (
    Passage(1, "Water", "Water boils at 100 °C at sea level.", {"content_source_id": "a"}),
    Passage(
        2, "Plants", "Plants need “light”, *water* and air — always.", {"content_source_id": "b"}, url="https://x.test/"
    ),
)


def shown(text: str, *, size: int | None = None, passages: tuple[Passage, ...] = PASSAGES) -> tuple[str, MarkFilter]:
    """What readers see of a text that arrives in pieces of this size, or of random ones."""
    made, chosen, out, at = MarkFilter(passages, wants_title=True), random.Random(len(text)), "", 0
    while at < len(text):
        step = size or chosen.randrange(1, 9)
        out += made.feed(text[at : at + step])
        at += step
    return out + made.finish(), made


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('It boils [1: "boils at 100 °C"].', "It boils [1]."),
        ('It boils [2: "need \'light\', water"] and [1: "At Sea  Level."].', "It boils [1] and [2]."),
        ('Twice [1: "boils at 100 °C"] and [1: "boils at 100 °C"], or [1].', "Twice [1] and [1], or [1]."),
        ('No [1: "boils at 90 °C"], no [7: "boils at 100 °C"], no [2], no [12].', "No, no, no, no."),
        ("arr[1], [0,1](x), [1](https://x.test), [^1], [x], `[1]`, \\[1]", None),
        ("[1]: https://x.test", None),
        ("Interval [0, 1] and [3-4].", None),
        ('Cut [1: "boils at', "Cut"),
        ("A ![picture](https://evil.test/?q) !", "A \\![picture](https://evil.test/?q) !"),
        ("A \\![x](y) and \\\\![x](y)", "A \\![x](y) and \\\\\\![x](y)"),
        ("```py\nx = ![a](b) [1]\n```\n![c](d)", "```py\nx = ![a](b) [1]\n```\n\\![c](d)"),
        ("``` x ``` y ``\n![c](d)", "``` x ``` y ``\n\\![c](d)"),
        ("- a\n  ```\n![c](d)", "- a\n  ```\n\\![c](d)"),
        ("````\n```\n![a](b)\n````\n![c](d)", "````\n```\n![a](b)\n````\n\\![c](d)"),
        ("While $0<i<n$ holds, List<String>, #include <stdio.h>, \\frac{1}{2}, می‌خواهم", None),
        ("Text.\n\n[title: About  water]\n", "Text.\n"),
        ("Text.\n\n[Title: About water", "Text."),
        ("[titled] and [title", None),
        ("Ends in spaces  \n\n", None),
    ],
)
def test_what_readers_see(text: str, wanted: str | None) -> None:
    for size in (1, 2, 3, 7, None, 1000):
        assert shown(text, size=size)[0] == (text if wanted is None else wanted), size


def test_without_sources_brackets_are_text() -> None:
    text = 'See [1] and [2: "words of somebody"].'
    assert shown(text, passages=())[0] == text


def test_numbers_titles_sources_and_counts() -> None:
    _, made = shown(
        '[2: "water and air - always"] [1: "boils at 100 °C"] [1: "nonsense words"]\n[title: About "water"]'
    )
    assert [(one["number"], one["content_source_id"]) for one in made.citations()] == [(1, "b"), (2, "a")]
    assert made.parts() == [
        {"type": "source-url", "url": "https://x.test/", "sourceId": "1", "title": "Plants"},
        {"type": "source-document", "mediaType": "text/plain", "sourceId": "2", "title": "Water"},
    ]
    assert made.metrics() == {"citations": 2, "citations_dropped": 1}
    assert made.title() == 'About "water"'


@pytest.mark.parametrize(
    ("quote", "is_found"),
    [
        ("boils at 100 °C", True),
        ("WATER  boils\nat", True),
        ("…boils at 100…", True),
        ("oils at 100", False),
        ("boils at 10", False),
        ("at", False),
        ("", False),
        ("!!!!!!!!!!", False),
    ],
)
def test_a_quote_is_verbatim(quote: str, is_found: bool) -> None:
    assert is_verbatim(quote, PASSAGES[0].text) is is_found


def test_a_quote_in_a_script_without_spaces() -> None:
    text = "光合作用は葉緑体で行われる。"
    assert is_verbatim("葉緑体で", text)
    assert not is_verbatim("葉緑", text)
    assert not is_verbatim("細胞核で", text)


@pytest.mark.parametrize(
    "piece",
    ["\n", " ", "[", "![", "a", '[1: "', "`", "\\", "~~~\n", "[title:", '[1: "x"]', "```\n[1]\n", "[1] ", "\t[1"],
)
def test_a_long_text_takes_no_time(piece: str) -> None:
    text = (piece * CHARS)[:CHARS]
    for size in (20, CHARS):
        began = time.process_time()
        shown(text, size=size)
        # a square would take minutes
        assert time.process_time() - began < 3 * max(1, CHARS / 200_000), size
