"""Makes text of Canvas and of models safe to store and to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdownify import MarkdownConverter
from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_HTML_CHARACTERS = 200_000
MAX_NESTING = 200
# controls except tab and newline, zero-width, bidi controls, tag characters, byte order marks, lone surrogates
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
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
TAGS = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "a", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
SCHEMES = {"https", "mailto"}
LIVE_PART = re.compile(
    r"<(script|style|iframe|object|embed|svg|math|template|noscript)\b[^<>]*>.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
TAG_IN_TEXT = re.compile(r"<!--.*?(?:-->|$)|</?[a-zA-Z][^<>]*>|<[!?/]?[a-zA-Z][^<>\n]*$", re.DOTALL | re.MULTILINE)
AUTOLINK = re.compile(r"<((?:https?|ftp|mailto|javascript|data):[^<>\s]*)>", re.IGNORECASE)
IMAGE = re.compile(r"!\[([^\]]*)\](\([^()\s]*(?:\([^()]*\)[^()]*)*(?:\s+[^()]*)?\)|\[[^\]]*\])?")
LINK = re.compile(r"\[([^\[\]]*)\]\(\s*<?([^()\s<>]*(?:\([^()\s]*\)[^()\s]*)*)>?(?:\s+[^()]*)?\)")
DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:[^\n]*$", re.MULTILINE)
URL = re.compile(r"(?:https?|ftp)://[^\s<>()\[\]\"'`]+|(?:javascript|data|vbscript):[^\s<>()\[\]\"'`]+", re.IGNORECASE)
CODE = re.compile(r"(^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\2[`~]*[ \t]*$|\Z)|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def visible(text: str) -> str:
    """The text without invisible characters and those that Postgres cannot store. Pieces may be passed alone."""
    return INVISIBLE.sub("", text)


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


def safe_markdown(text: str, allowed_urls: Set[str] = frozenset()) -> str:
    """A model's Markdown without HTML, images and links, except to the allowed URLs. Code is not changed."""
    parts = CODE.split(text)
    # split() gives text, code, fence mark, text, ...
    safe = [_safe(parts[0], allowed_urls)]
    for index in range(1, len(parts), 3):
        safe += [parts[index], _safe(parts[index + 2], allowed_urls)]
    return "".join(safe)


def _safe(text: str, allowed: Set[str]) -> str:
    def link(match: re.Match[str]) -> str:
        return match.group(0) if match.group(2) in allowed else match.group(1)

    def url(match: re.Match[str]) -> str:
        bare = match.group(0).rstrip(".,;:!?")
        return match.group(0) if bare in allowed else "(address removed)" + match.group(0)[len(bare) :]

    text = LIVE_PART.sub("", text)
    text = IMAGE.sub(lambda match: match.group(1), text)
    text = LINK.sub(link, text)
    text = DEFINITION.sub("", text)
    text = AUTOLINK.sub(lambda match: match.group(1), text)
    text = TAG_IN_TEXT.sub("", text)
    return URL.sub(url, text)


def markdown_to_html(markdown: str, allowed_urls: Set[str] = frozenset()) -> str:
    """Safe HTML: raw HTML is shown as text, there are no images, and links lead to the allowed URLs only."""

    def attribute(tag: str, name: str, value: str) -> str | None:
        return value if name == "rel" or ((tag, name) == ("a", "href") and value in allowed_urls) else None

    rendered = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).render(markdown)
    return nh3.clean(rendered, tags=TAGS, attributes={"a": {"href"}}, attribute_filter=attribute, url_schemes=SCHEMES)


def is_safe_url(url: str, allowed_urls: Set[str]) -> bool:
    """Whether a model's URL may be stored: it is https and one of those that the model was given."""
    return url in allowed_urls and urlsplit(url).scheme == "https"
