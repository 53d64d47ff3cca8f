"""What a sighted reader of a page does not see: which elements and texts its markup and styles hide.

Only what is certain counts as hidden. Colours count together with what is behind them: white text is hidden on white,
and not on black. Style sheets do not count, because Canvas removes them before people read a page.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_STYLE_CHARACTERS = 4000
MAX_CACHED_STYLES = 500
MIN_OPACITY = 0.1
MIN_FONT_PX = 2.0
MAX_COLOR_DISTANCE = 24
FAR_PX = 400.0
DEFAULT_FONT_PX = 16.0
HIDING_CLASSES = frozenset(
    {"hidden", "hide", "d-none", "invisible", "visually-hidden", "sr-only", "screenreader-only", "screen-reader-only"}
    | {"screen-reader-text", "visuallyhidden", "ui-helper-hidden", "ui-helper-hidden-accessible", "is-hidden"}
)
PX = {
    "px": 1.0,
    "pt": 1.33,
    "pc": 16.0,
    "em": 16.0,
    "rem": 16.0,
    "ex": 8.0,
    "ch": 8.0,
    "vw": 10.0,
    "vh": 8.0,
    "cm": 38.0,
}
PX |= {"mm": 3.8, "in": 96.0, "%": 5.0, "vmin": 8.0, "vmax": 10.0, "": 1.0}
FONTS = {
    "xx-small": 9.0,
    "x-small": 10.0,
    "small": 13.0,
    "medium": 16.0,
    "large": 18.0,
    "x-large": 24.0,
    "xx-large": 32.0,
}
UNITS = "px|pt|pc|em|rem|ex|ch|vw|vh|vmin|vmax|cm|mm|in|%"
SIZE = re.compile(rf"([+-]?(?:\d{{1,9}}(?:\.\d{{0,9}})?|\.\d{{1,9}})(?:e[+-]?\d{{1,2}})?)({UNITS})?")
FONT_SHORTHAND = re.compile(rf"(?:^|\s)((?:\d{{1,6}}(?:\.\d{{0,6}})?|\.\d{{1,6}})(?:{UNITS})?)(?=\s*/|\s|$)")
COMMENT = re.compile(r"/\*[^*]*(?:\*(?!/)[^*]*)*\*/")
ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)", re.DOTALL)
ARGUMENTS = re.compile(r"[,\s/]+")
COLOR_TOKEN = re.compile(r"#[0-9a-f]{3,8}\b|(?:rgb|hsl)a?\([^()]{0,60}\)|[a-z]{3,20}")
NAMES = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "whitesmoke": (245, 245, 245),
    "ghostwhite": (248, 248, 255),
    "floralwhite": (255, 250, 240),
    "azure": (240, 255, 255),
    "mintcream": (245, 255, 250),
    "seashell": (255, 245, 238),
    "honeydew": (240, 255, 240),
    "aliceblue": (240, 248, 255),
    "lavenderblush": (255, 240, 245),
    "oldlace": (253, 245, 230),
    "linen": (250, 240, 230),
    "beige": (245, 245, 220),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "lightgray": (211, 211, 211),
    "lightgrey": (211, 211, 211),
    "gainsboro": (220, 220, 220),
    "navy": (0, 0, 128),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "maroon": (128, 0, 0),
    "teal": (0, 128, 128),
    "aqua": (0, 255, 255),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "fuchsia": (255, 0, 255),
    "pink": (255, 192, 203),
    "brown": (165, 42, 42),
    "darkblue": (0, 0, 139),
    "darkgreen": (0, 100, 0),
    "darkred": (139, 0, 0),
    "lightyellow": (255, 255, 224),
}

Color = tuple[int, int, int]
TRANSPARENT: Color = (-1, -1, -1)


@dataclass(frozen=True)
class Look:
    """How text looks at one place of a page. None: a colour that is not known, such as that of a picture."""

    ink: Color | None = (0, 0, 0)
    paper: Color | None = (255, 255, 255)
    font_px: float = DEFAULT_FONT_PX
    is_visible: bool = True

    def is_readable(self) -> bool:
        """Whether text of this look can be seen."""
        if not self.is_visible or self.font_px < MIN_FONT_PX or self.ink == TRANSPARENT:
            return False
        if self.ink is None or self.paper is None:
            return True
        return max(abs(a - b) for a, b in zip(self.ink, self.paper, strict=True)) > MAX_COLOR_DISTANCE


PLAIN = Look()


def take_hidden(tree: LexborHTMLParser) -> list[str]:
    """Removes from a tree what nobody sees, and returns its texts."""
    taken: list[str] = []
    if tree.root is None or is_plain(tree.root):
        return taken
    waiting: list[tuple[LexborNode, Look]] = [(tree.root, PLAIN)]
    while waiting:
        node, look = waiting.pop()
        is_readable = look.is_readable()
        child = node.first_child
        while child is not None:
            following = child.next
            if child.is_text_node:
                if not is_readable and (text := (child.text_content or "").strip()):
                    taken.append(text)
                    child.decompose()
            elif child.is_element_node:
                inner = look_of(child, look)
                if inner is None:
                    taken.append(child.text(separator=" ", strip=True))
                    child.decompose()
                elif child.first_child is not None:
                    waiting.append((child, inner))
                elif child.tag == "img" and not inner.is_visible:
                    child.decompose()
            elif child.is_comment_node:
                comment = (child.comment_content or "").strip()
                taken += [] if comment.startswith("[") else [comment]
                child.decompose()
            child = following
    return [text for text in taken if text]


def is_plain(root: LexborNode) -> bool:
    """Whether nothing on a page changes how its text looks, as on most pages. Then it hides nothing, either."""
    for node in root.traverse():
        if node.attributes:
            if look_of(node, PLAIN) != PLAIN:
                return False
        elif node.tag in ("dialog", "-comment"):
            return False
    return True


def look_of(node: LexborNode, outer: Look) -> Look | None:
    """How text inside an element looks. None when the element is hidden, whatever is inside it."""
    attributes = node.attributes
    if not attributes:
        return None if node.tag == "dialog" else outer
    if "hidden" in attributes or (attributes.get("aria-hidden") or "").strip().lower() == "true":
        return None
    if node.tag == "dialog" and "open" not in attributes:
        return None
    if HIDING_CLASSES.intersection((attributes.get("class") or "").lower().split()):
        return None
    if node.tag == "img" and is_dot(attributes.get("width")) and is_dot(attributes.get("height")):
        return None
    look = outer
    paper = attributes.get("bgcolor")
    ink = attributes.get("color") if node.tag == "font" else attributes.get("text") if node.tag == "body" else None
    if paper and (found := color(paper.strip().lower())):
        look = replace(look, paper=found)
    if ink and (found := color(ink.strip().lower())):
        look = replace(look, ink=found)
    if node.tag == "font" and (attributes.get("size") or "").strip() == "0":
        look = replace(look, font_px=0.0)
    style = attributes.get("style")
    return styled(look, style[:MAX_STYLE_CHARACTERS]) if style else look


def is_dot(size: str | None) -> bool:
    """Whether a picture's width or height is that of a tracking pixel."""
    return size is not None and size.strip().removesuffix("px") in ("0", "1")


