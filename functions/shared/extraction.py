"""The text of a file that somebody gave: PDF, DOCX, PPTX, HTML, Markdown or plain text.

:func:`extract` is made for a child process (``children.py``): its parsers read hostile files. What a file is, its bytes
say; its name and the server's word only tell kinds of text apart.
"""

from __future__ import annotations

import codecs
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

MAX_PAGES = 2000
MAX_CHARACTERS = 2_000_000
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_LIST_BYTES = 2 * 1024 * 1024
HEAD_BYTES = 4096
ZIP_HEAD = b"PK\x03\x04"
# how a ZIP ends: this record, then a comment
ZIP_END, ZIP_END_64 = b"PK\x05\x06", b"PK\x06\x07"
ZIP_END_BYTES, ZIP_END_64_BYTES, MAX_ZIP_COMMENT_BYTES = 22, 20, 0xFFFF

NOT_SUPPORTED = "source_type_not_supported"
ENCRYPTED = "source_encrypted"
UNREADABLE = "source_unreadable"
TOO_LONG = "source_too_long"
EMPTY = "source_empty"

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
HTML, MARKDOWN, TEXT = "text/html", "text/markdown", "text/plain"
OFFICE = {"word/document.xml": DOCX, "ppt/presentation.xml": PPTX}
HTML_NAMES, MARKDOWN_NAMES = (".html", ".htm", ".xhtml"), (".md", ".markdown")
HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
HTML_HEAD = re.compile(rb"(?:\s|<!--.*?-->|<\?.*?\?>)*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I | re.S)
CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([a-z0-9_-]{1,40})", re.I)


class Refused(Exception):
    """The file cannot be read; the text is the code."""


class Extracted(NamedTuple):
    """What a file says. ``pages`` has one text for each page or slide; None when there are none."""

    media_type: str
    text: str
    pages: list[str] | None
    is_cut: bool = False


def extract(path: str, name: str, media_type: str, charset: str | None) -> dict[str, Any]:
    """The text of a file.

    :param name: its name or the path of its address
    :param media_type: as a server declared it, or empty
    :param charset: the same
    :return: ``{"failure": code}``, or the fields of :class:`Extracted` and ``"failure": None``
    """
    try:
        found = _extract(Path(path), name.lower(), media_type, charset)
        if sum(map(len, found.pages or [found.text])) > MAX_CHARACTERS:
            raise Refused(TOO_LONG)
        if not found.text.strip():
            raise Refused(EMPTY)
    except Refused as error:
        return {"failure": str(error)}
    return {"failure": None, **found._asdict()}


def _extract(path: Path, name: str, media_type: str, charset: str | None) -> Extracted:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"%PDF-"):
        return _paged(PDF, read_pdf(path))
    if head.startswith(ZIP_HEAD):
        kind = office_kind(path)
        return _paged(PPTX, read_pptx(path)) if kind == PPTX else Extracted(DOCX, read_docx(path), None)
    data = path.read_bytes()
    is_html = media_type in HTML_TYPES or name.endswith(HTML_NAMES) or HTML_HEAD.match(_without_bom(head)) is not None
    text = decoded(data, charset, may_declare=is_html)
    if is_html:
        from functions.shared.markup.html import read_html

        page = read_html(text)
        return Extracted(HTML, page.markdown(), None, page.is_cut)
    is_markdown = media_type == MARKDOWN or name.endswith(MARKDOWN_NAMES)
    return Extracted(MARKDOWN if is_markdown else TEXT, text, None)


def _paged(media_type: str, pages: list[str]) -> Extracted:
    return Extracted(media_type, "\n\n".join(page for page in pages if page.strip()), pages)


def _without_bom(data: bytes) -> bytes:
    return data.removeprefix(codecs.BOM_UTF8)


def decoded(data: bytes, charset: str | None, *, may_declare: bool) -> str:
    """Bytes as text: by their mark, the declared charset, the page's own declaration, else UTF-8.

    :raise Refused: it is no text
    """
    declared = CHARSET.search(data[:HEAD_BYTES]) if may_declare else None
    wanted = [charset, declared[1].decode("ascii") if declared else None, "utf-8"]
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            wanted.insert(0, encoding)
    for encoding in filter(None, wanted):
        try:
            # an unknown name, or one of a codec that makes no text of bytes, is passed over
            text = data.decode(encoding) if codecs.lookup(encoding)._is_text_encoding else None
        except (LookupError, ValueError):
            continue
        if text is not None and "\0" not in text:
            return text
    if may_declare and b"\0" not in data:
        return data.decode("utf-8", "replace")  # a page with a broken byte is still a page
    raise Refused(NOT_SUPPORTED)


