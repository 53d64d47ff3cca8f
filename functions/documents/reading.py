"""Reads the text of a stored file. Everything here runs in a child process (shared/children.py).

It imports as little as it can, because each child starts anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
from pypdfium2 import raw

ENCRYPTED = "document_encrypted"
UNREADABLE = "document_unreadable"
TOO_LONG = "document_too_long"
ENCRYPTION_ERRORS = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)


def read_pdf(path: str, max_pages: int, max_characters: int) -> dict[str, Any]:
    """The text of a PDF, page by page.

    :return: ``page_count`` (null when the file cannot be opened), ``pages``, and ``failure``: a code, or null
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        code = ENCRYPTED if error.err_code in ENCRYPTION_ERRORS else UNREADABLE
        return {"page_count": None, "pages": [], "failure": code}
    count = len(document)
    if count == 0:
        return {"page_count": None, "pages": [], "failure": UNREADABLE}
    if count > max_pages:
        return {"page_count": count, "pages": [], "failure": TOO_LONG}
    pages: list[str] = []
    characters = broken = 0
    for number in range(count):
        try:
            page = document[number]
            text = page.get_textpage()
            pages.append(text.get_text_range())
            text.close()
            page.close()
        except pypdfium2.PdfiumError:
            # one page that is damaged costs its own text alone
            pages.append("")
            broken += 1
        characters += len(pages[-1])
        if characters > max_characters:
            return {"page_count": count, "pages": [], "failure": TOO_LONG}
    return {"page_count": count, "pages": pages, "failure": UNREADABLE if broken == count else None}


def read_text(path: str, max_characters: int) -> dict[str, Any]:
    """The text of a file in UTF-8, as one page that does not count as one."""
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    if len(text) > max_characters:
        return {"page_count": None, "pages": [], "failure": TOO_LONG}
    return {"page_count": None, "pages": [text], "failure": None}
