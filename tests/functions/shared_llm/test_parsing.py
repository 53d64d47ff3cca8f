"""JSON out of damaged answers, and a field out of an unfinished one."""

from __future__ import annotations

import json
import random

import pytest

from functions.shared.llm.errors import InvalidResponse
from functions.shared.llm.field import FieldStream
from functions.shared.llm.parsing import parse

GOOD = {"title": "T", "content_md": 'A "quote", \\ a brace } and ```\ncode\n``` ü 🎓\n\nend', "n": 3}
TEXT = json.dumps(GOOD, ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        (TEXT, "strict"),
        ("\ufeff" + TEXT, "strict"),
        (json.dumps(TEXT), "decoded_twice"),
        ('<think>{"title": 1}</think>\n' + TEXT, "strict"),
        ('```json\n{"title": "T", "n": 3}\n```', "fence"),
        ('Sure {here} it is: {"title": "T", "n": 3}. {"title": "U"}', "scan"),
        ('{"title": "two\nlines"}', "strict"),
    ],
)
def test_what_was_meant_is_found(text: str, step: str) -> None:
    value, found = parse(text, {"title"})
    assert found == step
    assert value["title"] in ("T", "U") or value["title"] == "two\nlines"


@pytest.mark.parametrize(
    "text", ["", "no", "[1]", '{"other": 1}', TEXT[:-12], '{"title": "a', "<think>" + TEXT, "{" * 9999]
)
def test_what_is_not_there_is_not_invented(text: str) -> None:
    with pytest.raises(InvalidResponse):
        parse(text, {"title"})


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("before", ["", "```json\n", '<think>a { "b"</think> ', "[THINK]x[/THINK]\n```\n", "\n  "])
def test_a_field_grows_to_the_letter_however_the_text_is_cut(before: str, ascii_only: bool) -> None:
    text = before + json.dumps({"a": {"content_md": "no"}, "b": ["content_md", "no"], **GOOD}, ensure_ascii=ascii_only)
    cuts = random.Random(7)
    for _ in range(200):
        field = FieldStream("content_md")
        grown, rest = [], text
        while rest:
            size = cuts.randint(1, 9)
            grown.append(field.feed(rest[:size]))
            rest = rest[size:]
        assert "".join(grown) == GOOD["content_md"]
        assert field.complete


def test_an_unfinished_field_is_not_complete() -> None:
    field = FieldStream("content_md")
    assert field.feed('{"content_md": "half a \\ud83c') == "half a "
    assert not field.complete
