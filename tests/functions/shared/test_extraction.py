"""The text of files, by what they are; hostile and broken ones end with a code."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import docx
import pptx
import pypdfium2  # type: ignore[import-untyped]
import pytest

from functions.shared.extraction import (
    DOCX,
    HTML,
    MARKDOWN,
    MAX_ENTRIES,
    MAX_LIST_BYTES,
    MAX_UNPACKED_BYTES,
    PDF,
    PPTX,
    TEXT,
    extract,
)


def read(
    tmp_path: Path, data: bytes, name: str = "/x", media_type: str = "", charset: str | None = None
) -> dict[str, Any]:
    """What is found in a file with these bytes."""
    path = tmp_path / "file"
    path.write_bytes(data)
    return extract(str(path), name, media_type, charset)


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for page in pages:
        content = f"BT /F1 12 Tf 50 700 Td ({page}) Tj ET".encode()
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
            % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return out + head + table + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))


def word() -> bytes:
    """A document with a heading, a paragraph and a table."""
    document = docx.Document()
    document.add_heading("Photosynthesis", 1)
    document.add_paragraph("Light becomes sugar.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "water", "H2O"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def slides() -> bytes:
    """Two slides, one with notes and a group."""
    show = pptx.Presentation()
    for number in (1, 2):
        slide = show.slides.add_slide(show.slide_layouts[5])
        slide.shapes.title.text = f"Slide {number}"
    group = show.slides[1].shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 99, 99).text_frame.text = "in a group"
    show.slides[1].notes_slide.notes_text_frame.text = "to be said"
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


def test_each_kind_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, pdf("first page", "second page"), "/no-matter.html", "text/html")
    assert (found["media_type"], [page.strip() for page in found["pages"]]) == (PDF, ["first page", "second page"])
    found = read(tmp_path, word())
    assert (found["media_type"], found["pages"]) == (DOCX, None)
    assert found["text"].split("\n\n") == ["# Photosynthesis", "Light becomes sugar.", "water | H2O"]
    found = read(tmp_path, slides(), "/x.pdf")
    assert (found["media_type"], found["pages"]) == (PPTX, ["Slide 1", "Slide 2\nin a group\nto be said"])
    found = read(tmp_path, "Grüße".encode(), "/x.txt")
    assert (found["media_type"], found["text"]) == (TEXT, "Grüße")
    assert (
        read(tmp_path, b"# A", "/a.md")["media_type"]
        == read(tmp_path, b"A", "", "text/markdown")["media_type"]
        == MARKDOWN
    )


def test_a_page_is_read_as_a_reader_sees_it(tmp_path: Path) -> None:
    page = b"<!doctype html><title>t</title><h1>Cells</h1><p>seen<p style='display:none'>ignore it<script>x</script>"
    found = read(tmp_path, page, "/x.txt", "text/plain")
    assert (found["media_type"], "seen" in found["text"], "# Cells" in found["text"]) == (HTML, True, True)
    assert "ignore" not in found["text"]
    assert "x" not in found["text"]


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("<p>Café".encode("latin-1"), "ISO-8859-1"),
        (b"<meta charset=windows-1252><p>Caf\xe9", None),
        ("<p>Café".encode(), None),
        ("<p>Café".encode("utf-16"), "utf-8"),
        ("<p>Café".encode("utf-8-sig"), "no-such-codec"),
        ("<p>Café".encode(), "base64"),
    ],
)
def test_encodings_of_pages(tmp_path: Path, data: bytes, charset: str | None) -> None:
    assert read(tmp_path, data, "/x", "text/html", charset)["text"].strip() == "Café"


def zipped(**files: bytes) -> bytes:
    """A ZIP with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def locked() -> bytes:
    """An office file whose list says that an entry is encrypted."""
    data = bytearray(word())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def with_list(size: int) -> bytes:
    """An office file that says of its list of entries that it has this many bytes."""
    data = bytearray(word())
    struct.pack_into("<L", data, data.rindex(b"PK\x05\x06") + 12, size)
    return bytes(data)


def with_other_record() -> bytes:
    """An office file with the record of huge archives, which readers believe more than the usual one."""
    data = word()
    end = data.rindex(b"PK\x05\x06")
    return data[:end] + b"PK\x06\x07" + bytes(16) + data[end:]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "source_empty"),
        (b"  \n", "source_empty"),
        (b"<html><body><script>x</script></body></html>", "source_empty"),
        (pdf(""), "source_empty"),
        (b"%PDF-1.7 and nothing", "source_unreadable"),
        (b"\x00\x01\x02\x03", "source_type_not_supported"),
        (b"\xff\xfe\xff\xff\x00", "source_type_not_supported"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "source_type_not_supported"),
        (b"PK\x03\x04 cut", "source_unreadable"),
        (word()[:-40], "source_unreadable"),
        (locked(), "source_encrypted"),
        (zipped(a=b"x"), "source_type_not_supported"),
        (zipped(**{"word/document.xml": b"<x/>"}), "source_unreadable"),
        (zipped(**{"word/document.xml": b"", "big": bytes(MAX_UNPACKED_BYTES + 1)}), "source_too_long"),
        (zipped(**{str(n): b"" for n in range(MAX_ENTRIES + 1)}), "source_too_long"),
        (with_list(MAX_LIST_BYTES + 1), "source_too_long"),
        (with_list(10), "source_unreadable"),
        (with_other_record(), "source_too_long"),
        (b"a" * 2_000_001, "source_too_long"),
    ],
)
def test_what_cannot_be_read_ends_with_a_code(tmp_path: Path, data: bytes, code: str) -> None:
    assert read(tmp_path, data) == {"failure": code}


def test_entities_of_office_files_stay_unresolved(tmp_path: Path) -> None:
    secret = tmp_path / "beside"
    secret.write_text("not for the assistant")
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "word/document.xml":
                data = data.replace(
                    b"<w:document", b'<!DOCTYPE d [<!ENTITY e SYSTEM "file://%s">]><w:document' % bytes(secret), 1
                )
                data = data.replace(b"Light becomes sugar.", b"Light &e; sugar.")
            new.writestr(entry, data)
    assert "not for" not in str(read(tmp_path, out.getvalue()))


def test_the_pdf_of_these_tests_is_one() -> None:
    assert len(pypdfium2.PdfDocument(pdf("a", "b", "c"))) == 3
