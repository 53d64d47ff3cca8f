"""Cuts texts and transcripts into fragments for search and citations, and stores them.

Every function here is linear in its input and bounded in its output, whatever the text: a fragment has at most
``MAX_CHUNK_CHARS`` characters. The same input gives the same fragments, so that stored ones keep their ids.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol

from postgrest import SyncPostgrestClient

from functions.shared.database import rpc, rpc_row

# A document's fragment has 200 to 400 words. A word has at most WORD_CHARS, so that texts without spaces are cut, too.
TARGET_CHUNK_WORDS = 280
MAX_CHUNK_WORDS = 400
# A heading begins a new fragment when the one before has this many words.
MIN_SECTION_WORDS = 50
MAX_OVERLAP_WORDS = 40
WORD_CHARS = 8
MAX_SENTENCE_CHARS = 800
MAX_CHUNK_CHARS = 6000
MAX_HEADING_CHARS = 200

MIN_SPAN_SECONDS = 30.0
MAX_SPAN_SECONDS = 90.0
MAX_SPAN_WORDS = 150
PAUSE_SECONDS = 1.0
MAX_OVERLAP_SECONDS = 10.0
# how many fragments the database makes searchable in about a second on a busy machine
CHUNKS_A_CALL = 400
# what the database can hold
MAX_SECOND = 9_999_999.0

# Detection looks at the beginning of a text; shorter texts, and unsure answers, have no language.
MAX_DETECTED_CHARS = 4000
MIN_DETECTED_LETTERS = 20
MIN_CONFIDENCE = 0.8

# what a page loses to typesetting: ligatures, soft hyphens and zero-width characters
_TYPESETTING = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\u00ad": "",
        "\u200b": "",
        "\ufeff": "",
    }
)
# control characters but tab and line feed, and halves of surrogate pairs, which the database refuses
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_BROKEN_WORD = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
SENTENCE_ENDS = ".!?…"
# full stop, exclamation and question mark of Chinese and Japanese, which no blank follows
WIDE_SENTENCE_ENDS = "\u3002\uff01\uff1f"
_SENTENCE_END = re.compile(rf"(?<=[{SENTENCE_ENDS}])\s+|(?<=[{WIDE_SENTENCE_ENDS}])")
_MARKDOWN_HEADING = re.compile(r"#{1,6}[ \t]+(\S.*)")
_NUMBERED_HEADING = re.compile(
    r"(?:(?:chapter|section|part|kapitel|abschnitt|teil) )?\d{1,3}(?:\.\d{1,3}){0,4}[.)]? +[^\W\d_]", re.I
)
_NOT_SPEECH = re.compile(
    r"[\[(*]?\s*(?:background )?(?:music|applause|laughter|silence|noise|inaudible|blank[ _]audio|musik)[\])*. ]*"
)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A fragment: the columns of ``private.source_chunks``. Pages count from 1, times are seconds of the recording."""

    ordinal: int
    content: str
    heading: str | None = None
    language: str | None = None
    page_start: int | None = None
    page_end: int | None = None
    start_second: float | None = None
    end_second: float | None = None

    @property
    def content_hash(self) -> str:
        """SHA-256 of heading and text, as the database computes it."""
        return hashlib.sha256(f"{self.heading or ''}\n{self.content}".encode()).hexdigest()


