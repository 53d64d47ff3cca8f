"""Cleaning of text from Canvas before a model reads it, and of a model's text before people read it."""

from __future__ import annotations

import pytest

from functions.shared.llm.cleaning import html_to_markdown, markdown_to_html, safe_markdown, visible

HIDDEN = [
    '<p style="display:none">SECRET</p>',
    '<p style="visibility: hidden">SECRET</p>',
    '<span style="font-size:0px">SECRET</span>',
    '<span style="opacity:0">SECRET</span>',
    '<div style="position:absolute;left:-9999px">SECRET</div>',
    '<span style="color:#fff;background-color:#fff">SECRET</span>',
    "<p hidden>SECRET</p>",
    '<p aria-hidden="true">SECRET</p>',
    "<!-- SECRET -->",
    "<script>SECRET</script>",
    "<style>SECRET</style>",
    "<template>SECRET</template>",
]


@pytest.mark.parametrize("part", HIDDEN)
def test_a_model_reads_what_a_person_sees(part: str) -> None:
    read = html_to_markdown(f"<p>before</p>{part}<p>after</p>")
    assert "SECRET" not in read.markdown
    assert read.markdown.startswith("before")
    assert read.markdown.endswith("after")


def test_structure_equations_and_links_are_kept() -> None:
    read = html_to_markdown(
        "<h2>Task</h2><ul><li>one</li></ul><table><tr><th>a</th></tr><tr><td>1</td></tr></table>"
        '<img class="equation_image" alt="LaTeX: x^2" data-equation-content="x^2"> <a href="https://x.test/f">file</a>'
    )
    assert "## Task" in read.markdown
    assert "- one" in read.markdown
    assert "$x^2$" in read.markdown
    assert read.urls == {"https://x.test/f"}


def test_depth_and_size_do_not_matter() -> None:
    assert "deep" in html_to_markdown("<div>" * 20_000 + "deep").markdown
    read = html_to_markdown("<p>word</p>" * 100_000)
    assert read.clipped


def test_invisible_letters_go() -> None:
    assert visible("a\u200bb\u202ec\U000e0041d\x00e\ud800f\tg\nh") == "abcdef\tg\nh"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![pixel](https://evil.test/p.png)",
        "![pixel][ref]\n\n[ref]: https://evil.test/p.png",
        "[click](javascript:alert(1))",
        "[click](https://evil.test/?q=secret)",
        "<https://evil.test/auto>",
        "see https://evil.test/x now",
        '<a href="https://evil.test" onclick="x()">go</a>',
        "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[x]: javascript:alert(1)\n\n[x]",
    ],
)
def test_a_models_markdown_carries_nothing_live(text: str) -> None:
    safe = safe_markdown(f"before {text} after")
    rendered = markdown_to_html(f"before {text} after") + markdown_to_html(safe)
    assert "evil.test" not in safe
    for live in ("<script", "<img", "<svg", "<iframe", "<a ", "src=", "javascript:"):
        assert live not in safe.lower()
    for live in ("<script", "<img", "<svg", "<iframe", "<a href"):
        assert live not in rendered.lower()


def test_addresses_that_we_gave_stay_and_code_is_untouched() -> None:
    given = {"https://canvas.test/f/1"}
    text = "Read [the file](https://canvas.test/f/1).\n\n```html\n<b>x</b>\n```\n\nand `a<b>c`"
    assert safe_markdown(text, given) == text
    html = markdown_to_html(text, given)
    assert '<a href="https://canvas.test/f/1" rel="noopener noreferrer">the file</a>' in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
