"""Invisible characters in texts of Canvas and of models."""

from __future__ import annotations

import pytest

from functions.shared.markup.text import VisibleStream, visible

KEPT = {
    "Persian": "می\u200cخواهم کتاب\u200cها را بخوانم",  # noqa: RUF001
    "Hindi": "क्\u200dष और र्\u200dय",
    "Sinhala": "ක්\u200dෂ",
    "emoji of two": "👩\u200d💻",
    "emoji with a skin tone": "👨🏽\u200d🔬",
    "emoji with a selector": "❤\ufe0f\u200d🔥",
    "a family": "👨\u200d👩\u200d👧",
    "a Japanese variant": "葛\U000e0100飾区",
    "tabs and lines": "a\tb\nc",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_belongs_to_a_text_stays(name: str) -> None:
    assert visible(KEPT[name]) == KEPT[name]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\u200bb\u202ec\U000e0041d\x00e\ud800f\tg\nh", "abcdef\tg\nh"),
        ("a\u200db", "ab"),
        ("pass\u200cword", "password"),
        ("\u202eevil\u202c", "evil"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴"),
        ("می\u200c\u200cخواهم", "میخواهم"),  # noqa: RUF001
        ("x\U000e0101\U000e0102", "x"),
        ("❤\ufe0f\ufe0f\ufe01", "❤\ufe0f"),
        ("\u200c\u200d", ""),
        ("a\rb\x7f", "ab"),
    ],
)
def test_what_hides_something_goes(text: str, left: str) -> None:
    assert visible(text) == left


@pytest.mark.parametrize("name", KEPT)
def test_pieces_of_a_text_keep_what_the_whole_keeps(name: str) -> None:
    for size in (1, 2, 3):
        stream = VisibleStream()
        text = KEPT[name] + "\u202e\u200b\u200d!"
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(stream.feed(piece) for piece in pieces) == visible(text)
