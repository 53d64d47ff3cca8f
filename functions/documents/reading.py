"""Reads the text of a stored file. Everything here runs in a child process (shared/children.py).

It imports as little as it can, because each child starts anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from functions.shared import pdf

UNREADABLE = "document_unreadable"
TOO_LONG = "document_too_long"


def read_pdf(path: str, max_pages: int, max_characters: int) -> dict[str, Any]:
    """The text of a PDF, page by page.

    :return: ``page_count`` (null when the file cannot be opened), ``pages``, and ``failure``: a code, or null
    """
    found = pdf.read_pdf(Path(path), max_pages=max_pages, max_characters=max_characters)
    return {**found._asdict(), "failure": found.failure and f"document_{found.failure}"}


def read_text(path: str, max_characters: int) -> dict[str, Any]:
    """The text of a file in UTF-8, as one page that does not count as one."""
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    if len(text) > max_characters:
        return {"page_count": None, "pages": [], "failure": TOO_LONG}
    return {"page_count": None, "pages": [text], "failure": None}
