"""``./scripts/bench pdf``: the text of a PDF as the job document_ingest reads it, beside pypdf.

Two files are made at the start, from a fixed seed: one as typesetters write it, in pieces of words with kerning between
them, and one with a line as one piece, which is as cheap to read as a PDF can be. The bound of 0.2 is for the first.
Ours includes the start of the child process, its limits and the way of the text back. Each round runs the two one after
the other; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pypdf

from functions.documents import ingest, reading
from functions.shared.children import run_in_child
from tests.support.documents import pdf

SEED = 7
MAX_RATIO = 0.2
LINES, WORDS = 45, 11
VOCABULARY = [
    *("light", "reaction", "membrane", "energy", "carbon", "dioxide", "sugar", "electron", "transport", "chain"),
    *("the", "of", "and", "in", "is", "to", "by", "which", "from", "with", "this", "that", "are", "as", "for", "it"),
]


def pages(count: int) -> list[str]:
    """So many full pages of words."""
    dice = random.Random(SEED)
    return ["\n".join(" ".join(dice.choices(VOCABULARY, k=WORDS)) for _ in range(LINES)) for _ in range(count)]


def kerned(dice: random.Random) -> Callable[[str], str]:
    """Shows lines as typesetters do."""

    def show(line: str) -> str:
        words: list[str] = []
        for word in line.split():
            parts, start = "", 0
            while start < len(word):
                end = start + dice.randint(1, 4)
                parts += f"({word[start:end]})" + (str(dice.choice([-28, -14, 18, 28, 83])) if end < len(word) else "")
                start = end
            words.append(parts)
        return "[" + "-333".join(words) + "] TJ"

    return show


def ours(path: Path) -> list[str]:
    """The text of each page, as the product reads it."""
    found = run_in_child(
        reading.read_pdf,
        [str(path), ingest.MAX_PAGES, ingest.MAX_CHARACTERS],
        seconds=ingest.READ_SECONDS,
        max_memory_bytes=ingest.READ_MEMORY_BYTES,
    )
    assert found["failure"] is None
    return list(found["pages"])


def peer(path: Path) -> list[str]:
    """The text of each page, by pypdf in this process."""
    return [page.extract_text() for page in pypdf.PdfReader(path).pages]


def seconds(read: Callable[[Path], list[str]], path: Path) -> float:
    """How long one reading takes."""
    began = time.perf_counter()
    read(path)
    return time.perf_counter() - began


def compare(name: str, content: bytes, rounds: int) -> float:
    """Prints the two and returns the ratio of their medians."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.pdf"
        path.write_bytes(content)
        words = [[" ".join(page.split()) for page in read(path)] for read in (peer, ours)]
        assert words[0] == words[1], "the two read different words"
        times = [(seconds(peer, path), seconds(ours, path)) for _ in range(rounds)]
    theirs, mine = (statistics.median(column) for column in zip(*times, strict=True))
    ratio: float = mine / theirs
    print(f"{name}: pypdf {theirs * 1000:.0f} ms, ours {mine * 1000:.0f} ms, ratio {ratio:.3f}", flush=True)
    return ratio


def main(argv: list[str]) -> int:
    """Prints the peer, ours and the ratio; 1 when the bound is missed."""
    parser = argparse.ArgumentParser(prog="./scripts/bench pdf", description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(argv)
    texts = pages(chosen.pages)
    print(f"pypdf {pypdf.__version__}, {chosen.pages} pages, seed {SEED}")
    compare("a line as one piece", pdf(texts), chosen.rounds)
    ratio = compare("typeset", pdf(texts, show=kerned(random.Random(SEED))), chosen.rounds)
    print(f"typeset: ratio {ratio:.3f}, bound {MAX_RATIO}: {'ok' if ratio <= MAX_RATIO else 'MISSED'}")
    return 0 if ratio <= MAX_RATIO else 1


if __name__ == "__main__":
    raise SystemExit(main([]))
