r"""The one cleaner of HTML, wherever it enters: what a reader does not see goes with its text, formulas become text.

    page = read_html(html)
    page.stored()      HTML that may be stored and shown
    page.markdown()    the same for a model
    page.hidden        what nobody sees, such as a teacher's notes: never shown, never sent, known to the leak guard

Formulas, whether pictures or MathML, become ``<span class="math inline">\(x^2\)</span>``, and ``$x^2$`` in Markdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import nh3
from selectolax.lexbor import LexborHTMLParser, LexborNode

from functions.shared.markup.formulas import DISPLAY, INLINE
from functions.shared.markup.mathml import latex_of
from functions.shared.markup.text import visible
from functions.shared.markup.visibility import take_hidden

MAX_INPUT_CHARACTERS = 5_000_000
MAX_STORED_CHARACTERS = 1_000_000
MAX_TAGS = 60_000
MAX_NESTING = 60
MAX_ATTRIBUTE_MARKS = 600
MAX_REOPENED = 5000
MAX_FRAMES = 10
MAX_ONLY_CHARACTERS = 2000
MAX_TITLE_CHARACTERS = 200

TAGS = nh3.ALLOWED_TAGS - {"area", "map", "data", "nav"} | {"tfoot"}
ATTRIBUTES = {
    "*": {"title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start", "type"},
    "span": {"class"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
FRAMES = frozenset({"iframe", "embed", "object", "video", "audio"})
# what browsers do not show as text of the page
NEVER_SHOWN = FRAMES | frozenset(
    {"script", "style", "noscript", "template", "head", "title", "meta", "link", "base", "input", "select", "textarea"}
    | {"svg", "canvas", "datalist", "noframes", "noembed", "frameset", "applet", "area", "map"}
    | {"param", "source", "track"}
)
FORMULAS = frozenset({"math", "img"})
LINKING = frozenset({"href", "src", "alt", "title"})
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
# their end tags are optional, so that many open ones do not lie within each other
OPTIONAL = frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "colgroup"}
    | {"rp", "rt", "html", "head", "body"}
)
FORMATTING = frozenset(
    {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
)
UNCOUNTED = VOID | OPTIONAL
HEAD = re.compile(r"<(/?[a-zA-Z][a-zA-Z0-9:-]{0,40})?")  # once for each "<", empty where no tag begins
DATA_URI = re.compile(r"data:[\w.+-]{0,60}(?:/[\w.+-]{1,80})?(?:;[\w.=+-]{1,80}){0,5},[^\s\"'<>()]*", re.IGNORECASE)
WORD = re.compile(r"\w")
BARE_ADDRESS = re.compile(r"https?://\S+")
SECRET_QUERY = re.compile(r"([?&]|&amp;)(?:verifier|sf_verifier|access_token)=[^&#\s<>\"']*(?:&amp;|&)?", re.IGNORECASE)
EMPTY_QUERY = re.compile(r"[?&](?=$|[\s<>\"')#])")
LATEX_PREFIX = re.compile(r"\s*latex:\s*", re.IGNORECASE)
DELIMITED = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]|\$\$(.*)\$\$|\$(.*)\$", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page without what is hidden. The tree may be changed before it is written out.

    :param hidden: the texts that a reader would not see
    :param embedded: titles and hosts of the pages, videos and sounds that it shows in frames
    :param is_cut: whether the page went on after ``MAX_INPUT_CHARACTERS``
    """

    tree: LexborHTMLParser
    hidden: tuple[str, ...]
    is_cut: bool
    embedded: tuple[str, ...] = ()

    def urls(self) -> frozenset[str]:
        """The https addresses of its links."""
        links = (node.attributes.get("href") or "" for node in self.tree.css("a[href]"))
        return frozenset(url.strip() for url in links if url.strip().startswith("https://"))

    def only(self) -> str | None:
        """What the page consists of when it has no words of its own: ``frame``, ``link`` or ``picture``. Else None."""
        body = self.tree.body
        if body is None or len(body.text() or "") > MAX_ONLY_CHARACTERS:
            return None
        has_address = False
        for node in body.traverse(include_text=True):
            if not node.is_text_node or not WORD.search(text := node.text_content or "") or _is_linked(node):
                continue
            if WORD.search(BARE_ADDRESS.sub("", text)):
                return None
            has_address = True
        if self.embedded:
            return "frame"
        if has_address or body.css_first("a[href]") is not None:
            return "link"
        return "picture" if body.css_first("img") is not None else None

    def stored(self) -> tuple[str | None, bool]:
        """HTML that may be shown, None when nothing is left, and whether the page was cut."""
        body = self.tree.body
        html = (body.inner_html or "") if body is not None else ""
        cleaned = sanitised(html)
        is_cut = len(cleaned) > MAX_STORED_CHARACTERS
        if is_cut:
            cleaned = sanitised(cleaned[:MAX_STORED_CHARACTERS].rpartition("<")[0])
        return cleaned or None, is_cut or self.is_cut

    def markdown(self) -> str:
        """The page for a model."""
        return markdown_of(self.tree.body)


