"""Which uploaded files are kept as documents."""

from __future__ import annotations

from typing import IO

from functions.documents.errors import DocumentEmpty, DocumentTypeNotSupported
from functions.shared.extraction import Refused
from functions.shared.files import MARKDOWN, PDF, TEXT, Kind, kind_of

KINDS = frozenset({PDF, MARKDOWN, TEXT})


def document_kind(file: IO[bytes], filename: str) -> Kind:
    """The type of an open file. Its position is at the beginning before and after.

    :raise DocumentEmpty: it has no bytes
    :raise DocumentTypeNotSupported: it is neither a PDF nor text in UTF-8, or it is HTML
    """
    if not file.read(1):
        raise DocumentEmpty()
    file.seek(0)
    try:
        kind = kind_of(file, filename)
    except Refused as error:
        raise DocumentTypeNotSupported() from error
    if kind not in KINDS:
        raise DocumentTypeNotSupported()
    return kind
