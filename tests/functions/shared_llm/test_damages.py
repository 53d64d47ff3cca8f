"""Damaged JSON, thoughts and LaTeX: what was meant comes back exactly, or nothing does, in linear time."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

from functions.shared.llm.errors import InvalidResponse
from functions.shared.llm.field import FieldStream
from functions.shared.llm.latex import LatexStream, with_commands
from functions.shared.llm.parsing import parse
from functions.shared.llm.thoughts import ThoughtFilter
from tests.support.hostile import CHARS

GOOD: dict[str, Any] = {
    "title": "T",
    "content_md": '# A\n\nSay "hi" to ü 🎓. It\'s fine.\n\nMore, text: here.',
    "plan": [{"step": "Read it", "minutes": 10}, {"step": 'Do, then "check" it', "minutes": 5}],
    "key_concepts": ["a", "b"],
    "ok": True,
    "none": None,
    "time_estimate_minutes": 90,
}
KEYS = set(GOOD)
TEXT = json.dumps(GOOD, ensure_ascii=False)
PRETTY = json.dumps(GOOD, ensure_ascii=False, indent=1)
DRAFT = json.dumps({**GOOD, "title": "draft", "content_md": "wrong"})


def smart(text: str) -> str:
    """With typographic quotation marks around keys and strings."""
    out, opens, escaped = [], True, False
    for character in text:
        if character == '"' and not escaped:
            out.append("\u201c" if opens else "\u201d")
            opens = not opens
        else:
            out.append(character)
        escaped = character == "\\" and not escaped
    return "".join(out)


DAMAGES = {
    "clean": TEXT,
    "NaN": TEXT.replace("null", "NaN"),
    "fence": f"```json\n{PRETTY}\n```",
    "prose before": f"Here you are:\n{TEXT}",
    "think block": f'<think>{{"title": 1}}</think>{TEXT}',
    "BOM": "\ufeff" + TEXT,
    "prose with braces": f"Note {{a}}: {TEXT} and {{b: 1}}",
    "raw newlines": TEXT.replace("\\n", "\n"),
    "trailing comma": PRETTY.replace("90\n}", "90,\n}"),
    "comments": PRETTY.replace('"plan"', '// the plan\n "plan"').replace('"ok"', '/* {x} */ "ok"'),
    "Python": repr(GOOD),
    "smart quotes": smart(TEXT),
    "bad escapes": TEXT.replace("It's", "It\\'s"),
    "missing brace": TEXT[:-1],
    "inner quotes": TEXT.replace('\\"', '"'),
    "in a list": f"[{TEXT}]",
    "in a key": f'{{"answer": {TEXT}}}',
    "two objects": f"{DRAFT}\n{TEXT}",
    "encoded twice": json.dumps(TEXT),
    "only closed thoughts": f"Let me see. {DRAFT} hm </think>\n{TEXT}",
    "channels": f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}",
    "draft in a fence": f"```json\n{DRAFT}\n```\nBetter:\n```json\n{PRETTY}\n```",
}


@pytest.mark.parametrize("text", DAMAGES.values(), ids=DAMAGES)
def test_what_was_meant_comes_back_exactly(text: str) -> None:
    assert parse(text, KEYS)[0] == GOOD


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_cut_object_is_never_completed_with_less(cut: int) -> None:
    """The last field is required, so a schema notices whatever lacks it."""
    try:
        value, _ = parse(TEXT[: -2 - cut], KEYS)
    except InvalidResponse:
        return
    assert value.get("time_estimate_minutes") != 90 or value == GOOD
    assert "time_estimate_minutes" not in value or str(value["time_estimate_minutes"]) in "90"


@pytest.mark.parametrize(
    "text",
    ["<think>" + TEXT, "Well. <think> " + TEXT, '{"title": "a", "b": ["x "y", "c" d"]}',
     '{"title": 1, "title": 2,}', "{title: yes}"],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(InvalidResponse):
        parse(text, KEYS)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (r"$\frac{1}{2}$", r"$\frac{1}{2}$"),
        (r"$\beta \times \nu$ and $\rho$", r"$\beta \times \nu$ and $\rho$"),
        (r"\(\theta\) and \[\sum_i \neq\]", r"\(\theta\) and \[\sum_i \neq\]"),
        (r"\d+ and \underline{x}", r"\d+ and \underline{x}"),
        (r"line\nnu is a word\tand a tab", "line\nnu is a word\tand a tab"),
        (r"costs $5.\nNext line", "costs $5.\nNext line"),
        (r"a\\nb \\frac", r"a\nb \frac"),
    ],
)
def test_latex_is_put_back_in_the_stream_as_in_the_whole(raw: str, meant: str) -> None:
    text = f'{{"title": "{raw}", "content_md": "{raw}", "time_estimate_minutes": 1}}'
    value, _ = parse(text, KEYS)
    assert value["title"] == value["content_md"] == meant
    for size in (1, 3, 50):
        field = FieldStream("content_md")
        grown = [field.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(grown) == field.text == meant


def test_pieces_of_latex_give_the_same_as_the_whole() -> None:
    text = "a $\x0crac{1}{2} \times$ \n\nb \x08eta \rho $$\nu$$ \\( \tan \\) \tan"
    stream = LatexStream()
    assert "".join(stream.feed(one) for one in text) + stream.finish() == with_commands(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>hm</think>\nThe answer", "The answer"),
        ("[THINK]hm[/THINK]The <b> answer", "The <b> answer"),
        ("<thinks the writer> and goes on", "<thinks the writer> and goes on"),
        ("a < b [1] and [THINK", "a < b [1] and [THINK"),
        ("<", "<"),
        ("", ""),
    ],
)
def test_prose_comes_without_thoughts(text: str, shown: str) -> None:
    for size in (1, 4, 99):
        thoughts = ThoughtFilter()
        pieces = [thoughts.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(pieces) + thoughts.finish() == shown


def test_a_swallowed_first_mark_fails_once_and_is_then_expected() -> None:
    text = "I should say no.</think>Yes."
    thoughts = ThoughtFilter()
    with pytest.raises(InvalidResponse):
        thoughts.feed(text[:10] + text[10:])
    assert thoughts.met_stray_mark
    holding = ThoughtFilter(holds=True)
    assert "".join(holding.feed(one) for one in text) + holding.finish() == "Yes."
    endless = ThoughtFilter()
    endless.feed("<think>never ends")
    with pytest.raises(InvalidResponse):
        endless.finish()


HOSTILE = {
    "braces": "{" * CHARS, "open keys": '{"' * (CHARS // 2), "marks": '{"a":"' + 'x"' * (CHARS // 2),
    "deep": '{"a":' * (CHARS // 5), "backslashes": '{"a":"' + "\\" * CHARS, "commas": '{"a":1' + "," * CHARS,
    "comments": '{"a":1 ' + "/*" * (CHARS // 2), "spaces": '{"a":"' + ('"' + " " * 50) * (CHARS // 51),
    "opened": "<think>" * (CHARS // 7), "closed": "</think>" * (CHARS // 8), "less than": "<" * CHARS,
    "channels": "<|channel|>" * (CHARS // 11), "fences": "```\n" * (CHARS // 4), "blank": "\n" * CHARS,
    "dollars": '{"title":"' + "$" * CHARS + '"}', "tabs": '{"title":"' + "\\t" * (CHARS // 2) + '"}',
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_long_text_is_read_in_linear_time(text: str) -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        with contextlib.suppress(InvalidResponse):
            parse(text[:size], KEYS)
        field = FieldStream("content_md")
        for at in range(0, size, 24):
            field.feed(text[at : min(at + 24, size)])
        return time.process_time() - began

    # reading and streaming together
    assert seconds(len(text)) < 4.0