def read_html(html: str) -> Page:
    """Reads HTML in time that grows with its length: hidden parts out, formulas as text, secrets of links removed."""
    text = visible(without_data_uris(html).replace("\u00a0", " "))
    is_cut = len(text) > MAX_INPUT_CHARACTERS
    tree = LexborHTMLParser(tamed(text[:MAX_INPUT_CHARACTERS]))
    hidden = take_hidden(tree)
    take_formulas(tree)
    unshown = elements(tree, NEVER_SHOWN)
    embedded = frames_of([node for node in unshown if node.tag in FRAMES])
    for node in topmost(unshown):
        node.decompose()
    hide_secrets(tree)
    return Page(tree, tuple(hidden), is_cut, embedded)


def elements(tree: LexborHTMLParser, tags: frozenset[str]) -> list[LexborNode]:
    """The elements of these kinds, in the order of the page. A selector of CSS would take several times as long."""
    return [] if tree.root is None else [node for node in tree.root.traverse() if node.tag in tags]


def frames_of(nodes: list[LexborNode]) -> tuple[str, ...]:
    """Title and host of each page, video or sound that is shown in a frame, ``Quiz (tool.test)``.

    Whole addresses may be signed.
    """
    found = []
    for node in nodes[:MAX_FRAMES]:
        attributes = node.attributes
        source = attributes.get("src") or attributes.get("data")
        if not source and (inner := node.css_first("source[src]")) is not None:
            source = inner.attributes.get("src")
        address = host_of(source or "")
        named = attributes.get("title") or (node.tag if node.tag in ("video", "audio") else "")
        title = " ".join((named or "").split())[:MAX_TITLE_CHARACTERS]
        found.append(f"{title} ({address})" if title and address else title or address or "untitled")
    return tuple(found)


def host_of(address: str) -> str:
    """The host of an address; empty where it has none."""
    try:
        return (urlsplit(address.strip()).hostname or "")[:MAX_TITLE_CHARACTERS]
    except ValueError:
        return ""


def _is_linked(node: LexborNode) -> bool:
    parent = node.parent
    while parent is not None and not (parent.tag == "a" and parent.attributes.get("href")):
        parent = parent.parent
    return parent is not None


def topmost(nodes: list[LexborNode]) -> list[LexborNode]:
    """The nodes that lie within none of the others. A node must not be touched once one around it was removed."""
    known = {node.mem_id for node in nodes}
    found: list[LexborNode] = []
    for node in nodes:
        parent = node.parent
        while parent is not None and parent.mem_id not in known:
            parent = parent.parent
        if parent is None:
            found.append(node)
    return found


def without_data_uris(html: str) -> str:
    """The HTML without pictures that are written out in it, which may have megabytes."""
    return DATA_URI.sub("", html) if "data:" in html.lower() else html


def tamed(html: str) -> str:
    """HTML that every parser reads in one pass: bounded nesting, attributes, tags and reopened formatting.

    Pages of people are not changed.
    """
    first, *pieces = html.split("<")
    changed: dict[int, str] = {}
    open_names: dict[str, int] = {}
    dropped: dict[str, int] = {}
    depth = tags = formatting = reopened = 0
    for index, (piece, head) in enumerate(zip(pieces, HEAD.findall(html), strict=True)):
        if not head:
            if piece[:1] not in "!?/":
                changed[index] = "&lt;" + piece
            continue
        is_end = head[0] == "/"
        name = head.lower().removeprefix("/")
        closed = ""
        tags += 1
        is_dropped = tags > MAX_TAGS
        if name in FORMATTING:
            is_dropped = is_dropped or reopened > MAX_REOPENED
        else:
            reopened += formatting
            if formatting and reopened > MAX_REOPENED:
                for open_name in FORMATTING & open_names.keys():
                    closed += f"</{open_name}>" * open_names.pop(open_name)
                depth, formatting = depth - formatting, 0
        if name not in UNCOUNTED:
            if is_end:
                if dropped.get(name):
                    dropped[name] -= 1
                    is_dropped = True
                elif open_names.get(name):
                    open_names[name] -= 1
                    depth -= 1
                    formatting -= name in FORMATTING
                else:
                    is_dropped = True
            elif is_dropped or depth >= MAX_NESTING:
                dropped[name] = dropped.get(name, 0) + 1
                is_dropped = True
            else:
                open_names[name] = open_names.get(name, 0) + 1
                depth += 1
                formatting += name in FORMATTING
        if is_dropped:
            _, end, rest = piece.partition(">")
            changed[index] = closed + (" " + rest if end else "")
        elif len(piece) > MAX_ATTRIBUTE_MARKS and has_many_attributes(piece):
            changed[index] = f"{closed}<{'/' if is_end else ''}{name}>{piece.partition('>')[2]}"
        elif closed:
            changed[index] = f"{closed}<{piece}"
    if not changed:
        return html
    return first + "".join(changed.get(index, "<" + piece) for index, piece in enumerate(pieces))


