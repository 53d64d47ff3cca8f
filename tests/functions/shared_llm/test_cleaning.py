"""Cleaning of text from Canvas before a model reads it."""

from __future__ import annotations

import pytest

from functions.shared.llm.cleaning import html_to_markdown

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