class TimedText(Protocol):
    """A segment of a transcript, with its seconds."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...


class Segment(NamedTuple):
    """A segment of a transcript: its text from one second to another."""

    start: float
    end: float
    text: str


class Replaced(NamedTuple):
    """How many fragments of a source stayed, are new, and were retired."""

    kept: int
    inserted: int
    retired: int


class _Piece(NamedTuple):
    """A sentence or a heading, and where it stands."""

    text: str
    page: int | None = None
    is_heading: bool = False
    opens_paragraph: bool = False


def chunk_pages(pages: Sequence[str], language: str | None = None) -> list[Chunk]:
    """The fragments of a text by pages. They break at headings and sentence ends, and may cross pages.

    :param pages: the text of each page, from page 1 on
    :param language: that of the whole text where it is known; each fragment is looked at by itself, too
    """
    pieces = (piece for number, page in enumerate(pages, 1) for piece in _page_pieces(clean(page), number))
    return _with_language(_packed(pieces), language)


def chunk_markdown(text: str, language: str | None = None) -> list[Chunk]:
    """The fragments of a Markdown or plain text, which has no pages. They break at headings and sentence ends."""
    return _with_language(_packed(_markdown_pieces(clean(text))), language)


def chunk_segments(segments: Iterable[TimedText], language: str | None = None) -> list[Chunk]:
    """The fragments of a transcript: 30 to 90 seconds or about 150 words, without music and silence.

    They break at pauses of more than a second or at sentence ends, and never inside a segment. A short last segment is
    repeated at the beginning of the next fragment, unless a pause lies between.
    """
    chunks: list[Chunk] = []
    current: list[Segment] = []
    for segment in _speech(segments):
        if current and _ends_before(current, segment):
            chunks.append(_spoken(current, len(chunks)))
            last = current[-1]
            repeats = (
                len(current) > 1
                and segment.start - last.end <= PAUSE_SECONDS
                and last.end - last.start <= MAX_OVERLAP_SECONDS
                and _weight(last.text) <= MAX_OVERLAP_WORDS
                and segment.end - last.start <= MAX_SPAN_SECONDS
            )
            current = [last] if repeats else []
        current.append(segment)
    if current:
        chunks.append(_spoken(current, len(chunks)))
    return _with_language(chunks, language)


def detect_language(text: str) -> str | None:
    """The language of a text as a code of two letters; None when it is short, mixed or no prose. Safe for any text."""
    sample = text[:MAX_DETECTED_CHARS]
    if sum(map(str.isalpha, sample)) < MIN_DETECTED_LETTERS:
        return None
    code, confidence = _identifier().classify(sample)
    return str(code) if confidence >= MIN_CONFIDENCE else None


def replace_chunks(client: SyncPostgrestClient, kind: str, source_id: str, chunks: Sequence[Chunk]) -> Replaced:
    """Makes these the fragments of a source. Fragments with the same text keep their ids; safe to repeat.

    The old ones are found until all new ones are, however many there are: long texts are prepared in several calls.

    :param client: the service's handle
    :param kind: document, lecture or content_source
    :raise NotFound: the source is gone
    """
    rows: list[dict[str, Any]] = [
        {name: value for name, value in asdict(chunk).items() if value is not None and name != "ordinal"}
        for chunk in chunks
    ]
    source = {"p_kind": kind, "p_source_id": source_id}
    prepared = 0
    if len(rows) > CHUNKS_A_CALL:
        for start in range(0, len(rows), CHUNKS_A_CALL):
            args = {**source, "p_chunks": rows[start : start + CHUNKS_A_CALL]}
            prepared += rpc(client, "svc_prepare_chunks", args, safe=True)
    found = Replaced(**rpc_row(client, "svc_replace_chunks", {**source, "p_chunks": rows}, safe=True))
    return Replaced(found.kept - prepared, found.inserted + prepared, found.retired)


def clean(text: str) -> str:
    """A text as it is stored: without control characters, ligatures and invisible characters, lines ended by LF."""
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_TYPESETTING))


# ---- pieces of a text ---------------------------------------------------------------------------------------------


def _page_pieces(page: str, number: int) -> Iterator[_Piece]:
    paragraph: list[str] = []
    for line in page.split("\n"):
        line = line.strip()
        if line and not _is_heading(line):
            paragraph.append(line)
            continue
        yield from _sentences(paragraph, number)
        paragraph = []
        if line:
            yield _Piece(line[:MAX_HEADING_CHARS], number, is_heading=True)
    yield from _sentences(paragraph, number)


def _is_heading(line: str) -> bool:
    """Whether a line of a page reads like a heading: short, and numbered or in capitals."""
    if not 3 <= len(line) <= 80 or line[-1] in ".,;:!?":
        return False
    return bool(_NUMBERED_HEADING.match(line)) or (line.isupper() and sum(map(str.isalpha, line)) >= 4)


def _markdown_pieces(text: str) -> Iterator[_Piece]:
    paragraph: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = line.lstrip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        heading = None if fence else _MARKDOWN_HEADING.match(line)
        if heading or (not line.strip() and not fence):
            yield from _sentences(paragraph, None)
            paragraph = []
        else:
            paragraph.append(line.rstrip())
        if heading:
            yield _Piece(
                heading[1].rstrip("# \t")[:MAX_HEADING_CHARS] or heading[1][:MAX_HEADING_CHARS], is_heading=True
            )
    yield from _sentences(paragraph, None)


def _sentences(lines: list[str], page: int | None) -> Iterator[_Piece]:
    """The sentences of a paragraph; one that is too long is cut at a space where it has one."""
    text = _BROKEN_WORD.sub("", "\n".join(lines))
    opens = True
    for sentence in _SENTENCE_END.split(text):
        start = 0
        while start < len(sentence):
            end = start + MAX_SENTENCE_CHARS
            if end < len(sentence):
                space = sentence.rfind(" ", start + MAX_SENTENCE_CHARS // 2, end)
                end = space if space > 0 else end
            part = sentence[start:end].strip()
            if part:
                yield _Piece(part, page, opens_paragraph=opens)
                opens = False
            start = end


# ---- packing ------------------------------------------------------------------------------------------------------


def _weight(text: str) -> int:
    """The number of words; a long run without spaces counts for as many words as its length makes."""
    return max(len(text.split()), len(text) // WORD_CHARS)


class _Packer:
    """Joins sentences to fragments under their heading."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self._heading: str | None = None
        self._pieces: list[_Piece] = []
        self._words = 0
        # how many of the pieces are repeated from the fragment before
        self._repeated = 0

    def add(self, piece: _Piece) -> None:
        """Takes the next piece of the text."""
        if piece.is_heading and (self._words >= MIN_SECTION_WORDS or not self._is_fresh()):
            self.close(overlap=False)
            self._heading = piece.text
            return
        weight = _weight(piece.text)
        if self._words >= TARGET_CHUNK_WORDS or self._words + weight > MAX_CHUNK_WORDS:
            self.close(overlap=True)
        self._pieces.append(piece)
        self._words += weight

    def close(self, *, overlap: bool) -> None:
        """Ends the fragment; the next one begins with its last sentences, or with nothing."""
        kept: list[_Piece] = []
        words = 0
        if self._is_fresh():
            self.chunks.append(_written(self._pieces, self._heading, len(self.chunks)))
            for piece in reversed(self._pieces[1:] if overlap else []):
                if words + _weight(piece.text) > MAX_OVERLAP_WORDS:
                    break
                words += _weight(piece.text)
                kept.insert(0, piece)
        self._pieces, self._words, self._repeated = kept, words, len(kept)

    def _is_fresh(self) -> bool:
        return len(self._pieces) > self._repeated


