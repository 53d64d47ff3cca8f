"""What an uploaded file is, by its bytes and never by what the client says, and how its name is cleaned."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path
from typing import IO, NamedTuple

from functions.shared import extraction

PIECE_BYTES = 1024 * 1024
HEAD_BYTES = 4096
MAX_NAME_CHARACTERS = 255
MAX_SUFFIX_CHARACTERS = 10
# what a browser takes for a page, after blanks, comments and declarations
HTML_HEAD = re.compile(
    rb"(?:\s|<!--.*?-->|<\?.*?\?>)*<(?:!doctype\s+html|html|head|body|script|style|title|meta|link|iframe|svg)\b",
    re.IGNORECASE | re.DOTALL,
)


class Kind(NamedTuple):
    """A type of file."""

    mime_type: str
    suffix: str


PDF = Kind(extraction.PDF, ".pdf")
DOCX = Kind(extraction.DOCX, ".docx")
PPTX = Kind(extraction.PPTX, ".pptx")
HTML = Kind(extraction.HTML, ".html")
MARKDOWN = Kind(extraction.MARKDOWN, ".md")
TEXT = Kind(extraction.TEXT, ".txt")
OFFICE = {kind.mime_type: kind for kind in (DOCX, PPTX)}
SUFFIXES = {
    **{kind.suffix: kind for kind in (PDF, DOCX, PPTX, HTML, MARKDOWN, TEXT)},
    **dict.fromkeys((".htm", ".xhtml", ".svg"), HTML),
    ".markdown": MARKDOWN,
}


def kind_of(file: IO[bytes], filename: str) -> Kind | None:
    """The type of an open file; None when it is none of those above. Its position is at the beginning afterwards.

    :param filename: tells kinds of text apart, nothing else
    :raise extraction.Refused: it is an archive that is damaged, encrypted, or unpacks to too much
    """
    try:
        head = file.read(HEAD_BYTES)
        if head.startswith(b"%PDF-"):
            return PDF
        if head.startswith(extraction.ZIP_HEAD):
            return OFFICE[extraction.office_kind(file)]
        file.seek(0)
        if not head or not _is_text(file):
            return None
        named = claimed_kind(filename)
        if named is HTML or HTML_HEAD.match(head.removeprefix(codecs.BOM_UTF8)):
            return HTML
        return MARKDOWN if named is MARKDOWN else TEXT
    finally:
        file.seek(0)


def claimed_kind(filename: str) -> Kind | None:
    """The type that a name stands for; None when its ending says nothing."""
    return SUFFIXES.get(Path(filename.strip().lower()).suffix)


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
