"""``./scripts/bench upload``: time and memory of a large upload, beside the same bytes sent straight to Storage.

Both go through the gateway of a fresh stack. Ours counts, hashes and checks the bytes, stores them, and writes row and
job. Storage is the stand-in of the native stack, so the times compare the ways, not servers. The bound is on memory:
the processes of the functions must not grow by 64 MiB.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import threading
import time
import uuid

import httpx
import psutil

from scripts.native.stack import Options, Stack
from tests.standins.canvas import PLAIN
from tests.support.canvas import Student, student
from tests.support.documents import course, upload

MIB = 1024 * 1024
MAX_GROWTH_BYTES = 64 * MIB


class Memory:
    """The largest resident size of the processes that serve the functions, sampled in a thread."""

    def __init__(self, stack: Stack) -> None:
        self._mark = f"127.0.0.1:{stack.functions_port}"
        self._ended = threading.Event()
        self.before = self.peak = self._now()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        found = psutil.process_iter(["cmdline", "memory_info"])
        return max(
            (
                process.info["memory_info"].rss
                for process in found
                if self._mark in (process.info["cmdline"] or ()) and process.info["memory_info"]
            ),
            default=0,
        )


def text(size: int) -> bytes:
    """A text of so many bytes that nobody has uploaded before."""
    return (secrets.token_hex(32).encode() + b"0123456789abcde\n" * (size // 16 + 1))[:size]


def to_us(person: Student, course_id: str, content: bytes) -> float:
    """Seconds for an upload to the documents service."""
    began = time.perf_counter()
    answer = upload(person, course_id, content, "big.txt")
    assert answer.status_code == 201, answer.text
    return time.perf_counter() - began


def to_storage(stack: Stack, content: bytes) -> float:
    """Seconds for an upload to Storage alone, with the secret key."""
    key = stack.keys.secret_key
    headers = {"apikey": key, "Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
    url = f"{stack.url}/storage/v1/object/content/{uuid.uuid4()}"
    began = time.perf_counter()
    answer = httpx.post(url, content=content, headers=headers, timeout=60, verify=PLAIN)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


def main(argv: list[str]) -> int:
    """Prints the peer, ours, the ratio and the growth; 1 when the bound is missed."""
    parser = argparse.ArgumentParser(prog="./scripts/bench upload", description=__doc__)
    parser.add_argument("--mib", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(argv)
    with Stack(Options(without=frozenset({"worker"}), quiet=True)) as stack, student(stack) as person:
        course_id = course(stack)
        to_us(person, course_id, text(MIB))
        rounds: list[tuple[float, float]] = []
        with Memory(stack) as memory:
            for _ in range(chosen.rounds):
                content = text(chosen.mib * MIB)
                rounds.append((to_storage(stack, content), to_us(person, course_id, content)))
    theirs, mine = (statistics.median(column) for column in zip(*rounds, strict=True))
    growth = memory.peak - memory.before
    print(f"straight to Storage, {chosen.mib} MiB: {theirs * 1000:.0f} ms")
    print(f"as a document: {mine * 1000:.0f} ms, ratio {mine / theirs:.2f}")
    is_ok = growth < MAX_GROWTH_BYTES
    print(f"memory of the functions grew by {growth / MIB:.1f} MiB (bound 64) {'ok' if is_ok else 'MISSED'}")
    return 0 if is_ok else 1


if __name__ == "__main__":
    raise SystemExit(main([]))