def has_many_attributes(piece: str) -> bool:
    """Whether a tag, with the text that follows it, may have more attributes than a page of people."""
    tag = piece.partition(">")[0]
    return sum(map(tag.count, " \n\t/\"'")) > MAX_ATTRIBUTE_MARKS


def take_formulas(tree: LexborHTMLParser) -> None:
    """Puts the LaTeX of equation images and MathML in their place."""
    for node in topmost(elements(tree, FORMULAS)):
        if node.tag == "img":
            latex, is_display = latex_of_image(node)
            if latex:
                put_formula(tree, node, latex, is_display=is_display)
            continue
        written = node.css_first("annotation[encoding='application/x-tex']")
        latex = written.text(strip=True) if written is not None else node.attributes.get("alttext") or latex_of(node)
        put_formula(tree, node, latex, is_display=node.attributes.get("display") == "block")


def put_formula(tree: LexborHTMLParser, node: LexborNode, latex: str, *, is_display: bool) -> None:
    """Replaces a node of a tree by a formula."""
    text = visible(latex).strip()
    if not text:
        node.decompose()
        return
    span = tree.create_node("span")
    span.attrs["class"] = DISPLAY if is_display else INLINE
    span.insert_child(f"\\[{text}\\]" if is_display else f"\\({text}\\)")
    node.replace_with(span, move=True)


def latex_of_image(node: LexborNode) -> tuple[str, bool]:
    """The formula of an equation image, in any form that editors of Canvas write, and whether it is displayed."""
    attributes = node.attributes
    alt = attributes.get("alt") or ""
    for given in (attributes.get("data-equation-content"), attributes.get("data-latex"), alt):
        match = DELIMITED.fullmatch((given or "").strip())
        if match is not None:
            inline, *displayed = match[1] or match[4], match[2], match[3]
            return (inline or next(filter(None, displayed), "")), inline is None
    if attributes.get("data-equation-content"):
        return attributes["data-equation-content"] or "", False
    if prefix := LATEX_PREFIX.match(alt):
        return alt[prefix.end() :], False
    mathml = next(
        (attributes[name] for name in ("x-canvaslms-safe-mathml", "data-mathml") if attributes.get(name)), None
    )
    if mathml:
        math = LexborHTMLParser(tamed(mathml)).css_first("math")
        return (latex_of(math), math.attributes.get("display") == "block") if math is not None else ("", False)
    if "equation_image" in (attributes.get("class") or "").split():
        return attributes.get("title") or alt, False
    return "", False


def hide_secrets(tree: LexborHTMLParser) -> None:
    """Removes what opens a file to everybody who has its link, from links and from texts."""
    if tree.root is None:
        return
    for node in list(tree.root.traverse(include_text=has_secrets(tree.root.text()))):
        if node.is_text_node:
            if has_secrets(text := node.text_content or ""):
                node.replace_with(without_secrets(text))
        else:
            for name, value in node.attributes.items():
                if value and name in LINKING and has_secrets(value):
                    node.attrs[name] = without_secrets(value)


def has_secrets(text: str) -> bool:
    """Whether a text has the query of a signed link in it."""
    return "=" in text and SECRET_QUERY.search(text) is not None


def without_secrets(text: str) -> str:
    """A text or an address without the queries of signed links."""
    return EMPTY_QUERY.sub("", SECRET_QUERY.sub(r"\1", text))


def _attribute(tag: str, name: str, value: str) -> str | None:
    if (tag, name) == ("span", "class"):
        return value if value in (INLINE, DISPLAY) else None
    return value


# made once: the lists of names would take longer to read than most pages
CLEANER = nh3.Cleaner(
    tags=TAGS,
    clean_content_tags={"script", "style", "iframe", "object", "template", "noscript", "svg", "math"},
    attributes=ATTRIBUTES,
    attribute_filter=_attribute,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer",
)


def sanitised(html: str) -> str:
    """HTML with known elements and attributes alone."""
    return str(CLEANER.clean(html)).strip()


# ---- Markdown -----------------------------------------------------------------------------------------------------

HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl"}
    | {"dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"}
    | {"header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "ul"}
)
SECTIONS = ("thead", "tbody", "tfoot")
MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~", "strike": "~~"}
SPACES = re.compile(r"[ \t\r\n\f]+")