def read_pdf(path: Path) -> list[str]:
    """The text of each page.

    :raise Refused: it is encrypted, broken, or has too many pages
    """
    from functions.shared import pdf

    found = pdf.read_pdf(path, max_pages=MAX_PAGES, max_characters=MAX_CHARACTERS)
    if found.failure:
        raise Refused(f"source_{found.failure}")
    return found.pages


def office_kind(source: Path | IO[bytes]) -> str:
    """Which office file a ZIP is, before anything of it is unpacked.

    The sizes that the list declares bound what can be read: a reader stops at the declared size of an entry. The list
    itself is bounded before it is read, so that this may also run outside a child process.

    :param source: a path, or an open file, whose position changes
    :raise Refused: it is none that is read, is broken, or unpacks to too much
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return office_kind(file)
    _bound_list(source)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise Refused(UNREADABLE) from error
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise Refused(TOO_LONG)
    if any(entry.flag_bits & 1 for entry in entries):
        raise Refused(ENCRYPTED)
    names = {entry.filename for entry in entries}
    kind = next((kind for name, kind in OFFICE.items() if name in names), None)
    if kind is None:
        raise Refused(NOT_SUPPORTED)
    return kind


def _bound_list(file: IO[bytes]) -> None:
    """Refuses a ZIP whose list of entries is long. The record at its end says how long the list is."""
    size = file.seek(0, 2)
    file.seek(max(0, size - ZIP_END_BYTES - MAX_ZIP_COMMENT_BYTES - ZIP_END_64_BYTES))
    tail = file.read()
    at = tail.rfind(ZIP_END, 0, max(0, len(tail) - ZIP_END_BYTES + len(ZIP_END)))
    if at < 0:
        raise Refused(UNREADABLE)
    # archives past 4 GiB or 65 535 entries have another record, which would be believed instead
    if tail[max(0, at - ZIP_END_64_BYTES) :].startswith(ZIP_END_64):
        raise Refused(TOO_LONG)
    if struct.unpack_from("<L", tail, at + 12)[0] > MAX_LIST_BYTES:
        raise Refused(TOO_LONG)


def read_docx(path: Path) -> str:
    """The text as Markdown: headings, paragraphs and tables in their order.

    :raise Refused: it is broken
    """
    import docx
    from docx.table import Table

    try:
        parts = []
        for block in docx.Document(str(path)).iter_inner_content():
            if isinstance(block, Table):
                parts += [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
                continue
            style = str(block.style.name if block.style is not None else "")
            level = re.fullmatch(r"Heading ([1-6])", style)
            parts.append(f"{'#' * int(level[1])} {block.text}" if level and block.text.strip() else block.text)
    except Exception as error:  # the library raises whatever the damage leads it to
        raise Refused(UNREADABLE) from error
    return "\n\n".join(part for part in parts if part.strip())


def read_pptx(path: Path) -> list[str]:
    """The text of each slide with its notes.

    :raise Refused: it is broken
    """
    import pptx

    try:
        slides = []
        for slide in pptx.Presentation(str(path)).slides:
            lines = list(_lines(slide.shapes, 0))
            if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
                lines.append(slide.notes_slide.notes_text_frame.text)
            slides.append("\n".join(line for line in lines if line.strip()))
    except Exception as error:  # the library raises whatever the damage leads it to
        raise Refused(UNREADABLE) from error
    if len(slides) > MAX_PAGES:
        raise Refused(TOO_LONG)
    return slides


def _lines(shapes: Any, depth: int) -> Iterator[str]:
    """The texts of shapes, also of those within groups."""
    for shape in shapes:
        if shape.has_text_frame:
            yield shape.text_frame.text
        elif getattr(shape, "has_table", False):
            yield from (" | ".join(cell.text.strip() for cell in row.cells) for row in shape.table.rows)
        elif hasattr(shape, "shapes") and depth < 20:
            yield from _lines(shape.shapes, depth + 1)
