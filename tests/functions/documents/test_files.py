"""Which files are kept as documents, and the names that people may give them."""

from __future__ import annotations

import io

import pytest

from functions.documents.errors import DocumentEmpty, DocumentTypeNotSupported
from functions.documents.files import document_kind
from functions.shared.files import MARKDOWN, PDF, TEXT, Kind, clean_name

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"%PDF-1.7\n\x00\x01", "x.txt", PDF),
        (b"notes", "x.txt", TEXT),
        (b"notes", "x.pdf", TEXT),
        (b"# Notes", "x.MD", MARKDOWN),
        (BOM + "Grüße".encode(), "x", TEXT),
        (b"<div align=center>a Markdown page</div>", "README.md", MARKDOWN),
        (b"a < b and <html> in a sentence", "x.txt", TEXT),
        (b" \n\t", "x.txt", TEXT),
        # a character that lies across two pieces
        (b"x" * (1024 * 1024 - 1) + "ü".encode(), "x.txt", TEXT),
    ],
)
def test_what_is_accepted(content: bytes, name: str, kind: Kind) -> None:
    file = io.BytesIO(content)
    assert document_kind(file, name) == kind
    assert file.tell() == 0


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\x14\x00 a zip named .pdf",
        b"one\x00two",
        "Grüße".encode("latin-1"),
        "\ufeffGruß".encode("utf-16"),
        b"\xc3",
        b"fine at first" + b"x" * (1024 * 1024) + b"\xff",
        b"<!DOCTYPE html><p>x",
        b"  \n<HTML lang=en>",
        BOM + b"<!-- a comment --> <?xml version='1.0'?>\n<html>",
        b"<script>alert(1)</script>",
        b"<svg onload=alert(1)>",
    ],
)
def test_what_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentTypeNotSupported):
        document_kind(io.BytesIO(content), "x.pdf")


def test_html_is_refused_by_its_name_too_and_nothing_is_empty() -> None:
    with pytest.raises(DocumentTypeNotSupported):
        document_kind(io.BytesIO(b"<p>part of a page"), "page.HTML")
    with pytest.raises(DocumentEmpty):
        document_kind(io.BytesIO(b""), "x.pdf")


def test_a_long_unfinished_comment_takes_no_time() -> None:
    assert document_kind(io.BytesIO(b"<!--" * 100_000), "x.txt") == TEXT


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("notes.pdf", "notes.pdf"),
        ("../../etc/passwd-made-for-a-test", "passwd-made-for-a-test"),
        ("C:\\fakepath\\notes.pdf", "notes.pdf"),
        ("a\x00b\x1fc\r\nd.pdf", "abc d.pdf"),
        ("report\u202efdp.exe", "reportfdp.exe"),
        ("  two   words .pdf ", "two words .pdf"),
        ("U\u0308bung.pdf", "Übung.pdf"),
        ("", "document.pdf"),
        ("...", "document.pdf"),
        ("folder/", "document.pdf"),
        ("\ud800.pdf", ".pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_names(given: str, shown: str) -> None:
    assert clean_name(given, PDF) == shown
    assert 1 <= len(shown) <= 255
