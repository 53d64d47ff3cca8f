"""What an uploaded file is, by its bytes and never by what the client says, and how its name is cleaned."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path
from typing import IO, NamedTuple

from functions.documents.errors import DocumentEmpty, DocumentTypeNotSupported

PIECE_BYTES = 1024 * 1024
HEAD_BYTES = 4096
MAX_NAME_CHARACTERS = 255
MAX_SUFFIX_CHARACTERS = 10
MARKDOWN_NAMES = (".md", ".markdown")
HTML_NAMES = (".html", ".htm", ".xhtml", ".svg")
# what a browser takes for a page, after blanks, comments and declarations
HTML = re.compile(
    rb"(?:\s|<!--.*?-->|<\?.*?\?>)*<(?:!doctype\s+html|html|head|body|script|style|title|meta|link|iframe|svg)\b",
    re.IGNORECASE | re.DOTALL,
)


class Kind(NamedTuple):
    """A type of file that is accepted."""

    mime_type: str
    suffix: str


PDF = Kind("application/pdf", ".pdf")
MARKDOWN = Kind("text/markdown", ".md")
TEXT = Kind("text/plain", ".txt")
KINDS = {kind.mime_type: kind for kind in (PDF, MARKDOWN, TEXT)}


def kind_of(file: IO[bytes], filename: str) -> Kind:
    """The type of an open file. Its position is at the beginning before and after.

    :param filename: tells Markdown from other text, nothing else
    :raise DocumentEmpty: it has no bytes
    :raise DocumentTypeNotSupported: it is neither a PDF nor text in UTF-8, or it is HTML
    """
    try:
        head = file.read(HEAD_BYTES)
        if not head:
            raise DocumentEmpty()
        if head.startswith(b"%PDF-"):
            return PDF
        name = filename.lower()
        file.seek(0)
        if not _is_text(file) or HTML.match(head.removeprefix(codecs.BOM_UTF8)) or name.endswith(HTML_NAMES):
            raise DocumentTypeNotSupported()
        return MARKDOWN if name.endswith(MARKDOWN_NAMES) else TEXT
    finally:
        file.seek(0)


def _is_text(file: IO[bytes]) -> bool:
    """Whether the rest of a file is UTF-8 without NUL."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(PIECE_BYTES):
            if b"\0" in piece:
                return False
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def clean_name(name: str, kind: Kind) -> str:
    """A name to show, of 1 to 255 characters: without folders, control and invisible characters, and outer blanks."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    # formatting characters too: they can make "fdp.exe" look like "exe.pdf"
    name = "".join(
        character for character in re.sub(r"[\t\r\n]", " ", name) if unicodedata.category(character)[0] != "C"
    )
    name = " ".join(name.split())
    if not name.strip(". "):
        return f"document{kind.suffix}"
    if len(name) > MAX_NAME_CHARACTERS:
        suffix = Path(name).suffix
        suffix = suffix if len(suffix) <= MAX_SUFFIX_CHARACTERS else ""
        name = name[: MAX_NAME_CHARACTERS - len(suffix)].rstrip() + suffix
    return name