def markdown_of(body: LexborNode | None) -> str:
    """The Markdown of an element."""
    if body is None:
        return ""
    text = "\n\n".join(blocks_of(body))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def blocks_of(node: LexborNode) -> list[str]:
    """The blocks of an element, each without the blank lines around it."""
    found: list[str] = []
    line: list[str] = []

    def end_line() -> None:
        text = "\n".join(part.strip() for part in "".join(line).split("\n")).strip()
        if text:
            found.append(text)
        line.clear()

    for child in node.iter(include_text=True):
        if child.is_element_node and (child.tag in BLOCKS or has_blocks(child)):
            end_line()
            found += block_of(child)
        else:
            line.append(inline_of(child))
    end_line()
    return found


def has_blocks(node: LexborNode) -> bool:
    """Whether an inline element, such as a link, has blocks in it."""
    return any(child.is_element_node and child.tag in BLOCKS for child in node.iter())


def block_of(node: LexborNode) -> list[str]:
    """One element as blocks."""
    tag = node.tag or ""
    if tag in HEADINGS:
        text = " ".join(" ".join(blocks_of(node)).split())
        return [f"{HEADINGS[tag]} {text}"] if text else []
    if tag == "hr":
        return ["---"]
    if tag == "pre":
        code = node.text().strip("\n")
        fence = "```" if "```" not in code else "~~~~~~~~"
        return [f"{fence}\n{code}\n{fence}"] if code.strip() else []
    if tag == "table":
        return table_of(node)
    if tag in ("ul", "ol"):
        return list_of(node)
    inner = blocks_of(node)
    if tag == "blockquote":
        text = "\n\n".join(inner)
        return ["\n".join(f"> {one}".rstrip() for one in text.split("\n"))] if text else []
    return inner


def list_of(node: LexborNode) -> list[str]:
    """A list, with what lies within its items indented."""
    items: list[str] = []
    start = node.attributes.get("start") or ""
    count = int(start) if node.tag == "ol" and start.isdigit() and len(start) < 6 else 1
    for child in node.iter():
        inner = list_of(child) if child.tag in ("ul", "ol") else blocks_of(child)
        if not inner:
            continue
        mark = "  " if child.tag in ("ul", "ol") else f"{count}. " if node.tag == "ol" else "- "
        count += child.tag == "li"
        joint = "\n" if all(one.lstrip().startswith(("- ", "1. ")) for one in inner[1:]) else "\n\n"
        text = joint.join(inner).replace("\n", "\n" + " " * len(mark))
        items.append(mark + text)
    return ["\n".join(items)] if items else []


def table_of(node: LexborNode) -> list[str]:
    """A table, its first row as the head. Tables within cells become text."""
    rows: list[list[str]] = []
    parts = [part for child in node.iter() for part in (child.iter() if child.tag in SECTIONS else (child,))]
    for row in (part for part in parts if part.tag == "tr"):
        cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
        rows.append([" ".join(" ".join(blocks_of(cell)).split()).replace("|", "\\|") for cell in cells])
    rows = [row for row in rows if row]
    if not rows:
        return blocks_of_children(node)
    width = max(map(len, rows))
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    return ["\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])]


def blocks_of_children(node: LexborNode) -> list[str]:
    """The blocks of everything in an element that is not what its name says."""
    return [block for child in node.iter() for block in blocks_of(child)]


def inline_of(node: LexborNode) -> str:
    """Text and what stands in a line."""
    if node.is_text_node:
        return SPACES.sub(" ", node.text_content or "")
    if not node.is_element_node:
        return ""
    tag = node.tag or ""
    if tag == "br":
        return "\n"
    if tag == "img":
        return SPACES.sub(" ", node.attributes.get("alt") or "")
    if tag == "code":
        code = SPACES.sub(" ", node.text())
        return f"`{code}`" if code.strip() and "`" not in code else code
    if tag == "span" and (node.attributes.get("class") or "") in (INLINE, DISPLAY):
        return formula_of(node.text())
    text = "".join(inline_of(child) for child in node.iter(include_text=True))
    inner = text.strip()
    if not inner:
        return text
    if tag in MARKS:
        return text.replace(inner, f"{MARKS[tag]}{inner}{MARKS[tag]}", 1)
    if tag in ("sup", "sub"):
        return f"{'^' if tag == 'sup' else '_'}{inner if len(inner) == 1 else f'({inner})'}"
    href = (node.attributes.get("href") or "").strip() if tag == "a" else ""
    if href.startswith(("https://", "http://", "mailto:")) and not re.search(r"[\s()<>]", href):
        return text.replace(inner, f"[{inner}]({href})", 1)
    return text


def formula_of(text: str) -> str:
    """A formula between dollar signs."""
    match = DELIMITED.fullmatch(text.strip())
    if match is None or "$" in text:
        return text
    displayed = match[2] or match[3]
    return f"$${displayed.strip()}$$" if displayed else f"${(match[1] or '').strip()}$"
