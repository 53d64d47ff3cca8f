"""Fragments of texts and transcripts: where they break, what they keep, and that hostile texts cost no more."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from functions.shared import chunks
from functions.shared.chunks import Chunk, Segment, chunk_markdown, chunk_pages, chunk_segments, detect_language

PHRASE = "the entropy of an isolated system never decreases and heat flows from hot to cold bodies"
WORDS = PHRASE.split()


def sentence(number: int, words: int = 12) -> str:
    """A sentence that no other number gives."""
    return f"Sentence {number} says " + " ".join(WORDS[(number + n) % len(WORDS)] for n in range(words - 3)) + "."


def prose(first: int, count: int) -> str:
    return " ".join(sentence(number) for number in range(first, first + count))


def test_a_text_is_cut_into_200_to_400_words_at_sentence_ends() -> None:
    found = chunk_pages([prose(0, 40), prose(40, 40), prose(80, 40)])
    sizes = [len(chunk.content.split()) for chunk in found]
    assert all(200 <= size <= 400 for size in sizes[:-1])
    assert sizes[-1] <= 400
    assert all(chunk.content.endswith(".") for chunk in found)
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))


def test_no_sentence_is_lost_and_the_overlap_is_small() -> None:
    text = prose(0, 200)
    found = chunk_pages([text])
    joined = " ".join(chunk.content for chunk in found)
    assert all(sentence(number) in joined for number in range(200))
    for before, after in pairwise(found):
        shared = [
            number for number in range(200) if sentence(number) in before.content and sentence(number) in after.content
        ]
        assert 1 <= len(shared) <= 3
        assert sum(len(sentence(number).split()) for number in shared) <= 40


def test_pages_are_those_of_the_text() -> None:
    pages = [prose(number * 30, 30) for number in range(6)]
    for chunk in chunk_pages(pages):
        on = [
            number
            for number, page in enumerate(pages, 1)
            if any(f"Sentence {n} says" in chunk.content for n in range((number - 1) * 30, number * 30)) and page
        ]
        assert (chunk.page_start, chunk.page_end) == (on[0], on[-1])


def test_empty_pages_count() -> None:
    (chunk,) = chunk_pages(["", "  \n ", prose(0, 3)])
    assert (chunk.page_start, chunk.page_end) == (3, 3)


@pytest.mark.parametrize("heading", ["2. Results", "2.1 Second law", "RESULTS OF ALL RUNS", "Chapter 2 Results"])
def test_a_heading_of_a_page_begins_a_fragment(heading: str) -> None:
    found = chunk_pages([f"1 Introduction\n{prose(0, 10)}\n{heading}\n{prose(10, 10)}"])
    assert [chunk.heading for chunk in found] == ["1 Introduction", heading]
    assert "Sentence 9 says" not in found[1].content


@pytest.mark.parametrize("line", ["12 of them decayed within a day.", "It was 3.5", "A", "x = 1", "1999"])
def test_other_lines_are_text(line: str) -> None:
    found = chunk_pages([f"{prose(0, 10)}\n{line}\n{prose(10, 10)}"])
    assert [chunk.heading for chunk in found] == [None]
    assert line in found[0].content


def test_a_heading_over_a_few_words_does_not_make_a_fragment_of_them() -> None:
    (chunk,) = chunk_markdown("# One\nShort.\n# Two\nAlso short.\n# Three\n")
    assert (chunk.heading, chunk.content) == ("One", "Short. Two\n\nAlso short. Three")


def test_markdown_breaks_at_headings_and_not_inside_code() -> None:
    found = chunk_markdown(
        f"# Title #\n\n{prose(0, 10)}\n\n## Code\n\n```sh\n# a comment\n\nls\n```\n\n{prose(10, 10)}\n"
    )
    assert [chunk.heading for chunk in found] == ["Title", "Code"]
    assert "# a comment\n\nls\n```" in found[1].content
    assert {chunk.page_start for chunk in found} == {None}


def test_what_typesetting_did_is_undone() -> None:
    (chunk,) = chunk_pages(["The ﬁrst dif-\nfusion is eﬃcient\x00, soft\u00adly \ud800so.\r\nYes."])
    assert chunk.content == "The first diffusion is efficient, softly so. Yes."
    chunk.content.encode()


def test_the_same_text_gives_the_same_hashes_and_another_text_few_others() -> None:
    before = chunk_markdown(f"# A\n{prose(0, 60)}\n# B\n{prose(60, 60)}\n# C\n{prose(120, 60)}")
    after = chunk_markdown(f"# A\n{prose(0, 60)}\n# B\nNew words. {prose(60, 60)}\n# C\n{prose(120, 60)}")
    assert before == chunk_markdown(f"# A\n{prose(0, 60)}\n# B\n{prose(60, 60)}\n# C\n{prose(120, 60)}")
    kept = {chunk.content_hash for chunk in before} & {chunk.content_hash for chunk in after}
    assert len(kept) == len(before) - 1


def test_a_hash_is_that_of_heading_and_text_alone() -> None:
    chunk = Chunk(ordinal=0, content="text", heading="head", page_start=1, page_end=1)
    assert chunk.content_hash == Chunk(ordinal=5, content="text", heading="head", page_start=9, page_end=9).content_hash
    assert chunk.content_hash != Chunk(ordinal=0, content="text").content_hash


HOSTILE = {
    "one letter": "a",
    "blanks": " ",
    "lines": "\n",
    "dots": ". ",
    "headings": "# a\n",
    "numbered lines": "1 a\n",
    "broken words": "a-\n",
    "Chinese": "熵是热力学概念",
    "capitals": "ABCD\n",
    "fences": "```\n",
    "numbers": "1.",
    "surrogates": "\ud800",
    "marks": "a\u0301",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd ",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("cut", [lambda text: chunk_pages([text]), chunk_markdown], ids=["pages", "markdown"])
def test_hostile_texts_give_bounded_fragments_in_linear_time(text: str, cut: object) -> None:
    assert callable(cut)
    detect_language("loads the model before the clock runs")
    seconds = []
    for length in (25_000, 200_000):
        given = text * (length // len(text))
        begun = time.process_time()
        found = cut(given)
        seconds.append(time.process_time() - begun)
        assert len(found) <= length / 100
        assert all(1 <= len(chunk.content) <= chunks.MAX_CHUNK_CHARS for chunk in found)
        assert all(len(chunk.heading or "") <= chunks.MAX_HEADING_CHARS for chunk in found)
    # eight times the text; a quadratic way would take 64 times as long
    assert seconds[1] <= 24 * seconds[0] + 0.5


# ---- speech -------------------------------------------------------------------------------------------------------


def speech(seed: int, count: int = 400) -> list[Segment]:
    """A lecture: segments of 2 to 9 seconds, with short gaps, pauses and sentence ends."""
    rng = random.Random(seed)
    at, said = 0.0, []
    for number in range(count):
        at += rng.choice([0, 0, 0, 0.2, 0.5, 2.5])
        end = at + rng.uniform(2, 9)
        said.append(
            Segment(at, end, f"number{number} " + " ".join(rng.choices(WORDS, k=12)) + rng.choice(["", "", "."]))
        )
        at = end
    return said


def seconds(chunk: Chunk) -> tuple[float, float]:
    assert chunk.start_second is not None
    assert chunk.end_second is not None
    return chunk.start_second, chunk.end_second


@pytest.mark.parametrize("seed", range(20))
def test_speech_is_cut_into_30_to_90_seconds_between_segments(seed: int) -> None:
    said = speech(seed)
    found = chunk_segments(said)
    starts, ends = {round(s.start, 3) for s in said}, {round(s.end, 3) for s in said}
    for chunk in found[:-1]:
        assert chunk.start_second in starts
        assert chunk.end_second in ends
        length = seconds(chunk)[1] - seconds(chunk)[0]
        assert length <= 90
        assert length >= 30 or len(chunk.content.split()) > 120
        assert len(chunk.content.split()) <= 150
    for segment in said:
        home = [chunk for chunk in found if segment.text in chunk.content]
        assert 1 <= len(home) <= 2
        assert all(seconds(c)[0] <= segment.start + 0.001 and segment.end <= seconds(c)[1] + 0.001 for c in home)


def test_speech_breaks_at_a_pause_or_a_sentence_end() -> None:
    said = [Segment(n * 5.0, n * 5.0 + 5, f"part {n} goes on") for n in range(8)]
    said += [Segment(43, 48, "after the pause"), Segment(48, 80, "it ends here."), Segment(80, 85, "a new one")]
    found = chunk_segments(said)
    assert [(chunk.start_second, chunk.end_second) for chunk in found] == [(0, 40), (43, 80), (80, 85)]


def test_a_short_segment_is_repeated_in_the_next_fragment() -> None:
    said = [Segment(n * 6.0, n * 6.0 + 6, f"part {n} is done.") for n in range(12)]
    assert [(c.start_second, c.end_second) for c in chunk_segments(said)] == [(0, 30), (24, 54), (48, 72)]


def test_one_long_segment_stays_whole() -> None:
    said = [Segment(0, 200, "a long talk"), Segment(200, 210, "more")]
    assert [(c.start_second, c.end_second) for c in chunk_segments(said)] == [(0, 200), (200, 210)]


@pytest.mark.parametrize(
    "text",
    [
        "[Music]",
        "(applause)",
        "♪ la la ♪",
        "",
        "   ",
        "...",
        "[BLANK_AUDIO]",
        "*laughter*",
        "[background music]",
        "Silence.",
    ],
)
def test_music_and_silence_are_skipped(text: str) -> None:
    said = [Segment(0, 20, text), Segment(20, 30, "Music theory is old."), Segment(30, 40, text)]
    (chunk,) = chunk_segments(said)
    assert (chunk.content, chunk.start_second, chunk.end_second) == ("Music theory is old.", 20, 30)


def test_times_that_cannot_be_are_dropped_or_mended() -> None:
    nan = float("nan")
    said = [
        Segment(nan, 1, "gone"),
        Segment(0, float("inf"), "gone, too"),
        Segment(-2, 3, "first"),
        Segment(9, 4, "last"),
    ]
    (chunk,) = chunk_segments(said)
    assert (chunk.content, chunk.start_second, chunk.end_second) == ("first last", 0, 9)


def test_a_segment_that_cannot_be_stored_whole_keeps_its_seconds() -> None:
    found = chunk_segments([Segment(5, 9, "word " * 10_000)])
    assert all(len(chunk.content) <= chunks.MAX_CHUNK_CHARS for chunk in found)
    assert {(chunk.start_second, chunk.end_second) for chunk in found} == {(5, 9)}
    assert sum(chunk.content.count("word") for chunk in found) >= 9_990


# ---- languages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The second law of thermodynamics says that entropy never decreases in an isolated system.", "en"),
        ("Der zweite Hauptsatz der Thermodynamik besagt, dass die Entropie niemals abnimmt.", "de"),
        ("Le deuxième principe de la thermodynamique établit l'irréversibilité des phénomènes physiques.", "fr"),
        ("热力学第二定律指出孤立系统的熵永远不会减少这是一个非常重要的物理学原理。", "zh"),
        ("", None),
        ("x = 5", None),
        ("12345 67890 " * 20, None),
        ("\x00\ud800", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert detect_language(text) == language


def test_each_fragment_has_its_own_language_or_that_of_the_whole() -> None:
    english = "The second law of thermodynamics says that entropy never decreases in an isolated system. " * 8
    german = "Der zweite Hauptsatz der Thermodynamik besagt, dass die Entropie niemals abnimmt. " * 8
    numbers = "3.14 2.71 1.41 0.57 " * 40
    found = chunk_markdown(f"# A\n{english}\n# B\n{german}\n# C\n{numbers}", language="en")
    assert [(chunk.heading, chunk.language) for chunk in found] == [("A", "en"), ("B", "de"), ("C", "en")]
