"""Makes text of Canvas and of models safe to store and to show."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from markdownify import MarkdownConverter
from selectolax.lexbor import LexborHTMLParser, LexborNode

from functions.shared.markup.text import visible

MAX_HTML_CHARACTERS = 200_000
MAX_NESTING = 200
HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9])"
    r"|(left|top|text-indent)\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
COLOR = re.compile(r"(?<![-\w])(color|background(?:-color)?)\s*:\s*([^;]+)", re.IGNORECASE)
NEVER_SHOWN = (
    "script,style,iframe,object,embed,noscript,template,head,title,meta,link,form,input,button,select,textarea"
)
LATEX_PREFIX = "LaTeX:"


@dataclass(frozen=True)
class ReadHtml:
    """HTML as a model may read it.

    :param hidden: text that a person would not see; a model never gets it
    :param urls: the addresses of its links
    """

    markdown: str
    hidden: str
    removed: int
    urls: frozenset[str]
    clipped: bool


def html_to_markdown(html: str | None, before: Callable[[LexborHTMLParser], None] | None = None) -> ReadHtml:
    """Canvas HTML as Markdown, without invisible parts, with equations as LaTeX, and limited in size and depth.

    :param before: may change the tree after invisible parts were removed
    """
    text = html or ""
    clipped = len(text) > MAX_HTML_CHARACTERS
    tree = LexborHTMLParser(visible(text[:MAX_HTML_CHARACTERS].replace("\u00a0", " ")))
    removed = len(tree.css(NEVER_SHOWN))
    for node in tree.css(NEVER_SHOWN):
        node.decompose()
    hidden: list[str] = []
    for node in tree.css("[hidden],[style],[aria-hidden=true]"):
        if is_hidden(node):
            hidden.append(node.text(separator=" ", strip=True))
            node.decompose()
            removed += 1
    for node in tree.css("img"):
        latex = node.attributes.get("data-equation-content") or equation_of(node.attributes.get("alt") or "")
        node.replace_with(f"${latex}$" if latex else node.attributes.get("alt") or "")
    if before is not None:
        before(tree)
    urls = frozenset(
        url
        for node in tree.css("a[href]")
        if (url := (node.attributes.get("href") or "").strip()).startswith("https://")
    )
    body = tree.body
    if body is None:
        return ReadHtml("", "", removed, frozenset(), clipped)
    if too_deep(body):
        markdown = body.text(separator="\n", strip=True)
    else:
        converter = MarkdownConverter(
            heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False
        )
        markdown = converter.convert(body.html or "")
    markdown = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", visible(markdown))).strip()
    return ReadHtml(markdown, "\n".join(text for text in hidden if text), removed, urls, clipped)


def is_hidden(node: LexborNode) -> bool:
    """Whether a reader does not see this element."""
    attributes = node.attributes
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style") or ""
    if HIDDEN_STYLE.search(style):
        return True
    colors = {name.lower().removesuffix("-color"): value.strip().lower() for name, value in COLOR.findall(style)}
    ink = colors.get("color")
    return ink is not None and (
        ink == colors.get("background", "") or ink in ("transparent", "white", "#fff", "#ffffff")
    )


def equation_of(alt: str) -> str:
    """The LaTeX in the alternative text of Canvas's equation images."""
    return alt.removeprefix(LATEX_PREFIX).strip() if alt.startswith(LATEX_PREFIX) else ""


def too_deep(node: LexborNode) -> bool:
    """Whether a tree is nested so deeply that a recursive converter would fail."""
    depth, level = 0, [node]
    while level:
        depth += 1
        if depth > MAX_NESTING:
            return True
        level = [child for parent in level for child in parent.iter()]
    return False
