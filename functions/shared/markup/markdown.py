"""A model's Markdown: made safe as Markdown, rendered as safe HTML, and cut where one of its blocks ends.

Text is text: a ``<`` or a bracket that would be live is escaped, not deleted. What no reader of CommonMark may find are
images, links to other addresses than the given ones, and HTML elements.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Set
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_inline import StateInline, autolink, backtick, html_inline, image, link
from markdown_it.token import Token

from functions.shared.markup.formulas import DISPLAY, INLINE, inline_formula, with_formulas

MAX_MARKDOWN_CHARACTERS = 100_000
# more marks or lines than any document has; to read them takes seconds
MAX_MARKS = 8000
MAX_BRACKETS = 2000
MAX_LINES = 2500
MAX_ROUNDS = 6

TAGS = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "a", "table", "thead", "tbody", "tr", "th", "td", "span",
}  # fmt: skip
SCHEMES = {"https", "mailto"}
KNOWN_NAMES = (
    "a abbr acronym address applet area article aside audio b base bdi bdo big blink blockquote body br button canvas"
    " caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed fieldset"
    " figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img"
    " input ins isindex kbd keygen label legend li link listing main map mark marquee math menu menuitem meta meter nav"
    " nobr noembed noframes noscript object ol optgroup option output p param picture plaintext pre progress q rp rt"
    " ruby s samp script search section select slot small source span strike strong style sub summary sup svg table"
    " tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr xmp"
)
HTML_NAMES = frozenset(KNOWN_NAMES.split())
# elements that go with their content
LIVE_NAMES = frozenset({"script", "style", "iframe", "object", "embed", "svg", "math", "template", "noscript"})
LIVE_ENDS = {name: re.compile(rf"</{name}\b[^<>]*>", re.IGNORECASE) for name in LIVE_NAMES}
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,40}:|//|www\.", re.IGNORECASE)
LIVE_SCHEME = re.compile(r"(?:https?|ftp|javascript|data|vbscript|file|blob):", re.IGNORECASE)
URL = re.compile(
    r"(?<![\w.])www\.[^\s<>()\[\]\"'`]+|(?:https?|ftp)://[^\s<>()\[\]\"'`]+|(?:javascript|data|vbscript):[^\s<>()\[\]\"'`]+",
    re.IGNORECASE,
)
MARK = re.compile(r"[!#$&*<=>\[\]\\^_`{}~|]")
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
LINE_START = re.compile(r"^[ \t>*+\-\d.)#|]*(<)(?=[/!?a-zA-Z])", re.MULTILINE)
REMOVED = "(address removed)"
PLAIN = str.maketrans({mark: f"&#{ord(mark)};" for mark in "\\`<&[]$~"})

Edit = tuple[int, int, str]


def is_readable(text: str) -> bool:
    """Whether a text is of the size of a document, so that it is read as Markdown in a moment."""
    if len(text) > MAX_MARKDOWN_CHARACTERS:
        return False
    lines = text.count("\n") - text.count("\n\n")
    brackets = text.count("[") + text.count("]")
    return lines <= MAX_LINES and brackets <= MAX_BRACKETS and len(MARK.findall(text)) <= MAX_MARKS


def reader() -> MarkdownIt:
    """The one parser of Markdown in the product: CommonMark with tables, strikethrough and formulas, without HTML."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # definitions would let a later line decide where an earlier one leads
    parser.disable("reference")
    return with_formulas(parser)


def tokens(text: str) -> list[Token]:
    """The tokens of a readable text."""
    return READER.parse(text)


# ---- cutting ------------------------------------------------------------------------------------------------------


