"""A model's Markdown: text stays text, nothing live comes out, and blocks are cut where they end."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from functions.shared.markup.markdown import (
    ends_of_blocks,
    is_readable,
    is_safe_url,
    markdown_to_html,
    plain,
    safe_markdown,
)

GIVEN = {"https://canvas.test/f/1"}

TEXTS = [
    "While $0<i<n$ holds, go on.",
    "A `List<int>` and a List<String> and a Map<K, V>.",
    "Write #include <stdio.h> first, then #include <vector>.",
    "The interval [0,1](open) is not [0,1].",
    "Darwin wrote it[^1].\n\n[^1]: On the Origin, 1859",
    "if a < b and b > c then x <- 3",
    "5! = 120 and ![0,1](half) is odd",
    "See a[i](j) and f[x][y].",
    "Use &amp; for &, and &lt;b&gt; for bold.",
    "a\\*b and 3 * 4 * 5 and snake_case_name",
    "It costs $5, not $10.",
    "<3 you can do it <-- here",
    "Mail me at <ada@school.test>, or use <std::vector>.",
]
FORMULAS = {
    r"so \(a_1 + b_1\) holds": r'<span class="math inline">\(a_1 + b_1\)</span>',
    r"so $a_1 * b_1 * c$ holds": r'<span class="math inline">\(a_1 * b_1 * c\)</span>',
    r"\[ \frac{a}{b} \]": r'<span class="math display">\[\frac{a}{b}\]</span>',
    "$$\na\n+ b\n- c\n$$": '<span class="math display">\\[a\n+ b\n- c\\]</span>',
    r"$$\begin{cases} a \\ b \end{cases}$$": r'<span class="math display">\[\begin{cases} a \\ b \end{cases}\]</span>',
    r"$x < y$": r'<span class="math inline">\(x &lt; y\)</span>',
    r"- item $x_1$ and $x_2$": r'<span class="math inline">\(x_2\)</span>',
    "| a |\n|---|\n| $x_1$ |": r'<span class="math inline">\(x_1\)</span>',
}
NO_FORMULAS = ["It costs $5 and $10.", "`$x$`", "```\n$x$\n```", r"\$x\$", "US$5 or CA$6", "a $ b $ c", r"\\(x\\)"]


def words(html: str) -> str:
    """The text that a reader sees."""
    plain_text = re.sub(r"<[^>]*>", "", html)
    for name, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain_text = plain_text.replace(name, character)
    return plain_text


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_text(text: str) -> None:
    safe = safe_markdown(text)
    assert safe_markdown(safe) == safe
    shown = words(markdown_to_html(text))
    for word in re.findall(r"\w+", text):
        assert word in safe
        if word not in ("amp", "gt", "lt"):
            assert word in shown
    if not re.search(r"[&`$\\*]|\n", text):
        assert shown.strip() == text


def test_what_looks_like_a_link_keeps_its_text() -> None:
    assert "[0,1](open)" in safe_markdown("The interval [0,1](open) is open.")
    assert "[0,1](open)" in markdown_to_html("The interval [0,1](open) is open.")


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_ready_for_katex_and_mathjax(text: str) -> None:
    assert FORMULAS[text] in markdown_to_html(text)
    assert safe_markdown(text) == text


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_prices_and_code_are_no_formulas(text: str) -> None:
    assert "math" not in markdown_to_html(text)


LIVE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![pixel](https://evil.test/p.png)",
    "![pixel][ref]\n\n[ref]: https://evil.test/p.png",
    "![pixel](//evil.test/p.png)",
    "[click](javascript:alert(1))",
    "[click](https://evil.test/?q=secret)",
    "[![a](https://evil.test/1)](https://evil.test/2)",
    "![a ![b](https://evil.test/1) c](https://evil.test/2)",
    "<https://evil.test/auto>",
    "see https://evil.test/x now, or www.evil.test/y",
    '<a href="https://evil.test" onclick="x()">go</a>',
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[x]: javascript:alert(1)\n\n[x]",
    "``` x ``` ![p](https://evil.test/a) ``` y ```",
    "``` x ``` y\n![p](https://evil.test/a)\n```",
    "~~~ a\n~~~ b\n![p](https://evil.test/a)",
    "````\n```\n````\n![p](https://evil.test/a)",
    "- a\n\n  ```\n  b\n![p](https://evil.test/a)",
    "> ```\n> b\n![p](https://evil.test/a)",
    "- a\n\n    ![p](https://evil.test/a)",
    '`a` <x y="`"> <img src=x onerror=alert(1)> `',
    "$a$ `$` ![p](https://evil.test/a) `$`",
    "$![p](https://evil.test/a)$",
    "| a |\n|---|\n| `x | y` ![p](https://evil.test/a) |",
    "<div\nonclick=alert(1)>x</div>",
    "<!-- ![p](https://evil.test/a) -->",
    "<details open ontoggle=alert(1)>",
    "\\<img src=x onerror=alert(1)>",
]


@pytest.mark.parametrize("text", LIVE)
def test_a_models_markdown_carries_nothing_live(text: str) -> None:
    for part in (f"before {text} after", text, f"para\n\n{text}\n\npara"):
        safe = safe_markdown(part)
        assert_dead(safe)
        assert "evil.test" not in re.sub(r"```html.*?```|`[^`]+`", "", safe)
        for rendered in (markdown_to_html(part), markdown_to_html(safe)):
            for live in ("<script", "<img", "<svg", "<iframe", "<a href", "<div", "<details"):
                assert live not in rendered.lower()


def assert_dead(safe: str, allowed: frozenset[str] = frozenset()) -> None:
    """A careless reader, which lets HTML and every address through, makes nothing live of a text."""
    careless = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    careless.validateLink = lambda url: True  # type: ignore[method-assign]
    html = careless.render(safe)
    shown = re.sub(r"<(pre|code)\b[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(img|script|svg|iframe|div|details|object|form|style|!--)", shown, re.IGNORECASE), html
    assert all(href in allowed for href in re.findall(r'<a href="([^"]*)"', shown)), html
    assert not re.search(r"<[^>]*\son\w+\s*=", shown), html


def test_addresses_that_we_gave_stay_and_code_is_untouched() -> None:
    text = "Read [the file](https://canvas.test/f/1).\n\n```html\n<b>x</b> ![a](https://evil.test)\n```\n\nand `a<b>c`"
    assert safe_markdown(text, GIVEN) == text
    html = markdown_to_html(text, GIVEN)
    assert '<a href="https://canvas.test/f/1" rel="noopener noreferrer">the file</a>' in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert is_safe_url("https://canvas.test/f/1", GIVEN)
    assert not is_safe_url("https://evil.test", GIVEN)


PIECES = [
    "```",
    "~~~",
    "````",
    " ",
    "    ",
    "\n",
    "\n\n",
    "- ",
    "1. ",
    "> ",
    "`",
    "``",
    "![",
    "[",
    "]",
    "](https://evil.test/x)",
    "(https://evil.test)",
    "<https://evil.test/a>",
    "<img src=x onerror=alert(1)>",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<b>",
    "</b>",
    "<div>\n",
    "[r]: https://evil.test\n",
    "[r]",
    "|",
    "\n|-|-|\n",
    "$",
    "$$",
    "\\[",
    "\\]",
    "\\(",
    "\\)",
    "\\",
    "a",
    "word ",
    "#",
    "# ",
    "\t",
    "<x y='",
    "'>",
    "javascript:alert(1)",
    "*",
    "~~",
    "---\n",
    '<a href="',
    '">',
    "<?",
    "<![CDATA[",
    "\n```\n",
    "\n~~~\n",
    "```js\n",
    "\n<T>\n",
    "[a](//evil.test)",
    "[a]( /x )",
    "![a][r]",
    "10. ",
]


@pytest.mark.parametrize("seed", range(8))
def test_no_mixture_of_marks_is_live_whole_or_in_pieces(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        text = "".join(chance.choice(PIECES) for _ in range(chance.randint(2, 40)))
        ends = [0, *ends_of_blocks(text), len(text)]
        parts = [text[start:end] for start, end in pairwise(ends)]
        assert "".join(parts) == text
        assert_dead(safe_markdown(text))
        assert_dead("".join(safe_markdown(part) for part in parts))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a\n\nb\n\nc", ["a\n\n", "b\n\nc"]),
        ("a\n\nb\n\nc\n", ["a\n\n", "b\n\n", "c\n"]),
        ("a\n\n```\nx\n\ny\n```\n\nb\n", ["a\n\n", "```\nx\n\ny\n```\n\n", "b\n"]),
        ("- a\n\n  b\n\nc\n", ["- a\n\n  b\n\n", "c\n"]),
        ("``` x ``` y\n\nb\n", ["``` x ``` y\n\n", "b\n"]),
        ("> ```\n> a\n\nb\n", ["> ```\n> a\n\n", "b\n"]),
        ("a\n\n    b\n\nc\n", ["a\n\n    b\n\n", "c\n"]),
    ],
)
def test_a_text_is_cut_where_nothing_later_changes_it(text: str, parts: list[str]) -> None:
    ends = [0, *ends_of_blocks(text), len(text)]
    assert [text[start:end] for start, end in pairwise(ends)] == parts


def test_a_removed_tag_does_not_open_code_that_swallows_what_follows() -> None:
    parts = ["<img src=x onerror=a>```js\n\n", "```\n![p](https://evil.test/p.png)\n```\n\n", "text\n"]
    assert_dead("".join(safe_markdown(part) for part in parts))


def test_a_text_that_no_reader_can_read_is_shown_as_it_is() -> None:
    text = "[a](https://evil.test) <b> $x$ " * 20_000
    assert not is_readable(text)
    assert safe_markdown(text) == plain(text)
    assert_dead(safe_markdown(text)[:2000])
    assert markdown_to_html(text).startswith("<p>[a]((address removed)) &lt;b&gt;")