def _packed(pieces: Iterable[_Piece]) -> list[Chunk]:
    packer = _Packer()
    for piece in pieces:
        packer.add(piece)
    packer.close(overlap=False)
    return packer.chunks


def _written(pieces: list[_Piece], heading: str | None, ordinal: int) -> Chunk:
    text = "".join(f"\n\n{piece.text}" if piece.opens_paragraph else f" {piece.text}" for piece in pieces)
    pages = [piece.page for piece in pieces if piece.page is not None]
    return Chunk(
        ordinal=ordinal,
        content=text.strip(),
        heading=heading,
        page_start=min(pages, default=None),
        page_end=max(pages, default=None),
    )


def _with_language(chunks: list[Chunk], language: str | None) -> list[Chunk]:
    """Each fragment with its own language, or that of the whole where its own cannot be told."""
    if language is None:
        language = detect_language(" ".join(chunk.content[:500] for chunk in chunks[:50]))
    return [replace(chunk, language=detect_language(chunk.content) or language) for chunk in chunks]


# ---- speech -------------------------------------------------------------------------------------------------------


def _speech(segments: Iterable[TimedText]) -> Iterator[Segment]:
    """The segments that say something, with times that make sense. One too long to store is given in parts."""
    for segment in segments:
        text = " ".join(clean(segment.text).split())
        if not any(map(str.isalnum, text)) or "♪" in text or _NOT_SPEECH.fullmatch(text.lower()):
            continue
        if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
            continue
        start = max(0.0, min(float(segment.start), MAX_SECOND))
        end = max(start, min(float(segment.end), MAX_SECOND))
        for begin in range(0, len(text), MAX_CHUNK_CHARS):
            yield Segment(start, end, text[begin : begin + MAX_CHUNK_CHARS])


def _ends_before(current: list[Segment], segment: Segment) -> bool:
    """Whether a fragment of speech ends before this segment."""
    last = current[-1]
    words = sum(_weight(said.text) for said in current)
    if segment.end - current[0].start > MAX_SPAN_SECONDS or words + _weight(segment.text) > MAX_SPAN_WORDS:
        return True
    is_long_enough = last.end - current[0].start >= MIN_SPAN_SECONDS
    return is_long_enough and (
        segment.start - last.end > PAUSE_SECONDS or last.text[-1] in SENTENCE_ENDS + WIDE_SENTENCE_ENDS
    )


def _spoken(current: list[Segment], ordinal: int) -> Chunk:
    return Chunk(
        ordinal=ordinal,
        content=" ".join(segment.text for segment in current),
        start_second=round(current[0].start, 3),
        end_second=round(max(segment.end for segment in current), 3),
    )


# ---- languages ----------------------------------------------------------------------------------------------------

_LOADING = threading.Lock()


@functools.cache
def _loaded() -> Any:
    # it takes seconds and much memory, and web processes never need it
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    # codes of two letters are the languages that are written much; the others are often mistaken for these
    identifier.set_languages([code for code in identifier.labels if len(code) == 2])
    return identifier


def _identifier() -> Any:
    with _LOADING:
        return _loaded()