def ends_of_blocks(text: str) -> list[int]:
    """Where in a growing text blocks end that nothing after them can change.

    Such a block is followed by a blank line and by a line without indentation, outside code. What is read from there
    on is read the same with and without the blocks before.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    # the last line may still grow into something else
    last = len(lines) - 1
    firsts = {one.map[0] for one in BLOCKS.parse(text[: starts[last]]) if one.map and not one.level}
    return [
        starts[first]
        for first in sorted(firsts)
        if 0 < first < last and not lines[first - 1].strip() and lines[first][:1].strip()
    ]


# ---- safe Markdown ------------------------------------------------------------------------------------------------


def safe_markdown(text: str, allowed_urls: Set[str] = frozenset()) -> str:
    """A model's Markdown without images, without elements, and without links except to the allowed URLs.

    Code stays as it is. The result is checked by reading it again, as other readers do; a text that cannot be made
    safe this way, or that is longer than any document, comes back as plain text with its marks escaped.
    """
    if not is_readable(text):
        return plain(text)
    safe = text
    for _ in range(MAX_ROUNDS):
        found = edited(safe, allowed_urls)
        if found == safe:
            break
        safe = found
    if not text[:1].isspace():
        # an indented line would become part of what stands before it
        safe = safe.lstrip()
    # a part that was removed may have kept a line from beginning code, which would swallow what follows
    return safe if is_safe(safe, allowed_urls) and (is_closed(safe) or not is_closed(text)) else plain(text)


def plain(text: str) -> str:
    """A text whose marks mean nothing."""
    return URL.sub(REMOVED, text).translate(PLAIN)


def is_safe(text: str, allowed: Set[str]) -> bool:
    """Whether other readers of CommonMark, also those that let HTML through, find nothing live."""
    for token in STRANGER.parse(text):
        for part in (token, *(token.children or ())):
            if part.type == "image" or (part.type == "link_open" and str(part.attrs["href"]) not in allowed):
                return False
            if part.type in ("html_inline", "html_block") and is_live(part.content):
                return False
    return True


def is_closed(text: str) -> bool:
    """Whether a new paragraph can follow, because no code is open."""
    last = STRANGER_BLOCKS.parse(f"{text}\n\nx")[-2:]
    return len(last) == 2 and last[0].type == "inline" and last[0].content == "x" and last[0].level == 1


def is_live(markup: str) -> bool:
    """Whether HTML is more than an unknown tag without attributes, such as the one in ``List<String>``."""
    return re.fullmatch(r"</?[a-zA-Z][a-zA-Z0-9-]*\s*/?>", markup.strip()) is None or name_of(markup) in HTML_NAMES


def name_of(markup: str) -> str:
    """The name of a tag in lower case."""
    found = TAG.match(markup.strip())
    return found.group(2).lower() if found else ""


def edited(text: str, allowed: Set[str]) -> str:
    """One round: removes and escapes what is live. What comes to light by that is for the next round."""
    lines = text.split("\n")
    env: dict[str, Any] = {"definitions": []}
    ranges = sorted({(one.map[0], one.map[1]) for one in EDITOR_BLOCKS.parse(text, env) if one.content and one.map})
    for number in env["definitions"]:
        lines[number] = lines[number].replace("[", "\\[", 1)
    done = 0
    for first, last in ranges:
        if first >= done:
            lines[first:last] = edited_part("\n".join(lines[first:last]), allowed).split("\n")
            done = last
    return "\n".join(lines)


def edited_part(text: str, allowed: Set[str]) -> str:
    """The lines of one paragraph, heading or row."""
    env: dict[str, Any] = {"allowed": allowed, "text": text, "edits": [], "kept": [], "formulas": []}
    env |= {"unclosed": set(), "dropped": Counter()}
    EDITOR.inline.parse(text, EDITOR, env, [])
    noted: list[Edit] = env["edits"]
    taken = merged([*env["kept"], *((start, end) for start, end, _ in noted)])
    formulas = merged(env["formulas"])
    starts = [match.start(1) for match in LINE_START.finditer(text)]
    edits = [(start, start + 1, "&lt;") for start in starts if not covers(formulas, start)]
    # the addresses of images and links go with them, so the others have to wait
    for match in () if noted else URL.finditer(text):
        bare = match.group().rstrip(".,;:!?*_")
        if bare not in allowed:
            edits.append((match.start(), match.start() + len(bare), REMOVED))
    edits = noted + [edit for edit in edits if not covers(taken, edit[0])]
    parts: list[str] = []
    done = 0
    for start, end, replacement in sorted(set(edits)):
        if start >= done:
            parts += [text[done:start], replacement]
            done = end
    result = "".join([*parts, text[done:]])
    # removed parts may have held a line's break, and the number of lines must not change
    return result + "\n" * (text.count("\n") - result.count("\n"))


def merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, with those that touch each other joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def covers(ranges: list[tuple[int, int]], index: int) -> bool:
    """Whether an index lies in one of the merged ranges."""
    before = bisect_right(ranges, (index, MAX_MARKDOWN_CHARACTERS)) - 1
    return before >= 0 and ranges[before][0] <= index < ranges[before][1]


def _noted(
    rule: Callable[[StateInline, bool], bool], note: Callable[[StateInline, int, int], None]
) -> Callable[[StateInline, bool], bool]:
    """A rule of the parser that also tells where it found something."""

    def noted(state: StateInline, silent: bool) -> bool:
        start = state.pos
        found = rule(state, silent)
        if found and not silent:
            note(state, start, state.pos)
        return found

    return noted


def _note_kept(state: StateInline, start: int, end: int) -> None:
    state.env["kept"].append((start, end))


def _note_formula(state: StateInline, start: int, end: int) -> None:
    # readers without formulas see a link where a formula has f[a](b)
    for match in re.finditer(r"\](?=[(\[])", state.src[start:end]):
        state.env["edits"].append((start + match.end(), start + match.end(), " "))
    state.env["formulas"].append((start, end))


def _note_link(state: StateInline, start: int, end: int) -> None:
    opened = next(token for token in reversed(state.tokens) if token.type == "link_open")
    href = str(opened.attrs["href"])
    if href in state.env["allowed"]:
        state.env["kept"].append((start, end))
        return
    _note_bracket(state, start, start, end, href)


def _note_bracket(state: StateInline, start: int, bracket: int, end: int, href: str) -> None:
    """Leaves only the label of what leads to an address. What merely looks like a link, as [0,1](open), is escaped."""
    label_end = state.md.helpers.parseLinkLabel(state, bracket)
    if ADDRESS.match(href) and label_end > bracket:
        state.env["edits"] += [(start, bracket + 1, ""), (label_end, end, "")]
    else:
        state.env["edits"].append((bracket, bracket, "\\"))


def _image(state: StateInline, silent: bool) -> bool:
    start, edits, kept = state.pos, state.env["edits"], state.env["kept"]
    before = len(edits), len(kept)
    if not image(state, silent):
        return False
    if not silent:
        # its label was read as a text of its own, with indexes of its own
        del edits[before[0] :], kept[before[1] :]
        source = state.tokens[-1].attrs["src"]
        _note_bracket(state, start, start + 1, state.pos, str(source))
    return True


def _note_autolink(state: StateInline, start: int, end: int) -> None:
    address = state.src[start + 1 : end - 1]
    if address in state.env["allowed"]:
        state.env["kept"].append((start, end))
    elif LIVE_SCHEME.match(address):
        state.env["edits"].append((start, end, REMOVED))
    else:
        state.env["edits"].append((start, start + 1, "&lt;"))


def _html(state: StateInline, silent: bool) -> bool:
    """A tag. Elements that run go with their content; known ones with attributes go; others are escaped."""
    start, env = state.pos, state.env
    if not html_inline(state, silent):
        return False
    markup = state.src[start : state.pos]
    name, is_closing = name_of(markup), markup[1] == "/"
    is_removed = name in HTML_NAMES and "=" in markup
    if name in LIVE_NAMES and not is_closing and name not in env["unclosed"]:
        closing = LIVE_ENDS[name].search(state.src, state.pos, state.posMax)
        if closing:
            state.pos, is_removed = closing.end(), True
        elif env["text"] is state.src and state.posMax == len(state.src):
            env["unclosed"].add(name)
    elif is_removed and not silent:
        env["dropped"][name] += 1
    elif is_closing and env["dropped"][name]:
        is_removed = True
        env["dropped"][name] -= not silent
    if is_removed and not silent:
        env["edits"].append((start, state.pos, ""))
    elif is_live(markup) and not silent:
        env["edits"].append((start, start + 1, "&lt;"))
    return True


def _reference(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    if not reference(state, first, last, silent):
        return False
    if not silent:
        state.env["definitions"].append(first)
    return True


def _editor() -> MarkdownIt:
    """The parser whose rules tell what to change. It knows HTML tags in a line, but no blocks of HTML."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.disable("html_block")
    parser = with_formulas(parser)
    parser.inline.ruler.at("formula", _noted(inline_formula, _note_formula))
    parser.inline.ruler.at("backticks", _noted(backtick, _note_kept))
    parser.inline.ruler.at("link", _noted(link, _note_link))
    parser.inline.ruler.at("autolink", _noted(autolink, _note_autolink))
    parser.inline.ruler.at("image", _image)
    parser.inline.ruler.at("html_inline", _html)
    parser.block.ruler.at("reference", _reference)
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    return parser