def declarations(style: str) -> dict[str, str]:
    """The properties of a style. Comments and escapes, which hide a word from careless readers, are resolved."""
    text = COMMENT.sub(" ", style)
    text = ESCAPE.sub(lambda m: chr(min(int(m[1], 16), 0x10FFFF)) if m[1] else m[2], text).lower()
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, colon, value = part.partition(":")
        if colon:
            value = value.strip()
            is_important = value.replace(" ", "").endswith("!important")
            value = value.rpartition("!")[0].strip() if is_important else value
            if value and (is_important or f"!{name.strip()}" not in found):
                found[name.strip()] = value
            if is_important:
                found[f"!{name.strip()}"] = "important"
    return found


def px(value: str, relative_to: float = DEFAULT_FONT_PX) -> float | None:
    """A length in pixels, roughly; None when it is none."""
    match = SIZE.fullmatch(value.strip())
    if match is None:
        return None
    unit = match[2] or ""
    return float(match[1]) * (relative_to if unit == "em" else PX[unit])


def number(value: str) -> float | None:
    """A number, or a percentage as a share of one."""
    match = SIZE.fullmatch(value.strip())
    if match is None or match[2] not in (None, "%"):
        return None
    return float(match[1]) / (100 if match[2] else 1)


def is_gone(style: dict[str, str]) -> bool:
    """Whether an element is hidden together with everything inside it."""
    if style.get("display", "").split()[:1] == ["none"] or style.get("content-visibility") == "hidden":
        return True
    if style.get("mso-hide") in ("all", "screen"):
        return True
    for name in ("opacity", "zoom", "scale"):
        share = number(style.get(name, ""))
        if share is not None and abs(share) < MIN_OPACITY:
            return True
    return is_faded(style) or is_cut_off(style) or is_off_screen(style)


def is_faded(style: dict[str, str]) -> bool:
    """Whether a filter makes an element transparent."""
    found = re.search(r"opacity\s*(?:\(|=)\s*([\d.]{1,9}%?)", style.get("filter", ""))
    if found is None:
        return False
    share = number(found[1])
    is_percent = "alpha" in style.get("filter", "")
    return share is not None and share / (100 if is_percent else 1) < MIN_OPACITY


def is_cut_off(style: dict[str, str]) -> bool:
    """Whether an element's box has no room for what is in it."""
    clip = re.sub(r"[\s,]+", " ", style.get("clip", ""))
    if clip.startswith("rect(") and all((px(part) or 0) <= 1 for part in clip[5:].rstrip(") ").split()[:4]):
        return True
    path = style.get("clip-path", "")
    inset = re.match(r"inset\(\s*(\d{1,5}(?:\.\d{0,5})?)%", path)
    if (inset and float(inset[1]) >= 50) or re.match(r"circle\(\s*0|polygon\(\s*0[\s,0px%]{0,60}\)", path):
        return True
    if not any(
        word in style.get(name, "") for name in ("overflow", "overflow-x", "overflow-y") for word in ("hidden", "clip")
    ):
        return False
    sizes = (style.get(name) for name in ("width", "height", "max-width", "max-height", "inline-size", "block-size"))
    return any(size is not None and (length := px(size)) is not None and length <= 1 for size in sizes)


