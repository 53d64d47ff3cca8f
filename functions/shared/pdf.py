"""The text of PDF files. Call it in a child process (children.py): the library is C, and the files are strangers'."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import pypdfium2  # type: ignore[import-untyped]
from pypdfium2 import raw

ENCRYPTION_ERRORS = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)


class PdfText(NamedTuple):
    """What a PDF says, a text for each page. ``page_count`` is None when the file cannot be opened."""

    page_count: int | None
    pages: list[str]
    failure: Literal["encrypted", "unreadable", "too_long"] | None = None


def read_pdf(path: Path, *, max_pages: int, max_characters: int) -> PdfText:
    """The text of each page. A page that is damaged costs its own text alone."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        return PdfText(None, [], "encrypted" if error.err_code in ENCRYPTION_ERRORS else "unreadable")
    count = len(document)
    if count == 0:
        return PdfText(None, [], "unreadable")
    if count > max_pages:
        return PdfText(count, [], "too_long")
    pages: list[str] = []
    characters = broken = 0
    for number in range(count):
        try:
            page = document[number]
            text = page.get_textpage()
            pages.append(str(text.get_text_range()))
            text.close()
            page.close()
        except pypdfium2.PdfiumError:
            pages.append("")
            broken += 1
        characters += len(pages[-1])
        if characters > max_characters:
            return PdfText(count, [], "too_long")
    return PdfText(count, pages, "unreadable" if broken == count else None)