# ---- HTML ---------------------------------------------------------------------------------------------------------


def markdown_to_html(markdown: str, allowed_urls: Set[str] = frozenset()) -> str:
    """Safe HTML with formulas for KaTeX or MathJax: no images, no other element, links to the allowed URLs only."""

    def attribute(tag: str, name: str, value: str) -> str | None:
        if (tag, name) == ("span", "class"):
            return value if value in (INLINE, DISPLAY) else None
        return value if name == "rel" or ((tag, name) == ("a", "href") and value in allowed_urls) else None

    if not is_readable(markdown):
        return f"<p>{html.escape(URL.sub(REMOVED, markdown))}</p>"
    rendered = READER.render(safe_markdown(markdown, allowed_urls))
    return nh3.clean(
        rendered,
        tags=TAGS,
        attributes={"a": {"href"}, "span": {"class"}},
        attribute_filter=attribute,
        url_schemes=SCHEMES,
    )


def is_safe_url(url: str, allowed_urls: Set[str]) -> bool:
    """Whether a model's URL may be stored: it is https and one of those that the model was given."""
    return url in allowed_urls and urlsplit(url).scheme == "https"


def _stranger() -> MarkdownIt:
    """A reader as others have it: with HTML, with definitions, without formulas, and with every address."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    return parser


READER = reader()
BLOCKS = reader()
BLOCKS.core.ruler.enableOnly(["normalize", "block"])
EDITOR = _editor()
EDITOR_BLOCKS = _editor()
EDITOR_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
STRANGER = _stranger()
STRANGER_BLOCKS = _stranger()
STRANGER_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
