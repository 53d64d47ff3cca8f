r"""Formulas in Markdown: ``$x$`` and ``\(x\)`` in a line, ``$$x$$`` and ``\[x\]`` on their own.

Their content is text: no emphasis, no escapes, no links. They are rendered the way that KaTeX and MathJax look for, as
``<span class="math inline">\(x\)</span>`` and ``<span class="math display">\[x\]</span>``.
"""

from __future__ import annotations

import html
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

INLINE, DISPLAY = "math inline", "math display"
MAX_FORMULA_CHARACTERS = 5000
MAX_FORMULA_LINES = 60
FENCE = re.compile(r"[ \t>]*(?:```|~~~)", re.MULTILINE)
# the opening mark, the closing one, the class
MARKS = (("$$", "$$", DISPLAY), ("\\[", "\\]", DISPLAY), ("\\(", "\\)", INLINE), ("$", "$", INLINE))


def with_formulas(markdown: MarkdownIt) -> MarkdownIt:
    """Teaches a parser to read formulas."""
    markdown.inline.ruler.before("escape", "formula", inline_formula)
    markdown.block.ruler.before("fence", "formula", block_formula, {"alt": ["paragraph", "reference", "blockquote"]})
    markdown.add_render_rule("formula", render)
    return markdown


def inline_formula(state: StateInline, silent: bool) -> bool:
    """A formula within a line, or within a paragraph."""
    if state.src[state.pos] not in "$\\":
        return False
    for opening, closing, kind in MARKS:
        if not state.src.startswith(opening, state.pos):
            continue
        start = state.pos + len(opening)
        end = closing_mark(state, start, closing)
        if end <= start or not state.src[start:end].strip() or opening in state.src[start:end]:
            return False
        if opening == "$" and not is_formula(state.src, start, end):
            return False
        if not silent:
            token = state.push("formula", "", 0)
            token.content, token.markup, token.meta = state.src[start:end], opening, {"kind": kind}
        state.pos = end + len(closing)
        return True
    return False


def closing_mark(state: StateInline, start: int, closing: str) -> int:
    """The index of the next closing mark, or -1. Formulas are short, so a text without marks is not read again."""
    most = min(state.posMax, start + MAX_FORMULA_CHARACTERS)
    end = state.src.find(closing, start, most)
    while end > start and closing[0] == "$" and is_escaped(state.src, end):
        end = state.src.find(closing, end + 1, most)
    return end


def is_escaped(text: str, index: int) -> bool:
    """Whether a backslash stands before a character that is not itself escaped."""
    count = 0
    while index > count and text[index - count - 1] == "\\" and count < 100:
        count += 1
    return count % 2 == 1


def is_formula(text: str, start: int, end: int) -> bool:
    """Whether single dollar signs are those of a formula and not of prices: no spaces inside, no digit after them."""
    return not (text[start].isspace() or text[end - 1].isspace() or text[end + 1 : end + 2].isdigit())


def block_formula(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """A formula that begins and ends with a line. It holds no blank line and no fence, which others would see."""
    if state.sCount[first] - state.blkIndent >= 4:
        return False
    text = line(state, first)
    found = next(((o, c) for o, c, kind in MARKS if kind == DISPLAY and text.startswith(o)), None)
    if found is None:
        return False
    opening, closing = found
    lines = [text[2:]]
    last = first
    while not lines[-1].rstrip().endswith(closing):
        if last > first and lines[-1].startswith(opening):
            return False
        last += 1
        if last >= end or state.isEmpty(last) or state.sCount[last] < state.blkIndent or len(lines) > MAX_FORMULA_LINES:
            return False
        lines.append(line(state, last))
    content = "\n".join(lines).rstrip()[: -len(closing)]
    if not content.strip() or closing in content or opening in content or FENCE.search(content):
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.block, token.content, token.markup = True, content.strip(), opening
        token.map, token.meta = [first, last + 1], {"kind": DISPLAY}
        state.line = last + 1
    return True


def line(state: StateBlock, number: int) -> str:
    """A line without its indentation."""
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def render(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: MutableMapping[str, Any]
) -> str:
    """The HTML of a formula."""
    token = tokens[index]
    span = formula_html(token.content, token.meta["kind"])
    return f"<p>{span}</p>\n" if token.block else span


def formula_html(latex: str, kind: str = INLINE) -> str:
    """A formula as KaTeX and MathJax find it."""
    opening, closing = ("\\(", "\\)") if kind == INLINE else ("\\[", "\\]")
    return f'<span class="{kind}">{opening}{html.escape(latex.strip(), quote=False)}{closing}</span>'