def is_off_screen(style: dict[str, str]) -> bool:
    """Whether an element or its text is moved out of every window."""
    is_placed = style.get("position", "static") in ("absolute", "fixed", "relative", "sticky")
    for name in ("left", "right", "top", "bottom", "inset-inline-start", "inset-block-start"):
        length = px(style.get(name, "")) if is_placed else None
        if length is not None and (length <= -FAR_PX or length >= 10 * FAR_PX):
            return True
    for name in ("text-indent", "margin-left", "margin-top", "margin-right", "margin", "margin-inline-start"):
        lengths = [px(part) for part in style.get(name, "").split()[:4]]
        if any(length is not None and length <= -FAR_PX for length in lengths):
            return True
    if (spacing := px(style.get("letter-spacing", ""))) is not None and spacing <= -10:
        return True
    for value in (style.get("transform", ""), "translate(" + style.get("translate", "") + ")"):
        for name, arguments in re.findall(r"(scale|translate|rotate)(?:3d|x|y)?\(([^()]{0,60})\)", value):
            lengths = [px(part) for part in ARGUMENTS.split(arguments.strip()) if part]
            if name == "scale" and any(length is not None and abs(length) < MIN_OPACITY for length in lengths):
                return True
            if name == "translate" and any(length is not None and abs(length) >= FAR_PX for length in lengths):
                return True
    return bool(re.search(r"rotate[xy]\(\s*-?90deg", style.get("transform", "")))


@lru_cache(maxsize=MAX_CACHED_STYLES)
def styled(look: Look, css: str) -> Look | None:
    """A look changed by what text inherits: colours, size and visibility. None when the element is hidden.

    People use few styles, and each of them many times.
    """
    style = declarations(css)
    if is_gone(style):
        return None
    if (visibility := style.get("visibility")) is not None:
        look = replace(look, is_visible=visibility not in ("hidden", "collapse"))
    size = style.get("font-size")
    if size is None and (shorthand := FONT_SHORTHAND.search(style.get("font", ""))):
        size = shorthand[1]
    if size is not None:
        share = number(size) if size.endswith("%") else None
        length = FONTS.get(size, share * look.font_px if share is not None else px(size, look.font_px))
        look = look if length is None else replace(look, font_px=length)
    for name in ("background", "background-color"):
        if name in style:
            look = replace(look, paper=background(style[name], look.paper))
    for name in ("color", "-webkit-text-fill-color"):
        found = color(style.get(name, ""))
        if found is not None:
            look = replace(look, ink=found)
        elif style.get(name, "inherit") not in ("inherit", "currentcolor", "unset"):
            look = replace(look, ink=None)
    return look


def background(value: str, outer: Color | None) -> Color | None:
    """The colour of a background. A picture or an unknown word may have any colour."""
    if "(" in re.sub(r"(?:rgb|hsl)a?\(", "", value):
        return None
    for token in COLOR_TOKEN.findall(value):
        found = color(token)
        if found == TRANSPARENT:
            return outer
        if found is not None:
            return found
    return outer if value in ("none", "inherit", "initial", "unset", "0", "0 0") else None


def color(value: str) -> Color | None:
    """A colour of CSS; None when it is not one that is known."""
    value = value.strip()
    if value == "transparent":
        return TRANSPARENT
    if value in NAMES:
        return NAMES[value]
    if re.fullmatch(r"#?[0-9a-f]{3,8}", value) and len(value.lstrip("#")) in (3, 4, 6, 8):
        digits = value.lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) < 6 else digits
        parts = [int(digits[index : index + 2], 16) for index in range(0, len(digits), 2)]
        return TRANSPARENT if len(parts) == 4 and parts[3] < 255 * MIN_OPACITY else (parts[0], parts[1], parts[2])
    match = re.fullmatch(r"(rgb|hsl)a?\(([^()]{1,60})\)", value)
    if match is None:
        return None
    given = [part for part in ARGUMENTS.split(match[2].strip()) if part]
    if len(given) not in (3, 4):
        return None
    if len(given) == 4 and (alpha := number(given[3])) is not None and alpha < MIN_OPACITY:
        return TRANSPARENT
    shares = [number(part.removesuffix("deg")) for part in given[:3]]
    if None in shares:
        return None
    first, second, third = (share or 0.0 for share in shares)
    if match[1] == "hsl":
        red, green, blue = colorsys.hls_to_rgb(first % 360 / 360, min(third, 1.0), min(second, 1.0))
        return int(red * 255), int(green * 255), int(blue * 255)
    scale = 255 if "%" in match[2] else 1
    return tuple(max(0, min(255, int(part * scale))) for part in (first, second, third))  # type: ignore[return-value]
